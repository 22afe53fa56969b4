"""What an operator says to a run, and what a run tells."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

from engine.acts.desk import Desk, writable
from engine.acts.looking import look
from engine.postgres.server import Server
from engine.records.coding import to_builtins
from engine.records.errors import Refused, Unreachable, UsageError
from engine.records.plan import Plan
from engine.records.runs import RunState
from engine.records.target import RecoveryTarget
from engine.recovery.resolving import resolve_in
from engine.recovery.wording import Wording
from engine.run import opening
from engine.run.control import send
from engine.run.folder import LOG, create_run, find_run, list_runs, read_run
from engine.run.starting import start_engine, wait_for_end
from engine.steps.promote import start_copy, stop_copy

_TAIL = 256 << 10  # bytes of a log that are looked at for its last lines


def start(desk: Desk, planned: Plan) -> str:
    """Start a run of this plan: an engine of its own that outlives us. Returns the run's name once it is journalled.

    Raises Refused where a check refuses, UsageError where this desk may only look.
    """
    if planned.refused:
        raise Refused("a check refuses this plan", remedy="see its checks")
    folder = create_run(writable(desk).state, planned, desk.site)
    start_engine(folder)
    return folder.name


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


def log_lines(desk: Desk, run: str, which: Literal["server", "engine"], last: int) -> list[str]:
    """The last lines of the recovered server's log, or of the engine's; empty where there is none yet."""
    folder = find_run(desk.state, run)
    told = read_run(folder).server_log if which == "server" else str(folder / LOG)
    if told is None:
        return []
    try:
        with Path(told).open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL))
            return file.read().decode("utf-8", "replace").splitlines()[-last:]
    except OSError:
        return []


def finish(desk: Desk, run: str) -> None:
    """At the gate: go on to the end."""
    _tell(desk, run, "finish")
    _wait_until_taken(desk, run)


def advance(desk: Desk, run: str, target: RecoveryTarget) -> None:
    """At the gate: replay on to a later target on the same line, and wait again. Raises Refused where the target
    cannot be reached from here."""
    folder = find_run(writable(desk).state, run)
    planned = read_run(folder).plan
    if planned.point is None:
        raise UsageError(f"{folder.name} has no recovery point")
    view = look(desk)
    asked = replace(target, backup=planned.point.backup.id, timeline=target.timeline or planned.point.line)
    wording = Wording(f"reprise advance {folder.name}")
    resolution = resolve_in(view.reach, asked, live_timeline=view.live_timeline, wording=wording)
    if resolution.point is None:
        refusal = next(check for check in resolution.checks if check.refuses)
        raise Refused(f"{refusal.name}: {refusal.finding}", remedy=refusal.remedy)
    send(folder, "advance", target=to_builtins(resolution.point))
    _wait_until_taken(desk, run)


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


def resume(desk: Desk, run: str) -> None:
    """Go on with an interrupted or failed run."""
    start_engine(find_run(writable(desk).state, run))


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
    return Server(
        layout.programs,
        Path(layout.data_dir),
        layout.run_as,
        Path(layout.socket_dir),
        layout.port,
        Path(state.server_log or Path(layout.work) / "postgresql.log"),
    )


def open_application(desk: Desk, run: str) -> None:
    """After a restore in place: start the application again."""
    opening.open_application(find_run(writable(desk).state, run))


def _tell(desk: Desk, run: str, command: str) -> None:
    send(find_run(writable(desk).state, run), command)
