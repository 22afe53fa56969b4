"""Data pages and their checksums (`src/include/storage/bufpage.h`, `checksum_impl.h`; PostgreSQL 13 to 18 alike).

The checksum is FNV-1a over the page as rows of 32 words, in 32 sums side by side that are folded in the end; numpy goes
through many pages at once. It covers the block's number, so that a page in a wrong place is wrong too.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Pages: TypeAlias = npt.NDArray[np.uint8]
"""Whole pages, one a row."""

_PRIME = np.uint32(16777619)
_ROW = 32  # sums, and words in a row
_BASE = np.array(  # checksumBaseOffsets
    [
        0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2, 0x83E13D2C,
        0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C, 0xF718902A, 0x0B1C9CDB,
        0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979, 0xCCA6C0B2, 0x304A0979, 0x85AA43D4,
        0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E, 0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756,
    ],
    dtype=np.uint32,
)  # fmt: skip
_PD_CHECKSUM = 4  # pd_checksum's place, in 16-bit words: behind pd_lsn


def wrong_pages(pages: Pages, first_block: int) -> list[int]:
    """Which rows are no valid page of a relation whose block ``first_block`` is row 0. A page of zeros is a new one
    and valid (PageIsVerified in bufpage.c). ``pages`` must be writable; their checksum fields are zeroed."""
    halves = pages.view(np.uint16)
    stored = halves[:, _PD_CHECKSUM].copy()
    halves[:, _PD_CHECKSUM] = 0
    blocks = np.arange(first_block, first_block + len(pages), dtype=np.uint32)
    right = (_block_sums(pages) ^ blocks) % np.uint32(65535) + np.uint32(1)  # never 0, which means "no checksum"
    suspect = np.flatnonzero(stored != right)
    return [int(row) for row in suspect if stored[row] or pages[row].any()]


def _block_sums(pages: Pages) -> npt.NDArray[np.uint32]:
    """pg_checksum_block of each page: a row's words go in, then two rounds of zeros."""
    words = pages.view(np.uint32).reshape(len(pages), -1, _ROW)
    sums = np.tile(_BASE, (len(pages), 1))
    high = np.empty_like(sums)
    for row in range(words.shape[1] + 2):
        if row < words.shape[1]:
            np.bitwise_xor(sums, words[:, row], out=sums)
        np.right_shift(sums, np.uint32(17), out=high)
        np.multiply(sums, _PRIME, out=sums)
        np.bitwise_xor(sums, high, out=sums)
    folded: npt.NDArray[np.uint32] = np.bitwise_xor.reduce(sums, axis=1)
    return folded
