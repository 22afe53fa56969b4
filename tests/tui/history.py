"""A history in memory for the screens' tests: 22 days of plausible commits on two timelines, with a gap."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from engine.records.copies import RestorePoint, Timeline
from engine.records.history import ParameterChange, Piece, Record, SegmentRun, TransactionEnd
from engine.records.lsn import Lsn

SEGMENT = 16 * 1024 * 1024
BASE = datetime(2026, 11, 1, 1, 0, tzinfo=UTC)
RATE = 448_000  # bytes of WAL a second


def utc(day: int, hour: int, minute: int = 0, second: int = 0, millisecond: int = 0) -> datetime:
    """A local time of Vienna in November 2026 (UTC+1)."""
    return datetime(2026, 11, day, hour, minute, second, millisecond * 1000, tzinfo=UTC) - timedelta(hours=1)


def lsn_at(at: datetime) -> Lsn:
    return 0xA_0000_0000 + int((at - BASE).total_seconds() * RATE) // 8 * 8


FORK = utc(17, 9, 58)
LEFT_END = utc(18, 11, 2)
GAP = (utc(13, 9, 12, 5), utc(13, 9, 41))
ARCHIVED = utc(23, 14, 40, 52)
NOW = utc(23, 14, 41, 20)
ACCIDENT = utc(23, 14, 32, 7, 44)


@dataclass
class MemoryHistory:
    """engine.records.history.WalHistory, answered from lists."""

    known: dict[int, Timeline]
    parts: dict[int, list[SegmentRun]]
    of: dict[int, list[TransactionEnd]]
    points: list[RestorePoint] = field(default_factory=list)
    segment_size: int = SEGMENT

    def timelines(self) -> Mapping[int, Timeline]:
        return self.known

    def runs(self, timeline: int) -> Sequence[SegmentRun]:
        return self.parts.get(timeline, [])

    def _slice(self, piece: Piece) -> tuple[list[TransactionEnd], int, int]:
        ends = self.of.get(piece.timeline, [])
        low = bisect_left(ends, piece.low, key=lambda end: end.lsn)
        return ends, low, bisect_left(ends, piece.high, key=lambda end: end.lsn)

    def first_end(
        self, piece: Piece, *, after: datetime | None = None, inclusive: bool = False
    ) -> TransactionEnd | None:
        ends, low, high = self._slice(piece)
        if after is not None:
            find = bisect_left if inclusive else bisect_right
            low = max(low, find(ends, after, key=lambda end: end.at))
        return ends[low] if low < high else None

    def last_end(self, piece: Piece) -> TransactionEnd | None:
        ends, low, high = self._slice(piece)
        return ends[high - 1] if low < high else None

    def ends(self, piece: Piece, *, limit: int, backwards: bool = False) -> Sequence[TransactionEnd]:
        ends, low, high = self._slice(piece)
        return ends[max(low, high - limit) : high][::-1] if backwards else ends[low : min(high, low + limit)]

    def count(self, piece: Piece) -> int:
        _, low, high = self._slice(piece)
        return max(0, high - low)

    def find_xid(self, piece: Piece, xid: int) -> TransactionEnd | None:
        ends, low, high = self._slice(piece)
        return next((end for end in ends[low:high] if end.xid == xid), None)

    def restore_points(self, piece: Piece) -> Sequence[RestorePoint]:
        return [p for p in self.points if p.timeline == piece.timeline and piece.low <= p.lsn < piece.high]

    def parameter_changes(self, piece: Piece) -> Sequence[ParameterChange]:
        return []

    def records_around(self, timeline: int, lsn: Lsn) -> tuple[Record | None, Record | None]:
        return None, None

    def density(self, piece: Piece, start: datetime, stop: datetime, columns: int) -> Sequence[int]:
        ends, low, high = self._slice(piece)
        width = (stop - start) / columns
        edges = [
            min(high, max(low, bisect_left(ends, start + width * i, key=lambda end: end.at)))
            for i in range(columns + 1)
        ]
        return [edges[i + 1] - edges[i] for i in range(columns)]


def _run(timeline: int, start: datetime, stop: datetime) -> SegmentRun:
    first, last = lsn_at(start) // SEGMENT, lsn_at(stop) // SEGMENT
    return SegmentRun(timeline, first, last, lsn_at(stop), (last - first + 1) * SEGMENT)


_SHAPE = (2, 3, 8, 11)  # commits by quarter of a day
_QUIET = (2, 3, 3, 4)  # at weekends


@lru_cache(maxsize=1)
def history() -> MemoryHistory:
    """22 days of commits; a few thousand a day, and several a second around the accident."""
    ends: dict[int, list[TransactionEnd]] = {1: [], 2: []}

    def add(timeline: int, at: datetime, xid: int, kind: str = "commit") -> None:
        lsn = lsn_at(at)
        ends[timeline].append(TransactionEnd(timeline, lsn, lsn + 64, xid, at, kind))  # type: ignore[arg-type]

    def fill(timeline: int, start: datetime, stop: datetime, scale: int) -> None:
        at, number = start, 0
        while at < stop:
            local = at + timedelta(hours=1)
            shape = _QUIET if local.weekday() >= 5 else _SHAPE
            weight = shape[local.hour // 6] * (1 + (local.day * 7 + local.hour) % 5 / 20)
            number += 1
            add(timeline, at, 1_000_000 * timeline + number, "abort" if number % 37 == 0 else "commit")
            jitter = 1 + (number * 2654435761 % 97) / 97
            at += timedelta(seconds=round(21600 / (weight * scale) * jitter, 6))

    fill(1, utc(1, 3, 20), GAP[0], 250)
    fill(1, GAP[1], LEFT_END, 250)
    fill(2, utc(18, 13, 4), utc(23, 14, 31), 250)
    at, number = utc(23, 14, 31), 8_441_212 - 260
    while at < ACCIDENT - timedelta(milliseconds=700):
        add(2, at, number, "abort" if number % 41 == 0 else "commit")
        number += 1
        at += timedelta(milliseconds=90 + number * 2654435761 % 360)
    number = 8_441_212
    add(2, utc(23, 14, 32, 6, 533), number)
    add(2, ACCIDENT, number + 1)
    at, number = ACCIDENT + timedelta(milliseconds=262), number + 2
    while at < ARCHIVED:
        add(2, at, number, "abort" if number % 41 == 0 else "commit")
        number += 1
        at += timedelta(milliseconds=70 + number * 2654435761 % 290)
    points = [
        RestorePoint(name, timeline, lsn_at(at), lsn_at(at) + 104, at)
        for name, timeline, at in (
            ("before_v4_1", 1, utc(10, 20, 12)),
            ("month_close", 1, utc(16, 18, 30)),
            ("before_v4_2", 2, utc(20, 20, 55)),
        )
    ]
    return MemoryHistory(
        {1: Timeline(1), 2: Timeline(2, 1, lsn_at(FORK), "before transaction 1004711")},
        {
            1: [_run(1, utc(1, 3, 20), GAP[0]), _run(1, GAP[1], LEFT_END)],
            2: [_run(2, FORK, ARCHIVED)],
        },
        ends,
        points,
    )
