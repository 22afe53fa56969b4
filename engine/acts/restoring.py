"""Restoring: a plan, its run, and what an operator says to a run."""

import shlex
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

from engine.acts.desk import Desk, writable
from engine.acts.looking import View, backup_cache, look
from engine.catalog.directory import complete_backup
from engine.postgres.programs import choose_programs, programs_for
from engine.postgres.server import free_port
from engine.postgres.users import default_run_as
from engine.records.coding import to_builtins
from engine.records.errors import Refused, RepriseError, Unreachable, UsageError
from engine.records.plan import Destination, Plan
from engine.records.runs import RunState
from engine.records.target import RecoveryTarget
from engine.recovery.checks import Question, WalFacts, run_checks
from engine.recovery.estimates import Measured
from engine.recovery.planning import SiteFacts, make_layout, make_plan
from engine.recovery.resolving import resolve_in
from engine.recovery.wording import Wording
from engine.run.control import send
from engine.run.folder import create_run, find_run, list_runs, read_run
from engine.run.starting import start_engine, wait_for_end
from engine.survey import take_survey
from engine.wal.index import WalIndex

Action = Literal["finish", "pause"]


def plan(
    desk: Desk,
    target: RecoveryTarget,
    destination: Destination,
    *,
    action: Action = "finish",
    view: View | None = None,
) -> Plan:
    """The plan for a target and a destination, with every check that can be made now. Changes nothing."""
    view = view or look(desk)
    where = f"--into {shlex.quote(destination.path)}" if destination.kind == "side-copy" else "--in-place"
    resolution = resolve_in(
        view.reach,
        target,
        live_timeline=view.live_timeline,
        media=view.catalog.media_snapshots,
        wording=Wording(arguments=where),
    )
    point = resolution.point
    backup = point.backup if point else None
    survey = take_survey(desk, destination, backup)
    checks = run_checks(...)
    return make_plan(...)


def start(desk: Desk, planned: Plan) -> str:
    """Start a run of this plan: an engine of its own that outlives us. Returns the run's name once it is journalled.

    Raises Refused where a check refuses, UsageError where this desk may only look.
    """
    if planned.refused:
        raise Refused("a check refuses this plan", remedy="see its checks")
    folder = create_run(writable(desk).state, planned, desk.site)
    start_engine(folder)
    return folder.name


def writable(desk: Desk) -> Desk:
    if desk.read_only:
        raise UsageError("this session may only look (--read-only)", remedy="start again without --read-only")
    return desk


# Runs


def runs(desk: Desk) -> list[RunState]:
    """All runs, newest first. A folder that is no whole run is passed over."""
    return list_runs(desk.state)[0]


def run_state(desk: Desk, run: str) -> RunState:
    """How a run stands; ``run`` is its name, an unambiguous part of it, or ``latest``. Raises UsageError."""
    return read_run(find_run(desk.state, run))


def follow(desk: Desk, run: str, show: Callable[[RunState], None]) -> RunState:
    """Show a run until it ends or waits at its gate. Returns how it stands then."""
    folder = find_run(desk.state, run)
    while True:
        state = read_run(folder)
        show(state)
        if state.outcome != "running":
            return state
        time.sleep(0.25)


def finish(desk: Desk, run: str) -> None:
    """At the gate: go on to the end."""
    _tell(desk, run, "finish")


def advance(desk: Desk, run: str, target: RecoveryTarget) -> None:
    """At the gate: replay on to a later target on the same line, and wait again. Raises Refused where the target
    cannot be reached from here."""
    folder = find_run(writable(desk).state, run)
    planned = read_run(folder).plan
    if planned.point is None:
        raise UsageError(f"{folder.name} has no recovery point")
    view = look(desk)
    asked = replace(target, backup=planned.point.backup.id, timeline=target.timeline or planned.point.line)
    resolution = resolve_in(view.reach, asked, live_timeline=view.live_timeline, wording=Wording(f"reprise advance {run}"))
    if resolution.point is None:
        refusal = next(check for check in resolution.checks if check.refuses)
        raise Refused(f"{refusal.name}: {refusal.finding}", remedy=refusal.remedy)
    send(folder, "advance", target=to_builtins(resolution.point))


def hold(desk: Desk, run: str) -> None:
    """Hold a run at its next safe point."""
    _tell(desk, run, "hold")


def go_on(desk: Desk, run: str) -> None:
    """Let a held run go on."""
    _tell(desk, run, "go-on")


def cancel(desk: Desk, run: str) -> None:
    """Stop a run at its next safe point; all is left as it is."""
    folder = find_run(writable(desk).state, run)
    send(folder, "cancel")
    if not wait_for_end(folder, 60):
        raise Unreachable(f"{folder.name} did not come to a safe point within 60 seconds", remedy="ask again")


def resume(desk: Desk, run: str) -> None:
    """Go on with an interrupted or failed run."""
    start_engine(find_run(writable(desk).state, run))


def rollback(desk: Desk, run: str) -> None:
    """Take a run back to the state before it."""
    start_engine(find_run(writable(desk).state, run), "rollback")


def discard(desk: Desk, run: str) -> None:
    """Delete what a run set aside, or its side copy."""
    folder = find_run(writable(desk).state, run)
    start_engine(folder, "discard")
    wait_for_end(folder, 3600)


def _tell(desk: Desk, run: str, command: str) -> None:
    send(find_run(writable(desk).state, run), command)
