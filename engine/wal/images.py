"""Which compression full-page images use: a PostgreSQL built without it cannot replay them.

Block headers: `src/include/access/xlogrecord.h`; lz4 and zstd exist from PostgreSQL 15 on.
"""

import numpy as np

from engine.wal.records import HEADER_SIZE
from engine.wal.stripped import Numbers, Stripped

_HAS_IMAGE, _SAME_REL = 0x10, 0x80
_HAS_HOLE = 0x01
_PGLZ, LZ4, ZSTD = 0x04, 0x08, 0x10

_ROOMY = 60  # a record that is no longer has no room for an image
_LAST_BLOCK = 32  # XLR_MAX_BLOCK_ID; other parts come behind the block references


def compression_seen(stripped: Stripped, starts: Numbers, stops: Numbers, version: int) -> int:
    """The methods (LZ4, ZSTD bits) of all images in these records."""
    if version < 15:
        return 0
    seen = 0
    roomy = np.flatnonzero(stops - starts > _ROOMY)
    place = starts[roomy] + HEADER_SIZE
    # The headers end where only the data that they announce is left (DecodeXLogRecord in xlogreader.c); nothing else
    # marks their end where a record has no main data.
    left = stops[roomy]
    # A block's number, its flags, its data's length (2); an image's length (2), where its hole is (2); then how.
    words = stripped.data.view("<u8")[place >> 3]
    while len(place):
        block = (words & 0xFF <= _LAST_BLOCK) & (place < left)
        if not block.all():
            chosen = np.flatnonzero(block)
            place, left, words = place[chosen], left[chosen], words[chosen]
        flags = (words >> 8).astype(np.uint8)
        size = np.where(flags & _SAME_REL, np.int64(8), np.int64(20))
        left = left - (words >> 16).astype(np.uint16)
        image = np.flatnonzero(flags & _HAS_IMAGE)
        if len(image):
            how = stripped.data[place[image] + 8]
            compressed = (how & (_PGLZ | LZ4 | ZSTD)) != 0
            seen |= int(np.bitwise_or.reduce(how[compressed], initial=0))
            size[image] += np.where(compressed & (how & _HAS_HOLE != 0), np.int64(7), np.int64(5))
            left[image] -= (words[image] >> 32).astype(np.uint16)
        place = place + size
        words = stripped.windows(8)[place].view("<u8")
    return seen & (LZ4 | ZSTD)
