"""The report of a run: ``report.json`` for programs, ``report.md`` for people. Written at every end of an engine."""

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import humanize

from engine.records.coding import to_json
from engine.records.history import TransactionEnd
from engine.records.lsn import format_lsn
from engine.records.plan import Check, Plan
from engine.records.runs import RunState
from engine.records.target import RecoveryPoint


def write_report(state: RunState, facts: Mapping[str, Any]) -> None:
    """Write both, atomically. Raises OSError."""
    folder = Path(state.folder)
    _write(folder / "report.json", to_json({"state": state, "facts": facts}, indent=2))
    _write(folder / "report.md", "\n".join(tell(state, facts)).encode("utf-8", "replace") + b"\n")


def _write(path: Path, data: bytes) -> None:
    building = path.with_name(path.name + ".new")
    with os.fdopen(os.open(building, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    building.replace(path)


def tell(state: RunState, facts: Mapping[str, Any]) -> list[str]:
    """The report as lines of Markdown."""
    plan = state.plan
    lines = [f"# Run {state.run}: {state.outcome}", ""]
    lines += [f"Site **{plan.site}**, {_what(plan)}: `{plan.destination.path}`", ""]
    lines += [f"- started {_time(state.started_at)}, ended {_time(state.finished_at)}"]
    if plan.point is not None:
        lines += _point(plan.point)
    if plan.copying is not None:
        lines += _taken(state)
    elif plan.point is not None:
        lines += _reached(state)
    lines += _proof(state)
    lines += files_told(facts.get("files"))
    if state.data_dir:
        lines += [f"- data directory `{state.data_dir}`"]
    if state.host and state.outcome == "completed":
        lines += [f"- reachable at `{state.host}` port {state.port}"]
    if state.error is not None:
        lines += ["", "## What went wrong", "", state.error.message]
        lines += [f"- cause: {state.error.cause}"] if state.error.cause else []
        lines += [f"- remedy: {state.error.remedy}"] if state.error.remedy else []
    lines += _steps(state)
    lines += _checks("Checks of the result", state.checks)
    lines += _checks("Checks before the start", [check for check in plan.checks if check.ok is not True])
    lines += _left(state, facts)
    return lines


def _what(plan: Plan) -> str:
    if plan.copying is not None:
        return f"a copy ({plan.copying.kind}) taken into"
    if plan.loading is not None:
        return f"the dump {plan.loading.dump} restored into the database"
    if plan.destination.kind == "files":
        return "users' files brought back into"
    return f"restored {'in place' if plan.destination.kind == 'in-place' else 'as a side copy'}"


def _taken(state: RunState) -> list[str]:
    taken = state.taken
    if taken is None:
        return ["- nothing that counts as a copy was made"]
    size = humanize.naturalsize(taken.size_bytes, binary=True) if taken.size_bytes is not None else "unknown size"
    return [f"- copy `{taken.path}`, {size}, from {_time(taken.started_at)} to {_time(taken.stopped_at)}"]


def _point(point: RecoveryPoint) -> list[str]:
    return [
        f"- base backup `{point.backup.id}` ({point.backup.repository})"
        + (f", {point.choice}" if point.choice else ""),
        f"- WAL {point.wal_first} to {point.wal_last}, {point.wal_segments} segments"
        if point.wal_first
        else "- no WAL needed",
        f"- target: {point.target.kind}, resolved to {format_lsn(point.gate)} on timeline {point.timeline}",
        f"- kept up to: {_end(point.kept)}",
        f"- lost from: {_end(point.lost)}; {point.lost_commits} commits",
    ]


def _reached(state: RunState) -> list[str]:
    reached = state.reached
    if reached is None:
        return ["- reached: nothing yet"]
    timeline = f"timeline {reached.timeline}"
    if reached.new_timeline is not None:
        timeline += f", new timeline {reached.new_timeline}"
    proven = "**proven**" if reached.proven else "**not proven**"
    last = f"last commit {_time(reached.last_commit_at)}" if reached.last_commit_at else "no commit replayed"
    return [
        f"- reached: {format_lsn(reached.lsn)}, {timeline}, {last}, {proven}"
        + (f": {reached.finding}" if reached.finding else "")
    ]


def _proof(state: RunState) -> list[str]:
    """What a proof drill came to: within its limits, so that a recovery in earnest may be faster."""
    proof, limits, told = state.plan.proof, state.plan.limits, state.told
    if proof is None:
        return []
    took = f"{told.rto_seconds:.1f} s" if told is not None and told.rto_seconds is not None else "not measured"
    lost = f"{proof.rpo_seconds:.1f} s" if proof.rpo_seconds is not None else "not known"
    kept_to = [f"nice {limits.nice}"] if limits is not None else []
    if limits is not None and limits.idle_io:
        kept_to.append("idle I/O")
    if limits is not None and limits.bytes_per_second is not None:
        kept_to.append(f"{humanize.naturalsize(limits.bytes_per_second)}/s at most")
    return [
        f"- a proof drill: the copy is made to be looked through and thrown away ({', '.join(kept_to)})",
        f"- until it was open and checked: {took}",
        f"- would have been lost, had the machine died when it was planned: {lost} ({proof.rpo_why})",
    ]


def _steps(state: RunState) -> list[str]:
    lines = ["", "## Steps", "", "| step | how it stands | time | size |", "| --- | --- | --- | --- |"]
    for step in state.steps:
        seconds = "" if step.seconds is None else f"{step.seconds:.1f} s"
        size = humanize.naturalsize(step.bytes, binary=True) if step.bytes else ""
        lines.append(f"| {_cell(step.title)} | {step.outcome} | {seconds} | {size} |")
    return lines


def _checks(title: str, checks: "tuple[Check, ...] | list[Check]") -> list[str]:
    if not checks:
        return []
    lines = ["", f"## {title}", ""]
    for check in checks:
        answer = {True: "ok", False: "**no**", None: "not decided"}[check.ok]
        lines.append(f"- `{check.name}` {answer}: {check.finding}" + (f" — {check.remedy}" if check.remedy else ""))
    return lines


def _left(state: RunState, facts: Mapping[str, Any]) -> list[str]:
    """What stays, and what is left to the operator."""
    lines: list[str] = []
    if facts.get("set_aside") and state.outcome not in ("rolled-back", "discarded"):
        lines += ["", "## What was set aside", ""]
        lines += [f"- `{path}`" for path in facts["set_aside"]]
        lines += ["", f"It stays until you type: `reprise discard {state.run}`"]
        lines += [f"Until then `reprise rollback {state.run}` brings it back."]
    if state.outcome == "rolled-back" and "discard" in state.answers:
        what = "What was brought back" if state.plan.files is not None else "The recovered cluster"
        lines += ["", f"{what} was open to others and is kept in `{_copy(state)}`"]
        lines += [f"until you type: `reprise discard {state.run}`"]
    by_hand = facts.get("by_hand")
    if by_hand and state.outcome == "completed":
        lines += ["", "## To be done by hand", ""] + [f"- {line}" for line in by_hand]
    return lines


def files_told(files: Mapping[str, Any] | None) -> list[str]:
    """What came of the users' files, as the step told it."""
    if not files:
        return []
    size = humanize.naturalsize(files["bytes"], binary=True)
    lines = ["", "## Users' files", "", f"- {files['copied']} copied, {size}; {files['kept']} were right already"]
    for name, told in (
        ("wrong", "live ones were wrong"),
        ("out", "moved out"),
        ("orphans", "not asked for, left as they are"),
    ):
        if files.get(name):
            lines.append(f"- {files[name]} {told}")
    if files["unrecoverable"]:
        lines.append(f"- **{files['unrecoverable']} cannot be brought back**:")
        lines += [f"  - `{each['path']}`: {each['why']}, {each['rows']} rows" for each in files["unrecoverable_sample"]]
    return lines + [f"- {each}" for each in files["findings"]]


def _copy(state: RunState) -> str:
    if state.plan.files is not None:
        return state.plan.files.building
    return state.plan.layout.data_dir if state.plan.layout else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _end(end: TransactionEnd | None) -> str:
    return f"{end.kind} of transaction {end.xid} at {_time(end.at)} ({format_lsn(end.lsn)})" if end else "nothing"


def _time(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S.%f}Z" if at else "unknown"
