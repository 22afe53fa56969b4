"""One step while it is carried out: what `engine/steps/protocol.py` promises a step, kept by the engine."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from msgspec import Struct

from engine.records.coding import to_builtins
from engine.records.plan import Check, Plan, PlannedStep
from engine.records.runs import Reached
from engine.run.journal import Journal
from engine.run.meter import Meter
from engine.run.story import StepStory, Story
from engine.site import Site
from engine.steps.protocol import Stopped

_SERVED_EVERY = 0.1  # seconds; steps may call far more often


class GateAnswer(Struct, frozen=True):
    """What the operator said at a gate."""

    act: Literal["finish", "advance"]
    target: Mapping[str, Any] | None


class Desk(Protocol):
    """What the step needs of its engine."""

    folder: Path
    plan: Plan
    site: Site
    journal: Journal
    story: Story
    cancelled: bool

    def serve(self, seconds: float = 0.0) -> None: ...
    def log(self, line: str) -> None: ...


class Carrying:
    """The running step: `engine.steps.protocol.RunningStep`."""

    def __init__(self, desk: Desk, planned: PlannedStep) -> None:
        self._desk, self._planned = desk, planned
        self._served_at = 0.0
        self._answer = self._told.answer  # given before an engine died: not asked again
        self.meter = Meter(desk.folder / "progress.json", planned.name)

    @property
    def _told(self) -> StepStory:
        return self._desk.story.step(self._planned.name)

    @property
    def plan(self) -> Plan:
        return self._desk.plan

    @property
    def site(self) -> Site:
        return self._desk.site

    @property
    def args(self) -> Mapping[str, Any]:
        return self._planned.args

    @property
    def run_dir(self) -> Path:
        return self._desk.folder

    @property
    def facts(self) -> Mapping[str, Any]:
        return self._desk.story.facts

    @property
    def undo_records(self) -> Sequence[Mapping[str, Any]]:
        return tuple(self._told.undo_records)

    @property
    def checks(self) -> Sequence[Check]:
        return tuple(check for step in self._desk.story.steps.values() for check in step.checks)

    @property
    def seconds(self) -> Mapping[str, float | None]:
        done = {name: step for name, step in self._desk.story.steps.items() if step.outcome == "done"}
        return {name: step.seconds if step.at_a_stretch else None for name, step in done.items()}

    def _write(self, kind: str, **content: Any) -> None:
        self._desk.journal.append(kind, {"step": self._planned.name, **to_builtins(content)})

    def before(self, **how_to_undo: Any) -> None:
        self._write("before", record=how_to_undo)

    def fact(self, **found: Any) -> None:
        self._write("fact", found=found)

    def progress(
        self, done: int, total: int | None, unit: Literal["bytes", "lsn", "files"] = "bytes", detail: str = ""
    ) -> None:
        self.meter.tell(done, total, unit, detail)
        self._serve()

    def waiting(self, detail: str) -> None:
        last = self.meter.last
        if last is None:
            self.progress(0, None, detail=detail)
        else:
            self.progress(last.done, last.total, last.unit, detail)

    def safe_point(self) -> None:
        self._serve()
        while self._desk.story.held and not self._desk.cancelled:
            self._desk.serve(1.0)
        if self._desk.cancelled:
            raise Stopped

    def _serve(self) -> None:
        moment = time.monotonic()
        if moment - self._served_at >= _SERVED_EVERY:
            self._served_at = moment
            self._desk.serve()

    def wait_for_answer(self, finding: Mapping[str, Any], *, meanwhile: Callable[[], None] | None = None) -> GateAnswer:
        if self._answer is None:
            self._write("gate", finding=finding)
            while self._told.answer is None:
                if self._desk.cancelled:
                    raise Stopped
                self._desk.serve(1.0)
                if meanwhile is not None:
                    meanwhile()
            self._answer = self._told.answer
        answer, self._answer = self._answer, None
        assert answer is not None
        return GateAnswer(answer["act"], answer["target"])

    def reached(self, reached: Reached) -> None:
        self._write("reached", reached=reached)

    def check(self, check: Check) -> None:
        self._write("check", check=check)

    def server(self, *, data_dir: str | None, host: str | None, port: int | None, log: str | None) -> None:
        self._write("server", data_dir=data_dir, host=host, port=port, log=log)

    def note(self, **content: Any) -> None:
        self._write("note", **content)

    def log(self, line: str) -> None:
        self._desk.log(line)
