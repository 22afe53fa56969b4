"""The documents for people, as plain lines: what a monitor's log, a dumb terminal or a careful reader wants."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from shlex import quote
from typing import Any
from zoneinfo import ZoneInfo

from humanize import naturalsize, precisedelta

from engine.cli.printing import say
from engine.records.copies import Problem
from engine.records.files import not_right
from engine.records.history import TransactionEnd
from engine.records.lsn import format_lsn
from engine.records.plan import Check, Plan, ProofDrill
from engine.records.rows import told_rows
from engine.records.runs import RunState
from engine.records.target import RecoveryWindow

_LOST = 20  # files that nobody has, by name
SIGNS = {"ok": "+", "warn": "!", "bad": "X", "info": " "}


def size(count: int | None) -> str:
    return "unknown" if count is None else naturalsize(count, binary=True, format="%.1f")


def duration(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    if seconds < 1:
        return f"{seconds:.1f} s"
    return precisedelta(int(seconds), minimum_unit="seconds", format="%d")


def moment(at: datetime | None, zone: ZoneInfo) -> str:
    return at.astimezone(zone).strftime("%a %d %b %Y %H:%M:%S.%f %Z")[:-4] if at else "unknown"


def stamp(at: datetime | None, zone: ZoneInfo) -> str:
    return at.astimezone(zone).strftime("%d %b %Y %H:%M:%S %Z") if at else "unknown"


def _end(end: TransactionEnd | None, zone: ZoneInfo) -> str:
    return f"{moment(end.at, zone)}  xid {end.xid}  {format_lsn(end.lsn)}" if end else "none"


def windows(found: Iterable[RecoveryWindow], zone: ZoneInfo) -> None:
    for each in found:
        say(f"timeline {each.timeline}  {moment(each.from_at, zone)} – {moment(each.to_at, zone)}")
        say(
            f"   from {each.backup}, {each.segments} WAL segments, {size(each.bytes)}"
            + (f", ends: {each.ended_by}" if each.ended_by else "")
        )


def plan(planned: Plan, zone: ZoneInfo) -> None:
    point = planned.point
    if point is not None:
        say(f"restore     to {format_lsn(point.gate)} on timeline {point.timeline}, from backup {point.backup.id}")
        if point.choice:
            say(f"            {point.choice}")
        say(f"last kept   {_end(point.kept, zone)}")
        say(f"first lost  {_end(point.lost, zone)}")
        say(f"loses       {point.lost_commits} commits that the repository holds")
        if point.wal_first is not None:
            many = "1 segment" if point.wal_segments == 1 else f"{point.wal_segments} segments"
            say(f"WAL         {point.wal_first} to {point.wal_last}, {many}, {size(point.wal_bytes)}")
        if planned.files is None and point.media:
            say(f"media       {', '.join(each.id for each in point.media)}")
    if planned.files is not None:
        at = moment(planned.files.moment, zone) if planned.files.moment else "as the newest or named snapshot has them"
        say(f"files       {at}")
        say(f"from        {', '.join(each.id for each in planned.files.snapshots) or 'no snapshot'}")
    kinds = {"in-place": "in place", "side-copy": "into a side copy", "database": "into the database", "files": "files"}
    where = kinds.get(planned.destination.kind, planned.destination.kind)
    say(f"where       {where}, {planned.destination.path}")
    say()
    say("checks")
    for each in planned.checks:
        _check(each)
    if planned.steps:
        say()
        say("steps")
        for number, step in enumerate(planned.steps, 1):
            say(f" {number:>2} {step.title:<58} {size(step.bytes) if step.bytes else '':>12}")
    say(f"    {_estimate(planned)}")
    if planned.refused:
        say()
        say(f"{SIGNS['bad']} Cannot start: a check refuses. Nothing was changed.")


def _estimate(planned: Plan) -> str:
    found = planned.estimate
    if found is None:
        within = "" if planned.limits is None else " within these limits"
        return f"how long it takes is not known yet: no run was measured on this machine{within}"
    runs = "1 run" if found.runs == 1 else f"{found.runs} runs"
    drilled = ", proof drills among them, which let others go first" if found.limited else ""
    between = f"{duration(found.low)} to {duration(found.high)}"
    return f"about {duration(found.likely)} ({between}), measured in {runs}{drilled}"


def copy_plan(planned: Plan) -> None:
    assert planned.copying is not None
    say(f"take        {planned.copying.path}")
    say()
    say("checks")
    for each in planned.checks:
        _check(each)
    if planned.refused:
        say()
        say(f"{SIGNS['bad']} Cannot start: a check refuses. Nothing was changed.")


def _check(each: Check) -> None:
    if each.ok:
        sign = SIGNS["ok"]
    elif each.level == "refuse":
        sign = SIGNS["bad"]
    else:
        sign = SIGNS["warn"] if each.level == "warn" else SIGNS["info"]
    say(f" {sign} {each.name:<20} {each.finding}")
    if each.ok is not True and each.remedy:
        say(f"   {'':<20} {each.remedy}")


def runs(found: Iterable[RunState], problems: Iterable[Problem], zone: ZoneInfo) -> None:
    for state in found:
        say(f"{state.run:<44} {state.outcome:<12} {stamp(state.started_at, zone)}  {state.plan.destination.path}")
    for problem in problems:
        say(f"{SIGNS['bad']} {problem.where}: {problem.what}")
        if problem.remedy:
            say(f"  {problem.remedy}")


def report(state: RunState, zone: ZoneInfo) -> None:
    say(f"{state.run}: {state.outcome}")
    for step in state.steps:
        took = duration(step.seconds) if step.seconds is not None else ""
        say(f"   {step.title:<58} {step.outcome:<9} {took}")
    if state.taken:
        say(f"copy        {state.taken.path}, {size(state.taken.size_bytes)}")
    if state.reached:
        proven = "proven" if state.reached.proven else "NOT PROVEN"
        proven += ", and taken back since" if state.outcome == "rolled-back" else ""
        say(f"reached     {format_lsn(state.reached.lsn)} on timeline {state.reached.timeline}, {proven}")
        say(f"            {state.reached.finding}")
        say(f"last commit {moment(state.reached.last_commit_at, zone)}")
    if state.plan.proof is not None:
        _proof(state, state.plan.proof)
    elif state.recovery and state.recovery.rto_seconds is not None:
        waited = f", and {duration(state.waited)} of waiting for answers" if state.waited >= 1 else ""
        say(f"back in     {duration(state.recovery.rto_seconds)}{waited}")
        lost = state.recovery.rpo_seconds
        say(f"lost        {'not known' if lost is None else f'{duration(lost)} of commits'}")
    if state.files:
        _files(state.files, state)
    for each in state.checks:
        if each.ok is not True:
            _check(each)
    if state.host and state.outcome not in ("rolled-back", "discarded"):
        database = f"psql -h {quote(state.host)} -p {state.port}"
        say(f"server      {database}   data directory {state.data_dir}")
    if state.error:
        say(f"error       {state.error.message}")
        for line in (state.error.cause, state.error.remedy):
            if line:
                say(f"            {line}")
    for note in state.notes:
        say(f"note        {note.get('text', note)}")
    if state.answers:
        say("now         " + ", ".join(f"reprise {answer} {state.run}" for answer in state.answers))


def _proof(state: RunState, proof: ProofDrill) -> None:
    """What a proof drill came to."""
    if state.told is not None and state.told.rto_seconds is not None:
        say(f"took        {duration(state.told.rto_seconds)} until it was open and checked, within its limits")
    say(f"would lose  {duration(proof.rpo_seconds)}: {proof.rpo_why}")


def _files(told: Mapping[str, Any], state: RunState) -> None:
    """What came of the users' files; before they are copied and moved: what will."""
    is_, were = ("copied", "were") if state.has_done("copy-files") else ("to be copied", "are")
    moved = state.has_done("swap-files")
    say(f"files       {told['copied']} {is_}, {size(told['bytes'])}; {told['kept']} {were} right already")
    for name, what in (
        ("wrong", f"live ones {were} wrong"),
        ("out", f"{'moved out: they came' if moved else 'to be moved out: they come'} after"),
        ("orphans", "not asked for, left as they are"),
    ):
        if told.get(name):
            bytes_ = f", {size(told['out_bytes'])}" if name == "out" and "out_bytes" in told else ""
            say(f"            {told[name]} {what}{bytes_}")
    if told.get("set_aside"):
        what = "the folder as it was" if told["place"] == "beside" else "what was replaced, or came after,"
        say(f"            {what} stands in {told['set_aside']}")
    for each in told["findings"]:
        say(f" {SIGNS['warn']} {each}")
    if amiss := not_right(told):
        say(f" {SIGNS['bad']} {amiss} missing or wrong when they were checked last:")
        for each in told["check"]["sample"][:_LOST]:
            say(f"      {each['path']}: {each['why']}")
    if told["unrecoverable"]:
        count = told["unrecoverable_rows"]
        rows = f" ({count} row{' refers' if count == 1 else 's refer'} to them)" if count else ""
        say(f" {SIGNS['bad']} {told['unrecoverable']} cannot be brought back{rows}:")
        for each in told["unrecoverable_sample"][:_LOST]:
            say(f"      {each['path']}: {each['why']}")
            if rows := told_rows(each.get("row_samples", ()), each["rows"]):
                say(f"        {rows}")
        if note := told.get("unrecoverable_note"):
            say(f"      {note}")
        if told["unrecoverable"] > _LOST:
            say(f"      and {told['unrecoverable'] - _LOST} more; all of them: reprise files lost {state.run}")
