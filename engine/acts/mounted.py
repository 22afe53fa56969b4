"""Whether the folder that is there now can be the archive of before: a mount that is away leaves an empty folder."""

import hashlib
from contextlib import suppress
from pathlib import Path

import msgspec

from engine.archiving.command import MARK
from engine.catalog.directory import RepositoryContents
from engine.catalog.waiting import with_patience
from engine.records.errors import Unreachable
from engine.survey.machine import FSTAB, UNITS, unmounted_above
from engine.transfer.durable import put_file


class Seen(msgspec.Struct, frozen=True):
    """What an archive was ever seen to have."""

    segments: bool = False
    marked: bool = False


def recall(state: Path, wal: str) -> Seen:
    """What is remembered of an archive; of one that is unknown, nothing."""
    with suppress(OSError, msgspec.DecodeError, msgspec.ValidationError):
        return msgspec.json.decode(_memory(state, wal).read_bytes(), type=Seen)
    return Seen()


def remember(state: Path, wal: str, contents: RepositoryContents) -> None:
    """Add what the archive has now to what it ever had. An index forgets what is gone; this does not."""
    before = recall(state, wal)
    seen = Seen(before.segments or bool(contents.wal_files), before.marked or contents.marked)
    if seen != before:
        memory = _memory(state, wal)
        with suppress(OSError):
            memory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            put_file(memory, msgspec.json.encode(seen))


def not_mounted(folder: str) -> str | None:
    """What /etc/fstab or a mount unit of systemd's mounts at a folder, or above it, and is not mounted now. None also
    where the folder does not answer."""
    try:
        found = with_patience(lambda alive: unmounted_above(Path(folder), FSTAB, UNITS), folder)
    except (Unreachable, OSError):
        return None
    return f"{found.place} is a mount point in {found.source}, and not mounted" if found is not None else None


def not_the_archive(state: Path, wal: str, contents: RepositoryContents, *, indexed: bool = False) -> str | None:
    """Why the folder of an archive that answers cannot be the archive of before: its file system is not mounted, it is
    empty and had WAL, or lacks the mark that it had. ``indexed``: whether the index knows WAL from it."""
    seen = recall(state, wal)
    if (away := not_mounted(wal)) is not None:
        return away
    if not contents.wal_files and (seen.segments or indexed):
        return f"{wal} is empty, and had WAL (is it mounted?)"
    if seen.marked and not contents.marked:
        return f"{wal} lacks the mark {MARK} that it had (is it mounted?)"
    return None


def _memory(state: Path, wal: str) -> Path:
    digest = hashlib.sha256(wal.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return state / "index" / f"{digest}.seen"
