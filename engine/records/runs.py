"""A run as its journal tells it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from engine.records.copying import TakenCopy
from engine.records.lsn import Lsn
from engine.records.plan import Check, Plan
from engine.records.recoveries import Recovery

RunOutcome = Literal["running", "paused", "completed", "failed", "interrupted", "rolled-back", "discarded"]
StepOutcome = Literal["to do", "running", "waiting", "done", "failed", "undone"]


@dataclass(frozen=True, slots=True)
class Progress:
    """Measured progress of the running step. ``total`` None: unknown. ``rate`` is per second, over the last while."""

    done: int
    total: int | None
    unit: Literal["bytes", "lsn", "files"]
    rate: float | None = None
    detail: str = ""
    at: datetime | None = None

    @property
    def seconds_left(self) -> float | None:
        if self.total is None or not self.rate:
            return None
        return max(0.0, (self.total - self.done) / self.rate)


@dataclass(frozen=True, slots=True)
class StepState:
    """How one step of a run stands. ``at_a_stretch``: never interrupted nor held, so that ``seconds`` is what it
    took."""

    name: str
    kind: str
    title: str
    outcome: StepOutcome
    started_at: datetime | None = None
    seconds: float | None = None
    bytes: int | None = None
    progress: Progress | None = None
    at_a_stretch: bool = True


@dataclass(frozen=True, slots=True)
class Reached:
    """Where the recovered server stands, proven from itself and the WAL index or said not to be (``proven``)."""

    lsn: Lsn
    last_commit_at: datetime | None
    last_commit_xid: int | None
    timeline: int
    new_timeline: int | None
    proven: bool
    finding: str = ""


@dataclass(frozen=True, slots=True)
class RunError:
    """Why a run failed."""

    message: str
    cause: str | None = None
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class RunState:
    """A run, read from its folder. ``pid`` is the live engine's, else None. ``held`` says that the operator holds it.
    ``answers`` are what the run accepts now (finish, advance, cancel, skip, resume, rollback, discard, stop, start,
    open). ``taken`` is the copy that a run which takes one has put into its repository; ``files`` what came of the
    users' files (counts, samples of paths), JSON values only. ``told`` is a recovery that its steps told of themselves.
    """

    run: str
    folder: str
    plan: Plan
    outcome: RunOutcome
    pid: int | None
    started_at: datetime
    finished_at: datetime | None
    steps: tuple[StepState, ...]
    checks: tuple[Check, ...] = ()
    data_dir: str | None = None
    host: str | None = None
    port: int | None = None
    reached: Reached | None = None
    error: RunError | None = None
    held: bool = False
    server_log: str | None = None
    answers: tuple[str, ...] = ()
    notes: tuple[Mapping[str, Any], ...] = ()
    taken: TakenCopy | None = None
    files: Mapping[str, Any] | None = None
    told: Recovery | None = None

    @property
    def unreadable(self) -> Check | None:
        """Why the server that waits at the gate takes no connections, where the run has found that it takes none."""
        found = [check for check in self.checks if check.name == "pause-ignored"]
        return found[-1] if self.outcome == "paused" and found and found[-1].ok is False else None

    @property
    def not_true(self) -> tuple[Check, ...]:
        """The site's own questions that were not answered with true, where the run stopped for them."""
        stopped = self.outcome == "failed" and any(
            step.kind in ("check-result", "ask-database") and step.outcome == "failed" for step in self.steps
        )
        return tuple(check for check in self.checks if stopped and check.name == "verify" and check.ok is not True)
