"""A recovery target as the operator says it, and the recovery point that it resolves to."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from engine.records.copies import BaseBackup, MediaSnapshot
from engine.records.history import ParameterChange, Piece, TransactionEnd
from engine.records.lsn import Lsn

TargetKind = Literal["time", "lsn", "xid", "name", "latest", "immediate", "dump"]


class RecoveryTarget(Struct, frozen=True):
    """Where replay shall stop. Exactly the field that belongs to ``kind`` is set (none for latest and immediate). A
    dump, whose ``name`` is its id, is a recovery point of its own: nothing is replayed."""

    kind: TargetKind
    time: datetime | None = None
    lsn: Lsn | None = None
    xid: int | None = None
    name: str | None = None
    exclusive: bool = False
    backup: str | None = None
    timeline: int | None = None
    accept_gap: bool = False


class RecoveryPoint(Struct, frozen=True):
    """A target, resolved: the backup chain (oldest first), the WAL, and the gate at which replay stops.

    ``gate`` is the start of the first record that is not replayed. ``pieces`` are the WAL from the backup's start to
    the gate, timeline by timeline; ``timeline`` is the last one's. ``kept`` is the last transaction end before the
    gate, ``lost`` the first one behind it that the repository holds, ``lost_commits`` how many commits follow.
    """

    target: RecoveryTarget
    chain: tuple[BaseBackup, ...]
    timeline: int
    gate: Lsn
    pieces: tuple[Piece, ...]
    segment_size: int
    wal_first: str | None
    wal_last: str | None
    wal_segments: int
    wal_bytes: int
    kept: TransactionEnd | None
    lost: TransactionEnd | None
    lost_commits: int
    media: tuple[MediaSnapshot, ...] = ()
    choice: str = ""  # why this backup
    line: int | None = None  # ``lost`` speaks of this timeline's line: it is ``timeline`` or descends from it
    kept_commit: TransactionEnd | None = None  # the last commit before the gate; ``kept`` may be an abort or a prepare
    lost_commit: TransactionEnd | None = None  # the first commit behind it
    last_lost_commit: TransactionEnd | None = None  # the last commit behind it that the repository holds
    parameter_changes: tuple[ParameterChange, ...] = ()  # between the backup's start and the gate

    @property
    def backup(self) -> BaseBackup:
        return self.chain[-1]


class RecoveryWindow(Struct, frozen=True):
    """What one base backup can reach on one timeline; from the LSN at which it is consistent to the last
    transaction end of the unbroken WAL behind it. Times are None where no transaction end lies."""

    backup: str
    timeline: int
    from_lsn: Lsn
    from_at: datetime | None
    to_lsn: Lsn
    to_at: datetime | None
    segments: int
    bytes: int
    ended_by: str | None = None  # why the window ends, where it is not simply the archive's end
    repository: str = ""
    last_gate: Lsn = 0  # the gate that keeps the last transaction end: ``to_lsn`` is that record's start


class AxisSpan(Struct, frozen=True):
    """A share of one timeline for the axis, in LSNs ``low`` to ``high``. ``reachable``: every gate in it; ``left
    behind``: reachable too, but beyond the fork at which the live line left; ``no backup``: WAL with no usable backup
    under it; ``missing``: lost or damaged WAL, ``why`` names it. Times are those of the transaction ends at the edges,
    None where there is none."""

    timeline: int
    kind: Literal["reachable", "left behind", "no backup", "missing"]
    low: Lsn
    high: Lsn
    low_at: datetime | None
    high_at: datetime | None
    why: str = ""


class Moment(Struct, frozen=True):
    """What a cut between two records means: the recovery point, or why it cannot be reached and the nearest
    transaction ends that can: the cut just behind ``before``, the cut just in front of ``after``."""

    timeline: int
    gate: Lsn
    point: RecoveryPoint | None
    why_not: str = ""
    before: TransactionEnd | None = None
    after: TransactionEnd | None = None
