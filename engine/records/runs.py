"""A run as its journal tells it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct, field

from engine.records.copying import Proof, TakenCopy
from engine.records.lsn import Lsn
from engine.records.plan import Check, Plan
from engine.records.recoveries import Recovery
from engine.records.target import RecoveryPoint

RunOutcome = Literal["running", "paused", "completed", "failed", "interrupted", "rolled-back", "discarded"]
LIVE: tuple[RunOutcome, ...] = ("running", "paused")  # its engine is there
StepOutcome = Literal["to do", "running", "waiting", "done", "failed", "undone"]


class Progress(Struct, frozen=True):
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


class StepState(Struct, frozen=True):
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


class Reached(Struct, frozen=True):
    """Where the recovered server stands, proven from itself and the WAL index or said not to be (``proven``)."""

    lsn: Lsn
    last_commit_at: datetime | None
    last_commit_xid: int | None
    timeline: int
    new_timeline: int | None
    proven: bool
    finding: str = ""


class RunError(Struct, frozen=True):
    """Why a run failed."""

    message: str
    cause: str | None = None
    remedy: str | None = None


class Operator(Struct, frozen=True):
    """Who did something with a run, as far as the system tells: ``user`` as whom, ``login`` who opened the session,
    ``sudo_user`` who became another by sudo, ``ssh_client`` the address that the session came from."""

    user: str
    login: str | None = None
    sudo_user: str | None = None
    ssh_client: str | None = None


class Deed(Struct, frozen=True):
    """What somebody did with a run: started an engine of it (``act``: apply, rollback, discard; with which versions of
    what) or answered at its gate (finish, advance)."""

    at: datetime
    act: str
    operator: Operator | None = None
    versions: Mapping[str, str] = field(default_factory=dict)


class RunState(Struct, frozen=True):
    """A run, read from its folder. ``pid`` is the live engine's, else None. ``held`` says that the operator holds it.
    ``answers`` are what the run accepts now (finish, advance, cancel, skip, resume, rollback, discard, stop, start,
    open). ``taken`` is the copy that a run which takes one has put into its repository; ``files`` what came of the
    users' files (counts, samples of paths), JSON values only.

    ``damaged`` is what it says of a copy that it found damaged while it copied it.

    ``deeds`` are what people did with it, oldest first; ``waited`` the seconds that it waited for answers,
    ``completed_at`` when it first came to its end. ``point`` is where it stands or stood at last: the plan's recovery
    point, until the gate was raised or more WAL was found. ``salvaged``: the WAL in production's own data directory was
    found and read to its end. ``told`` is what its steps told of the recovery, ``recovery`` what came of it in the end
    (engine/recovery/recoveries.py): None for a run that is none, or came to no end.
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
    deeds: tuple[Deed, ...] = ()
    waited: float = 0.0
    completed_at: datetime | None = None
    point: RecoveryPoint | None = None
    salvaged: bool = False
    told: Recovery | None = None
    recovery: Recovery | None = None
    damaged: Proof | None = None

    @property
    def unreadable(self) -> Check | None:
        """Why the server that waits at the gate takes no connections, where the run has found that it takes none."""
        found = [check for check in self.checks if check.name == "pause-ignored"]
        return found[-1] if self.outcome == "paused" and found and found[-1].ok is False else None

    @property
    def checks_files(self) -> bool:
        """Whether it is in the check of the users' files, or ended there."""
        return any(step.kind == "check-files" and step.outcome in ("running", "failed") for step in self.steps)

    def has_done(self, kind: str) -> bool:
        """Whether a step of this kind came to its end, be it that it was undone since."""
        return any(step.kind == kind and step.outcome in ("done", "undone") for step in self.steps)

    @property
    def not_true(self) -> tuple[Check, ...]:
        """The site's own questions that were not answered with true, where the run stopped for them."""
        stopped = self.outcome == "failed" and any(
            step.kind in ("check-result", "ask-database") and step.outcome == "failed" for step in self.steps
        )
        return tuple(check for check in self.checks if stopped and check.name == "verify" and check.ok is not True)
