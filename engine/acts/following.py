"""How runs stand: read from their folders, and nothing else."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from engine.acts.desk import Desk
from engine.records.copies import Problem
from engine.records.runs import RunState
from engine.recovery.estimates import Measured
from engine.run.folder import LOG, find_run, list_runs, read_run
from engine.run.history import all_measured

_TAIL = 256 << 10  # bytes of a log that are looked at for its last lines


def runs(desk: Desk) -> list[RunState]:
    """All runs, newest first. A folder that is no whole run is passed over: see ``damaged_runs``."""
    return list_runs(desk.state)[0]


def damaged_runs(desk: Desk) -> list[Problem]:
    """The folders among the runs that cannot be read as one."""
    return list_runs(desk.state)[1]


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


def measured(desk: Desk) -> list[Measured]:
    """What finished steps of earlier runs took, the newest first: the ground for estimates."""
    return all_measured(desk.state, runs(desk))
