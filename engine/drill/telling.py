"""How a drill stands, read from its folder; and its record minute by minute, with what its runs' journals tell."""

import shlex
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from msgspec.structs import replace

from engine.drill import folder as folders
from engine.drill.folder import Card, Marked, Result, Truth
from engine.drill.keeper import is_kept
from engine.lab.place import DONE
from engine.records.drills import DrillOutcome, DrillState, Minute
from engine.records.runs import RunState
from engine.run.folder import list_runs
from engine.run.journal import Entry

_HIDDEN = "It is not said which one it is."


def read_drill(folder: Path) -> DrillState:
    """How a drill stands now. Raises RepriseError where its folder is damaged."""
    card = folders.read_card(folder)
    result = folders.read(folder, folders.RESULT, Result)
    told = result is not None or not card.hidden
    truth = folders.read(folder, folders.TRUTH, Truth) if told else None
    record = folders.read_record(folder)
    marked = folders.read(folder, folders.MARKS, Marked)
    runs = list_runs(folder / folders.STATE)[0]
    called = card.called_at or datetime.now(UTC)
    solved_at = folders.solved_at(record)
    end = solved_at or (result.ended_at if result is not None else datetime.now(UTC))
    hints = [entry for entry in record if entry["kind"] == "hint"]
    cost = sum(int(entry["cost"]) for entry in hints)
    lab = Path(card.lab)
    minutes = tuple(sorted(_minutes(called, record, runs), key=lambda minute: minute.at))
    scenario = truth.named.scenario if truth is not None else None
    solved = marked is not None and marked.solved
    return DrillState(
        drill=folder.name,
        folder=str(folder),
        scenario=truth.named.name if truth is not None else None,
        title=scenario.title if scenario is not None else None,
        briefing=card.briefing,
        outcome=cast(DrillOutcome, result.outcome) if result is not None else "solved" if solved else "open",
        score=max(0, marked.points - cost) if marked is not None else 0 if result is not None else None,
        of=card.of,
        limit_seconds=card.limit_seconds,
        seconds=max(0.0, (end - called).total_seconds()),
        called_at=card.called_at,
        ended_at=result.ended_at if result is not None else None,
        marks=_shown(card, marked, told),
        hints=tuple(str(entry["text"]) for entry in hints),
        hints_cost=cost,
        hints_left=max(0, card.hints - len(hints)),
        site=str(lab / "site.toml"),
        state=str(folder / folders.STATE),
        command=shlex.join(["reprise", "--site", str(lab / "site.toml"), "--state", str(folder / folders.STATE)]),
        running=result is None and is_kept(folder) and (lab / DONE).exists(),
        minutes=minutes,
        debriefing=scenario.debriefing if scenario is not None and result is not None else None,
        found_seconds=_first(minutes, "restore begun"),
        readable_seconds=_first(minutes, "can be read"),
        rpo_seconds=marked.rpo_seconds if marked is not None else None,
        lost=marked.lost if marked is not None else None,
        rto_seconds=(solved_at - called).total_seconds() if solved_at is not None else None,
        problem=None if result is None or result.why == "it was ended" else result.why,
    )


def _shown(card: Card, marked: Marked | None, told: bool) -> Any:
    """The marks; their names and findings would tell which one it is."""
    if marked is None or told:
        return marked.marks if marked is not None else ()
    return tuple(replace(mark, name=f"mark {n}", told=_HIDDEN, check="") for n, mark in enumerate(marked.marks, 1))


def _first(minutes: tuple[Minute, ...], words: str) -> float | None:
    told = (minute for minute in minutes if minute.who == "engine" and minute.seconds >= 0)
    return next((minute.seconds for minute in told if words in minute.what), None)


def _minutes(called: datetime, record: list[Entry], runs: list[RunState]) -> Iterator[Minute]:
    for entry in record:
        at, what = _at(entry), _what(entry)
        if what is not None:
            yield Minute(at, (at - called).total_seconds(), *what)
    for run in runs:
        for at, said in _of_run(run):
            yield Minute(at, (at - called).total_seconds(), "engine", said)


def _at(entry: Entry) -> datetime:
    return datetime.fromisoformat(entry["at"])


def _what(entry: Entry) -> tuple[str, str] | None:
    match entry["kind"]:
        case "called":
            return "drill", "the call"
        case "hint":
            return "operator", f"asked for a hint (-{entry['cost']})"
        case "checked":
            return "operator", f"checked: {entry['points']} points, {'solved' if entry['solved'] else 'not solved'}"
        case "solved":
            return "drill", "solved"
        case "ended":
            return "drill", f"ended, {entry['outcome']}: {entry['why']}"
        case "away":
            return "drill", "the repository went away"
        case "back":
            return "drill", "the repository is back"
        case "command":
            return "operator", str(entry["line"])
        case "answered":
            return "engine", f"exit code {entry['code']}: {entry['said']}"
    return None


def _of_run(run: RunState) -> Iterator[tuple[datetime, str]]:
    yield run.started_at, f"{'restore' if run.plan.copying is None else 'a copy'} begun: {run.run}"
    for step in run.steps:
        if step.started_at is None:
            continue
        ended = step.started_at + timedelta(seconds=step.seconds or 0)
        match step.kind, step.outcome:
            case "gate", _:
                yield step.started_at, "the copy stands at its gate and can be read"
            case "promote", "done":
                yield ended, "the copy is open and can be read"
            case "switch-over", "done":
                yield ended, step.title
            case "open", "done":
                yield ended, "production is open and can be read"
    if run.finished_at is not None:
        yield run.finished_at, f"{run.outcome}: {run.run}"
