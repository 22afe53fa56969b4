"""`reprise drill list, start, …`: guided drills in the lab, for a trainer without the screen. Exit codes: of what says
whether a drill is solved 0 solved, 1 not; of the others 0."""

import argparse
import sys
from collections.abc import Callable
from datetime import UTC
from pathlib import Path

from engine import acts
from engine.cli import documents, telling
from engine.cli.documents import Document
from engine.cli.grouping import What
from engine.cli.printing import say, say_lines
from engine.cli.telling import SIGNS, duration
from engine.records.drills import DrillScenario, DrillState
from engine.records.errors import UsageError

Given = argparse.Namespace


def _nothing(parser: argparse.ArgumentParser) -> None:
    """No options of its own."""


def _scenarios(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scenarios", type=Path, metavar="DIR", help="where your own scenarios lie (*.toml)")


def _begins(parser: argparse.ArgumentParser) -> None:
    _scenarios(parser)
    parser.add_argument("--bin-dir", metavar="DIR", help="the PostgreSQL to practise with (a folder of its programs)")


def _add_start(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="a scenario, as `reprise drill list` shows it")
    parser.add_argument("--random", action="store_true", help="one is drawn; which one is not said before the end")
    parser.add_argument("--blind", action="store_true", help="the call does not tell either what has happened")
    _begins(parser)


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="a scenario, as `reprise drill list` shows it")
    parser.add_argument("--auto", action="store_true", required=True, help="play the reference solution")
    _begins(parser)


def _add_show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("drill", nargs="?", metavar="DRILL", help="default: the newest")


def _list(given: Given) -> int:
    found, problems = acts.drill_scenarios(given.state, given.scenarios)
    if given.json:
        told = [{"where": each.where, "what": each.what, "remedy": each.remedy} for each in problems]
        documents.write({"scenarios": [_scenario(each) for each in found], "problems": told})
        return 0
    for each in found:
        past = f"best {each.best} of {each.of}, last {each.last}" if each.played else "not yet practised"
        say(f"   {each.name:<24} {each.title}  ({duration(each.limit_seconds)}; {past})")
    for problem in problems:
        say(f" {SIGNS['bad']} {problem.what}" + (f"  instead: {problem.remedy}" if problem.remedy else ""))
    return 0


def _start(given: Given) -> int:
    if (given.name is None) != given.random:
        raise UsageError("name a scenario, or say --random", remedy="list them with: reprise drill list")
    progress = telling.building(given.json)
    acts.begin_drill(
        given.state,
        given.name,
        blind=given.blind,
        scenarios=given.scenarios,
        bin_dir=given.bin_dir,
        stays=True,
        progress=progress,
    )
    _show_state(given, acts.drill_state(given.state))
    return 0


def _hint(given: Given) -> int:
    text, drill = acts.drill_hint(given.state)
    if given.json:
        documents.write({**_drill(drill), "hint": text})
    else:
        say_lines(text if text is not None else "there is no hint left")
        say(f"hints so far cost {drill.hints_cost} points; {drill.hints_left} left")
    return 0


def _marks(act: Callable[[Path | None], DrillState]) -> Callable[[Given], int]:
    def command(given: Given) -> int:
        drill = act(given.state)
        _show_state(given, drill)
        return 0 if drill.outcome == "solved" else 1

    return command


def _run(given: Given) -> int:
    progress = telling.building(given.json)
    drill = acts.play_drill(
        given.state, given.name, scenarios=given.scenarios, bin_dir=given.bin_dir, progress=progress
    )
    _show_state(given, drill)
    return 0 if drill.outcome == "solved" else 1


def _show(given: Given) -> int:
    _show_state(given, acts.drill_state(given.state, given.drill))
    return 0


def _history(given: Given) -> int:
    found, learnt = acts.drills(given.state), acts.all_recoveries(given.site, given.state)
    if given.json:
        documents.write({"drills": [_drill(each) for each in found], **_learnt(learnt)})
        return 0
    for each in found:
        lost = "" if each.lost is None else f", {each.lost} acts lost"
        say(
            f"   {each.drill}  {each.scenario or '?':<24} {each.outcome:<7} {_score(each):>8}"
            f"  {duration(each.seconds)}{lost}"
        )
    return 0


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


def _drill(drill: DrillState) -> Document:
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
        "called_at": documents.time(drill.called_at),
        "ended_at": documents.time(drill.ended_at),
        "running": drill.running,
        "hints": list(drill.hints),
        "hints_cost": drill.hints_cost,
        "hints_left": drill.hints_left,
        "lab": {"site": drill.site, "state": drill.state},
        "command": drill.command,
        "record": [
            {"at": documents.time(each.at), "seconds": round(each.seconds, 3), "who": each.who, "what": each.what}
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


def _learnt(learnt: acts.Learnt) -> Document:
    """What all recoveries took and lost, oldest first, and what was wanted of them."""
    return {
        "recoveries": [
            {
                "kind": each.kind,
                "at": documents.time(each.at),
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


def _show_state(given: Given, drill: DrillState) -> None:
    if given.json:
        documents.write(_drill(drill))
        return
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


GUIDED = {
    "list": What("what can be practised", _scenarios, _list),
    "start": What("prepare a lab, let the disaster happen, and call you", _add_start, _start),
    "show": What("how a drill stands: its call, its clock, its record", _add_show, _show),
    "hint": What("the next hint; each costs points", _nothing, _hint),
    "check": What("mark what has been done so far", _nothing, _marks(lambda state: acts.check_drill(state))),
    "end": What("mark it, and end the drill", _nothing, _marks(lambda state: acts.end_drill(state))),
    "history": What("all drills, newest first; with --json what all recoveries took and lost, too", _nothing, _history),
    "run": What("a drill that plays by itself", _add_run, _run),
}
