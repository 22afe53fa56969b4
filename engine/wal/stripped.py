"""A segment's pages laid end to end without their headers, so that each record is one stretch of bytes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.records.lsn import LONG_PAGE_HEADER, PAGE_SIZE, SHORT_PAGE_HEADER, Lsn

Numbers = NDArray[Any]

BODY = PAGE_SIZE - SHORT_PAGE_HEADER  # what a page holds; the first page's long header reaches into it by:
FIRST = LONG_PAGE_HEADER - SHORT_PAGE_HEADER
SLACK = 64  # zeros behind the pages, so that looking a little past the last record needs no care

_PAGE = np.dtype([("magic", "<u2"), ("info", "<u2"), ("tli", "<u4"), ("addr", "<u8"), ("rem", "<u4"), ("pad", "<u4")])


class Stripped:
    """``data`` without page headers; those are ``pages``. Offsets into ``data`` are aligned as LSNs are."""

    def __init__(self, file: memoryview, base: Lsn, segment_size: int) -> None:
        """``file`` is a segment file's contents, whole pages of which are taken; ``base`` is the segment's start."""
        self.base = base
        self.count = len(file) // PAGE_SIZE
        self.whole = segment_size // PAGE_SIZE * BODY  # what a whole segment would hold
        raw = np.frombuffer(file, np.uint8, self.count * PAGE_SIZE).reshape(self.count, PAGE_SIZE)
        self.pages: Numbers = raw[:, :SHORT_PAGE_HEADER].copy().view(_PAGE).reshape(-1)
        self.length = self.count * BODY
        self.data: NDArray[np.uint8] = np.empty(self.length + SLACK, np.uint8)
        self.data[: self.length].reshape(self.count, BODY)[:] = raw[:, SHORT_PAGE_HEADER:]
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
