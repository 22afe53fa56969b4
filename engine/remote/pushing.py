"""Copies sent to another server by rsync, and held against their originals there by checksum.

A copy travels under a name with a dot and is renamed when it is whole, so that a reader of that repository never sees
half of it. What is there already is never changed: a copy with the same name must have the same content, and so must
the files beside it. A draft is only added to: what is left of another attempt there, and does not belong, is refused.
Before that, what it shares with other copies leaves it: rsync sets modes and owners in place, and theirs are not ours.
Of two pushes of one copy the second is refused: it would take the draft over that the first still writes into.
"""

import fcntl
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.records.errors import RepriseError
from engine.remote.places import RemotePlace
from engine.remote.rsync import SEND, SEND_NEW, Progress, compare, hold, run_rsync
from engine.transfer.naming import shown

# Each command is a connection of its own: one makes the folder ($1) and says which of the other names are in it.
_MAKE_AND_LIST = 'mkdir -p -- "$1" && cd -- "$1" || exit; shift; for name; do test ! -e "./$name" || echo "$name"; done'
# What another attempt left of a copy ($2) is taken over under a name of our own ($3), so that whoever still works on it
# cannot name it; then what it shares with other copies leaves it. In a folder that may not be written nothing could.
_TAKE_OVER = (
    'cd -- "$1" || exit; for old in "./.draft-$2" "./.draft-$2"~*; do '
    'test ! -L "$old" || { echo "$old is a link" >&2; exit 1; }; '
    'test ! -e "$old" || { mv -nT -- "$old" "./$3" && break; }; done; '
    'test ! -d "./$3" || find "./$3" -xdev \\( -type d ! -perm -700 -exec chmod u+rwx {} \\; \\)'
    " -o \\( ! -type d -links +1 -exec rm -f {} + \\)"
)
# The draft ($1) gets its name ($2), on disk; a sync of all file systems where that server's cannot sync one.
# Old versions of mv -n succeed where they did nothing.
_NAME = 'mv -nT -- "$1" "$2" && test ! -e "$1" && { sync -f -- "$2" 2>/dev/null || sync; }'


def push(
    copy: Path,
    into: RemotePlace,
    beside: Sequence[Path],
    parent: str | None,
    progress: Progress,
    *,
    name: str | None = None,
) -> None:
    """Send a copy, and what stands beside it first. ``parent`` is a copy there that unchanged files are shared with;
    ``name``: what the copy is called there (None: as it is here).

    Raises DamagedCopy where another one of that name is there, Unreachable, RepriseError.
    """
    with _alone(copy):
        _push(copy, name or copy.name, into, beside, parent, progress)


def _push(
    copy: Path, name: str, into: RemotePlace, beside: Sequence[Path], parent: str | None, progress: Progress
) -> None:
    there = into.run("sh", "-c", _MAKE_AND_LIST, "sh", into.path, name, *([parent] if parent else [])).splitlines()
    if beside:
        names = [os.fspath(path) for path in beside]
        run_rsync(SEND_NEW, names, f"{into.for_rsync}/", into, progress)
        hold(names, beside[0], f"{into.for_rsync}/", into, ["--checksum"])
    if name in there:
        return compare(copy, into.below(name))
    hidden = f".draft-{name}~{secrets.token_hex(4)}"
    into.run("sh", "-c", _TAKE_OVER, "sh", into.path, name, hidden, timeout=None)
    draft = into.below(hidden)
    shared = [f"--link-dest={into.path}/{parent}"] if parent in there and copy.is_dir() else []
    _send(copy, draft, shared, progress)
    compare(copy, draft)
    into.run("sh", "-c", _NAME, "sh", draft.path, into.below(name).path, timeout=600)


def push_mirror(mirror: Path, into: RemotePlace, progress: Progress) -> None:
    """Bring a git mirror there up to date: what is new is sent, objects before the refs that lead to them (rsync sends
    by name); what is there and not here stays."""
    with _alone(mirror):
        into.run("mkdir", "-p", into.path)
        _send(mirror, into.below(mirror.name), [], progress)
        compare(mirror, into.below(mirror.name), alone=False)


@contextmanager
def _alone(copy: Path) -> Iterator[None]:
    """Nobody else on this machine pushes the copy meanwhile, whatever state folder he works with: the copy itself is
    locked (flock(2)), which leaves no trace in it. Raises RepriseError where somebody does, or it cannot be opened."""
    try:
        handle = os.open(copy, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as problem:
        raise RepriseError(f"{shown(copy)} cannot be read", cause=problem.strerror) from None
    try:
        with suppress(OSError):  # NFS locks no file that is open for reading only: then it goes on without
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RepriseError(
                    f"{shown(copy)} is being pushed already", remedy="wait for that push, then try again"
                ) from None
        yield
    finally:
        os.close(handle)


def _send(path: Path, there: RemotePlace, words: Sequence[str], progress: Progress) -> None:
    slash = "/" if path.is_dir() else ""
    run_rsync([*SEND, *words], [f"{os.fspath(path)}{slash}"], f"{there.for_rsync}{slash}", there, progress)
