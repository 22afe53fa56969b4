"""What the WAL says, and the questions that windows and plans ask of it.

The WAL index answers them (`engine/wal/index.py`); property tests answer them from a list in memory. All ranges are
half open, ``low <= start < high``, and speak of a record by the LSN of its start.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from msgspec import Struct

from engine.records.lsn import Lsn

if TYPE_CHECKING:
    from engine.records.copies import RestorePoint, Timeline

EndKind = Literal["commit", "abort", "prepare", "commit prepared", "abort prepared"]


class TransactionEnd(Struct, frozen=True):
    """A record that ends a transaction (or prepares it): one step of the recovery timeline.

    ``lsn`` is the record's start, ``end_lsn`` where the next record starts (page headers skipped). ``xid`` is the
    top-level transaction's. ``at`` is the record's own time.
    """

    timeline: int
    lsn: Lsn
    end_lsn: Lsn
    xid: int
    at: datetime
    kind: EndKind

    @property
    def is_commit(self) -> bool:
        return self.kind in ("commit", "commit prepared")


class SegmentRun(NamedTuple):
    """A maximal unbroken run of segment files of one timeline that were read and found right.

    ``valid_to`` is where the run's WAL ends: the end of its last whole record. If ``stopped_by`` is set, the WAL ends
    there for that reason (damage, a cut-off file) and not because nothing more was archived.
    """

    timeline: int
    first: int
    last: int
    valid_to: Lsn
    bytes: int
    stopped_by: str | None = None


class ParameterChange(NamedTuple):
    """An XLOG_PARAMETER_CHANGE record: the settings a standby must not undercut, from this LSN on."""

    timeline: int
    lsn: Lsn
    settings: Mapping[str, int]


class Record(NamedTuple):
    """A WAL record's place: where it starts, and where the next one starts."""

    lsn: Lsn
    end_lsn: Lsn


class Piece(NamedTuple):
    """A stretch of WAL to be read from one timeline's files: records with ``low <= start < high``."""

    timeline: int
    low: Lsn
    high: Lsn


class WalHistory(Protocol):
    """The WAL of one repository, as far as it was read."""

    @property
    def segment_size(self) -> int: ...

    def timelines(self) -> "Mapping[int, Timeline]":
        """All timelines that history files or segments name, by id."""
        ...

    def runs(self, timeline: int) -> Sequence[SegmentRun]:
        """The unbroken runs of one timeline, in order."""
        ...

    def first_end(
        self, piece: Piece, *, after: datetime | None = None, inclusive: bool = False
    ) -> TransactionEnd | None:
        """The first transaction end in WAL order; with ``after``, PostgreSQL's time rule (recoveryStopsBefore in
        xlogrecovery.c): the first commit or abort (not prepare) whose time is later than ``after``, or, if
        ``inclusive``, not earlier."""
        ...

    def last_end(self, piece: Piece) -> TransactionEnd | None:
        """The last transaction end in WAL order."""
        ...

    def ends(self, piece: Piece, *, limit: int, backwards: bool = False) -> Sequence[TransactionEnd]:
        """Up to ``limit`` transaction ends in WAL order from the piece's beginning, or from its end backwards."""
        ...

    def count(self, piece: Piece) -> int:
        """How many commits (prepared ones included, aborts and prepares not) the piece holds."""
        ...

    def find_xid(self, piece: Piece, xid: int) -> TransactionEnd | None:
        """The commit or abort of this transaction; a subtransaction's id finds its top-level transaction's."""
        ...

    def restore_points(self, piece: Piece) -> "Sequence[RestorePoint]":
        """Named restore points in WAL order."""
        ...

    def parameter_changes(self, piece: Piece) -> Sequence[ParameterChange]:
        """Parameter changes in WAL order."""
        ...

    def records_around(self, timeline: int, lsn: Lsn) -> tuple[Record | None, Record | None]:
        """The record that starts at ``lsn`` or, if none does, the last one that starts before it; and the first one
        that starts after ``lsn``. Reads the segment file."""
        ...

    def density(self, piece: Piece, start: datetime, stop: datetime, columns: int) -> Sequence[int]:
        """Commits per column of an axis from ``start`` to ``stop``."""
        ...
