"""A run whose engine is killed from outside, at a seeded moment of a chosen step, as often as it takes."""

import json
import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.records.plan import Plan
from engine.records.runs import RunState
from engine.run.control import send
from engine.run.folder import create_run, read_plan, read_run, read_run_site
from engine.run.starting import start_engine, wait_for_end
from engine.run.story import Act
from tests.end_to_end.breaking import THE_END, Break, Course

KILLS = 5  # in each step of a run that is resumed; strictly between 0 and 100 % where there is a middle
PATIENCE = 180  # seconds until a run's way to a step, or to its end, counts as a hang; 10 where nobody else works
TRIES = 3  # of a run whose engine sleeps through a middle, on a busy machine
MB = 1 << 20


class Missed(Exception):
    """The step's work was done before its middle was seen; in this run it has none any more."""


@dataclass
class Dying:
    """One run, and its engine's deaths. ``course``: what an undisturbed run of the same plan came to."""

    folder: Path
    random: random.Random
    course: Course = field(default_factory=Course)
    hits: Counter[str] = field(default_factory=Counter)
    between: Counter[str] = field(default_factory=Counter)  # those strictly between 0 and 100 %

    @property
    def plan(self) -> Plan:
        return read_plan(self.folder)

    def kill_amid(self, step: str, number: int) -> None:
        """As `kill_in`, but strictly between 0 and 100 % where the step has such a middle: the later in its first half,
        the higher the number, which is less than KILLS. Raises Missed."""
        before = self.between[step]
        if step not in self.course.middles:
            self.kill_in(step)
            return
        self.kill_in(step, share=(number + self.random.random()) * 0.5 / KILLS)
        if self.between[step] == before:
            raise Missed(f"{step} was killed behind its middle")

    def kill_in(self, step: str, act: Act = "apply", share: float | None = None) -> None:
        """Go on until a moment of this step, and kill the engine there: at the first progress beyond a share, else at
        any event. The step has begun, and not ended."""
        event = self.random.randint(0, self.course.events.get(step, 3)) if share is None else None
        order = Break(str(self.folder / "stands.json"), step, event, share, undoing=act == "rollback")
        said = Path(order.said)
        said.unlink(missing_ok=True)
        pid = start_engine(self.folder, act, program=order.command())
        self._until_it_stands(pid, step)
        os.kill(pid, signal.SIGKILL)
        assert wait_for_end(self.folder, 20)
        state = read_run(self.folder)
        assert state.outcome == "interrupted", state.error
        if step == THE_END:
            assert all(each.outcome == "done" for each in state.steps)
        else:
            assert step_of(state, step).outcome in ("running", "waiting"), (step, order)
        self.hits[step] += 1
        told: dict[str, Any] = json.loads(said.read_text()) if said.exists() else {}
        if told.get("total") and 0 < told["done"] < told["total"]:
            self.between[step] += 1

    def _until_it_stands(self, pid: int, step: str) -> None:
        """At its breakpoint; at a gate it may stand as well as wait."""
        deadline, waited = time.monotonic() + PATIENCE, 0
        while not _stands_still(pid):
            assert time.monotonic() < deadline, f"{step}: {read_run(self.folder)}"
            time.sleep(0.002)
            waited += 1
            if waited % 100 == 0:
                state = read_run(self.folder)
                assert state.pid is not None, (step, state.outcome, state.error)
                if state.outcome == "paused" and step == "gate":
                    return
                if state.outcome == "paused":
                    send(self.folder, "finish")

    def through_all_steps(self) -> RunState:
        """Killed in each step again and again, and resumed each time, to the end. Raises Missed."""
        steps = [*(step.name for step in self.plan.steps), THE_END]
        for step in steps:
            for number in range(KILLS):
                self.kill_amid(step, number)
            for _ in range(self._more(step)):
                self.kill_in(step)
        state = self.end()
        assert state.outcome == "completed", state.error
        print(f"killed: {dict(self.hits)}, of them between 0 and 100 %: {dict(self.between)}")
        assert all(self.hits[step] >= KILLS for step in steps)
        assert all(self.between[step] >= KILLS for step in self.course.middles)
        self._is_reported()
        return state

    def _more(self, step: str) -> int:
        """How often a step with a middle is killed anywhere as well: the more there is to hit, the oftener."""
        return min(KILLS, 1 + self.course.events[step] // 20) if step in self.course.middles else 0

    def _is_reported(self) -> None:
        """All that a run leaves of itself is there, and whole, and nothing half."""
        report = json.loads((self.folder / "report.json").read_bytes())
        assert report["state"]["outcome"] == "completed"
        page = (self.folder / "report.html").read_text()
        assert page.rstrip().endswith("</html>")
        assert (self.folder / "report.md").stat().st_size
        assert "starting PostgreSQL" in (self.folder / "server.log").read_text()
        assert list(self.folder.glob(".*")) == []

    def end(self, act: Act = "apply") -> RunState:
        """Undisturbed from here on."""
        start_engine(self.folder, act)
        assert wait_for_end(self.folder, PATIENCE)
        return read_run(self.folder)

    def take_back(self) -> RunState:
        """Roll back, and say how the run stood then; what was opened, and may have been written into, is given up."""
        state = self.end("rollback")
        assert state.outcome == "rolled-back", state.error
        if "discard" in state.answers:
            assert self.end("discard").outcome == "discarded"
        return state


def _stands_still(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"
    except OSError:
        return False


def another(folder: Path) -> Path:
    """A run of the same plan."""
    return create_run(folder.parent.parent, read_plan(folder), read_run_site(folder))


def without_its_line(archive: Path, timeline: int) -> None:
    """Forget what a recovery archived: the next one shall find what the one before it found."""
    for path in archive.glob(f"{timeline:08X}*"):
        path.unlink()


def step_of(state: RunState, name: str) -> Any:
    return next(each for each in state.steps if each.name == name)
