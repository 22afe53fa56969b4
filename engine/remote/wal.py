"""Archived WAL sent to another server, and held against what is there."""

import os
import random
import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from engine.records.errors import DamagedCopy, RepriseError
from engine.remote.places import RemotePlace
from engine.remote.rsync import FILE_DIFFERS, SEND_NEW, Progress, differences, hold, run_rsync, unescaped
from engine.transfer.naming import shown

_SEGMENT = re.compile(r"[0-9A-F]{24}\Z")
_LONG_HEADER = struct.Struct("<HHIQI4xQII")  # XLogLongPageHeaderData (src/include/access/xlog_internal.h)
_IS_LONG = 0x0002  # XLP_LONG_HEADER
_PACKED = (b"\x1f\x8b", b"\x04\x22\x4d\x18", b"\x28\xb5\x2f\xfd")  # gzip, lz4, zstd: their lengths are their own
_SAMPLE = 8  # archived files that were there before and are read again, here and there, with each push
_SMALLEST_SEGMENT = 1 << 20  # bytes (initdb --wal-segsize)


class PushedWal(NamedTuple):
    """The names in an archive that stand at the second place, and those of segments that are too short for it."""

    sent: list[str]
    short: list[str]


def push_wal(folder: Path, into: RemotePlace, progress: Progress) -> PushedWal:
    """Send every archived file that is not there yet. What is there is never replaced, so a segment that is shorter
    than a segment is not sent, nor an unfinished one. One that was adopted is: it tells that of the segment beside it.
    Then all are held against what is there: by their sizes; by checksum what was sent now, what has another time there,
    and some others, other ones each time.

    Raises DamagedCopy, Unreachable, RepriseError.
    """
    into.run("mkdir", "-p", into.path)
    whole, short = _archived(folder)
    names, listed = _listing(whole), ["--files-from=-", "--from0"]
    source, target = f"{os.fspath(folder)}/", f"{into.for_rsync}/"
    told = differences([source], target, into, ["--times", *listed], names)  # in size or time, or absent
    suspect = {unescaped(found[1]) for line in told if (found := FILE_DIFFERS.match(line))}
    run_rsync([*SEND_NEW, *listed], [source], target, into, progress, names=names)
    hold([source], folder, target, into, ["--size-only", *listed], names)
    others = [name for name in whole if name not in suspect]
    suspect.update(random.sample(others, min(_SAMPLE, len(others))))
    hold([source], folder, target, into, ["--checksum", *listed], _listing(sorted(suspect)))
    return PushedWal(whole, short)


def _listing(names: Sequence[str]) -> bytes:
    return b"".join(os.fsencode(name) + b"\0" for name in names)


def refuse_short(short: Sequence[str]) -> None:
    """Say that segments were not sent, after all else was. Raises DamagedCopy."""
    if short:
        raise DamagedCopy(
            f"{len(short)} archived WAL files are shorter than a segment and were not sent, {shown(short[0])} for one",
            remedy="push again once they are archived whole; see what is wrong with them: reprise catalog",
        )


def _archived(folder: Path) -> tuple[list[str], list[str]]:
    """The names in an archive that are sent, and those of segments that are too short. Raises RepriseError."""
    whole: list[str] = []
    short: list[str] = []

    def fail(problem: OSError) -> None:
        raise RepriseError(f"{shown(problem.filename)} cannot be listed", cause=problem.strerror)

    for place, folders, files in os.walk(folder, onerror=fail):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            path = Path(place, name)
            if not name.startswith(".") and (not name.endswith(".partial") or name[:24] in files):
                kept = short if _SEGMENT.match(name) and _is_short(path) else whole
                kept.append(os.fspath(path.relative_to(folder)))
    return sorted(whole), sorted(short)


def _is_short(segment: Path) -> bool:
    """Whether a file is less than the segment that it begins as; a packed one is not measured."""
    try:
        with segment.open("rb", buffering=0) as file:
            head, size = file.read(_LONG_HEADER.size), os.fstat(file.fileno()).st_size
    except OSError as problem:
        raise RepriseError(f"{shown(segment)} cannot be read", cause=problem.strerror) from None
    if head.startswith(_PACKED):
        return False
    if len(head) < _LONG_HEADER.size:
        return True
    magic, info, *_, segment_size, _ = _LONG_HEADER.unpack(head)
    told = segment_size if magic >> 8 == 0xD1 and info & _IS_LONG else 0
    return size < max(told, _SMALLEST_SEGMENT)
