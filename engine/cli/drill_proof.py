"""`reprise drill proof`: what can be typed, the plan, the run."""

import argparse

from engine import acts
from engine.cli import documents, following, telling
from engine.cli.arguments import target_of
from engine.cli.printing import say
from engine.records.errors import UsageError


def add(parser: argparse.ArgumentParser) -> None:
    """The options of `drill proof`, besides a target (default: the newest moment)."""
    parser.add_argument("--random", action="store_true", help="a random moment of a random backup")
    parser.add_argument("--plan", action="store_true", help="only show the plan; changes nothing")
    parser.add_argument("--detach", action="store_true", help="start the run and return")


def carry_out(given: argparse.Namespace) -> int:
    """Production is only read, so nothing is asked. Exit codes as `restore`."""
    target = target_of(given)
    if given.random and (target.kind != "latest" or target.backup is not None):
        raise UsageError("--random stands instead of a target", remedy="leave one of them out")
    desk, wanted = acts.open_desk(given.site, given.state), None if given.random else target
    planned = acts.plan_proof_drill(desk, wanted) if given.plan else acts.prepare_proof_drill(desk, wanted, _cleared)
    if given.json and (planned.refused or given.plan):
        documents.write(documents.refusal(planned) if planned.refused else documents.plan(planned))
    elif not given.json:
        telling.plan(planned, desk.site.zone)
    if planned.refused or given.plan:
        return 3 if planned.refused else 0
    return following.begin(given, desk, planned)


def _cleared(run: str) -> None:
    say(f"the remains of the dead drill {run} were taken away", err=True)
