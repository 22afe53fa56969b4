"""The CRC-32C of many records with one call.

A record's checksum covers its body, then its header. So each header is moved behind its body, in the place of the next
record's header. Its last four bytes are the checksum itself; they are altered so that the register, behind them and
the padding that follows, holds its start value again. One run over everything then computes all checksums in turn.
One wrong record anywhere leaves the final value wrong, because every later step is invertible.
"""

import crc32c
import numpy as np

from engine.wal.headers import Headers
from engine.wal.records import HEADER_SIZE
from engine.wal.stripped import Numbers, Stripped

_POLYNOMIAL = 0x82F63B78  # CRC-32C's, bits reversed
_START = 0xFFFFFFFF  # what the register holds before the first byte; a checksum is the register inverted


def _before(register: int, zeros: int) -> int:
    """What the register held before it ran over so many zero bytes."""
    for _ in range(8 * zeros):
        register = (register ^ _POLYNOMIAL) << 1 | 1 if register >> 31 else register << 1
    return register


# What to XOR into a right checksum so that it and this much padding lead back to the start value.
_ALTERED = np.array([_before(_START, 4 + padding) ^ _START for padding in range(8)], np.uint64) << 32


def count_right(stripped: Stripped, starts: Numbers, stops: Numbers, headers: Headers) -> int:
    """How many of these records, from the first on, have the right checksum. They follow one another without a break.
    Uses the room of their headers in ``stripped``: bodies and what stands around the records stay as they are."""
    if not len(starts):
        return 0
    data, places = stripped.data, stripped.windows(HEADER_SIZE)
    begin, end = int(starts[0]) + HEADER_SIZE, int(stops[-1])
    behind = data[end : end + HEADER_SIZE].copy()
    altered = _ALTERED[-stops & 7]
    altered[-1] = _ALTERED[0]
    moved = Headers(headers.first, headers.previous, headers.last ^ altered)
    data.view("<u8")[(starts[1:] >> 3) + 2] = 0  # as much of a header as the one moved there may not cover
    places[stops] = moved.rows().view(places.dtype).reshape(-1)
    right = crc32c.crc32c(stripped.view[begin : end + HEADER_SIZE]) == 0
    data[end : end + HEADER_SIZE] = behind
    return len(starts) if right else _count_one_by_one(stripped, starts, stops, headers)


def _count_one_by_one(stripped: Stripped, starts: Numbers, stops: Numbers, headers: Headers) -> int:
    plain, checksums = headers.rows().tobytes(), headers.checksums().tolist()
    for i, (start, stop) in enumerate(zip(starts.tolist(), stops.tolist(), strict=True)):
        body = crc32c.crc32c(stripped.view[start + HEADER_SIZE : stop])
        if crc32c.crc32c(plain[i * HEADER_SIZE : i * HEADER_SIZE + 20], body) != checksums[i]:
            return i
    return len(starts)
