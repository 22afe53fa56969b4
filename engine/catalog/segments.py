"""The segment files of an archive, kept small: a hundred thousand of them are an ordinary archive.

A file is a row of bytes: its segment, whether it is unfinished, its folder, the rest of its name, size, time and inode.
Sorted as bytes, rows stand in the order of the WAL. A row becomes a record when it is asked for.
"""

import os
from collections.abc import Iterator, Sequence
from struct import Struct
from typing import NamedTuple, overload

import msgspec

from engine.records.copies import Compression, WalFile

_SEGMENT = Struct(">III?")
_FOLDER = Struct(">I")
_STATUS = Struct(">QqQ")  # bytes, mtime in ns, inode
_REST = _SEGMENT.size + _FOLDER.size
_PACKED: tuple[Compression | None, ...] = (None, "gzip", "lz4", "zstd")


class Segment(NamedTuple):
    """What a file's name says: 8 hexadecimal digits each, and whether the file is unfinished."""

    timeline: int
    log: int
    low: int
    partial: bool


class Rows(msgspec.Struct):
    """Segment files before the segment size is known."""

    folders: list[str] = msgspec.field(default_factory=list)
    rows: list[bytes] = msgspec.field(default_factory=list)

    def add(self, segment: str, rest: str, partial: bool, status: os.stat_result) -> None:
        """Add a file of the last one of ``folders``; ``segment`` and ``rest`` are its name."""
        self.rows.append(
            _SEGMENT.pack(int(segment[:8], 16), int(segment[8:16], 16), int(segment[16:], 16), partial)
            + _FOLDER.pack(len(self.folders) - 1)
            + rest.encode("ascii")
            + _STATUS.pack(status.st_size, status.st_mtime_ns, status.st_ino)
        )

    def twice(self) -> list[bytes]:
        """Rows, in order, whose segment the row before has too."""
        return [
            row
            for row, before in zip(self.rows[1:], self.rows, strict=False)
            if row[: _SEGMENT.size] == before[: _SEGMENT.size]
        ]

    def segment(self, row: bytes) -> Segment:
        return Segment(*_SEGMENT.unpack_from(row))

    def suffix(self, row: bytes) -> str:
        """The end of the name from its last dot on; empty where there is none."""
        _, dot, suffix = row[_REST : -_STATUS.size].rpartition(b".")
        return (dot + suffix).decode("ascii") if dot else ""

    def path(self, row: bytes) -> str:
        (folder,) = _FOLDER.unpack_from(row, _SEGMENT.size)
        timeline, log, low, _ = _SEGMENT.unpack_from(row)
        return f"{self.folders[folder]}/{timeline:08X}{log:08X}{low:08X}{row[_REST : -_STATUS.size].decode('ascii')}"

    def status(self, row: bytes) -> tuple[int, int, int]:
        """Size in bytes, time of the last change in ns, inode."""
        size, mtime_ns, inode = _STATUS.unpack_from(row, len(row) - _STATUS.size)
        return size, mtime_ns, inode


class SegmentFiles(Sequence[WalFile]):
    """The rows as records, made when they are asked for."""

    def __init__(self, rows: Rows, segment_size: int, packed: Sequence[Compression | None]) -> None:
        self._rows, self._per_id = rows, 0x1_0000_0000 // segment_size
        self._packed = bytes(map(_PACKED.index, packed))

    def __len__(self) -> int:
        return len(self._rows.rows)

    @overload
    def __getitem__(self, which: int) -> WalFile: ...
    @overload
    def __getitem__(self, which: slice) -> list[WalFile]: ...
    def __getitem__(self, which: int | slice) -> WalFile | list[WalFile]:
        if isinstance(which, slice):
            return [self[i] for i in range(len(self))[which]]
        row = self._rows.rows[which]
        timeline, log, low, partial = self._rows.segment(row)
        path, number, packed = self._rows.path(row), log * self._per_id + low, _PACKED[self._packed[which]]
        return WalFile(path, timeline, number, packed, *self._rows.status(row), partial)

    def __iter__(self) -> Iterator[WalFile]:
        return map(self.__getitem__, range(len(self)))
