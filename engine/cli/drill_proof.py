"""`reprise drill proof`: what can be typed, the plan, the run, its document."""

import argparse
import sys

from engine import acts
from engine.cli import following, telling
from engine.cli.arguments import read_time
from engine.cli.documents import Document, plan, refusal, report, write
from engine.records.plan import Plan
from engine.records.runs import RunState
from engine.records.target import RecoveryTarget


def add(parser: argparse.ArgumentParser) -> None:
    """The options of `drill proof`."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--time", metavar="T", help="this moment, ISO 8601 with an offset (default: the newest)")
    which.add_argument("--random", action="store_true", help="a random moment of a random backup")
    parser.add_argument("--plan", action="store_true", help="only show the plan; changes nothing")
    parser.add_argument("--detach", action="store_true", help="start the run and return")


def carry_out(given: argparse.Namespace) -> int:
    """Production is only read, so nothing is asked. Exit codes as `restore`."""
    target = RecoveryTarget("time", time=read_time(given.time)) if given.time is not None else None
    desk = acts.open_desk(given.site, given.state)
    if not given.plan:
        for run in acts.clear_dead_drills(desk):
            print(f"the remains of the dead drill {run} were taken away", file=sys.stderr)
    planned = acts.plan_proof_drill(desk, target, random=given.random)
    if planned.refused or given.plan:
        _show_plan(given, desk, planned)
        return 3 if planned.refused else 0
    if not given.json:
        telling.plan(planned, desk.site.zone)
    run = acts.start(desk, planned)
    if given.detach:
        return following.leave(given, desk, run)
    state = following.watch(given, desk, run)
    if state is None:
        return following.STOPPED
    acts.keep_drill_results(desk)
    if given.json:
        write(document(state))
    else:
        telling.report(state, desk.site.zone)
        _tell(state)
    return following.EXIT_OF_OUTCOME.get(state.outcome, 1)


def _show_plan(given: argparse.Namespace, desk: acts.Desk, planned: Plan) -> None:
    if not given.json:
        telling.plan(planned, desk.site.zone)
    elif planned.refused:
        write(refusal(planned) | {"rpo_seconds": None, "rto_seconds": None})
    else:
        write(plan(planned))


def document(state: RunState) -> Document:
    """A restore's report, and what the drill came to."""
    limits, proof = state.plan.limits, state.plan.proof
    told = state.told
    return report(state) | {
        "rpo_seconds": proof.rpo_seconds if proof is not None else None,
        "rpo_why": proof.rpo_why if proof is not None else None,
        "rto_seconds": told.rto_seconds if told is not None else None,
        "limits": {
            "nice": limits.nice,
            "idle_io": limits.idle_io,
            "bytes_per_second": limits.bytes_per_second,
        }
        if limits is not None
        else None,
    }


def _tell(state: RunState) -> None:
    proof, told = state.plan.proof, state.told
    if told is not None and told.rto_seconds is not None:
        print(f"took        {telling.duration(told.rto_seconds)} until it was open and checked, within its limits")
    if proof is not None and proof.rpo_seconds is not None:
        print(f"would lose  {telling.duration(proof.rpo_seconds)}: {proof.rpo_why}")
    elif proof is not None:
        print(f"would lose  unknown: {proof.rpo_why}")
