"""The engine: walks the steps of one run, forwards, backwards or to discard it.

Single-threaded, alone in its process. Nothing rolls back by itself: whatever ends a step ends the run as it stands,
for resume or rollback.
"""

import os
import platform
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
from msgspec.structs import replace

import engine
from engine.records.coding import to_builtins
from engine.records.errors import RepriseError
from engine.records.plan import PlannedStep
from engine.records.runs import Operator, RunError, RunOutcome, RunState
from engine.run import folder as folders
from engine.run.answers import answers_of_the_dead, kept_copy
from engine.run.carrying import Carrying
from engine.run.control import Command, Control
from engine.run.history import keep_measured
from engine.run.journal import Journal, now_text
from engine.run.locks import Lock, folder_lock, hold_folder, proof_lock, repository_lock, site_lock, take_lock
from engine.run.report import write_report
from engine.run.story import Act, Story
from engine.steps import BUILDING, LASTING, step_module
from engine.steps.protocol import Stopped
from engine.steps.report import keep_server_log
from engine.steps.shared.children import see_that_it_answers
from engine.system.operator import operating_system
from engine.system.sparing import let_others_go_first

EXIT_CODES = {"completed": 0, "rolled-back": 0, "discarded": 0}
_ALLOWED_BY: dict[Act, str] = {"apply": "resume", "rollback": "rollback", "discard": "discard"}


class Engine:
    """One engine for one run. ``operator`` started it; ``ready`` is called once it holds its locks and its start is
    journalled."""

    def __init__(self, folder: Path, operator: Operator) -> None:
        self.folder = folder
        self.operator = operator
        self.cancelled = False
        self.plan = folders.read_plan(folder)
        self.site = folders.read_run_site(folder)
        self._locks: list[Lock] = [take_lock(folder / folders.LOCK, folder.name, f"an engine of {folder.name} lives")]
        try:
            folders.read_run(folder)  # damage is found before the journal is touched
            self.story = Story()
            self.journal = Journal(folder / folders.JOURNAL, self.story.hear)
            self._control: Control | None = None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        for lock in reversed(self._locks):
            lock.release()

    def carry_out(self, act: Act, ready: Callable[[], None]) -> RunOutcome:
        """Do it, and return the outcome. Raises RepriseError where it may not even begin."""
        self._permit(act)
        self._lock()
        if self.plan.limits is not None:
            let_others_go_first(self.plan.limits.nice, self.plan.limits.idle_io)
        self._keep_measured()  # before it is undone
        self._control = Control(self.folder, self._answer)
        try:
            told = {"operator": to_builtins(self.operator), "versions": self._versions()}
            self.journal.append("engine", {"act": act, "pid": os.getpid(), **told})
            ready()
            outcome, error = self._walk(act)
            with suppress(OSError):  # the folder of progress is only for the living
                (self.folder / folders.PROGRESS).unlink(missing_ok=True)
            self._report(outcome, error)
            self.journal.append("finished", {"outcome": outcome, "error": to_builtins(error)})
        finally:
            self._control.close()
        self.log(f"{act}: {outcome}" + (f": {error.message}" if error else ""))
        return outcome

    def _report(self, outcome: RunOutcome, error: RunError | None) -> None:
        """Written before the end is journalled: who sees the end finds the report."""
        state = self._keep_measured()
        now = datetime.now(UTC)
        completed = state.completed_at or (now if outcome == "completed" else None)
        ended = replace(
            state, outcome=outcome, error=error, pid=None, held=False, finished_at=now, completed_at=completed
        )
        try:
            write_report(ended, self.site, self.story.facts)
        except Exception as failure:  # a run that came to its end has come to it, whatever becomes of its report
            told = traceback.format_exc() if not isinstance(failure, (RepriseError, OSError)) else str(failure)
            self.log(f"the report could not be written: {told}")

    def _versions(self) -> dict[str, str]:
        """What carries this out, by its version."""
        layout = self.plan.layout
        postgres = {"PostgreSQL": layout.programs.version_text} if layout is not None else {}
        python = platform.python_version()
        return {"reprise": engine.__version__, **postgres, "Python": python, "operating system": operating_system()}

    def _keep_measured(self) -> RunState:
        state = folders.read_run(self.folder)
        with suppress(OSError):  # without it a later estimate rests on one run less
            keep_measured(folders.state_of(self.folder), state)
        return state

    def _permit(self, act: Act) -> None:
        """Raises RepriseError where the run's state does not allow the act. A run never started may be applied."""
        if self.story.act is None and act == "apply":
            return
        accepted = answers_of_the_dead(self.plan, self.site, self.story)
        if _ALLOWED_BY[act] not in accepted:
            raise RepriseError(
                f"{self.folder.name} cannot be taken by {_ALLOWED_BY[act]} now",
                cause=f"it is {self.story.ended or 'interrupted'}"
                + (f" after its {self.story.act} had begun" if self.story.act in ("rollback", "discard") else ""),
                remedy="possible: " + ", ".join(f"reprise {name} {self.folder.name}" for name in accepted)
                if accepted
                else None,
            )

    def _lock(self) -> None:
        """A side copy locks its folder, a copy that is taken its repository. In place the site is locked with all its
        repositories, so that nothing is copied of a cluster that is being replaced. The destination itself is locked
        too, but for a side copy's, against runs of another state folder."""
        state, destination = folders.state_of(self.folder), Path(self.plan.destination.path)
        wanted: list[tuple[Path, str]] = []
        if self.plan.destination.kind == "side-copy":
            wanted.append((folder_lock(state, destination), str(destination)))
        elif self.plan.destination.kind == "repository":
            wanted.append((repository_lock(state, str(destination)), str(destination)))
        elif self.plan.destination.kind == "database":
            wanted.append((site_lock(state, self.site.name), f"the site {self.site.name!r}"))
        else:
            wanted.append((site_lock(state, self.site.name), f"the site {self.site.name!r}"))
            wanted += [(repository_lock(state, place), place) for place in self.site.repositories]
        if self.plan.proof is not None:
            wanted.append((proof_lock(state, self.site.name), f"the proof drills of the site {self.site.name!r}"))
        for path, what in wanted:
            self._locks.append(take_lock(path, self.folder.name, f"another run holds {what}"))
        if self.plan.destination.kind in ("in-place", "repository"):
            see_that_it_answers(destination)
            held = hold_folder(destination, f"another run holds {destination}")
            self._locks += [held] if held is not None else []

    def _walk(self, act: Act) -> tuple[RunOutcome, RunError | None]:
        try:
            if act == "apply":
                self._apply()
                return "completed", None
            with suppress(OSError):  # it would be deleted with the work folder
                keep_server_log(self.plan, self.folder)
            if act == "rollback":
                self._rollback()
                return "rolled-back", None
            self._discard()
            return "discarded", None
        except Stopped:
            return "interrupted", None
        except _StepFailed as failed:
            return "failed", failed.error
        except OSError as failure:  # the journal's own: nothing more can be written down, or only a little
            return "failed", as_run_error(failure)

    def _apply(self) -> None:
        for planned in self.plan.steps:
            if self.story.step(planned.name).outcome != "done":
                self._carry(planned, "begin", "end", lambda module, step: module.apply(step))

    def _rollback(self) -> None:
        """Undo what was begun, last first. A cluster that was open to others stays beside the old one, and the roles
        of a run that was completed stay: somebody may log in with them by now."""
        keep = kept_copy(self.plan, self.story)
        for planned in reversed(self.plan.steps):
            stays = (keep and planned.kind in BUILDING) or (self.story.completed and planned.kind in LASTING)
            if stays or self.story.step(planned.name).outcome in ("to do", "undone"):
                continue
            self._carry(planned, "undo-begin", "undone", lambda module, step: module.undo(step))

    def _discard(self) -> None:
        """Delete what the run still keeps: what was set aside, and the folders of the copy with all that is in them."""
        side_copy = self.plan.destination.kind == "side-copy"
        for planned in reversed(self.plan.steps):
            if self.story.step(planned.name).outcome in ("to do", "undone"):
                continue
            module = step_module(planned.kind)
            if hasattr(module, "discard"):
                self._carry(planned, "undo-begin", "undone", lambda module, step: module.discard(step))
            elif side_copy or planned.kind in BUILDING - LASTING:
                self._carry(planned, "undo-begin", "undone", lambda module, step: module.undo(step))

    def _carry(self, planned: PlannedStep, begin: str, end: str, act: Callable[[ModuleType, Carrying], None]) -> None:
        """One step with its boundaries. Raises Stopped or _StepFailed, both journalled."""
        started = time.monotonic()
        try:
            step = Carrying(self, planned)
            self.journal.append(begin, {"step": planned.name})
            self.log(f"{begin} {planned.name}")
            step.safe_point()
            act(step_module(planned.kind), step)
        except Stopped:
            self.log(f"stopped in {planned.name}")
            raise
        except Exception as failure:
            error = as_run_error(failure)
            self.log(traceback.format_exc() if not isinstance(failure, RepriseError) else f"{planned.name}: {failure}")
            seconds = round(time.monotonic() - started, 3)
            self.journal.append("failed", {"step": planned.name, "seconds": seconds, "error": to_builtins(error)})
            raise _StepFailed(error) from failure
        last = step.meter.last
        measured = last.done if last is not None and last.unit == "bytes" else None
        seconds = round(time.monotonic() - started, 3)
        self.journal.append(end, {"step": planned.name, "seconds": seconds, "bytes": measured})

    def serve(self, seconds: float = 0.0) -> None:
        assert self._control is not None
        self._control.serve(seconds)

    def _answer(self, command: Command) -> Mapping[str, Any]:
        """What a client of the control socket is told."""
        name = command["command"]
        waiting = next((step for step, told in self.story.steps.items() if told.outcome == "waiting"), None)
        if name == "status":
            return {"ok": True, "pid": os.getpid(), "act": self.story.act, "held": self.story.held, "waiting": waiting}
        if name == "cancel":
            self.cancelled = True
            return {"ok": True}
        if name in ("hold", "go-on"):
            if self.story.held != (name == "hold"):
                self.journal.append("held" if name == "hold" else "going-on")
            return {"ok": True}
        if waiting is None:
            return {"ok": False, "message": f"the run does not wait at a gate now, so it cannot {name}"}
        if name == "advance" and not isinstance(command.get("target"), dict):
            return {"ok": False, "message": "advance wants a resolved target"}
        told = {"target": command.get("target"), "operator": _operator_of(command)}
        self.journal.append("answer", {"step": waiting, "act": name, **told})
        return {"ok": True}

    def log(self, line: str) -> None:
        """A line for engine.log: that is where the engine's stderr goes."""
        with suppress(OSError, ValueError):
            print(f"{now_text()} {line.rstrip()}", file=sys.stderr, flush=True)

    def cancel_on_signals(self) -> None:
        """A hang-up is nothing to the engine; SIGTERM and SIGINT cancel at the next safe point."""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: setattr(self, "cancelled", True))


class _StepFailed(Exception):
    def __init__(self, error: RunError) -> None:
        super().__init__(error.message)
        self.error = error


def _operator_of(command: Command) -> Any:
    """Who gives an answer, as his program says: the socket's folder is open to the run's owner alone."""
    try:
        return to_builtins(msgspec.convert(command.get("operator"), Operator))
    except msgspec.ValidationError:
        return None


def as_run_error(failure: Exception) -> RunError:
    """What an operator is told of whatever went wrong."""
    if isinstance(failure, RepriseError):
        return RunError(failure.message, failure.cause, failure.remedy)
    if isinstance(failure, OSError):
        where = f"{failure.filename}: " if failure.filename else ""
        return RunError(f"{where}{failure.strerror or failure}", type(failure).__name__, "mend it, then resume the run")
    line = (str(failure).splitlines() or [""])[0]
    return RunError(
        f"an unexpected error: {type(failure).__name__}: {line}"[:500],
        "the whole of it stands in the run's engine.log",
        "resume the run, or roll it back",
    )
