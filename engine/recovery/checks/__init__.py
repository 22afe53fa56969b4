"""The checks of a plan, each named as PITFALLS.md names it: one small function per check, in the order of a plan.

question    what a check may look at, and how it answers
target      of the target, what resolving it does not answer
wal         of the WAL and its archive
backup      of the base backup, and of the programs against it
machine     of the machine: room, memory, rights, who else is at work
cluster     of production, and of what keeps a copy apart from it
after       what only the recovered cluster can tell

What resolving a target answers by itself (target-in-backup, target-past-end, target-subtransaction, wal-gap, clock,
timeline) stands in `engine/recovery/placing.py` and `resolving.py`.
"""

from engine.records.plan import Check
from engine.recovery.checks import after, backup, cluster, machine, target, wal
from engine.recovery.checks.question import AskCheck, Question, WalFacts

__all__ = ["CHECKS", "Question", "WalFacts", "run_checks"]

CHECKS: tuple[AskCheck, ...] = (
    target.target_offset,
    target.backup_fits,
    wal.wal_corrupt,
    wal.archive_unreachable,
    wal.partial_segment,
    wal.unarchived_tail,
    backup.backup_incomplete,
    backup.backup_label,
    backup.backup_damaged,
    backup.major_version,
    backup.build_features,
    backup.libraries,
    backup.settings_too_low,
    machine.destination,
    machine.port,
    machine.disk_space,
    machine.mount_point,
    cluster.tablespaces,
    machine.ownership,
    machine.memory,
    machine.another_run,
    cluster.managed_elsewhere,
    cluster.server_running,
    cluster.configuration,
    backup.stale_settings,
    cluster.signal_files,
    cluster.archiving_copy,
    wal.archive_clash,
    wal.pause_ignored,
    wal.hot_standby_locks,
    cluster.early_promotion,
    cluster.promotion_crash,
    machine.half_restored,
    machine.logind,
    cluster.sync_standby,
    after.files_behind,
    after.collation,
    backup.page_checksums,
    after.unlogged,
    after.large_jobs,
    after.rebuild,
)


def run_checks(question: Question) -> tuple[Check, ...]:
    """All checks that have something to say, in order."""
    return tuple(check for ask in CHECKS if (check := ask(question)) is not None)
