"""What the live server must be set to, so that its WAL is streamed; and the slot that the stream goes by.

A slot holds WAL back until the stream has it, for ever where max_slot_wal_keep_size is -1: a stream that stays away
fills the server's disk, and the server stops. Beyond that size the slot is lost instead, and the stream with it
(PostgreSQL's manual, "Replication Slots").

pg_receivewal goes on behind the newest segment in its folder, whatever timeline that is of. After a recovery to an
earlier moment the server knows nothing of that place: its stream needs a folder of its own.
"""

import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from engine.archiving.settings import SUMMARIES_SINCE, differing
from engine.formats.history_file import Fork
from engine.records.lsn import SegmentName, parse_segment
from engine.records.status import Change

_MEBIBYTE = 1 << 20
_ZEROS = bytes(_MEBIBYTE)
_STREAMED = re.compile(r"([0-9A-F]{24})(?:\.gz|\.lz4)?(\.partial)?\Z")
_SHARE = 2  # of what is free where pg_wal lies, half: the rest is everybody else's


def slot_of(site: str) -> str:
    """Lower-case letters, digits and underscores, 63 at most (ReplicationSlotValidateName in slot.c)."""
    return "reprise_" + "".join(c if c.isalnum() and c.isascii() else "_" for c in site.lower())[:50]


def unbounded(now: Mapping[str, str]) -> bool:
    """Whether slots hold back as much as they like."""
    return now.get("max_slot_wal_keep_size", "-1").startswith("-1")


def stream_changes(now: Mapping[str, str], free_bytes: int | None, version: int) -> list[Change]:
    """What must be changed. ``free_bytes``: on the file system of pg_wal (None: not known, and no size is proposed)."""
    wanted = []
    if now.get("wal_level") == "minimal":
        wanted.append(("wal_level", "replica", True))
    for setting in ("max_wal_senders", "max_replication_slots"):
        if now.get(setting) == "0":
            wanted.append((setting, "10", True))  # PostgreSQL's own default
    if unbounded(now) and free_bytes is not None:
        wanted.append(("max_slot_wal_keep_size", f"{max(1, free_bytes // _SHARE // _MEBIBYTE)}MB", False))
    if version >= SUMMARIES_SINCE:
        wanted.append(("summarize_wal", "on", False))
    return differing(now, wanted)


def stream_folder(version: int, timeline: int) -> str:
    """The folder in an archive for the stream of a timeline that does not go on from what lies in the archive itself.
    So pgBackRest names the folders in its archives: who reads one looks into them."""
    return f"{version}-{timeline}"


def goes_on_with(names: Iterable[str], segment_size: int) -> SegmentName | None:
    """The segment with which pg_receivewal goes on in a folder of these files: the one behind the newest, or the newest
    itself where it is unfinished (FindStreamingStart in pg_receivewal.c). None: it finds none."""
    newest: tuple[int, int, bool] | None = None
    for found in filter(None, map(_STREAMED.match, names)):
        try:
            timeline, number = parse_segment(found[1], segment_size)
        except ValueError:
            continue
        each = number, timeline, found[2] is None
        newest = each if newest is None else max(newest, each)
    return SegmentName(newest[1], newest[0] + newest[2]) if newest is not None else None


def is_known_to(start: SegmentName, segment_size: int, timeline: int, forks: Sequence[Fork]) -> bool:
    """Whether a server on ``timeline``, which its history file says left its ancestors at ``forks``, can stream from
    there (StartReplication in walsender.c)."""
    if start.timeline == timeline:
        return True
    return any(fork.parent == start.timeline and start.number * segment_size <= fork.lsn for fork in forks)


def empty_unwritten(archive: Path, segment_size: int) -> None:
    """Where the disk was full, pg_receivewal leaves a new segment that is too short, and never goes on with it: it
    takes one of no bytes, or of all (open_walfile in receivelog.c). Such a one, in which nothing was ever written but
    the zeros that it begins with, is emptied. Whoever streams has closed it by now, and opens no short one."""
    for path in archive.glob("*.partial"):
        with suppress(OSError):
            opened = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(opened, "r+b", buffering=0) as file:
                status = os.fstat(opened)
                if not stat.S_ISREG(status.st_mode) or not 0 < status.st_size < segment_size:
                    continue
                while (block := file.read(_MEBIBYTE)) and block == _ZEROS[: len(block)]:
                    pass
                if not block:
                    file.truncate(0)
