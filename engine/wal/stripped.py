"""A segment's pages laid end to end without their headers, so that each record is one stretch of bytes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.records.lsn import LONG_PAGE_HEADER, PAGE_SIZE, SHORT_PAGE_HEADER, Lsn
from engine.wal.files import SegmentFile

Numbers = NDArray[Any]

BODY = PAGE_SIZE - SHORT_PAGE_HEADER  # what a page holds; the first page's long header reaches into it by:
FIRST = LONG_PAGE_HEADER - SHORT_PAGE_HEADER
SLACK = 64  # zeros behind the pages, so that looking a little past the last record needs no care

_GROUP = 64  # pages that are read with one call

_PAGE = np.dtype([("magic", "<u2"), ("info", "<u2"), ("tli", "<u4"), ("addr", "<u8"), ("rem", "<u4"), ("pad", "<u4")])


class Room:
    """Memory to read one segment after another into."""

    def __init__(self) -> None:
        self._pages = 0
        self._groups: list[list[memoryview]] = []
        self.headers: Numbers = np.empty((0, SHORT_PAGE_HEADER), np.uint8)
        self.data: NDArray[np.uint8] = np.empty(0, np.uint8)

    def groups(self, pages: int) -> list[list[memoryview]]:
        """For so many pages, group by group: header, body, header, body …"""
        if pages != self._pages:
            self.headers = np.empty((pages, SHORT_PAGE_HEADER), np.uint8)
            self.data = np.empty(pages * BODY + SLACK, np.uint8)
            headers, bodies = self.headers.reshape(-1).data, self.data.data
            pieces: list[memoryview] = []
            for page in range(pages):
                pieces.append(headers[page * SHORT_PAGE_HEADER : (page + 1) * SHORT_PAGE_HEADER])
                pieces.append(bodies[page * BODY : (page + 1) * BODY])
            self._groups = [pieces[i : i + 2 * _GROUP] for i in range(0, len(pieces), 2 * _GROUP)]
            self._pages = pages
        return self._groups


class Stripped:
    """``data`` without page headers; those are ``pages``. Offsets into ``data`` are aligned as LSNs are."""

    def __init__(self, file: SegmentFile, base: Lsn, segment_size: int, room: Room) -> None:
        """Take a segment file's whole pages; ``base`` is the segment's start. Pages behind one that is none are not
        looked at. Good until the next use of ``room``."""
        self.base = base
        self.whole = segment_size // PAGE_SIZE * BODY  # what a whole segment would hold
        groups = room.groups(min(file.size, segment_size) // PAGE_SIZE)
        self.count = 0
        for group in groups:
            count = file.read_into(group, self.count * PAGE_SIZE) // PAGE_SIZE
            self.count += count
            if 2 * count < len(group) or room.headers[self.count - 1, :2].tobytes() != room.headers[0, :2].tobytes():
                break
        self.pages: Numbers = room.headers[: self.count].reshape(-1).view(_PAGE)
        self.length = self.count * BODY
        self.data: NDArray[np.uint8] = room.data[: self.length + SLACK]
        self.data[self.length :] = 0
        self.view = self.data.data

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
