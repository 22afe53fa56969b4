"""Where a target lies on one line, and which backup reaches it there.

The gate is the start of the first record that is not replayed: behind the record that is meant (inclusive), or in front
of it (exclusive).
"""

import difflib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct

from engine.records.copies import RestorePoint
from engine.records.history import TransactionEnd
from engine.records.lsn import Lsn, format_lsn
from engine.records.plan import Check
from engine.records.target import RecoveryTarget
from engine.recovery.lines import END_OF_WAL, Stretch, stretch_holding
from engine.recovery.points import COMMITS
from engine.recovery.reach import Footing, Reach, count, first_end, last_end, nearest
from engine.recovery.wording import Wording

TIMED = (*COMMITS, "abort", "abort prepared")  # what PostgreSQL's time rule looks at


class Placed(Struct, frozen=True):
    """A target's gate on a line, and the backup that reaches it."""

    gate: Lsn
    footing: Footing
    notes: tuple[Check, ...] = ()
    forced: bool = False
    passed_over: str = ""


class Missed(Struct, frozen=True):
    """A line does not hold the target, or it cannot be reached there. ``near``: how much the reason is worth telling
    where several lines have one."""

    checks: tuple[Check, ...]
    near: int = 1


class _Quest(Struct, frozen=True):
    """One target on one line."""

    reach: Reach
    repository: str
    line: int
    target: RecoveryTarget
    wording: Wording

    @property
    def footings(self) -> list[Footing]:
        found = self.reach.footings(self.repository, self.line)
        return [footing for footing in found if self.target.backup in (None, footing.backup.id)]

    @property
    def named_line(self) -> int | None:
        """The timeline, where a command must name it to be exact."""
        several = len(self.reach.timelines(self.repository)) > 1
        return self.line if several else self.target.timeline


def place(reach: Reach, repository: str, line: int, target: RecoveryTarget, wording: Wording) -> Placed | Missed:
    """Where the target lies on this line."""
    quest = _Quest(reach, repository, line, target, wording)
    if not quest.footings:
        return _no_footing(quest)
    if target.kind == "time":
        assert target.time is not None
        return _time(quest, target.time)
    if target.kind == "lsn":
        assert target.lsn is not None
        return _lsn(quest, target.lsn)
    if target.kind == "xid":
        assert target.xid is not None
        return _xid(quest, target.xid)
    if target.kind == "name":
        assert target.name is not None
        return _name(quest, target.name)
    newest = quest.footings[-1]
    return _latest(quest, newest) if target.kind == "latest" else _placed(quest, newest, newest.consistent)


def _placed(quest: _Quest, footing: Footing, gate: Lsn, *notes: Check) -> Placed:
    """The target at its gate, from this backup; from another one that reaches it where this one is in doubt."""
    reach = quest.reach
    if footing.doubt is not None:
        footing = reach.newest_footing(quest.repository, quest.line, gate, backup=quest.target.backup) or footing
    stop = footing.backup.stop_lsn or 0
    doubts = {each.backup.id: each.doubt for each in reach.footings(quest.repository, quest.line)}
    passed_over = []
    for backup in reach.on_line(quest.repository, quest.line):
        if quest.target.backup is None and stop < (backup.stop_lsn or 0) <= gate:
            why, doubt = reach.why_no_footing(quest.repository, quest.line, backup), doubts.get(backup.id)
            if why is not None:
                passed_over.append(f"{backup.id}: {why}")
            elif backup.doubt is not None:
                passed_over.append(f"{backup.id}: {backup.doubt}")
            elif doubt is not None:
                passed_over.append(f"{backup.id} needs {doubt}")
    return Placed(gate, footing, notes, quest.target.backup is not None, "; ".join(passed_over))


def _no_footing(quest: _Quest) -> Missed:
    backup = quest.reach.backup(quest.target.backup) if quest.target.backup else None
    if backup is None:
        finding = f"no usable base backup stands on timeline {quest.line}"
        return Missed((_refuse("timeline", finding, "choose another timeline with --timeline"),), 0)
    why = quest.reach.why_no_footing(quest.repository, quest.line, backup) or "unknown"
    if "descend" in why:
        remedy = "leave out --timeline, or name another backup"
        return Missed((_refuse("timeline", f"backup {backup.id}: {why}", remedy),), 0)
    remedy = "leave out --backup: the newest usable backup is then chosen"
    return Missed((_refuse("wal-gap", f"backup {backup.id}: {why}", remedy),))


def _refuse(name: str, finding: str, remedy: str) -> Check:
    return Check(name, "refuse", False, finding, remedy)


# Time


def _time(quest: _Quest, at: datetime) -> Placed | Missed:
    """From the newest backup on: replay from it ends before the first commit or abort later than ``at`` (not earlier,
    if exclusive). A backup that already holds one later than ``at`` is passed over for an older one."""
    for footing in reversed(quest.footings):
        gate = _gate_of_time(quest, footing, at)
        if gate == "past":
            return _past(quest, footing, f"{Wording.time(at)} lies")
        if gate != "before":
            return _placed(quest, footing, gate, *_clock(quest, footing, gate, at))
    return _in_backup(quest, f"{Wording.time(at)} lies")


def _gate_of_time(quest: _Quest, footing: Footing, at: datetime) -> Lsn | Literal["before", "past"]:
    history, exclusive = quest.reach.histories[quest.repository], quest.target.exclusive
    found = first_end(history, footing.stretch.pieces, after=at, inclusive=exclusive)
    if found is not None and found.lsn < footing.consistent:
        return "before"
    edge = found.lsn if found is not None else END_OF_WAL
    previous = nearest(history, footing.whole.cut(0, edge), TIMED, backwards=True)
    if previous is not None and (previous.at >= at if exclusive else previous.at > at):
        return "before"
    if previous is None and not _begun_before(footing, at):
        return "before"
    if found is not None:
        return found.lsn
    last = last_end(history, footing.stretch.pieces)
    if last is None or at > last.at:
        return "past"
    return max(last.end_lsn, footing.consistent)


def _begun_before(footing: Footing, at: datetime) -> bool:
    """Whether the backup was surely begun by then. Only asked where the WAL knows no transaction end before it: its
    own time is in whole seconds, so one second more."""
    begun = footing.backup.started_at
    return begun is not None and begun + timedelta(seconds=1) <= at


def _clock(quest: _Quest, footing: Footing, gate: Lsn, at: datetime) -> list[Check]:
    """Whether commit times jump back around the gate, so that "before this time" is not one place in the WAL."""
    history = quest.reach.histories[quest.repository]
    later = [end for piece in footing.stretch.cut(gate, END_OF_WAL)[:1] for end in history.ends(piece, limit=1000)]
    strays = [end for end in later if end.kind in TIMED and (end.at < at if quest.target.exclusive else end.at <= at)]
    if not strays:
        return [Check("clock", "warn", True, "times rise through the transaction ends behind the target")]
    finding = (
        f"times jump back: {len(strays)} of the next {len(later)} transaction ends bear a time up to the target and "
        f"are not kept, the first is xid {strays[0].xid} at {Wording.time(strays[0].at)}"
    )
    remedy = f"to keep them too: {quest.wording.at_lsn(strays[-1].lsn, quest.target, quest.named_line)}"
    return [Check("clock", "warn", False, finding, remedy)]


# LSN, transaction, name


def _lsn(quest: _Quest, lsn: Lsn) -> Placed | Missed:
    stretches = quest.reach.unbroken(quest.repository, quest.line)
    stretch = stretch_holding(stretches, lsn)
    said = f"LSN {format_lsn(lsn)} lies"
    if stretch is None:
        below = [footing for footing in quest.footings if footing.stretch.end <= lsn]
        return _past(quest, below[-1], said) if below else _in_backup(quest, said)
    piece = stretch.piece_at(lsn)
    at, after = quest.reach.histories[quest.repository].records_around(piece.timeline, lsn) if piece else (None, None)
    if at is None or at.lsn != lsn:
        neighbours = [format_lsn(record.lsn) for record in (at, after) if record is not None]
        finding = f"no record of timeline {quest.line} starts at {format_lsn(lsn)}; the nearest start at " + (
            " and ".join(neighbours) or "no known LSN"
        )
        near = [record for record in (at, after) if record is not None]
        works = [record.lsn for record in near if isinstance(_at_gate(quest, record.end_lsn, said), Placed)]
        remedy = quest.wording.at_lsn(works[0], quest.target, quest.named_line) if works else "name another LSN"
        return Missed((_refuse("target-lsn", finding, remedy),))
    return _at_gate(quest, at.lsn if quest.target.exclusive else at.end_lsn, said)


def _xid(quest: _Quest, xid: int) -> Placed | Missed:
    history = quest.reach.histories[quest.repository]
    for stretch in reversed(quest.reach.unbroken(quest.repository, quest.line)):
        for piece in reversed(stretch.pieces):
            end = history.find_xid(piece, xid)
            if end is None:
                continue
            notes = []
            if end.xid != xid:
                finding = (
                    f"{xid} is a subtransaction of {end.xid}, whose {end.kind} at {format_lsn(end.lsn)} is the target"
                )
                notes.append(Check("target-subtransaction", "refuse", True, finding))
            gate = end.lsn if quest.target.exclusive else end.end_lsn
            return _at_gate(quest, gate, f"the {end.kind} of transaction {end.xid} lies", *notes)
    finding = f"transaction {xid} neither commits nor aborts in the WAL of timeline {quest.line}"
    return Missed((_refuse("target-xid", finding, "name another transaction, or a time"),), 0)


def _name(quest: _Quest, name: str) -> Placed | Missed:
    history = quest.reach.histories[quest.repository]
    stretches = quest.reach.unbroken(quest.repository, quest.line)
    points = [point for each in stretches for piece in each.pieces for point in history.restore_points(piece)]
    named = [point for point in points if point.name == name]
    if not named:
        known = list(dict.fromkeys(point.name for point in reversed(points)))
        close = difflib.get_close_matches(name, known, 3) or known[:3]
        remedy = f"--name one of: {', '.join(close)}" if close else "no restore point is in the WAL; name a time"
        return Missed((_refuse("target-name", f"no restore point is named {name!r}", remedy),), 0)
    return _at_gate(quest, named[-1].end_lsn, f"restore point {name!r} lies", _which(named))


def _which(named: Sequence[RestorePoint]) -> Check:
    *earlier, last = [f"{Wording.time(point.at)} at {format_lsn(point.lsn)}" for point in named]
    told = f"; earlier ones of this name: {', '.join(earlier)}" if earlier else ""
    return Check("target-name", "info", True, f"restore point {named[-1].name!r}, {last}{told}")


def _at_gate(quest: _Quest, gate: Lsn, said: str, *notes: Check) -> Placed | Missed:
    footing = quest.reach.newest_footing(quest.repository, quest.line, gate, backup=quest.target.backup)
    if footing is not None:
        return _placed(quest, footing, gate, *notes)
    earlier = [each for each in quest.footings if each.consistent <= gate]
    return _past(quest, earlier[-1], said, *notes) if earlier else _in_backup(quest, said, *notes)


# The end of the WAL


def _latest(quest: _Quest, footing: Footing) -> Placed | Missed:
    history, stretch = quest.reach.histories[quest.repository], footing.stretch
    last = last_end(history, stretch.cut(footing.consistent, END_OF_WAL))
    gate = last.end_lsn if last else footing.consistent
    if stretch.ended_by == "archive end":
        return _placed(quest, footing, gate)
    beyond = _beyond(quest, stretch)
    if quest.target.accept_gap:
        finding = f"accepted: {stretch.why_it_ends}; {beyond}"
        return _placed(quest, footing, gate, Check(_break_name(stretch), "refuse", True, finding))
    finding = f"{stretch.why_it_ends}; {beyond}; the unbroken WAL ends {_end_words(last, footing)}"
    remedy = "bring the missing WAL back, or: " + quest.wording.say(
        "--latest --accept-gap", timeline=quest.target.timeline, backup=quest.target.backup
    )
    return Missed((_refuse(_break_name(stretch), finding, remedy),))


def _break_name(stretch: Stretch) -> str:
    return "wal-corrupt" if stretch.ended_by == "damage" else "wal-gap"


def _beyond(quest: _Quest, stretch: Stretch) -> str:
    history = quest.reach.histories[quest.repository]
    behind = [each for each in quest.reach.unbroken(quest.repository, quest.line) if each.low >= stretch.end]
    pieces = [piece for each in behind for piece in each.pieces]
    last = last_end(history, pieces)
    if last is None:
        return "no transaction end is readable beyond"
    return f"{count(history, pieces)} commits lie beyond, the last end at {Wording.time(last.at)}"


def _end_words(last: TransactionEnd | None, footing: Footing) -> str:
    if last is None:
        return f"with backup {footing.backup.id} itself, at {format_lsn(footing.consistent)}"
    return f"at {Wording.time(last.at)}, xid {last.xid}, LSN {format_lsn(last.lsn)}"


def _past(quest: _Quest, footing: Footing, said: str, *notes: Check) -> Missed:
    """The target lies behind the unbroken WAL of the newest backup before it."""
    history, stretch = quest.reach.histories[quest.repository], footing.stretch
    last = last_end(history, stretch.cut(footing.consistent, END_OF_WAL))
    if stretch.ended_by == "archive end":
        name, finding = (
            "target-past-end",
            f"{said} behind the last reachable transaction end, {_end_words(last, footing)}",
        )
        if last is None:
            finding = f"{said} behind the end of the WAL; no transaction ends behind backup {footing.backup.id}"
    else:
        name = _break_name(stretch)
        finding = f"{said} behind a break: {stretch.why_it_ends}; the unbroken WAL ends {_end_words(last, footing)}"
    return Missed((*notes, _refuse(name, finding, _last_reachable(quest, footing, last))))


def _last_reachable(quest: _Quest, footing: Footing, last: TransactionEnd | None) -> str:
    """The command that reaches the last transaction end in front of the break, in the words of the target."""
    line, target = quest.named_line, quest.target
    if last is None:
        return quest.wording.say("--immediate", timeline=line, backup=footing.backup.id)
    if target.kind != "time" or last.kind == "prepare":
        return quest.wording.at_lsn(last.lsn, target, line)
    history = quest.reach.histories[quest.repository]
    last_one = _Quest(quest.reach, quest.repository, quest.line, RecoveryTarget("time", time=last.at), quest.wording)
    exact = first_end(history, footing.stretch.pieces, after=last.at) is None
    exact = exact and _gate_of_time(last_one, footing, last.at) == last.end_lsn
    return quest.wording.at_time(last.at, target, line) if exact else quest.wording.at_lsn(last.lsn, target, line)


def _in_backup(quest: _Quest, said: str, *notes: Check) -> Missed:
    """The target lies before the first backup that could be used is consistent."""
    first, line = quest.footings[0], quest.named_line
    words = f"{said} before backup {first.backup.id} is consistent, at {format_lsn(first.consistent)}"
    if quest.target.backup is not None:
        free = _Quest(quest.reach, quest.repository, quest.line, _without_backup(quest.target), quest.wording)
        placed = place(free.reach, free.repository, free.line, free.target, free.wording)
        if isinstance(placed, Placed):
            remedy = quest.wording.again(free.target, timeline=line)
            return Missed(
                (*notes, _refuse("target-in-backup", f"{words}; {placed.footing.backup.id} reaches it", remedy))
            )
    history = quest.reach.histories[quest.repository]
    after = first_end(history, first.stretch.cut(first.consistent, END_OF_WAL))
    told = f"; the first transaction end behind it is at {Wording.time(after.at)}" if after else ""
    remedy = quest.wording.say("--immediate", timeline=line, backup=first.backup.id)
    finding = f"{words}{told}; no older base backup reaches it"
    return Missed((*notes, _refuse("target-in-backup", finding, f"the earliest reachable moment: {remedy}")))


def _without_backup(target: RecoveryTarget) -> RecoveryTarget:
    return RecoveryTarget(
        target.kind,
        target.time,
        target.lsn,
        target.xid,
        target.name,
        target.exclusive,
        None,
        target.timeline,
        target.accept_gap,
    )
