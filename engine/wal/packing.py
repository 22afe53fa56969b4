"""A segment's transaction ends as a few bytes, and back.

Columns, each as differences from one end to the next where that is small, compressed with zlib. Reading needs no
numpy: the index is asked in the program's start path.
"""

import zlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise

from engine.records.lsn import Lsn
from engine.wal.records import PREPARE, End

COMMITS = frozenset((0, 3))  # END_KINDS: commit, commit prepared
_XIDS = 1 << 32


@dataclass(slots=True)
class Ends:
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

    def commit_times(self) -> list[int]:
        return [at for at, kind in zip(self.at, self.kind, strict=True) if kind in COMMITS]


@dataclass(frozen=True, slots=True)
class EndsSummary:
    """What the index keeps beside the packed ends. Times are Unix microseconds; ``*_at`` without ``commit`` are of
    commits and aborts, not of prepares, as PostgreSQL's time rule wants it."""

    ends: int = 0
    commits: int = 0
    smallest_at: int | None = None
    largest_at: int | None = None
    smallest_commit_at: int | None = None
    largest_commit_at: int | None = None
    first_commit_at: int | None = None
    last_commit_at: int | None = None
    smallest_xid: int | None = None
    largest_xid: int | None = None


NO_ENDS = Ends(array("I"), array("I"), array("I"), array("q"), b"")


def join(offsets: bytes, sizes: bytes, xids: bytes, times: bytes, kinds: bytes) -> bytes:
    """Pack columns that are differences already: little-endian, 4, 4, 4, 8 and 1 bytes wide."""
    return zlib.compress(b"".join((offsets, sizes, xids, times, kinds)), 1) if kinds else b""


def unpack(blob: bytes | None) -> Ends:
    """Raises ValueError or zlib.error where the blob is damaged."""
    if not blob:
        return NO_ENDS
    data = zlib.decompress(blob)
    count, rest = divmod(len(data), 21)
    if rest:
        raise ValueError("damaged transaction ends")
    words = memoryview(data)
    offset, size, xid, at = array("I"), array("I"), array("I"), array("q")
    offset.frombytes(words[: 4 * count])
    size.frombytes(words[4 * count : 8 * count])
    xid.frombytes(words[8 * count : 12 * count])
    at.frombytes(words[12 * count : 20 * count])
    return Ends(
        array("I", accumulate(offset)),
        size,
        array("I", accumulate(xid, lambda a, b: (a + b) % _XIDS)),
        array("q", accumulate(at)),
        data[20 * count :],
    )


def pack(ends: Ends) -> bytes:
    """The slow way, for a few ends; a whole segment's are packed with numpy (`segment`)."""

    def steps(column: Sequence[int]) -> chain[int]:
        return chain(column[:1], (b - a for a, b in pairwise(column)))

    return join(
        array("I", steps(ends.offset)).tobytes(),
        ends.size.tobytes(),
        array("I", (step % _XIDS for step in steps(ends.xid))).tobytes(),
        array("q", steps(ends.at)).tobytes(),
        ends.kind,
    )


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
        commits[0] if commits else None,
        commits[-1] if commits else None,
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
