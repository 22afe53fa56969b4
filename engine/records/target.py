"""A recovery target as the operator says it, and the recovery point that it resolves to."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from engine.records.copies import BaseBackup, MediaSnapshot
from engine.records.history import Piece, TransactionEnd
from engine.records.lsn import Lsn

TargetKind = Literal["time", "lsn", "xid", "name", "latest", "immediate"]


@dataclass(frozen=True, slots=True)
class RecoveryTarget:
    """Where replay shall stop. Exactly the field that belongs to ``kind`` is set (none for latest and immediate)."""

    kind: TargetKind
    time: datetime | None = None
    lsn: Lsn | None = None
    xid: int | None = None
    name: str | None = None
    exclusive: bool = False
    backup: str | None = None
    timeline: int | None = None
    accept_gap: bool = False


@dataclass(frozen=True, slots=True)
class RecoveryPoint:
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

    @property
    def backup(self) -> BaseBackup:
        return self.chain[-1]


@dataclass(frozen=True, slots=True)
class RecoveryWindow:
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
