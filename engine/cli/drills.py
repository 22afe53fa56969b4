"""The drills: as the documents of CONTRACT.md, and as plain lines."""

import sys
from collections.abc import Iterable
from datetime import UTC
from typing import TYPE_CHECKING

from engine.cli import documents
from engine.cli.documents import Document, time
from engine.cli.printing import say, say_lines
from engine.cli.telling import SIGNS, duration
from engine.records.copies import Problem
from engine.records.drills import DrillScenario, DrillState

if TYPE_CHECKING:
    from engine.acts import Learnt


def scenarios(found: Iterable[DrillScenario], problems: Iterable[Problem]) -> Document:
    return {"scenarios": [_scenario(each) for each in found], "problems": documents.list_problems(problems)}


def _scenario(each: DrillScenario) -> Document:
    return {
        "name": each.name,
        "title": each.title,
        "limit_seconds": each.limit_seconds,
        "of": each.of,
        "own": each.own,
        "played": each.played,
        "solved": each.solved,
        "best": each.best,
        "last": each.last,
    }


def document(drill: DrillState) -> Document:
    return {
        "drill": drill.drill,
        "scenario": drill.scenario,
        "outcome": drill.outcome,
        "score": drill.score,
        "seconds": round(drill.seconds, 3),
        "marks": [
            {
                "name": mark.name,
                "ok": mark.ok,
                "points": mark.points,
                "of": mark.of,
                "needed": mark.needed,
                "told": mark.told,
            }
            for mark in drill.marks
        ],
        "title": drill.title,
        "briefing": drill.briefing,
        "of": drill.of,
        "limit_seconds": drill.limit_seconds,
        "called_at": time(drill.called_at),
        "ended_at": time(drill.ended_at),
        "running": drill.running,
        "hints": list(drill.hints),
        "hints_cost": drill.hints_cost,
        "hints_left": drill.hints_left,
        "lab": {"site": drill.site, "state": drill.state},
        "command": drill.command,
        "record": [
            {"at": time(each.at), "seconds": round(each.seconds, 3), "who": each.who, "what": each.what}
            for each in drill.minutes
        ],
        "debriefing": drill.debriefing,
        "found_seconds": drill.found_seconds,
        "readable_seconds": drill.readable_seconds,
        "rpo_seconds": drill.rpo_seconds,
        "lost": drill.lost,
        "rto_seconds": drill.rto_seconds,
        "problem": drill.problem,
    }


def history(found: Iterable[DrillState], learnt: "Learnt") -> Document:
    return {"drills": [document(each) for each in found], **_learnt(learnt)}


def _learnt(learnt: "Learnt") -> Document:
    """What all recoveries took and lost, oldest first, and what was wanted of them."""
    return {
        "recoveries": [
            {
                "kind": each.kind,
                "at": time(each.at),
                "name": each.name,
                "ok": each.ok,
                "rto_seconds": each.rto_seconds,
                "rpo_seconds": each.rpo_seconds,
            }
            for each in learnt.recoveries
        ],
        "objectives": {
            "rto_seconds": learnt.objectives.rto_seconds,
            "rpo_seconds": learnt.objectives.rpo_seconds,
        },
    }


def tell_scenarios(found: Iterable[DrillScenario], problems: Iterable[Problem]) -> None:
    for each in found:
        past = f"best {each.best} of {each.of}, last {each.last}" if each.played else "not yet practised"
        say(f"   {each.name:<24} {each.title}  ({duration(each.limit_seconds)}; {past})")
    for problem in problems:
        say(f" {SIGNS['bad']} {problem.what}" + (f"  instead: {problem.remedy}" if problem.remedy else ""))


def tell_history(found: Iterable[DrillState]) -> None:
    for each in found:
        lost = "" if each.lost is None else f", {each.lost} acts lost"
        say(
            f"   {each.drill}  {each.scenario or '?':<24} {each.outcome:<7} {_score(each):>8}"
            f"  {duration(each.seconds)}{lost}"
        )


def tell(drill: DrillState) -> None:
    say(f"drill {drill.drill}" + (f": {drill.title}" if drill.title else ""))
    say()
    say_lines(f"{drill.briefing}\n")
    if drill.ended_at is None:
        say(f"you have {duration(drill.limit_seconds)}; {duration(drill.seconds)} are gone")
        say(f"the lab answers to:  {drill.command} …  (without a command: the screen)")
        say("for a hint: reprise drill hint; when you are done: reprise drill check; to leave: reprise drill end")
    if drill.marks:
        say(f"{drill.outcome}, {_score(drill)} points after {duration(drill.seconds)}")
    for mark in drill.marks:
        sign = SIGNS["ok" if mark.ok else "bad"]
        say(f" {sign} {mark.points:>3} of {mark.of:<3} {mark.name}: {mark.told}")
    if drill.hints_cost:
        say(f"   {-drill.hints_cost:>3}        {len(drill.hints)} hints")
    if drill.ended_at is None:
        sys.stdout.flush()
        return
    if drill.problem:
        say(f" {SIGNS['warn']} {drill.problem}")
    say()
    say("minute by minute")
    for each in drill.minutes:
        say(f"   {each.at.astimezone(UTC):%H:%M:%S}  {each.seconds:>7.1f} s  {each.who:<8} {each.what}")
    if drill.debriefing:
        say()
        say("next time")
        say_lines(drill.debriefing.strip())


def _score(drill: DrillState) -> str:
    return f"{'?' if drill.score is None else drill.score} of {drill.of}"
