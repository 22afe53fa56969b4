"""Which compression full-page images use: a PostgreSQL built without it cannot replay them.

Block headers: `src/include/access/xlogrecord.h`; lz4 and zstd exist from PostgreSQL 15 on.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_HEADER = 24
_HAS_IMAGE, _SAME_REL = 0x10, 0x80
_HAS_HOLE = 0x01
_PGLZ, LZ4, ZSTD = 0x04, 0x08, 0x10
METHODS = {LZ4: "lz4", ZSTD: "zstd"}


def compression_seen(stripped: NDArray[np.uint8], starts: NDArray[Any], headers: NDArray[Any], version: int) -> int:
    """The methods (LZ4, ZSTD bits) of all images in these records."""
    if version < 15:
        return 0
    seen = 0
    roomy = headers["length"] > 60  # a shorter record has no room for an image
    place = starts[roomy] + _HEADER
    # The headers end where only the data that they announce is left (DecodeXLogRecord in xlogreader.c); nothing else
    # marks their end where a record has no main data.
    left = starts[roomy] + headers["length"][roomy]
    while len(place):
        inside = (place < left) & (place < len(stripped) - 64)
        place, left = place[inside], left[inside]
        block = stripped[place] <= 32  # block references come first; main data ends them
        place, left = place[block], left[block]
        flags = stripped[place + 1]
        image = (flags & _HAS_IMAGE) != 0
        how = np.where(image, stripped[place + 8], 0)
        compressed = (how & (_PGLZ | LZ4 | ZSTD)) != 0
        if compressed.any():
            seen |= int(np.bitwise_or.reduce(how))
        left = left - _two_bytes(stripped, place + 2) - np.where(image, _two_bytes(stripped, place + 4), 0)
        place = place + 8 + 5 * image + 2 * (compressed & ((how & _HAS_HOLE) != 0)) + 12 * ((flags & _SAME_REL) == 0)
    return seen & (LZ4 | ZSTD)


def _two_bytes(data: NDArray[np.uint8], place: NDArray[Any]) -> NDArray[Any]:
    number: NDArray[Any] = data[place] + (data[place + 1].astype(np.int64) << 8)
    return number
