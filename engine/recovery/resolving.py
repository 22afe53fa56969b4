"""A target, as the operator says it, resolved to the gate, the backup and the WAL that reach it.

The rules are CONTRACT.md's, "Targets". Each line that could hold the target is asked; where they give different
answers the operator must choose. A backup is the newest usable one that is consistent by the gate and whose WAL to the
gate is unbroken.
"""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from engine.records.copies import BaseBackup, MediaSnapshot
from engine.records.history import WalHistory
from engine.records.lsn import Lsn, format_lsn
from engine.records.plan import Check, Resolution
from engine.records.target import RecoveryPoint, RecoveryTarget
from engine.recovery.lines import END_OF_WAL
from engine.recovery.placing import Missed, Placed, place
from engine.recovery.points import recovery_point, same_transactions
from engine.recovery.reach import Reach, count, last_end
from engine.recovery.wording import Wording


class _Held(Struct, frozen=True):
    """One line's answer."""

    repository: str
    line: int
    placed: Placed
    point: RecoveryPoint


def resolve(
    target: RecoveryTarget,
    backups: Iterable[BaseBackup],
    histories: Mapping[str, WalHistory],
    *,
    live_timeline: int | None,
    media: Sequence[MediaSnapshot] = (),
    wording: Wording | None = None,
) -> Resolution:
    """``resolve_in`` of one reading."""
    return resolve_in(Reach(backups, histories), target, live_timeline=live_timeline, media=media, wording=wording)


def resolve_in(
    reach: Reach,
    target: RecoveryTarget,
    *,
    live_timeline: int | None,
    media: Sequence[MediaSnapshot] = (),
    wording: Wording | None = None,
) -> Resolution:
    """The recovery point of a target, or the checks that say why there is none. ``wording`` completes the commands in
    the remedies (the destination, the command's name)."""
    wording = wording or Wording()
    if (refusal := _unknown(reach, target)) is not None:
        return Resolution(None, (refusal,))
    lines = _lines_asked(reach, target, live_timeline)
    held: list[_Held] = []
    missed: list[tuple[int, Missed]] = []
    for repository in reach.histories:
        for line in reach.timelines(repository):
            if line not in lines or not _asked(reach, repository, line, target):
                continue
            placed = place(reach, repository, line, target, wording)
            if isinstance(placed, Missed):
                missed.append((line, placed))
            else:
                point = recovery_point(reach, target, placed.footing, placed.gate, media, choice=_choice(placed))
                held.append(_Held(repository, line, placed, point))
    if not held:
        return Resolution(None, _refusals(reach, target, missed, live_timeline, wording))
    chosen = _choose(held, live_timeline)
    if target.kind in ("latest", "immediate"):
        chosen = max(held, key=lambda each: (each.point.gate, each.placed.footing.doubt is None, each.repository))
        return Resolution(chosen.point, _checks(reach, target, chosen, live_timeline))
    groups: dict[object, list[_Held]] = {}
    for each in held:
        groups.setdefault(same_transactions(reach, each.repository, each.line, each.point.kept), []).append(each)
    if len(groups) > 1:
        choices = sorted({_choose(group, live_timeline).line for group in groups.values()})
        return Resolution(None, (_ambiguous(groups, live_timeline, wording, target),), tuple(choices))
    return Resolution(chosen.point, _checks(reach, target, chosen, live_timeline))


def _unknown(reach: Reach, target: RecoveryTarget) -> Check | None:
    """A timeline or backup that the operator named and that there is not."""
    timelines = sorted({line for repository in reach.histories for line in reach.histories[repository].timelines()})
    if target.timeline is not None and target.timeline not in timelines:
        known = ", ".join(map(str, timelines)) or "none"
        return Check(
            "timeline",
            "refuse",
            False,
            f"the repositories know no timeline {target.timeline}",
            f"--timeline one of: {known}",
        )
    if target.backup is None:
        usable = any(reach.footings(each, line) for each in reach.histories for line in reach.timelines(each))
        return None if usable else _no_backup(reach)
    backup = reach.backup(target.backup)
    if backup is None:
        known = ", ".join(each.id for each in reach.backups if each.usable) or "none"
        return Check(
            "backup-incomplete", "refuse", False, f"there is no backup {target.backup}", f"--backup one of: {known}"
        )
    try:
        reach.chain(backup)
    except ValueError as reason:
        remedy = "leave out --backup: the newest usable backup is then chosen"
        name = backup.failed_check or "backup-incomplete"
        return Check(name, "refuse", False, f"backup {backup.id} cannot be used: {reason}", remedy)
    return None


def _no_backup(reach: Reach) -> Check:
    reasons = []
    for backup in reach.backups:
        try:
            reach.chain(backup)
            whole = backup.repository in reach.histories and backup.timeline is not None
            why = reach.why_no_footing(backup.repository, backup.timeline or 1, backup) if whole else "no WAL was read"
            reasons.append(f"{backup.id}: {why}")
        except ValueError as reason:
            reasons.append(f"{backup.id}: {reason}")
    told = "; ".join(reasons[:3]) + (f"; and {len(reasons) - 3} more" if len(reasons) > 3 else "")
    remedy = "name the right folder in the site file's [[database.repository]], or take a base backup"
    names = {backup.failed_check or "backup-incomplete" for backup in reach.backups}
    name = names.pop() if len(names) == 1 else "backup-incomplete"
    return Check(name, "refuse", False, "no base backup can be used: " + (told or "there is none"), remedy)


def _lines_asked(reach: Reach, target: RecoveryTarget, live_timeline: int | None) -> set[int]:
    """The lines that may hold the target. Every line has a latest and an immediate one: there only the live cluster's
    counts, else the newest, where it descends from a backup."""
    if target.timeline is not None:
        return {target.timeline}
    standing = {
        line
        for repository in reach.histories
        for line in reach.timelines(repository)
        if any(target.backup in (None, footing.backup.id) for footing in reach.footings(repository, line))
    }
    if target.kind in ("latest", "immediate") and standing:
        return {live_timeline if live_timeline in standing else max(standing)}
    return standing or {line for repository in reach.histories for line in reach.timelines(repository)}


def _asked(reach: Reach, repository: str, line: int, target: RecoveryTarget) -> bool:
    if target.backup is None:
        return bool(reach.footings(repository, line)) or target.timeline is not None
    backup = reach.backup(target.backup)
    return backup is not None and backup.repository == repository


def _rank(line: int, live_timeline: int | None) -> tuple[bool, int]:
    return line == live_timeline, line


def _choose(held: Sequence[_Held], live_timeline: int | None) -> _Held:
    """The live cluster's line, else the newest; of several repositories the one with the newest backup that is not in
    doubt."""
    return max(held, key=lambda each: (*_rank(each.line, live_timeline), *_worth(each)))


def _worth(held: _Held) -> tuple[bool, Lsn, str]:
    return held.placed.footing.doubt is None, held.placed.footing.consistent, held.repository


def _choice(placed: Placed) -> str:
    backup = placed.footing.backup
    if placed.forced:
        return f"{backup.id}: the one that was asked for"
    words = f"{backup.id}: the newest base backup that is consistent before the target and has unbroken WAL up to it"
    return words + (f" (newer, but not usable: {placed.passed_over})" if placed.passed_over else "")


def _refusals(
    reach: Reach,
    target: RecoveryTarget,
    missed: Sequence[tuple[int, Missed]],
    live_timeline: int | None,
    wording: Wording,
) -> tuple[Check, ...]:
    if not missed:
        finding = f"no base backup stands on timeline {target.timeline}"
        return (Check("timeline", "refuse", False, finding, "name another timeline with --timeline"),)
    return max(missed, key=lambda each: (each[1].near, *_rank(each[0], live_timeline)))[1].checks


def _ambiguous(
    groups: Mapping[object, Sequence[_Held]], live_timeline: int | None, wording: Wording, target: RecoveryTarget
) -> Check:
    ways = sorted((_choose(group, live_timeline) for group in groups.values()), key=lambda each: each.line)
    told = "; ".join(f"{each.line} (kept until {_kept(each.point)})" for each in ways)
    first = max(ways, key=lambda each: _rank(each.line, live_timeline)).line
    return Check(
        "timeline",
        "refuse",
        False,
        f"{len(ways)} timelines hold this target: {told}",
        f"say which one is meant, for example: {wording.again(target, timeline=first)}",
    )


def _kept(point: RecoveryPoint) -> str:
    return f"{Wording.time(point.kept.at)}, xid {point.kept.xid}" if point.kept else f"LSN {format_lsn(point.gate)}"


def _checks(reach: Reach, target: RecoveryTarget, held: _Held, live_timeline: int | None) -> tuple[Check, ...]:
    """What can be said of a target that was found."""
    point, footing, history = held.point, held.placed.footing, reach.histories[held.repository]
    checks = [*held.placed.notes]
    if not any(check.name == "wal-gap" for check in checks):
        finding = f"{point.wal_segments} of {point.wal_segments} segments, none missing"
        checks.append(Check("wal-gap", "refuse", True, finding))
    consistent, gate = format_lsn(footing.consistent), format_lsn(point.gate)
    finding = f"{point.backup.id} is consistent at {consistent}, the target lies at {gate}"
    checks.append(Check("target-in-backup", "refuse", True, finding))
    rest = footing.stretch.cut(point.gate, END_OF_WAL)
    newest, behind = last_end(history, rest), count(history, rest)
    told = (
        f"{behind} commits follow, the last at {Wording.time(newest.at)}"
        if newest
        else "nothing follows it in the archive"
    )
    checks.append(Check("target-past-end", "refuse", True, f"the WAL reaches the target; {told}"))
    if live_timeline is not None and held.line != live_timeline:
        finding = f"the target lies on timeline {held.line}; the live cluster is on timeline {live_timeline}"
        checks.append(
            Check("timeline", "warn", False, finding, "choose a target on the live timeline, or go on knowingly")
        )
    else:
        others = sorted(set(history.timelines()) - {point.timeline})
        tree = f"; others in the archive: {', '.join(map(str, others))}" if others else ""
        checks.append(Check("timeline", "warn", True, f"on timeline {point.timeline}{tree}"))
    return tuple(checks)
