"""What the run knows of a step, and what a step knows of the run.

A step is a module of this folder with two functions, ``apply(step)`` and ``undo(step)``; the registry in `__init__.py`
names it by the planned step's ``kind``. Both are idempotent: applied again after a crash, they converge. A step never
prints, never asks, never reads the journal; all it needs stands in ``step``.

A third one, ``discard(step)``, deletes what a completed step keeps until the operator discards the run; only such
steps have it. Discarding a side copy (or a rolled-back run's kept copy) is the ``undo`` of its steps.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from engine.records.plan import Check, Plan
from engine.records.runs import Reached
from engine.site import Site


class Answer(Protocol):
    """What the operator said at a gate."""

    act: Literal["finish", "advance"]
    target: Mapping[str, Any] | None  # a resolved RecoveryPoint's gate, for advance


class RunningStep(Protocol):
    """The step's view of its run."""

    @property
    def plan(self) -> Plan: ...

    @property
    def site(self) -> Site: ...

    @property
    def args(self) -> Mapping[str, Any]:
        """The planned step's own arguments."""
        ...

    @property
    def run_dir(self) -> Path:
        """The run's folder (0700): journal, engine.log. Nothing that PostgreSQL touches lies here."""
        ...

    @property
    def facts(self) -> Mapping[str, Any]:
        """What earlier steps (and earlier attempts of this one) found out and told with ``fact``; under ``server`` what
        was last told with ``server``."""
        ...

    @property
    def undo_records(self) -> Sequence[Mapping[str, Any]]:
        """What this step wrote with ``before``, in order, over all attempts."""
        ...

    @property
    def checks(self) -> Sequence[Check]:
        """The checks of the result so far, of all steps."""
        ...

    @property
    def seconds(self) -> Mapping[str, float | None]:
        """What each step that is done took, by its name; None where it was interrupted or held."""
        ...

    def before(self, **how_to_undo: Any) -> None:
        """Write down, fsynced, how to undo what comes next. Returns only when it is on disk."""
        ...

    def fact(self, **found: Any) -> None:
        """Tell later steps and the report; journalled and fsynced. JSON values only."""
        ...

    def progress(
        self, done: int, total: int | None, unit: Literal["bytes", "lsn", "files"] = "bytes", detail: str = ""
    ) -> None:
        """Measured progress; call it as often as convenient, the run thins it out."""
        ...

    def waiting(self, detail: str) -> None:
        """Say what the step waits for; how far it is stays as it was told last."""
        ...

    def safe_point(self) -> None:
        """A place where the run may be held or stopped: waits while the operator holds the run, raises Stopped where
        he cancelled it. Call it at least once a second."""
        ...

    def wait_for_answer(self, finding: Mapping[str, Any], *, meanwhile: Callable[[], None] | None = None) -> Any:
        """The run waits at a gate: outcome ``paused`` until the operator says finish or advance. Returns an
        Answer; raises Stopped on cancel. ``finding`` is shown at the gate. ``meanwhile`` is called about once a
        second while it waits. An answer given before an engine died is returned at once by its successor."""
        ...

    def reached(self, reached: Reached) -> None:
        """Where the server stands, proven or not; stands in the report."""
        ...

    def check(self, check: Check) -> None:
        """A check of the result."""
        ...

    def server(self, *, data_dir: str | None, host: str | None, port: int | None, log: str | None) -> None:
        """Where the recovered server is to be found, for the screen and the report; ``data_dir`` None: it is no
        more."""
        ...

    def note(self, **content: Any) -> None:
        """Something that readers of the run should see as it happens (RunState.notes); JSON values only."""
        ...

    def log(self, line: str) -> None:
        """One line for engine.log."""
        ...


class Stopped(Exception):
    """The operator cancelled the run at a safe point."""
