"""What is known of a base backup besides what stands in it: from the archived WAL, and from its last proof."""

from collections.abc import Callable
from datetime import UTC

from msgspec.structs import replace

from engine.records.copies import BaseBackup
from engine.records.copying import Proof
from engine.records.lsn import Lsn


def of_cluster(backup: BaseBackup, wal_identifier: int | None) -> BaseBackup:
    """A backup of another cluster than the archive's (its system identifier; None or 0: not known): no WAL there
    replays on it, and it serves nobody."""
    if wal_identifier in (None, 0) or backup.system_identifier in (None, wal_identifier):
        return backup
    reason = f"it is of another cluster: system identifier {backup.system_identifier}, the WAL's is {wal_identifier}"
    if not backup.usable:
        return replace(backup, stranger=True)
    return replace(backup, stranger=True, usable=False, reason=reason, failed_check="major-version")


def consistent(backup: BaseBackup, backup_end: Callable[[int, Lsn], Lsn | None]) -> BaseBackup:
    """A backup without a manifest says where it starts; where it is consistent stands in the WAL (BACKUP_END), as
    ``backup_end`` tells of a timeline and a start."""
    if backup.stop_lsn is not None or backup.start_lsn is None or backup.timeline is None:
        return backup
    return replace(backup, stop_lsn=backup_end(backup.timeline, backup.start_lsn))


def doubted(backup: BaseBackup, proof: Proof | None) -> BaseBackup:
    """A backup with what its last proof found wrong. That makes it no worse than any other that is all there is: it may
    have been mended, or was only out of reach."""
    if proof is None or proof.ok is not False or (backup.started_at is not None and proof.at < backup.started_at):
        return backup
    found = proof.findings[0] if proof.findings else "it is not right"
    return replace(backup, doubt=f"read on {proof.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC: {found}")
