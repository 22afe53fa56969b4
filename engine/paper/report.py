"""The report of a run: what was restored, to where, what was reached and how that is known, what it took and lost, who
did it with which versions, and by what an auditor recognizes the run's journal."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import humanize
from msgspec import Struct

from engine.paper.blocks import Block, Code, Commands, Heading, Line, Page, Paragraph, Points, Strong, Table
from engine.paper.measures import measured, past
from engine.records.files import not_right
from engine.records.history import TransactionEnd
from engine.records.lsn import format_lsn
from engine.records.plan import Check, Plan
from engine.records.recoveries import Objectives, Recovery
from engine.records.rows import told_rows
from engine.records.runs import Deed, RunState
from engine.records.target import RecoveryPoint


class JournalDigest(Struct, frozen=True):
    """The SHA-256 (hexadecimal) of the first ``bytes`` of a run's journal: all that was in it when the report was made.
    What comes later is only ever appended."""

    bytes: int
    sha256: str


def report_page(
    state: RunState,
    facts: Mapping[str, Any],
    digest: JournalDigest,
    objectives: Objectives,
    at: datetime,
    recoveries: Sequence[Recovery] = (),
) -> Page:
    """``at``: now; ``facts`` are what the run's steps found out; ``recoveries`` the last ones."""
    plan = state.plan
    blocks: list[Block] = [
        Paragraph(("Site ", Strong(plan.site), f", {_what(plan)}: ", Code(plan.destination.path))),
        Points(_summary(state)),
    ]
    if state.error is not None:
        blocks += [Heading("What went wrong"), Paragraph(state.error.message)]
        why = (("cause", state.error.cause), ("remedy", state.error.remedy))
        if told := [f"{name}: {text}" for name, text in why if text]:
            blocks.append(Points(told))
    if plan.copying is None:
        blocks += measured(state, objectives)
    blocks += _files(facts.get("files"), state)
    blocks += _steps(state)
    blocks += _checks("Checks of the result", state.checks)
    blocks += _checks("Checks before the start", [check for check in plan.checks if check.ok is not True])
    blocks += _left(state, facts)
    blocks += _who(state.deeds)
    if plan.copying is None:
        blocks += past(recoveries, objectives)
    blocks += _evidence(state, digest, at)
    return Page(f"Run {state.run}: {state.outcome}", blocks)


def _what(plan: Plan) -> str:
    if plan.copying is not None:
        return f"a copy ({plan.copying.kind}) taken into"
    if plan.loading is not None:
        return f"the dump {plan.loading.dump} restored into the database"
    if plan.destination.kind == "files":
        return "users' files brought back into"
    return f"restored {'in place' if plan.destination.kind == 'in-place' else 'as a side copy'}"


def _summary(state: RunState) -> list[Line]:
    lines: list[Line] = [f"started {_time(state.started_at)}, ended {_time(state.finished_at)}"]
    if state.point is not None:
        lines += _point(state.point)
    if state.plan.copying is not None:
        lines.append(_taken(state))
    elif state.plan.point is not None:
        lines.append(_reached(state))
    if state.plan.proof is not None:
        lines.append(f"a proof drill: the copy is made to be looked through and thrown away{_limits(state.plan)}")
    if state.data_dir:
        lines.append(("data directory ", Code(state.data_dir)))
    if state.host and state.outcome == "completed":
        lines.append(("reachable at ", Code(state.host), f" port {state.port}"))
    return lines


def _limits(plan: Plan) -> str:
    """What a run kept to: without that a recovery in earnest may be faster."""
    limits = plan.limits
    if limits is None:
        return ""
    told = [f"nice {limits.nice}", *(["idle I/O"] if limits.idle_io else [])]
    if limits.bytes_per_second is not None:
        told.append(f"{humanize.naturalsize(limits.bytes_per_second)}/s at most")
    return f" ({', '.join(told)})"


def _taken(state: RunState) -> Line:
    taken = state.taken
    if taken is None:
        return "nothing that counts as a copy was made"
    size = humanize.naturalsize(taken.size_bytes, binary=True) if taken.size_bytes is not None else "unknown size"
    return "copy ", Code(taken.path), f", {size}, from {_time(taken.started_at)} to {_time(taken.stopped_at)}"


def _point(point: RecoveryPoint) -> list[Line]:
    chosen = f" ({point.backup.repository})" + (f", {point.choice}" if point.choice else "")
    wal = f"WAL {point.wal_first} to {point.wal_last}, {point.wal_segments} segments"
    return [
        ("base backup ", Code(point.backup.id), chosen),
        wal if point.wal_first else "no WAL needed",
        f"target: {point.target.kind}, resolved to {format_lsn(point.gate)} on timeline {point.timeline}",
        f"kept up to: {_end(point.kept)}",
        f"lost from: {_end(point.lost)}; {point.lost_commits} commits",
    ]


def _reached(state: RunState) -> Line:
    reached = state.reached
    if reached is None:
        return "reached: nothing yet"
    timeline = f"timeline {reached.timeline}"
    if reached.new_timeline is not None:
        timeline += f", new timeline {reached.new_timeline}"
    last = f"last commit {_time(reached.last_commit_at)}" if reached.last_commit_at else "no commit replayed"
    return (
        f"reached: {format_lsn(reached.lsn)}, {timeline}, {last}, ",
        Strong("proven" if reached.proven else "not proven"),
        f": {reached.finding}" if reached.finding else "",
        "; taken back since" if state.outcome == "rolled-back" else "",
    )


def _steps(state: RunState) -> list[Block]:
    rows = []
    for step in state.steps:
        seconds = "" if step.seconds is None else f"{step.seconds:.1f} s"
        size = humanize.naturalsize(step.bytes, binary=True) if step.bytes else ""
        rows.append((step.title, step.outcome, seconds, size))
    return [Heading("Steps"), Table(("step", "how it stands", "time", "size"), rows, frozenset({2, 3}))]


def _checks(title: str, checks: Sequence[Check]) -> list[Block]:
    if not checks:
        return []
    answers: dict[bool | None, str | Strong] = {True: "ok", False: Strong("no"), None: "not decided"}
    told: list[Line] = [
        (
            Code(check.name),
            " ",
            answers[check.ok],
            f": {check.finding}" + (f" — {check.remedy}" if check.remedy else ""),
        )
        for check in checks
    ]
    return [Heading(title), Points(told)]


def _files(files: Mapping[str, Any] | None, state: RunState) -> list[Block]:
    """What came of the users' files, as the step told it; before they are copied and moved: what will."""
    if not files:
        return []
    size = humanize.naturalsize(files["bytes"], binary=True)
    copied, moved = (("" if state.has_done(kind) else "to be ") for kind in ("copy-files", "swap-files"))
    were = "are" if copied else "were"
    lines: list[Line | Points] = [f"{files['copied']} {copied}copied, {size}; {files['kept']} {were} right already"]
    out = f", {humanize.naturalsize(files['out_bytes'], binary=True)}" if "out_bytes" in files else ""
    for name, told in (
        ("wrong", f"live ones {were} wrong"),
        ("out", f"{moved}moved out{out}"),
        ("orphans", "not asked for, left as they are"),
    ):
        if files.get(name):
            lines.append(f"{files[name]} {told}")
    if amiss := not_right(files):
        lines.append((Strong(f"{amiss} missing or wrong when they were checked last"), ":"))
        lines.append(Points([(Code(each["path"]), f": {each['why']}") for each in files["check"]["sample"]]))
    if files["unrecoverable"]:
        lines.append((Strong(f"{files['unrecoverable']} cannot be brought back"), ":"))
        sample = files["unrecoverable_sample"]
        points: list[Line] = [(Code(each["path"]), f": {each['why']}, {_rows(each)}") for each in sample]
        if note := files.get("unrecoverable_note"):
            points.append(note)
        if (more := files["unrecoverable"] - len(sample)) > 0:
            points.append((f"and {more} more: ", Code(f"reprise files lost {state.run}")))
        lines.append(Points(points))
    return [Heading("Users' files"), Points([*lines, *files["findings"]])]


def _rows(lost: Mapping[str, Any]) -> str:
    """How many rows refer to a lost file, and which."""
    count = lost["rows"]
    told = told_rows(lost.get("row_samples", ()), count)
    return f"{count} row{'s' if count != 1 else ''}" + (f": {told}" if told else "")


def _left(state: RunState, facts: Mapping[str, Any]) -> list[Block]:
    """What stays, and what is left to the operator."""
    blocks: list[Block] = []
    if facts.get("set_aside") and state.outcome not in ("rolled-back", "discarded"):
        blocks += [Heading("What was set aside"), Points([Code(path) for path in facts["set_aside"]])]
        discard, rollback = Code(f"reprise discard {state.run}"), Code(f"reprise rollback {state.run}")
        blocks.append(Paragraph(("It stays until you type: ", discard)))
        blocks.append(Paragraph(("Until then ", rollback, " brings it back.")))
    if state.outcome == "rolled-back" and "discard" in state.answers:
        what = "What was brought back" if state.plan.files is not None else "The recovered cluster"
        kept, discard = Code(_copy(state)), Code(f"reprise discard {state.run}")
        blocks.append(Paragraph((f"{what} was open to others and is kept in ", kept, " until you type: ", discard)))
    by_hand = facts.get("by_hand")
    if by_hand and state.outcome == "completed":
        blocks += [Heading("To be done by hand"), Points(by_hand)]
    return blocks


def _copy(state: RunState) -> str:
    if state.plan.files is not None:
        return state.plan.files.building
    return state.plan.layout.data_dir if state.plan.layout else ""


def _who(deeds: Sequence[Deed]) -> list[Block]:
    """What people did with the run: who it was, as far as the system tells, and with what."""
    if not deeds:
        return []
    rows = []
    for deed in deeds:
        by = deed.operator
        told = [] if by is None else [("as", by.user), ("logged in as", by.login), ("by sudo from", by.sudo_user)]
        who = ", ".join(f"{name} {value}" for name, value in told if value) or "not known"
        rows.append((_time(deed.at), deed.act, who, (by.ssh_client if by else None) or "not known: no ssh session"))
    blocks: list[Block] = [
        Heading("Who"),
        Table(("when", "what", "who, as far as the system tells", "from"), rows),
    ]
    versions = {f"{name} {version}": None for deed in deeds for name, version in deed.versions.items()}
    if versions:
        blocks += [Heading("Versions"), Points(list(versions))]
    return blocks


def _evidence(state: RunState, digest: JournalDigest, at: datetime) -> list[Block]:
    told = f"The first {digest.bytes} bytes of the run's journal, which is all that it held when this report was made, "
    return [
        Heading("Evidence"),
        Paragraph((told, "have the SHA-256 ", Code(digest.sha256), ". In ", Code(state.folder), ":")),
        Commands(f"head -c {digest.bytes} journal.jsonl | sha256sum"),
        Paragraph(f"This report was made {_time(at)}. All times are UTC."),
    ]


def _end(end: TransactionEnd | None) -> str:
    return f"{end.kind} of transaction {end.xid} at {_time(end.at)} ({format_lsn(end.lsn)})" if end else "nothing"


def _time(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S.%f}Z" if at else "unknown"
