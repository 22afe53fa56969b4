"""Copies sent to another server by rsync, and held against their originals there by checksum.

A copy travels under a name with a dot and is renamed when it is whole, so that a reader of that repository never sees
half of it. What is there already is never changed: a copy with the same name must have the same content, and so must
the files beside it. A draft is a folder of this push alone: what is unchanged since the copy before, and what another
attempt left, is linked into it, and rsync writes into no file that has its name already. Of that other attempt
something may still live there, after a line that broke or from another machine: it works in a folder that is never
named by us, and on this machine two pushes of one copy are refused.
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
from engine.remote.standing import DRAFT, SUFFIX, remove_hidden
from engine.transfer.naming import shown

# Each command is a connection of its own: one makes the folder ($1) and says which of the other names are in it.
_MAKE_AND_LIST = 'mkdir -p -- "$1" && cd -- "$1" || exit; shift; for name; do test ! -e "./$name" || echo "$name"; done'
# What other attempts left of a copy ($2): folders are named, to be linked from; a file, which rsync writes beside it
# and then renames, is taken over under our own name ($3), so that whoever still works on it does not reach it.
_LEFT = (
    f'cd -- "$1" || exit; for old in "./{DRAFT}$2" "./{DRAFT}$2"~{SUFFIX}; do '
    'test ! -L "$old" || { echo "$old is a link" >&2; exit 1; }; '
    'if test -d "$old"; then printf "%s\\0" "${old#./}"; elif test -e "$old"; then mv -nT -- "$old" "./$3"; fi; done'
)
_MOST_LINKED = 19  # rsync takes 20 folders to link from (MAX_BASIS_DIRS)
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
        hold(names, beside[0], f"{into.for_rsync}/", into, ["--recursive", "--links", "--checksum"])
    if name in there:
        return compare(copy, into.below(name))
    hidden = f"{DRAFT}{name}~{secrets.token_hex(4)}"
    left = into.run("sh", "-c", _LEFT, "sh", into.path, name, hidden).split("\0")[:-1]
    draft = into.below(hidden)
    before = [*left[:_MOST_LINKED], *([parent] if parent in there else [])] if copy.is_dir() else []
    _send(copy, draft, [f"--link-dest={into.below(each).path}" for each in before if each], progress)
    compare(copy, draft)
    into.run("sh", "-c", _NAME, "sh", draft.path, into.below(name).path, timeout=600)
    with suppress(RepriseError):  # what cannot be removed is swept by `expire`
        remove_hidden(into, "", left)


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
