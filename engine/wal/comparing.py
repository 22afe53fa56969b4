"""What in an archive is new to the index, and what of the index is gone from the archive."""

import sqlite3
from array import array
from collections.abc import Iterator, Sequence
from itertools import groupby

from msgspec import Struct, field

from engine.records.copies import WalFile
from engine.wal.cache import signed
from engine.wal.pages import LARGEST_SEGMENT, SMALLEST_SEGMENT

Place = tuple[int, int]  # a segment: timeline, number

_REQUEST = "where its server is gone for good: reprise archiving adopt"
_KNOWN = "SELECT timeline, number, path, size_bytes, mtime_ns, inode FROM segment ORDER BY timeline, number"


class Difference(Struct):
    """``wanted`` are the files to be read, as indexes; ``gone`` the segments whose file has vanished; ``apart`` is said
    of files that are not read: path, what, remedy. ``total`` is how many segments the archive has."""

    wanted: "array[int]" = field(default_factory=lambda: array("q"))
    gone: list[Place] = field(default_factory=list)
    apart: list[tuple[str, str, str | None]] = field(default_factory=list)
    total: int = 0


def compare(connection: sqlite3.Connection, files: Sequence[WalFile]) -> Difference:
    """Both go by in the order of the WAL, file by file: neither is held in memory."""
    found, at = Difference(), (-1, -1)
    known = connection.execute(_KNOWN)
    row = known.fetchone()
    for index, file in _chosen(files, found):
        place = file.timeline, file.number
        assert place > at, "the segments are to be in the order of the WAL"
        at = place
        found.total += 1
        while row is not None and row[:2] < place:
            found.gone.append(row[:2])
            row = known.fetchone()
        same = row is not None and row[:2] == place
        if row is None or row != (*place, file.path, file.size_bytes, signed(file.mtime_ns), signed(file.inode)):
            found.wanted.append(index)
        if same:
            row = known.fetchone()
    while row is not None:
        found.gone.append(row[:2])
        row = known.fetchone()
    return found


def _chosen(files: Sequence[WalFile], found: Difference) -> Iterator[tuple[int, WalFile]]:
    """One file for each segment, with its index. Of several copies a plain one is preferred, unless it was cut off."""
    for _, copies in groupby(enumerate(files), lambda each: (each[1].timeline, each[1].number)):
        whole = []
        for index, file in copies:
            if file.partial:
                found.apart.append((file.path, "an unfinished segment: replayed only on request", _REQUEST))
            else:
                whole.append((index, file))
        if whole:
            yield min(whole, key=lambda each: (_cut_off(each[1]), each[1].compression is not None, each[1].path))


def _cut_off(file: WalFile) -> bool:
    """Whether a plain file's size is none that a segment has (IsValidWalSegSize): that of a copy which was not
    finished."""
    size = file.size_bytes
    return file.compression is None and not (SMALLEST_SEGMENT <= size <= LARGEST_SEGMENT and size & (size - 1) == 0)
