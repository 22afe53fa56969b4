"""The WAL index: what the segments of one archive say, and the answers that windows, plans and screens ask of it.

Importing this module does not import numpy: that happens when segments are read.
"""

import sqlite3
import zlib
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock

from engine.records.copies import Problem, RestorePoint, Timeline, WalFile, WalGap, WalRange
from engine.records.errors import DamagedCopy
from engine.records.history import ParameterChange, Piece, Record, SegmentRun, TransactionEnd
from engine.records.lsn import Lsn, SegmentName, segment_of
from engine.wal import forks, packing, records, tree
from engine.wal.cache import Cache, signed, timelines, unsigned
from engine.wal.density import Axis
from engine.wal.packing import Ends
from engine.wal.refresh import path_of, refresh

_DEFAULT_SEGMENT_SIZE = 16 << 20  # initdb's own; only an empty index says it
_HIGHEST = 1 << 62
_DECODED = 24  # segments whose transaction ends are kept unpacked
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_METHODS = {0x08: "lz4", 0x10: "zstd"}  # BKPIMAGE_COMPRESS_*, xlogrecord.h


class WalIndex:
    """The index of one archive; implements `engine.records.history.WalHistory`. May be used from several threads."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._decoded: OrderedDict[tuple[int, int], tuple[int, Ends]] = OrderedDict()
        self._guard = Lock()
        self._refreshing = Lock()

    @classmethod
    def open(cls, cache: Path) -> "WalIndex":
        """Open the index kept in this file, which is made if need be; a damaged one is made anew (see ``note``).
        Raises RepriseError where the folder cannot be written."""
        return cls(Cache(cache))

    def close(self) -> None:
        self._cache.close()

    @property
    def note(self) -> str | None:
        """What an operator should know of the index itself: that it was rebuilt, and why."""
        return self._cache.note

    def refresh(
        self,
        files: Sequence[WalFile],
        histories: Mapping[int, str],
        *,
        system_identifier: int | None = None,
        progress: Callable[[int, int], None] | None = None,
        stop: Callable[[], bool] | None = None,
        workers: int = 2,
    ) -> bool:
        """Bring the index up to date with an archive's files: only new and changed ones are read, vanished ones are
        dropped, and what was read can be asked for while the rest is still being read.

        ``progress`` is told segments done of segments in all; ``stop`` is asked between reads and ends the work
        (False is returned). ``system_identifier`` says whose WAL this is; without it the majority's counts.
        """
        with self._refreshing:
            try:
                done = self._refresh(files, histories, system_identifier, progress, stop, workers)
            except sqlite3.OperationalError as error:
                raise DamagedCopy(f"the WAL index {self._cache.path} cannot be written", cause=str(error)) from error
            except (sqlite3.DatabaseError, zlib.error, ValueError):
                self._cache.rebuild("it was damaged")
                done = self._refresh(files, histories, system_identifier, progress, stop, workers)
        return done

    def _refresh(
        self,
        files: Sequence[WalFile],
        histories: Mapping[int, str],
        system_identifier: int | None,
        progress: Callable[[int, int], None] | None,
        stop: Callable[[], bool] | None,
        workers: int,
    ) -> bool:
        with self._guard:
            self._decoded.clear()
        return refresh(
            self._cache, files, histories, system_identifier=system_identifier, progress=progress, stop=stop,
            workers=workers,
        )  # fmt: skip

    # --- what there is ----------------------------------------------------------------------------------------------

    @property
    def segment_size(self) -> int:
        row = self._ask("SELECT value FROM fact WHERE name = 'home'").fetchone()
        size = int(row[0].split()[1]) if row else 0
        return size or _DEFAULT_SEGMENT_SIZE

    def timelines(self) -> Mapping[int, Timeline]:
        found = forks.read_timelines(dict(self._ask("SELECT timeline, text FROM history").fetchall()))
        for timeline in timelines(self._connection()):
            found.setdefault(timeline, Timeline(timeline))
        return dict(sorted(found.items()))

    def runs(self, timeline: int) -> Sequence[SegmentRun]:
        return [run for run, _ in self._runs(timeline)]

    def _runs(self, timeline: int) -> Iterator[tuple[SegmentRun, int]]:
        """The runs, each with where the sound WAL of its own last segment begins (for telling damage from gaps)."""
        starts = [
            row[0]
            for row in self._ask("SELECT number FROM segment WHERE timeline = ? AND starts ORDER BY number", timeline)
        ]
        for first, following in zip(starts, [*starts[1:], _HIGHEST], strict=False):
            row = self._ask(
                "SELECT number, valid_to, damage, tail_lsn, all_head, segment_size FROM segment "
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

    def wal_ranges(self) -> list[WalRange]:
        """The unbroken runs of all timelines, with their commits; a timeline's own, behind its fork."""
        found = []
        known = self.timelines()
        for timeline in timelines(self._connection()):
            fork = known.get(timeline, Timeline(timeline)).fork_lsn or 0
            for run, size in self._runs(timeline):
                piece = Piece(timeline, max(run.first * size, fork), (run.last + 1) * size)
                first, last = self._edge_commit_at(piece), self._edge_commit_at(piece, backwards=True)
                name = SegmentName(timeline, run.first).text(size)
                last_name = SegmentName(timeline, run.last).text(size)
                segments = run.last - run.first + 1
                found.append(WalRange(timeline, name, last_name, segments, run.bytes, first, last, self.count(piece)))
        return found

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
        """Damaged, foreign, unfinished and unconnected segments, each with its reason."""
        found = []
        for path, damage, trouble in self._ask(
            "SELECT path, damage, trouble FROM segment WHERE damage IS NOT NULL OR trouble IS NOT NULL "
            "ORDER BY timeline, number"
        ):
            found.append(
                Problem(
                    path,
                    damage or f"does not continue the segment before it: {trouble}",
                    "fetch this segment again from another copy of the archive, if there is one",
                )
            )
        found += [Problem(*row) for row in self._ask("SELECT path, what, remedy FROM apart ORDER BY path")]
        return found

    def system_identifiers(self) -> set[int]:
        """All that the segments' headers name."""
        rows = self._ask("SELECT DISTINCT system_identifier FROM segment WHERE segment_size > 0")
        return {unsigned(row[0]) for row in rows}

    def segment_file(self, timeline: int, number: int) -> Path | None:
        """The file of a segment, damaged or not; None where the archive has none."""
        return path_of(self._connection(), timeline, number)

    def size_bytes(self, piece: Piece) -> int:
        """What the piece's segment files occupy in the archive."""
        first, last = self._segments(piece)
        return tree.total(self._connection(), piece.timeline, first, last, "bytes")

    # --- transaction ends -------------------------------------------------------------------------------------------

    def first_end(
        self, piece: Piece, *, after: datetime | None = None, inclusive: bool = False
    ) -> TransactionEnd | None:
        condition, values, limit = "ends > 0", list[int](), 0
        if after is not None:
            limit = _microseconds(after) + (0 if inclusive else 1)
            condition, values = "largest_at >= ?", [limit]
        for number, ends in self._decoded_segments(piece, condition, values):
            base = number * self._size
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
            base = number * self._size
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
            inside = self._inside(ends, number * self._size, piece)
            if len(inside) < len(ends):
                found -= sum(1 for i in range(len(ends)) if i not in inside and ends.kind[i] in packing.COMMITS)
        return found

    def find_xid(self, piece: Piece, xid: int) -> TransactionEnd | None:
        top_level: TransactionEnd | None = None
        condition, values = "smallest_xid <= ? AND largest_xid >= ?", (xid, xid)
        for number in self._candidates(piece, condition, values):
            ends, base = self._ends(piece.timeline, number), number * self._size
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
        low, high = _microseconds(start), _microseconds(stop)
        if columns <= 0 or high <= low or piece.low >= piece.high:
            return [0] * max(columns, 0)
        axis = Axis(low, high, columns)
        first, last = self._segments(piece)
        for number in sorted({first, last}):
            ends = self._ends(piece.timeline, number)
            inside = self._inside(ends, number * self._size, piece)
            axis.add_times([ends.at[i] for i in inside if ends.kind[i] in packing.COMMITS])
        axis.add_segments(
            self._connection(), piece.timeline, first + 1, last - 1, lambda number: self._ends(piece.timeline, number)
        )
        return axis.counts

    def _edge_commit_at(self, piece: Piece, *, backwards: bool = False) -> datetime | None:
        """The time of the first or last commit."""
        for number, ends in self._decoded_segments(piece, "commits > 0", backwards=backwards):
            inside = self._inside(ends, number * self._size, piece)
            for i in reversed(inside) if backwards else inside:
                if ends.kind[i] in packing.COMMITS:
                    return _EPOCH + ends.at[i] * _MICROSECOND
        return None

    # --- other findings ---------------------------------------------------------------------------------------------

    def restore_points(self, piece: Piece | None = None) -> Sequence[RestorePoint]:
        """Named restore points in WAL order: a piece's, or all of the archive's (a timeline's behind its fork)."""
        if piece is not None:
            rows = self._told("restore point", piece)
        else:
            rows = self._ask(
                "SELECT timeline, lsn, end_lsn, value, text FROM told "
                "WHERE kind = 'restore point' ORDER BY timeline, lsn"
            ).fetchall()
            known = self.timelines()
            rows = [row for row in rows if row[1] >= (known.get(row[0], Timeline(row[0])).fork_lsn or 0)]
        return [
            RestorePoint(text, timeline, lsn, end_lsn, _EPOCH + value * _MICROSECOND)
            for timeline, lsn, end_lsn, value, text in rows
        ]

    def parameter_changes(self, piece: Piece) -> Sequence[ParameterChange]:
        return [
            ParameterChange(timeline, lsn, dict(zip(records.SETTINGS, map(int, text.split()), strict=True)))
            for timeline, lsn, _, _, text in self._told("parameters", piece)
        ]

    def backup_end(self, timeline: int, start_lsn: Lsn) -> Lsn | None:
        """Where the record behind the BACKUP_END of the backup that started at ``start_lsn`` starts: the LSN at which
        that backup is consistent. None: not in this WAL (a backup from a standby has none)."""
        row = self._ask(
            "SELECT end_lsn FROM told "
            "WHERE kind = 'backup end' AND timeline = ? AND lsn >= ? AND value = ? ORDER BY lsn",
            timeline, min(start_lsn, _HIGHEST), signed(start_lsn),
        ).fetchone()  # fmt: skip
        return int(row[0]) if row else None

    def running_xacts_overflow(self, timeline: int, lsn_low: Lsn, lsn_high: Lsn) -> bool:
        """Whether replay from ``lsn_low`` to ``lsn_high`` meets nothing but overflowed RUNNING_XACTS records, so that
        hot standby cannot start (ProcArrayApplyRecoveryInfo in procarray.c): the first ones it meets decide."""
        told = self._told("running xacts", Piece(timeline, lsn_low, lsn_high))
        return bool(told) and all(row[3] for row in told)

    def compression_methods(self, piece: Piece) -> set[str]:
        """Compression of full-page images (lz4, zstd) that replaying the piece's segments needs."""
        first, last = self._segments(piece)
        rows = self._ask(
            "SELECT DISTINCT compressed_with FROM segment "
            "WHERE timeline = ? AND number BETWEEN ? AND ? AND compressed_with",
            piece.timeline, first, last,
        )  # fmt: skip
        return {name for (bits,) in rows for bit, name in _METHODS.items() if bits & bit}

    def records_around(self, timeline: int, lsn: Lsn) -> tuple[Record | None, Record | None]:
        from engine.wal.places import records_around

        return records_around(lambda number: self.segment_file(timeline, number), timeline, lsn, self.segment_size)

    # --- reading ----------------------------------------------------------------------------------------------------

    def _connection(self) -> sqlite3.Connection:
        return self._cache.connection()

    def _ask(self, query: str, *values: object) -> sqlite3.Cursor:
        try:
            return self._connection().execute(query, values)
        except sqlite3.DatabaseError as error:
            raise DamagedCopy(
                f"the WAL index {self._cache.path} cannot be read",
                cause=str(error),
                remedy="remove this file: it is made anew from the archive",
            ) from error

    @property
    def _size(self) -> int:
        return self.segment_size

    def _segments(self, piece: Piece) -> tuple[int, int]:
        """The first and last segment that the piece touches."""
        size = self.segment_size
        return segment_of(min(piece.low, _HIGHEST), size), segment_of(min(piece.high, _HIGHEST) - 1, size)

    def _told(self, kind: str, piece: Piece) -> list[tuple[int, Lsn, Lsn, int, str]]:
        return self._ask(
            "SELECT timeline, lsn, end_lsn, value, text FROM told "
            "WHERE kind = ? AND timeline = ? AND lsn >= ? AND lsn < ? ORDER BY lsn",
            kind, piece.timeline, min(piece.low, _HIGHEST), min(piece.high, _HIGHEST),
        ).fetchall()  # fmt: skip

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

    def _packed(self, timeline: int, number: int) -> tuple[bytes, bytes] | None:
        found: tuple[bytes, bytes] | None = self._ask(
            "SELECT ends, subtransactions FROM packed WHERE timeline = ? AND number = ?", timeline, number
        ).fetchone()
        return found

    def _ends(self, timeline: int, number: int) -> Ends:
        """A segment's transaction ends."""
        key = timeline, number
        row = self._packed(timeline, number)
        if row is None:
            return packing.NO_ENDS
        stamp = zlib.crc32(row[0])
        with self._guard:
            kept = self._decoded.get(key)
            if kept is not None and kept[0] == stamp:
                self._decoded.move_to_end(key)
                return kept[1]
        try:
            ends = packing.unpack(row[0])
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
    return TransactionEnd(
        timeline, end.lsn, end.end_lsn, end.xid, _EPOCH + end.at * _MICROSECOND, records.END_KINDS[end.kind]
    )


def _microseconds(at: datetime) -> int:
    """Unix time in microseconds."""
    return (at - _EPOCH) // _MICROSECOND
