"""The index's answers about transaction ends. Those of a few segments are kept unpacked."""

import zlib
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from threading import Lock

from engine.records.errors import DamagedCopy
from engine.records.history import Piece, TransactionEnd
from engine.records.lsn import Lsn
from engine.wal import packing, records, tree
from engine.wal.asking import Asking
from engine.wal.cache import Cache
from engine.wal.density import Axis
from engine.wal.packing import Ends

_DECODED = 24  # segments
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class AskingForEnds(Asking):
    """The questions about transaction ends."""

    def __init__(self, cache: Cache) -> None:
        super().__init__(cache)
        self._decoded: OrderedDict[tuple[int, int], tuple[int, Ends]] = OrderedDict()
        self._guard = Lock()

    def first_end(
        self, piece: Piece, *, after: datetime | None = None, inclusive: bool = False
    ) -> TransactionEnd | None:
        condition, values, limit = "ends > 0", list[int](), 0
        if after is not None:
            limit = microseconds(after) + (0 if inclusive else 1)
            condition, values = "largest_at >= ?", [limit]
        for number, ends in self._decoded_segments(piece, condition, values):
            base = number * self.segment_size
            for i in self._inside(ends, base, piece):
                if after is None or (ends.at[i] >= limit and ends.kind[i] != records.PREPARE):
                    return transaction_end(piece.timeline, ends.end(i, base))
        return None

    def last_end(self, piece: Piece) -> TransactionEnd | None:
        found = self.ends(piece, limit=1, backwards=True)
        return found[0] if found else None

    def ends(self, piece: Piece, *, limit: int, backwards: bool = False) -> Sequence[TransactionEnd]:
        found: list[TransactionEnd] = []
        if limit <= 0:
            return found
        for number, ends in self._decoded_segments(piece, "ends > 0", backwards=backwards):
            base = number * self.segment_size
            inside = self._inside(ends, base, piece)
            for i in reversed(inside) if backwards else inside:
                found.append(transaction_end(piece.timeline, ends.end(i, base)))
                if len(found) == limit:
                    return found
        return found

    def count(self, piece: Piece) -> int:
        if piece.low >= piece.high:
            return 0
        first, last = self._segments(piece)
        found = tree.total(self._connection(), piece.timeline, first, last, "commits")
        for number in {first, last}:
            ends = self._ends(piece.timeline, number)
            inside = self._inside(ends, number * self.segment_size, piece)
            if len(inside) < len(ends):
                found -= sum(1 for i in range(len(ends)) if i not in inside and ends.kind[i] in packing.COMMITS)
        return found

    def find_xid(self, piece: Piece, xid: int) -> TransactionEnd | None:
        top_level: TransactionEnd | None = None
        condition, values = "smallest_xid <= ? AND largest_xid >= ?", (xid, xid)
        for number in self._candidates(piece, condition, values):
            ends, base = self._ends(piece.timeline, number), number * self.segment_size
            inside = self._inside(ends, base, piece)
            for i in inside:
                if ends.xid[i] == xid and ends.kind[i] != records.PREPARE:
                    return transaction_end(piece.timeline, ends.end(i, base))
            if top_level is None:
                row = self._packed(piece.timeline, number)
                for subxact, offset in packing.unpack_pairs(row[1]) if row else ():
                    if subxact == xid:
                        i = bisect_left(ends.offset, offset)
                        if i in inside:
                            top_level = transaction_end(piece.timeline, ends.end(i, base))
        return top_level

    def density(self, piece: Piece, start: datetime, stop: datetime, columns: int) -> Sequence[int]:
        low, high = microseconds(start), microseconds(stop)
        if columns <= 0 or high <= low or piece.low >= piece.high:
            return [0] * max(columns, 0)
        axis = Axis(low, high, columns)
        first, last = self._segments(piece)
        for number in sorted({first, last}):
            ends = self._ends(piece.timeline, number)
            inside = self._inside(ends, number * self.segment_size, piece)
            axis.add_times([ends.at[i] for i in inside if ends.kind[i] in packing.COMMITS])
        axis.add_segments(
            self._connection(), piece.timeline, first + 1, last - 1, lambda number: self._ends(piece.timeline, number)
        )
        return axis.counts

    def edge_commit_at(self, piece: Piece, *, backwards: bool = False) -> datetime | None:
        """The time of the first or last commit."""
        for number, ends in self._decoded_segments(piece, "commits > 0", backwards=backwards):
            inside = self._inside(ends, number * self.segment_size, piece)
            for i in reversed(inside) if backwards else inside:
                if ends.kind[i] in packing.COMMITS:
                    return utc(ends.at[i])
        return None

    # --- unpacking --------------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """The index changes: keep nothing."""
        with self._guard:
            self._decoded.clear()

    def _candidates(
        self, piece: Piece, condition: str, values: Sequence[object] = (), *, backwards: bool = False
    ) -> Iterator[int]:
        first, last = self._segments(piece)
        if piece.low >= piece.high:
            return iter(())
        return tree.candidates(self._connection(), piece.timeline, first, last, condition, values, backwards=backwards)

    def _decoded_segments(
        self, piece: Piece, condition: str, values: Sequence[object] = (), *, backwards: bool = False
    ) -> Iterator[tuple[int, Ends]]:
        for number in self._candidates(piece, condition, values, backwards=backwards):
            yield number, self._ends(piece.timeline, number)

    def _packed(self, timeline: int, number: int) -> tuple[bytes, bytes, bytes | None] | None:
        found: tuple[bytes, bytes, bytes | None] | None = self._ask(
            "SELECT ends, subtransactions, border FROM packed WHERE timeline = ? AND number = ?", timeline, number
        ).fetchone()
        return found

    def _ends(self, timeline: int, number: int) -> Ends:
        """A segment's transaction ends."""
        key = timeline, number
        row = self._packed(timeline, number)
        if row is None:
            return packing.NO_ENDS
        stamp = zlib.crc32(row[2] or b"", zlib.crc32(row[0]))
        with self._guard:
            kept = self._decoded.get(key)
            if kept is not None and kept[0] == stamp:
                self._decoded.move_to_end(key)
                return kept[1]
        try:
            ends = packing.unpack(row[0], row[2])
        except (zlib.error, ValueError) as error:
            raise DamagedCopy(f"the WAL index {self._cache.path} is damaged", remedy="remove this file") from error
        with self._guard:
            self._decoded[key] = stamp, ends
            while len(self._decoded) > _DECODED:
                self._decoded.popitem(last=False)
        return ends

    @staticmethod
    def _inside(ends: Ends, base: Lsn, piece: Piece) -> range:
        """Which ends start within the piece."""
        low = bisect_left(ends.offset, piece.low - base) if piece.low > base else 0
        return range(low, bisect_left(ends.offset, piece.high - base) if piece.high > base else 0)


def transaction_end(timeline: int, end: records.End) -> TransactionEnd:
    """As the rest of the program knows it."""
    return TransactionEnd(timeline, end.lsn, end.end_lsn, end.xid, utc(end.at), records.END_KINDS[end.kind])


def utc(at: int) -> datetime:
    """Unix time in microseconds, as the rest of the program knows it."""
    return _EPOCH + at * _MICROSECOND


def microseconds(at: datetime) -> int:
    """Unix time in microseconds."""
    return (at - _EPOCH) // _MICROSECOND
