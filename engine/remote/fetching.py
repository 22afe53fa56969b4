"""Everything at a second place brought back, when the first one is gone."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from msgspec import Struct

from engine.records.errors import Refused, RepriseError
from engine.remote.places import RemotePlace
from engine.remote.rsync import ATTRIBUTES, PARTIAL, SEND, Progress, hold, run_rsync
from engine.remote.standing import DOOMED, HALF_SENT, list_there
from engine.transfer.durable import fsync_path, sync_file_system
from engine.transfer.naming import shown

# What is half sent and half deleted stands only where copies stand; deeper down a name like that is a user's own. A
# pattern of rsync's matches at any depth, unless it begins with a slash (rsync(1), "PATTERN MATCHING RULES").
_FOLDERS = ("", "base", "dumps")
_HIDDEN = (HALF_SENT, f"{DOOMED}*")
_LEFT_OUT = (
    *(f"--exclude={Path('/', folder, name)}" for folder in _FOLDERS for name in _HIDDEN),
    *(f"--exclude={Path('/', folder, PARTIAL)}/" for folder in (*_FOLDERS, "wal", "wal/**")),
)


class Fetched(Struct, frozen=True):
    """What came back: ``into``, absolute, and the names of what was half sent or half deleted there, and stayed."""

    into: Path
    left_out: tuple[str, ...]


def fetch(there: RemotePlace, into: Path, progress: Progress) -> Fetched:
    """Bring everything below a place back into a folder that is absent or empty. It grows in a draft beside that one,
    which the next attempt goes on with, and gets its name when it is what is there, by checksum, and on disk.

    Raises Refused where something is there already, Unreachable, RepriseError, DamagedCopy.
    """
    into = into.absolute()
    if into.name in ("", ".."):  # the draft stands beside it: it wants a name of its own
        into = into.resolve()
    if os.path.lexists(into) and (into.is_symlink() or not into.is_dir() or any(into.iterdir())):
        raise Refused(f"{shown(into)} is there already", remedy="name a folder that is absent or empty")
    if into.is_mount():
        raise Refused(f"{shown(into)} is a mount point", remedy=f"name a folder in it: {shown(into / 'copies')}")
    draft = into.with_name(f".draft-{into.name}")
    if draft.is_symlink():
        raise Refused(f"{shown(draft)} is a link", remedy="remove it")
    left_out = _hidden(there)
    with _on_disk(draft):
        source, target = f"{there.for_rsync}/", f"{os.fspath(draft)}/"
        run_rsync([*SEND, "--hard-links", *_LEFT_OUT], [source], target, there, progress)
        words = ["--recursive", "--links", "--checksum", *ATTRIBUTES, "--delete", *_LEFT_OUT]
        hold([source], draft, target, there, words)
    try:
        draft.rename(into)
    except OSError as problem:
        raise Refused(
            f"{shown(into)} was made meanwhile", cause=problem.strerror, remedy=f"all of it lies in {shown(draft)}"
        ) from None
    try:
        fsync_path(into.parent)
    except OSError as problem:
        raise _unwritable(into.parent, problem) from None
    return Fetched(into, left_out)


def _hidden(there: RemotePlace) -> tuple[str, ...]:
    """What will be left out, but for single files that are half sent. Raises Unreachable, RepriseError."""
    names = map(PurePosixPath, list_there(there, _FOLDERS))
    return tuple(sorted(os.fspath(name) for name in names if any(name.match(pattern) for pattern in _HIDDEN)))


@contextmanager
def _on_disk(draft: Path) -> Iterator[None]:
    """A folder, made where it is absent; what is written in it meanwhile is on disk in the end. Raises RepriseError."""
    try:
        draft.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(draft, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as problem:
        raise _unwritable(draft, problem) from None
    try:
        yield
        sync_file_system(handle)
    except OSError as problem:
        raise _unwritable(draft, problem) from None
    finally:
        os.close(handle)


def _unwritable(path: Path, problem: OSError) -> RepriseError:
    return RepriseError(
        f"{shown(path)} could not be written", cause=problem.strerror, remedy="mend that, then fetch again: it goes on"
    )
