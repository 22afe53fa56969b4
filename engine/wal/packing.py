"""A segment's transaction ends as a few bytes, and back.

Columns, each as differences from one end to the next where that is small, compressed with zlib. Reading needs no
numpy: the index is asked in the program's start path.
"""

import zlib
from array import array
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from struct import Struct

import msgspec

from engine.records.lsn import Lsn
from engine.wal.records import PREPARE, End

COMMITS = frozenset((0, 3))  # END_KINDS: commit, commit prepared
_XIDS = 1 << 32
_BORDER = Struct("<IIIqB")  # offset, size, xid, at, kind


class Ends(msgspec.Struct):
    """Transaction ends of one segment in WAL order, as columns. ``offset`` counts from the segment's start, ``size``
    leads to the next record's start, ``at`` is Unix time in microseconds, ``kind`` indexes END_KINDS."""

    offset: "array[int]"
    size: "array[int]"
    xid: "array[int]"
    at: "array[int]"
    kind: bytes

    def __len__(self) -> int:
        return len(self.kind)

    def end(self, i: int, base: Lsn) -> End:
        lsn = base + self.offset[i]
        return End(lsn, lsn + self.size[i], self.xid[i], self.at[i], self.kind[i])

    def followed_by(self, border: bytes) -> "Ends":
        """With the end that `pack_border` packed behind these."""
        if len(border) != _BORDER.size:
            raise ValueError("a damaged transaction end")
        offset, size, xid, at, kind = _BORDER.unpack(border)
        return Ends(
            self.offset + array("I", [offset]), self.size + array("I", [size]), self.xid + array("I", [xid]),
            self.at + array("q", [at]), self.kind + bytes([kind]),
        )  # fmt: skip

    def commit_times(self) -> list[int]:
        return [at for at, kind in zip(self.at, self.kind, strict=True) if kind in COMMITS]


class EndsSummary(msgspec.Struct, frozen=True):
    """What the index keeps beside the packed ends, in a segment's ``node``. Times are Unix microseconds; ``*_at``
    without ``commit`` are of commits and aborts, not of prepares, as PostgreSQL's time rule wants it."""

    ends: int = 0
    commits: int = 0
    smallest_at: int | None = None
    largest_at: int | None = None
    smallest_commit_at: int | None = None
    largest_commit_at: int | None = None
    smallest_xid: int | None = None
    largest_xid: int | None = None

    def plus(self, other: "EndsSummary") -> "EndsSummary":
        """Of both together."""

        def choose(which: Callable[[Iterable[int]], int], *values: int | None) -> int | None:
            known = [value for value in values if value is not None]
            return which(known) if known else None

        return EndsSummary(
            self.ends + other.ends,
            self.commits + other.commits,
            choose(min, self.smallest_at, other.smallest_at),
            choose(max, self.largest_at, other.largest_at),
            choose(min, self.smallest_commit_at, other.smallest_commit_at),
            choose(max, self.largest_commit_at, other.largest_commit_at),
            choose(min, self.smallest_xid, other.smallest_xid),
            choose(max, self.largest_xid, other.largest_xid),
        )


NO_ENDS = Ends(array("I"), array("I"), array("I"), array("q"), b"")


def join(offsets: bytes, sizes: bytes, xids: bytes, times: bytes, kinds: bytes) -> bytes:
    """Pack columns that are differences already: little-endian, 4, 4, 4, 8 and 1 bytes wide."""
    return zlib.compress(b"".join((offsets, sizes, xids, times, kinds)), 1) if kinds else b""


def unpack(blob: bytes, border: bytes | None = None) -> Ends:
    """The ends in ``blob``, and the one behind them. Raises ValueError or zlib.error where they are damaged."""
    if not blob and not border:
        return NO_ENDS
    data = zlib.decompress(blob) if blob else b""
    count, rest = divmod(len(data), 21)
    if rest:
        raise ValueError("damaged transaction ends")
    words = memoryview(data)
    offset, size, xid, at = array("I"), array("I"), array("I"), array("q")
    offset.frombytes(words[: 4 * count])
    size.frombytes(words[4 * count : 8 * count])
    xid.frombytes(words[8 * count : 12 * count])
    at.frombytes(words[12 * count : 20 * count])
    ends = Ends(
        array("I", accumulate(offset)),
        size,
        array("I", accumulate(xid, lambda a, b: (a + b) % _XIDS)),
        array("q", accumulate(at)),
        data[20 * count :],
    )
    return ends.followed_by(border) if border else ends


def pack_border(end: End, base: Lsn) -> bytes:
    """The transaction end in a record over the segment's border."""
    return _BORDER.pack(end.lsn - base, end.end_lsn - end.lsn, end.xid, end.at, end.kind)


def summarise(ends: Ends, subtransactions: Sequence[int] = ()) -> EndsSummary:
    """What is known of these ends without unpacking them."""
    if not len(ends):
        return EndsSummary()
    times = [at for at, kind in zip(ends.at, ends.kind, strict=True) if kind != PREPARE]
    commits = ends.commit_times()
    xids = [*ends.xid, *subtransactions]
    return EndsSummary(
        len(ends),
        len(commits),
        min(times, default=None),
        max(times, default=None),
        min(commits, default=None),
        max(commits, default=None),
        min(xids),
        max(xids),
    )


def pack_pairs(pairs: Sequence[tuple[int, int]]) -> bytes:
    """Subtransactions and the offset of the end that they belong to."""
    if not pairs:
        return b""
    xids, offsets = zip(*pairs, strict=True)
    return zlib.compress(array("I", xids).tobytes() + array("I", offsets).tobytes(), 1)


def unpack_pairs(blob: bytes | None) -> list[tuple[int, int]]:
    if not blob:
        return []
    values = array("I")
    values.frombytes(zlib.decompress(blob))
    half = len(values) // 2
    return list(zip(values[:half], values[half:], strict=True))
