"""Pages laid end to end without their headers, so that each record is one stretch of bytes.

A segment is read a slice at a time: what is worked on stays in the processor's cache.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.records.lsn import LONG_PAGE_HEADER, PAGE_SIZE, SHORT_PAGE_HEADER, Lsn
from engine.wal.files import SegmentFile

Numbers = NDArray[Any]

BODY = PAGE_SIZE - SHORT_PAGE_HEADER  # what a page holds; a segment's first page's long header reaches into it by:
FIRST = LONG_PAGE_HEADER - SHORT_PAGE_HEADER
SLACK = 64  # zeros behind the pages, so that looking a little past the last record needs no care

_AT_ONCE = 512  # pages that are read with one call: IOV_MAX is 1024

_PAGE = np.dtype([("magic", "<u2"), ("info", "<u2"), ("tli", "<u4"), ("addr", "<u8"), ("rem", "<u4"), ("pad", "<u4")])


class Room:
    """Memory to read one segment after another into. What is never written to takes none."""

    def __init__(self) -> None:
        self._pieces: list[memoryview] = []  # header, body, header, body …
        self.headers: Numbers = np.empty(0, _PAGE)
        self.data: NDArray[np.uint8] = np.zeros(SLACK, np.uint8)

    def hold(self, pages: int) -> None:
        """Be large enough for so many pages."""
        if pages > len(self.headers):
            self.headers, self.data = np.empty(pages, _PAGE), np.empty(pages * BODY + SLACK, np.uint8)
            self._pieces = []

    def pieces(self, first: int, count: int) -> list[memoryview]:
        """Where the headers and bodies of these pages go."""
        headers, bodies = self.headers.view(np.uint8).data, self.data.data
        for page in range(len(self._pieces) // 2, first + count):
            self._pieces.append(headers[page * SHORT_PAGE_HEADER : (page + 1) * SHORT_PAGE_HEADER])
            self._pieces.append(bodies[page * BODY : (page + 1) * BODY])
        return self._pieces[2 * first : 2 * (first + count)]


class Stripped:
    """``data`` is a stretch of a segment's pages without their headers; those are ``pages``. Offsets into ``data`` are
    aligned as LSNs are."""

    def __init__(self, file: SegmentFile, base: Lsn, segment_size: int, room: Room) -> None:
        """Nothing is held yet of the segment that starts at ``base``. Good until the next use of ``room``."""
        self.base = base  # where the first page held starts
        self.count = 0  # pages held
        self.end = base + segment_size
        self._file, self._room = file, room
        self._read, self._there = 0, min(file.size, segment_size) // PAGE_SIZE  # pages of the file
        room.hold(self._there)
        self._hold()

    def _hold(self) -> None:
        self.pages: Numbers = self._room.headers[: self.count]
        self.length = self.count * BODY
        self.whole = (self.end - self.base) // PAGE_SIZE * BODY  # what a whole rest of the segment would hold
        self.data: NDArray[np.uint8] = self._room.data[: self.length + SLACK]
        self.data[self.length :] = 0
        self.view = self.data.data

    def go_on(self, low: int, pages: int) -> int:
        """Let go of the pages before the one of offset ``low``, and read up to ``pages`` more; how many were read. By
        BODY times the pages let go, every offset is smaller from then on."""
        first = min(low // BODY, self.count)
        if first:
            kept = self.count - first
            self._room.headers[:kept] = self._room.headers[first : self.count].copy()
            self._room.data[: kept * BODY] = self._room.data[first * BODY : self.count * BODY]
            self.base, self.count = self.base + first * PAGE_SIZE, kept
        before = self._read
        stop = min(before + pages, self._there)
        while self._read < stop:
            wanted = min(stop - self._read, _AT_ONCE)
            found = self._file.read_into(self._room.pieces(self.count, wanted), self._read * PAGE_SIZE) // PAGE_SIZE
            self._read, self.count = self._read + found, self.count + found
            if found < wanted:
                self._there = self._read
                break
        self._hold()
        return self._read - before

    def lsn(self, offset: int) -> Lsn:
        """Where a byte stands in the WAL; past the segment's end, where the next segment's first record can start."""
        return self.base + offset + SHORT_PAGE_HEADER * (offset // BODY + 1) + (FIRST if offset >= self.whole else 0)

    def lsns(self, offsets: Numbers) -> Numbers:
        places = offsets + SHORT_PAGE_HEADER * (offsets // BODY + 1)
        places[offsets >= self.whole] += FIRST
        lsns: Numbers = places.astype(np.uint64) + np.uint64(self.base)
        return lsns

    def windows(self, width: int) -> Numbers:
        """``width`` bytes at every offset, aligned or not: for gathering and scattering."""
        return np.ndarray((len(self.data) - width + 1,), f"V{width}", self.data, strides=(1,))
