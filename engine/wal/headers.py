"""The headers of many records (XLogRecord in `xlogrecord.h`), as three columns of 8-byte words."""

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from engine.wal.records import Header, read_header
from engine.wal.stripped import Numbers, Stripped

_Words = NDArray[np.uint64]


class Headers(Struct, frozen=True):
    """``first`` is a record's length and xid, ``last`` its info, resource manager, padding and checksum."""

    first: _Words
    previous: _Words
    last: _Words

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, which: slice | Numbers) -> "Headers":
        return Headers(self.first[which], self.previous[which], self.last[which])

    def lengths(self) -> NDArray[np.int64]:
        return (self.first & 0xFFFFFFFF).view(np.int64)

    def xids(self) -> NDArray[np.uint32]:
        return (self.first >> 32).astype(np.uint32)

    def info(self) -> NDArray[np.uint8]:
        return self.last.astype(np.uint8)

    def checksums(self) -> NDArray[np.uint32]:
        return (self.last >> 32).astype(np.uint32)

    def rows(self) -> NDArray[np.uint64]:
        """As the headers stand in the WAL."""
        return np.stack((self.first, self.previous, self.last), axis=1)

    def header(self, i: int) -> Header:
        return read_header(self[i : i + 1].rows().tobytes())


def headers_at(stripped: Stripped, places: Numbers) -> Headers:
    """The headers of the records that start at these offsets."""
    words, place = stripped.data.view("<u8"), places >> 3
    return Headers(words[place], words[place + 1], words[place + 2])
