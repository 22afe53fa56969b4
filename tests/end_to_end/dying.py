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
from tests.end_to_end.breaking import THE_END, Break

KILLS = 5  # in each step of a run that is resumed
MORE = 2  # in those that are killed strictly between 0 and 100 % before
MB = 1 << 20


@dataclass
class Dying:
    """One run, and its engine's deaths. ``events``: how many each step of an undisturbed run has."""

    folder: Path
    random: random.Random
    events: dict[str, int]
    hits: Counter[str] = field(default_factory=Counter)
    between: Counter[str] = field(default_factory=Counter)  # those strictly between 0 and 100 %

    @property
    def plan(self) -> Plan:
        return read_plan(self.folder)

    def kill_in(self, step: str, number: int = 0, act: Act = "apply") -> None:
        """Go on until a moment of this step, and kill the engine there. The step has begun, and not ended."""
        order = self._order(step, number, act)
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
        elif order.share is not None:
            print(f"not between: {step} {number} {order.share:.2f} {told}")

    def _order(self, step: str, number: int, act: Act) -> Break:
        said, undoing = str(self.folder / "stands.json"), act == "rollback"
        if number < KILLS and act == "apply" and self.has_a_middle(step):
            return Break(said, step, share=(number + self.random.random()) * 0.5 / KILLS)
        return Break(said, step, event=self.random.randint(0, self.events.get(step, 3)), undoing=undoing)

    def _until_it_stands(self, pid: int, step: str) -> None:
        """At its breakpoint; at a gate it may stand as well as wait."""
        deadline, waited = time.monotonic() + 60, 0
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
        """Killed in each step again and again, and resumed each time, to the end."""
        for step in [*(step.name for step in self.plan.steps), THE_END]:
            for number in range(KILLS + MORE if self.has_a_middle(step) else KILLS):
                self.kill_in(step, number)
        state = self.end()
        assert state.outcome == "completed", state.error
        print(f"killed: {dict(self.hits)}, of them between 0 and 100 %: {dict(self.between)}")
        assert min(self.hits.values()) >= KILLS
        assert self.hits.keys() == {THE_END, *(step.name for step in self.plan.steps)}
        assert all(self.between[step.name] >= KILLS for step in self.plan.steps if self.has_a_middle(step.name))
        return state

    def has_a_middle(self, step: str) -> bool:
        """Whether it tells its progress, and long enough to be killed between 0 and 100 %."""
        return any(
            each.name == step and each.kind in ("copy", "replay") and (each.bytes or 0) > 16 * MB
            for each in self.plan.steps
        )

    def end(self, act: Act = "apply") -> RunState:
        """Undisturbed from here on."""
        start_engine(self.folder, act)
        assert wait_for_end(self.folder, 120)
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
