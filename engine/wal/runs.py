"""The index's answers about segments: timelines, unbroken runs, gaps, damage."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from engine.records.copies import Problem, Timeline, WalGap
from engine.records.history import Piece, SegmentRun
from engine.records.lsn import Lsn, SegmentName, format_lsn
from engine.wal import forks, tree
from engine.wal.asking import HIGHEST, Asking
from engine.wal.cache import path_of, timelines

# What `archiving adopt` leaves: zeros behind the WAL, the unfinished file beside it, and nothing that goes on from it.
_TROUBLED = "(damage IS NOT NULL OR trouble IS NOT NULL)"  # as the index segment_trouble has it
_ADOPTED = (
    "damage IS NOT NULL AND damage LIKE '%zeroed from%' AND NOT void AND trouble IS NULL "
    "AND EXISTS (SELECT 1 FROM apart WHERE substr(apart.path, 1, length(segment.path) + 1) = segment.path || '.') "
    "AND NOT EXISTS (SELECT 1 FROM segment AS next "
    "WHERE next.timeline = segment.timeline AND next.number = segment.number + 1)"
)


class AskingForRuns(Asking):
    """The questions about segments."""

    def timelines(self) -> Mapping[int, Timeline]:
        found = forks.read_timelines(dict(self._ask("SELECT timeline, text FROM history").fetchall()))
        for timeline in timelines(self._connection()):
            found.setdefault(timeline, Timeline(timeline))
        return dict(sorted(found.items()))

    def runs(self, timeline: int) -> Sequence[SegmentRun]:
        return [run for run, _ in self.runs_and_sizes(timeline)]

    def runs_and_sizes(self, timeline: int) -> Iterator[tuple[SegmentRun, int]]:
        """The runs, each with where the sound WAL of its own last segment begins (for telling damage from gaps)."""
        starts = [
            row[0]
            for row in self._ask("SELECT number FROM segment WHERE timeline = ? AND starts ORDER BY number", timeline)
        ]
        for first, following in zip(starts, [*starts[1:], HIGHEST], strict=False):
            row = self._ask(
                f"SELECT number, valid_to, CASE WHEN {_ADOPTED} THEN NULL ELSE damage END, tail_lsn, all_head, "
                "segment_size FROM segment "
                "WHERE timeline = ? AND number >= ? AND number < ? AND NOT void ORDER BY number DESC LIMIT 1",
                timeline, first, following,
            ).fetchone()  # fmt: skip
            if row is None:  # another thread's refresh has just changed it
                continue
            last, valid_to, damage, tail_lsn, all_head, size = row
            stopped_by = None
            if damage is not None:
                stopped_by = f"{SegmentName(timeline, last).text(size)}: {damage}"
            else:
                behind = self._ask(
                    "SELECT coalesce(damage, trouble) FROM segment "
                    "WHERE timeline = ? AND number = ? AND (void OR starts)",
                    timeline, last + 1,
                ).fetchone()  # fmt: skip
                if behind is not None:
                    stopped_by = f"{SegmentName(timeline, last + 1).text(size)}: {behind[0]}"
                valid_to = self._open_record(timeline, first, last) if all_head else tail_lsn or valid_to
            size_bytes = tree.total(self._connection(), timeline, first, last, "bytes")
            yield SegmentRun(timeline, first, last, valid_to, size_bytes, stopped_by), size

    def _open_record(self, timeline: int, first: int, last: int) -> Lsn:
        """Where the record begins that fills the segments at the end of a run."""
        row = self._ask(
            "SELECT tail_lsn, number, segment_size FROM segment "
            "WHERE timeline = ? AND number BETWEEN ? AND ? AND NOT all_head ORDER BY number DESC LIMIT 1",
            timeline, first, last,
        ).fetchone()  # fmt: skip
        if row is None:
            return first * self.segment_size
        return int(row[0] if row[0] is not None else (row[1] + 1) * row[2])

    def gaps(self) -> list[WalGap]:
        """Segments that are missing between the first and the last of each timeline. Damaged ones are no gap."""
        found = []
        size = self.segment_size
        for timeline in timelines(self._connection()):
            for number in self._behind_gaps(timeline):
                row = self._ask(
                    "SELECT max(number) FROM segment WHERE timeline = ? AND number < ?", timeline, number
                ).fetchone()
                if row[0] is not None and row[0] < number - 1:
                    names = (SegmentName(timeline, missing).text(size) for missing in (row[0] + 1, number - 1))
                    found.append(WalGap(timeline, *names))
        return found

    def _behind_gaps(self, timeline: int) -> list[int]:
        """Segments before which one may be missing: those that start a run, and the unusable ones."""
        rows = self._ask(
            "SELECT number FROM segment WHERE timeline = ? AND starts UNION SELECT number FROM segment "
            "WHERE timeline = ? AND (damage IS NOT NULL OR trouble IS NOT NULL) AND void ORDER BY 1",
            timeline, timeline,
        )  # fmt: skip
        return [row[0] for row in rows]

    def problems(self) -> list[Problem]:
        """Damaged, foreign, unconnected, adopted and unfinished segments, each with its reason."""
        found = self.damaged()
        found += [
            Problem(str(path), f"adopted while it was unfinished: its WAL ends at {format_lsn(valid_to)}")
            for path, valid_to in self.adopted()
        ]
        found += [Problem(*row) for row in self._ask("SELECT path, what, remedy FROM apart ORDER BY path")]
        return found

    def damaged(self) -> list[Problem]:
        """Damaged, foreign and unconnected segments, each with its reason."""
        return [
            Problem(
                path,
                damage or f"does not continue the segment before it: {trouble}",
                "fetch this segment again from another copy of the archive, if there is one",
            )
            for path, damage, trouble in self._ask(
                f"SELECT path, damage, trouble FROM segment WHERE {_TROUBLED} AND NOT ({_ADOPTED}) "
                "ORDER BY timeline, number"
            )
        ]

    def adopted(self) -> list[tuple[Path, Lsn]]:
        """The segments that were adopted while they were unfinished, and where the WAL of each ends."""
        query = f"SELECT path, valid_to FROM segment WHERE {_TROUBLED} AND {_ADOPTED} ORDER BY timeline, number"
        return [(Path(path), valid_to) for path, valid_to in self._ask(query)]

    def unfinished(self) -> list[Path]:
        """The files of segments that were not full when their writing ended."""
        return [Path(path) for (path,) in self._ask("SELECT path FROM apart ORDER BY path")]

    def is_whole(self, timeline: int, number: int) -> bool:
        """Whether the archive has a segment that was not adopted while it was unfinished; damaged or not."""
        query = f"SELECT 1 FROM segment WHERE timeline = ? AND number = ? AND NOT ({_ADOPTED})"
        return self._ask(query, timeline, number).fetchone() is not None

    def record_border(self, timeline: int, number: int) -> int:
        """The last segment up to this one that is more than the middle of one long record."""
        row = self._ask(
            "SELECT max(number) FROM segment WHERE timeline = ? AND number <= ? AND NOT all_head", timeline, number
        ).fetchone()  # fmt: skip
        return number if row[0] is None else int(row[0])

    def segment_file(self, timeline: int, number: int) -> Path | None:
        """The file of a segment, damaged or not; None where the archive has none."""
        path = path_of(self._connection(), timeline, number)
        return Path(path) if path is not None else None

    def size_bytes(self, piece: Piece) -> int:
        """What the piece's segment files occupy in the archive."""
        first, last = self._segments(piece)
        return tree.total(self._connection(), piece.timeline, first, last, "bytes")
