"""The WAL index: what the segments of one archive say, and the answers that windows, plans and screens ask of it.

Importing this module does not import numpy: that happens when segments are read.
"""

import sqlite3
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Lock

from engine.records.copies import RestorePoint, Timeline, WalFile, WalRange
from engine.records.errors import DamagedCopy
from engine.records.history import ParameterChange, Piece, Record
from engine.records.lsn import Lsn, SegmentName
from engine.wal import records
from engine.wal.asking import HIGHEST
from engine.wal.cache import Cache, signed, timelines
from engine.wal.ends import AskingForEnds, utc
from engine.wal.refresh import refresh
from engine.wal.runs import AskingForRuns

_METHODS = {0x08: "lz4", 0x10: "zstd"}  # BKPIMAGE_COMPRESS_*, xlogrecord.h


class WalIndex(AskingForRuns, AskingForEnds):
    """The index of one archive; implements `engine.records.history.WalHistory`. May be used from several threads."""

    def __init__(self, cache: Cache) -> None:
        super().__init__(cache)
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
        self.forget()
        return refresh(
            self._cache, files, histories, system_identifier=system_identifier, progress=progress, stop=stop,
            workers=workers,
        )  # fmt: skip

    def wal_ranges(self) -> list[WalRange]:
        """The unbroken runs of all timelines, with their commits; a timeline's own, behind its fork."""
        found = []
        known = self.timelines()
        for timeline in timelines(self._connection()):
            fork = known.get(timeline, Timeline(timeline)).fork_lsn or 0
            for run, size in self.runs_and_sizes(timeline):
                piece = Piece(timeline, max(run.first * size, fork), (run.last + 1) * size)
                first, last = self.edge_commit_at(piece), self.edge_commit_at(piece, backwards=True)
                name = SegmentName(timeline, run.first).text(size)
                last_name = SegmentName(timeline, run.last).text(size)
                segments = run.last - run.first + 1
                found.append(WalRange(timeline, name, last_name, segments, run.bytes, first, last, self.count(piece)))
        return found

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
        return [RestorePoint(text, timeline, lsn, end_lsn, utc(value)) for timeline, lsn, end_lsn, value, text in rows]

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
            timeline, min(start_lsn, HIGHEST), signed(start_lsn),
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

    def _told(self, kind: str, piece: Piece) -> list[tuple[int, Lsn, Lsn, int, str]]:
        return self._ask(
            "SELECT timeline, lsn, end_lsn, value, text FROM told "
            "WHERE kind = ? AND timeline = ? AND lsn >= ? AND lsn < ? ORDER BY lsn",
            kind, piece.timeline, min(piece.low, HIGHEST), min(piece.high, HIGHEST),
        ).fetchall()  # fmt: skip
