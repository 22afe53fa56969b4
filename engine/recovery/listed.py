"""An archive of which only the names are known: where its WAL is unbroken, and nothing of what stands in it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby

from engine.records.copies import RestorePoint, Timeline
from engine.records.history import ParameterChange, Piece, Record, SegmentRun, TransactionEnd
from engine.records.lsn import Lsn, SegmentName


class ListedWal:
    """Implements `engine.records.history.WalHistory` from a listing: each segment counts as whole, and holds no record
    that anybody knows. ``timelines``: their tree, as another archive of the same cluster tells it."""

    def __init__(self, segments: Iterable[SegmentName], timelines: Mapping[int, Timeline], segment_size: int) -> None:
        self.segment_size = segment_size
        self._runs: dict[int, list[SegmentRun]] = {}
        numbered = enumerate(sorted(set(segments)))
        for timeline, group in groupby(numbered, key=lambda pair: (pair[1].timeline, pair[1].number - pair[0])):
            run = [segment.number for _, segment in group]
            self._runs.setdefault(timeline[0], []).append(
                SegmentRun(timeline[0], run[0], run[-1], (run[-1] + 1) * segment_size, len(run) * segment_size)
            )
        self._timelines = {each: Timeline(each) for each in self._runs} | dict(timelines)

    def timelines(self) -> Mapping[int, Timeline]:
        return self._timelines

    def runs(self, timeline: int) -> Sequence[SegmentRun]:
        return self._runs.get(timeline, [])

    def first_end(
        self, piece: Piece, *, after: datetime | None = None, inclusive: bool = False
    ) -> TransactionEnd | None:
        return None

    def last_end(self, piece: Piece) -> TransactionEnd | None:
        return None

    def ends(self, piece: Piece, *, limit: int, backwards: bool = False) -> Sequence[TransactionEnd]:
        return ()

    def count(self, piece: Piece) -> int:
        return 0

    def find_xid(self, piece: Piece, xid: int) -> TransactionEnd | None:
        return None

    def restore_points(self, piece: Piece) -> Sequence[RestorePoint]:
        return ()

    def parameter_changes(self, piece: Piece) -> Sequence[ParameterChange]:
        return ()

    def records_around(self, timeline: int, lsn: Lsn) -> tuple[Record | None, Record | None]:
        return None, None

    def density(self, piece: Piece, start: datetime, stop: datetime, columns: int) -> Sequence[int]:
        return [0] * columns
