"""A run that a command starts: confirmed, begun, followed to its end, shown."""

import argparse
import sys

from engine import acts
from engine.cli import STOPPED_LOOKING, documents, progress, telling
from engine.cli.printing import ask, say
from engine.records.errors import RepriseError, UsageError
from engine.records.plan import Plan
from engine.records.runs import RunState

Given = argparse.Namespace

EXIT_OF_OUTCOME = {"completed": 0, "rolled-back": 0, "discarded": 0, "running": 0, "paused": 4}


def confirm(given: Given, question: str, expected: str) -> None:
    """Ask, unless --yes says so. Without a terminal nothing asks."""
    if given.yes:
        return
    if given.json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("this needs a confirmation, and there is no terminal to ask on", remedy="add --yes")
    if ask(question) != expected:
        raise UsageError("not confirmed; nothing was done")


def begin(given: Given, desk: acts.Desk, planned: Plan) -> int:
    """Start a run, and follow it to its end unless it is to go on by itself."""
    run = acts.start(desk, planned)
    if given.detach:
        return leave(given, desk, run)
    try:
        return follow(given, desk, run)
    except RepriseError as error:
        error.run = run
        raise


def leave(given: Given, desk: acts.Desk, run: str) -> int:
    """A run goes on by itself, unless it has ended already."""
    state = acts.run_state(desk, run)
    ended = state.outcome in ("failed", "interrupted")
    if given.json:
        documents.write(documents.started(state))
    elif ended:
        telling.report(state, desk.site.zone)
    else:
        say(f"started; follow it with: reprise attach {state.run}")
    return 1 if ended else 0


def follow(given: Given, desk: acts.Desk, run: str) -> int:
    try:
        state = acts.follow(desk, run, progress.following(given.json, desk.site.zone))
    except KeyboardInterrupt:
        if not given.json:
            raise
        documents.write(documents.report(acts.run_state(desk, run)))  # as it stands: it goes on without us
        say(f"reprise: {STOPPED_LOOKING}", err=True)
        return 130
    show(given, desk, state)
    _say_what_is_lost(state)
    return EXIT_OF_OUTCOME.get(state.outcome, 1)


def _say_what_is_lost(state: RunState) -> None:
    """Loudly, as the run counts as completed: it did all that can be done."""
    lost = (state.files or {}).get("unrecoverable", 0)
    if state.outcome != "completed" or not lost:
        return
    what = "1 file" if lost == 1 else f"{lost} files"
    say(f"reprise: {what} could not be brought back, nobody has them: reprise files lost {state.run}", err=True)


def document_of(state: RunState) -> documents.Document:
    """The report of a run, of whatever kind it is."""
    return documents.copy(state) if state.plan.copying else documents.report(state)


def show(given: Given, desk: acts.Desk, state: RunState) -> None:
    if given.json:
        documents.write(document_of(state))
    else:
        telling.report(state, desk.site.zone)
