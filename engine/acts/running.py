"""Starting a run, and what an operator says to it."""

import time
from pathlib import Path

from msgspec.structs import replace

from engine.acts.desk import Desk, writable
from engine.acts.following import run_state
from engine.acts.looking import look
from engine.postgres.server import Server
from engine.records.coding import to_builtins
from engine.records.errors import Refused, RepriseError, Unreachable, UsageError
from engine.records.lsn import format_lsn
from engine.records.plan import Plan
from engine.records.runs import LIVE
from engine.records.target import RecoveryPoint, RecoveryTarget
from engine.recovery.resolving import resolve_in
from engine.recovery.wording import Wording
from engine.run import opening
from engine.run.control import send
from engine.run.folder import create_run, find_run, read_run, read_run_site
from engine.run.starting import start_engine, wait_for_end
from engine.steps.files.check import SKIPPED as FILES_SKIPPED
from engine.steps.gate import follows
from engine.steps.inspect import ACCEPTED, SKIPPED
from engine.steps.promote import start_copy, stop_copy
from engine.steps.shared.points import gate_lsn


def start(desk: Desk, planned: Plan) -> str:
    """Start a run of this plan: an engine of its own that outlives us. Returns the run's name once it is journalled.

    Raises Refused where a check refuses, UsageError where this desk may only look; where the run was made and its
    engine declines, the error names the run.
    """
    if planned.refused:
        raise Refused("a check refuses this plan", remedy="see its checks")
    folder = create_run(writable(desk).state, planned, desk.site)
    try:
        start_engine(folder)
    except RepriseError as error:
        error.run = folder.name
        raise
    return folder.name


def finish(desk: Desk, run: str) -> None:
    """At the gate: go on to the end."""
    _tell(desk, run, "finish")
    _wait_until_taken(desk, run)


def advance(desk: Desk, run: str, target: RecoveryTarget) -> None:
    """At the gate: replay on to a later target on the same line, and wait again. Raises Refused where the target
    cannot be reached from here."""
    folder = find_run(writable(desk).state, run)
    point = read_run(folder).point
    if point is None:
        raise UsageError(f"{folder.name} has no recovery point")
    view = look(desk)
    asked = replace(target, backup=point.backup.id, timeline=target.timeline or point.line)
    wording = Wording(f"reprise advance {folder.name}")
    resolution = resolve_in(view.reach, asked, live_timeline=view.live_timeline, wording=wording)
    if resolution.point is None:
        refusal = next(check for check in resolution.checks if check.refuses)
        raise Refused(f"{refusal.name}: {refusal.finding}", remedy=refusal.remedy)
    _may_follow(folder.name, resolution.point, point)
    send(folder, "advance", target=to_builtins(resolution.point))
    _wait_until_taken(desk, run)


def _may_follow(run: str, later: RecoveryPoint, present: RecoveryPoint) -> None:
    """Raises Refused where replay cannot go on from the present gate to this point."""
    gate, asked = gate_lsn(present), gate_lsn(later)
    if asked <= gate:
        raise Refused(
            f"{run} stands at {format_lsn(gate)} already, and the target lies at {format_lsn(asked)}",
            remedy="name a later target; going back needs a new copy (reprise restore)",
        )
    if not follows(later, present):
        raise Refused(
            f"the way to the target, on timeline {later.timeline}, does not go through {format_lsn(gate)}",
            cause=f"that is where {run} stands",
            remedy="name a target on the recovered line, or make another copy (reprise restore)",
        )


def _wait_until_taken(desk: Desk, run: str) -> None:
    """An answer at the gate counts once the engine has journalled it; until then the run still reads as waiting."""
    deadline = time.monotonic() + 15
    while run_state(desk, run).outcome == "paused" and time.monotonic() < deadline:
        time.sleep(0.05)


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


def skip(desk: Desk, run: str) -> None:
    """Leave out the reading of every page, or the rest of it; in the files' check, its rest, or what it found: a run
    that ended there goes on as it is. Raises UsageError where both are over, or never come."""
    state = run_state(writable(desk), run)
    if "skip" not in state.answers:
        raise UsageError(f"{state.run} has nothing to skip now or later", remedy="see: reprise report " + state.run)
    folder = Path(state.folder)
    if not state.checks_files:
        (folder / SKIPPED).touch(mode=0o600)
        return
    (folder / FILES_SKIPPED).touch(mode=0o600)
    if state.outcome not in LIVE:
        start_engine(folder)


def resume(desk: Desk, run: str, *, accept_checks: bool = False) -> None:
    """Go on with an interrupted or failed run; ``accept_checks``: although a library is missing, or a question of the
    site was not answered with true."""
    folder = find_run(writable(desk).state, run)
    if accept_checks:
        (folder / ACCEPTED).touch(mode=0o600)
    start_engine(folder)


def rollback(desk: Desk, run: str) -> None:
    """Take a run back to the state before it."""
    start_engine(find_run(writable(desk).state, run), "rollback")


def discard(desk: Desk, run: str) -> None:
    """Delete what a run set aside, or its side copy."""
    start_engine(find_run(writable(desk).state, run), "discard")


def stop_server(desk: Desk, run: str) -> None:
    """Stop the server of a finished side copy."""
    stop_copy(_copy_of(desk, run))


def start_server(desk: Desk, run: str) -> None:
    """Start the server of a finished side copy."""
    start_copy(_copy_of(desk, run))


def _copy_of(desk: Desk, run: str) -> Server:
    state = run_state(writable(desk), run)
    layout = state.plan.layout
    if state.plan.destination.kind != "side-copy" or state.outcome != "completed" or layout is None:
        raise UsageError(
            f"{state.run} has no finished side copy", remedy="look at it with: reprise report " + state.run
        )
    database = read_run_site(Path(state.folder)).database
    return Server(
        layout.programs,
        Path(layout.data_dir),
        layout.run_as,
        Path(layout.socket_dir),
        layout.port,
        Path(state.server_log or Path(layout.work) / "postgresql.log"),
        database.user,
        database.dbname,
    )


def open_application(desk: Desk, run: str) -> None:
    """After a restore in place: start the application again."""
    opening.open_application(find_run(writable(desk).state, run))


def _tell(desk: Desk, run: str, command: str) -> None:
    send(find_run(writable(desk).state, run), command)
