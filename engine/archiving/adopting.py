"""An unfinished segment adopted: what is sound of it, written under the segment's own name.

It is whole, zeroed behind its WAL, on disk and like its neighbours before it gets that name, and what has the name
already is never replaced. The unfinished file stays as it is.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path

from engine.archiving.unfinished import Unfinished, stamp_of
from engine.records.errors import RepriseError
from engine.records.lsn import parse_segment
from engine.system.users import is_root
from engine.transfer.appearing import give_name
from engine.transfer.naming import shown
from engine.wal.worker import Wanted, read_file

_DRAFT = ".draft-adopted-"
_BLOCK = 1 << 20
_PERMISSIONS = 0o666  # a segment is no program


def adopt(found: Unfinished) -> None:
    """Raises RepriseError; then there is nothing under the segment's name that was not there before."""
    told = found.told
    target = told.path.with_name(told.segment)
    draft = target.with_name(_DRAFT + told.segment)
    try:
        _write(found, draft)
        _prove(found, draft)
        give_name(draft, target)
    except FileExistsError:
        raise RepriseError(f"{shown(target)} is there already: nothing was replaced") from None
    except OSError as problem:
        raise RepriseError(
            f"{shown(told.path)} cannot be adopted",
            cause=problem.strerror,
            remedy=f"see to {shown(target.parent)}, then adopt again: nothing was changed",
        ) from None
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Take away what adoptions left that were killed. Raises OSError."""
    for draft in folder.glob(_DRAFT + "*"):
        draft.unlink(missing_ok=True)


def _write(found: Unfinished, draft: Path) -> None:
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb", buffering=0) as writing, found.contents.open("rb", buffering=0) as reading:
        left = found.sound
        while left and (block := reading.read(min(_BLOCK, left))):
            _all_of(writing.fileno(), block)
            left -= len(block)
        size = found.size - found.sound + left
        while size:
            size -= _all_of(writing.fileno(), bytes(min(_BLOCK, size)))
        like = (found.before or found.told.path).stat()
        if is_root():
            os.fchown(handle, like.st_uid, like.st_gid)
        os.fchmod(handle, stat.S_IMODE(like.st_mode) & _PERMISSIONS)
        os.fsync(handle)


def _all_of(handle: int, block: bytes) -> int:
    left = memoryview(block)
    while left:
        left = left[os.write(handle, left) :]
    return len(block)


def _prove(found: Unfinished, draft: Path) -> None:
    """Raises RepriseError where it is not what was read before."""
    told = found.told
    reading = read_file(Wanted(os.fspath(draft), *parse_segment(told.segment, found.size)))
    if stamp_of(told.path) != found.stamp or reading is None or reading.valid_to != told.end_lsn:
        raise RepriseError(
            f"{shown(told.path)} has changed while it was adopted: nothing was written",
            cause="somebody still writes it",
            remedy="see whether pg_receivewal or a server still runs, here or elsewhere",
        )
