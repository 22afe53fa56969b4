"""`reprise drill list, start, …`: guided drills in the lab, for a trainer without the screen. Exit codes: of what says
whether a drill is solved 0 solved, 1 not; of the others 0."""

import argparse
from collections.abc import Callable
from pathlib import Path

from engine import acts
from engine.cli import documents, drills, progress
from engine.cli.grouping import What
from engine.cli.printing import say, say_lines
from engine.records.drills import DrillState
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
        documents.write(drills.scenarios(found, problems))
    else:
        drills.tell_scenarios(found, problems)
    return 0


def _start(given: Given) -> int:
    if (given.name is None) != given.random:
        raise UsageError("name a scenario, or say --random", remedy="list them with: reprise drill list")
    acts.begin_drill(
        given.state,
        given.name,
        blind=given.blind,
        scenarios=given.scenarios,
        bin_dir=given.bin_dir,
        stays=True,
        progress=progress.building(given.json),
    )
    _show_state(given, acts.drill_state(given.state))
    return 0


def _hint(given: Given) -> int:
    text, drill = acts.drill_hint(given.state)
    if given.json:
        documents.write({**drills.document(drill), "hint": text})
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
    drill = acts.play_drill(
        given.state,
        given.name,
        scenarios=given.scenarios,
        bin_dir=given.bin_dir,
        progress=progress.building(given.json),
    )
    _show_state(given, drill)
    return 0 if drill.outcome == "solved" else 1


def _show(given: Given) -> int:
    _show_state(given, acts.drill_state(given.state, given.drill))
    return 0


def _history(given: Given) -> int:
    found, learnt = acts.drills(given.state), acts.all_recoveries(given.site, given.state)
    if given.json:
        documents.write(drills.history(found, learnt))
    else:
        drills.tell_history(found)
    return 0


def _show_state(given: Given, drill: DrillState) -> None:
    if given.json:
        documents.write(drills.document(drill))
    else:
        drills.tell(drill)


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
