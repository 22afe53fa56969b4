"""Runs of toy steps, and waiting for what they do."""

import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.records.plan import Destination, Plan, PlannedStep
from engine.records.runs import RunState
from engine.records.target import RecoveryTarget
from engine.run.folder import create_run, read_run
from engine.run.starting import start_engine
from engine.run.story import Act
from engine.site import Database, DatabaseRepository, Identity, Site

PROGRAM = (sys.executable, str(Path(__file__).with_name("toy_engine.py")))
DEADLINE = 30.0


def site(name: str = "archive") -> Site:
    repository = DatabaseRepository("directory", "/nowhere/base", "/nowhere/wal")
    return Site(Identity(name), Database("/nowhere/data", [repository]))


def toy(name: str, folder: Path, **args: Any) -> PlannedStep:
    content = {"folder": str(folder / name), "count": 10, "content": name, **args}
    return PlannedStep(name, "toy", f"Make {name}", None, content)


def gate(name: str = "gate") -> PlannedStep:
    return PlannedStep(name, "toy-gate", "Wait", None, {})


def planned(folder: Path, *steps: PlannedStep, site: str = "archive", in_place: bool = False) -> Plan:
    destination = Destination("in-place" if in_place else "side-copy", str(folder))
    now = datetime.now(UTC)
    return Plan(site, now, RecoveryTarget("latest"), destination, None, None, steps, ())


def new_run(tmp_path: Path, *steps: PlannedStep, in_place: bool = False) -> Path:
    plan = planned(tmp_path / "destination", *steps, in_place=in_place)
    return create_run(tmp_path / "state", plan, site())


def start(run: Path, act: Act = "apply") -> int:
    return start_engine(run, act, program=PROGRAM)


def wait_for(run: Path, right: Callable[[RunState], bool]) -> RunState:
    """The run's state as soon as it is right."""
    deadline = time.monotonic() + DEADLINE
    while not right(state := read_run(run)):
        assert time.monotonic() < deadline, f"{state.outcome}, {state.steps}\n{(run / 'engine.log').read_text()}"
        time.sleep(0.01)
    return state


def wait_until(right: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not right():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def ended(run: Path) -> RunState:
    """The state when the engine is gone."""
    return wait_for(run, lambda state: state.pid is None)


def kill(run: Path) -> None:
    """SIGKILL to the engine, as from outside."""
    pid = read_run(run).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_for(run, lambda state: state.pid is None)


def files(folder: Path) -> dict[str, str]:
    """Everything below a folder."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}
