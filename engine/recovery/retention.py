"""What may go: pure rules of which copies a policy keeps, and which WAL the kept ones need.

Whatever a rule says, these stay: the last usable backup and what it builds on; every backup, snapshot and WAL segment
that a moment of the promised window needs; what is younger than the policy; what a run reads now; what is not
understood.

Media snapshots and dumps are thinned as the calendar says: of each of the last so many hours, days, weeks and months
that have any, the newest one stays (as restic's ``forget`` has it).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Protocol

from msgspec import Struct

from engine.records.copies import BaseBackup, Dump, MediaSnapshot, Timeline, WalFile
from engine.records.keeping import KeptKind, Verdict
from engine.records.lsn import Lsn, segment_of
from engine.recovery.lines import holds_backup, line_of
from engine.recovery.reach import Reach

SETTLED = timedelta(hours=1)
"""What was written, taken or archived within this time stays, whatever a rule says."""

_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_FRESH = timedelta(days=1)  # somebody may still be writing it, or testing it
_CLOCKS = timedelta(minutes=1)  # by how much a backup's own time and those of the commits around it may differ


class BackupRule(Struct, frozen=True):
    """The newest ``count`` full backups, and what makes every moment of the last ``days`` days reachable."""

    count: int | None = None
    days: float | None = None


class CalendarRule(Struct, frozen=True):
    """How many hours, days, weeks and months that have copies keep their newest one."""

    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0


class _Dated(Protocol):
    """What a calendar rule needs of a copy."""

    @property
    def id(self) -> str: ...
    @property
    def started_at(self) -> datetime: ...
    @property
    def usable(self) -> bool: ...


# Base backups


def judge_backups(
    reach: Reach,
    repository: str,
    rule: BackupRule | None,
    now: datetime,
    in_use: Iterable[str] = (),
    *,
    live: int | None = None,
    failed: Collection[str] = (),
) -> list[Verdict]:
    """Each backup of one repository. An increment stays with all that it builds on, and a full backup that stays keeps
    what was built on it. ``in_use``: ids that a run reads, or somebody writes. ``live``: the cluster's timeline; None
    where it is not known: then every line keeps its newest backup. ``failed``: ids whose last proof found damage: they
    take nobody's place, and stay or go as if they were whole."""
    backups = [each for each in reach.backups if each.repository == repository]
    if rule is None:
        return [Verdict(each.id, "base", True, "there is no rule for base backups") for each in backups]
    why = _kept_backups(reach, repository, backups, rule, now, in_use, live, failed)
    for id, reason in _kept_backups(reach, repository, backups, rule, now, in_use, live, ()).items() if failed else ():
        why.setdefault(id, reason)
    return [Verdict(each.id, "base", each.id in why, why.get(each.id) or _gone(each, rule)) for each in backups]


def _kept_backups(
    reach: Reach,
    repository: str,
    backups: Sequence[BaseBackup],
    rule: BackupRule,
    now: datetime,
    in_use: Iterable[str],
    live: int | None,
    failed: Collection[str],
) -> dict[str, str]:
    """Why which ones stay, by id."""
    known = {each.id: each for each in backups}
    why: dict[str, str] = {}

    def keep(backup: BaseBackup, reason: str) -> None:
        why.setdefault(backup.id, reason)
        for parent in _parents(backup, known):
            why.setdefault(parent.id, f"{backup.id} builds on it")

    for each in backups:
        if each.id in in_use:
            keep(each, "a run reads it now")
        elif each.stranger:
            keep(each, "it is of another cluster")
        elif each.started_at is None or each.timeline is None:
            keep(each, "when it was taken is not known")
        elif (each.stopped_at or each.started_at) >= now - _FRESH:
            keep(each, "younger than a day")
    sound = sorted(
        (
            each
            for each in backups
            if all(part.usable and part.id not in failed for part in (each, *_parents(each, known)))
        ),
        key=lambda each: (each.started_at or _LONG_AGO, each.id),
    )
    by_timeline = {
        timeline: [
            footing
            for footing in reach.footings(repository, timeline)
            if not any(part.id in failed for part in footing.chain)
        ]
        for timeline in reach.timelines(repository)
    }
    lines = list(by_timeline.values())
    for timeline, line in by_timeline.items():
        if line and timeline == live:
            keep(line[-1].backup, "the newest that the cluster's own timeline stands on")
        elif line and live is None:
            keep(line[-1].backup, f"the newest that timeline {timeline} stands on, and which one is live is not known")
    standing = [footing.backup for line in lines for footing in line]
    for newest in (sound, sorted(standing, key=lambda each: (each.started_at or _LONG_AGO, each.id))):
        if newest:
            keep(newest[-1], "the last usable backup")
    full = [each for each in sound if not each.incremental]
    for each in full[len(full) - min(rule.count or 0, len(full)) :]:
        keep(each, f"one of the newest {rule.count} full ones")
    if rule.days is not None:
        begin = now - timedelta(days=rule.days) - _CLOCKS
        for each in backups:
            if (each.stopped_at or each.started_at or now) >= begin:
                keep(each, f"younger than {rule.days:g} days")
        for line in lines:  # on each line of history, what its first promised moment is reached from
            older = [each.backup for each in line if (each.backup.stopped_at or now) < begin]
            if older:
                keep(older[-1], f"the moments of {rule.days:g} days ago are reached from it")
    for each in sound:
        root = next(iter(_parents(each, known)), None)
        if root is not None and "builds on it" not in why.get(root.id, "builds on it"):
            keep(each, f"it belongs to {root.id}, which stays")
    return why


def _parents(backup: BaseBackup, known: Mapping[str, BaseBackup]) -> list[BaseBackup]:
    """What it builds on, the full one first."""
    found: list[BaseBackup] = []
    parent = known.get(backup.parent or "") if backup.incremental else None
    while parent is not None and parent not in found and parent.id != backup.id:
        found.insert(0, parent)
        parent = known.get(parent.parent or "") if parent.incremental else None
    return found


def _gone(backup: BaseBackup, rule: BackupRule) -> str:
    said = [f"older than {rule.days:g} days"] if rule.days is not None else []
    said += [f"not one of the newest {rule.count} full ones"] if rule.count is not None else []
    return (f"not usable ({backup.reason}); " if not backup.usable else "") + ", ".join(said)


# WAL


def wal_needed(backups: Iterable[BaseBackup], timelines: Mapping[int, Timeline]) -> Mapping[int, Lsn]:
    """From which LSN on each timeline's WAL is needed to replay from these backups along any line that holds them. A
    timeline that is not in the answer is needed by none. One whose history is not known is needed from its beginning,
    and so is everything where a backup does not say where it starts."""
    needed: dict[int, Lsn] = {
        each.id: 0 for each in timelines.values() if each.parent is None and each.id != min(timelines)
    }
    for backup in backups:
        if backup.timeline is None or backup.start_lsn is None:
            return dict.fromkeys(timelines, 0)
        for timeline in {*timelines, backup.timeline}:
            line = line_of(timelines, timeline)
            if not holds_backup(line, backup.timeline, backup.start_lsn, backup.stop_lsn or backup.start_lsn):
                continue
            for span in line:
                if span.high > backup.start_lsn:
                    low = max(span.low, backup.start_lsn)
                    needed[span.timeline] = min(needed.get(span.timeline, low), low)
    return needed


def judge_wal(
    files: Iterable[WalFile],
    backups: Sequence[BaseBackup],
    timelines: Mapping[int, Timeline],
    segment_size: int,
    now: datetime,
) -> list[WalFile]:
    """The archived segments that none of the kept ``backups`` needs. Without a backup nothing goes: none is there to
    say from where on WAL counts. Of timelines newer than every backup's, and of those that are not known, nothing goes
    either: their first backup may still be under way. Nor does what was archived within the last hour."""
    if not backups:
        return []
    needed = wal_needed(backups, timelines)
    settled = (now - SETTLED).timestamp() * 1e9
    newest = max(needed, default=0)
    return [
        file
        for file in files
        if file.mtime_ns < settled
        and file.timeline in timelines
        and file.timeline <= newest
        and (file.timeline not in needed or file.number < segment_of(needed[file.timeline], segment_size))
    ]


# By the calendar


def judge_by_calendar(
    copies: Sequence[_Dated],
    rule: CalendarRule | None,
    kind: KeptKind,
    needed: Mapping[str, str],
    now: datetime,
    failed: Collection[str] = (),
) -> list[Verdict]:
    """Each dump or snapshot. ``needed``: ids that stay whatever the rule says, and why. ``failed``: ids whose last
    proof found damage: they take nobody's place, and stay or go as if they were whole."""
    if rule is None:
        return [Verdict(each.id, kind, True, f"there is no rule for copies of the kind {kind}") for each in copies]
    why = dict(needed)
    for passed_over in (failed, ()) if failed else ((),):
        usable = [each for each in copies if each.usable and each.id not in passed_over]
        _keep_by_calendar(sorted(usable, key=lambda each: (each.started_at, each.id)), rule, why)
    youngest = now - SETTLED  # nothing that was only just taken, whatever its clock says
    return [
        Verdict(
            each.id,
            kind,
            each.id in why or each.started_at > youngest,
            why.get(each.id) or ("only just taken" if each.started_at > youngest else _not_kept(each)),
        )
        for each in copies
    ]


def judge_dumps(
    dumps: Sequence[Dump],
    rule: CalendarRule | None,
    needed: Mapping[str, str],
    now: datetime,
    failed: Collection[str] = (),
) -> list[Verdict]:
    """Each database by itself; the verdicts come in the dumps' order."""
    found: dict[str, Verdict] = {}
    for _, group in groupby(sorted(dumps, key=_database), key=_database):
        found |= {each.id: each for each in judge_by_calendar(list(group), rule, "dump", needed, now, failed)}
    return [found[each.id] for each in dumps]


def _database(dump: Dump) -> str:
    return dump.database or ""


def _keep_by_calendar(usable: Sequence[_Dated], rule: CalendarRule, why: dict[str, str]) -> None:
    """Why which ones stay, added to ``why``; ``usable`` are sorted by time."""
    if usable:
        why.setdefault(usable[-1].id, "the last usable one")
    for word, count, bucket in (
        ("hour", rule.hourly, "%Y-%m-%d %H"),
        ("day", rule.daily, "%Y-%m-%d"),
        ("week", rule.weekly, "%G-W%V"),
        ("month", rule.monthly, "%Y-%m"),
    ):
        newest = {each.started_at.astimezone(UTC).strftime(bucket): each for each in usable}
        for name in sorted(newest)[max(0, len(newest) - count) :]:
            why.setdefault(newest[name].id, f"the newest of its {word}")


def _not_kept(copy: _Dated) -> str:
    return "the newest of no hour, day, week or month that the policy keeps" if copy.usable else "not usable"


def snapshots_needed(
    snapshots: Sequence[MediaSnapshot], since: datetime | None, until: datetime | None, failed: Collection[str] = ()
) -> dict[str, str]:
    """What the promised window's edges need of the files: the last snapshot that ended before its first moment and the
    first that started after it, and the same for its last (snapshots are intervals; SCREENS.md and issue 4)."""
    found: dict[str, str] = {}
    ordered = sorted((each for each in snapshots if each.usable), key=lambda each: (each.started_at, each.id))
    for usable in ([each for each in ordered if each.id not in failed], ordered):
        for at, what in ((since, "first"), (until, "last")):
            if at is None:
                continue
            before = [each for each in usable if each.stopped_at <= at]
            after = [each for each in usable if each.started_at >= at]
            for each in (*before[-1:], *after[:1]):
                found.setdefault(each.id, f"the {what} moment that is promised needs it")
    return found
