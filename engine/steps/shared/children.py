"""A function that waits for a program, or for a file system that may hang, carried out in a child process, so that the
step can go on serving its run."""

import json
import os
import select
import signal
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from engine.records import errors
from engine.records.errors import RepriseError, Unreachable
from engine.steps.protocol import RunningStep
from engine.system.dying import die_with

Say = Callable[[str], None]
Alive = Callable[[], None]

LOOK_SECONDS = 0.25  # between two looks at the run's wishes while a child works
PATIENCE = 20.0  # seconds without a sign of life after which a file system counts as away
_TOLD_AFTER = 3.0  # seconds until the run says that it waits
_LETS_GO = 2.0  # seconds that a killed child gets to end
_LONGEST_LINE = 2000  # characters; a pipe takes 4096 bytes in one piece, whoever else writes (pipe(7))


class Child:
    """Use it as a context: leaving it ends the child and the programs that it started (its process group). One that
    the kernel does not let go of, in a read from a file system that hangs, is left to it: it is killed, and never
    comes back to our code.

    ``work`` returns a JSON value. It is given a function to say a line with, from whatever thread; ``hear`` hears it on
    this side. Every line is a sign of life (``heard_at``); an empty one is nothing but that.
    """

    def __init__(self, work: Callable[[Say], object], hear: Say = lambda line: None) -> None:
        self._hear = hear
        engine = os.getpid()
        self._out, told = os.pipe()
        self._pending = b""
        self._told: dict[str, Any] | None = None
        self.heard_at = time.monotonic()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                os.setpgid(0, 0)
                os.close(self._out)
                die_with(engine)
                _write(told, _outcome(work, lambda line: _write(told, _short(line))))
            finally:
                os._exit(0)
        os.close(told)
        with suppress(OSError):
            os.setpgid(self._pid, self._pid)  # whichever of the two comes first

    def ended(self, seconds: float) -> bool:
        """Whether the work is done; waits up to ``seconds`` for that, or for something to be said."""
        if select.select([self._out], [], [], seconds)[0]:
            data = os.read(self._out, 65536)
            if not data:
                return True
            self.heard_at = time.monotonic()
            *lines, self._pending = (self._pending + data).split(b"\n")
            for line in lines:
                said = json.loads(line)
                if not isinstance(said, str):
                    self._told = said
                elif said:
                    self._hear(said)
        return False

    def result(self) -> Any:
        """What the work returned. Raises the RepriseError that it ended with."""
        if self._told is None:
            raise errors.RunFailed("the process that was to wait for a program died", remedy="reprise resume")
        if "kind" in self._told:
            kind: type[RepriseError] = getattr(errors, self._told["kind"], RepriseError)
            raise kind(self._told["message"], cause=self._told["cause"], remedy=self._told["remedy"])
        return self._told["value"]

    def __enter__(self) -> "Child":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)
        deadline = time.monotonic() + _LETS_GO
        while os.waitpid(self._pid, os.WNOHANG) == (0, 0) and time.monotonic() < deadline:
            time.sleep(0.01)
        os.close(self._out)


def carried(
    step: RunningStep,
    work: Callable[[Say], object],
    hear: Say = lambda line: None,
    *,
    on: str | None = None,
) -> Any:
    """What ``work`` returns, carried out in a child; ``hear`` hears what it says. The run is served meanwhile, and says
    that it waits where nothing is heard for a while ``on`` whom the work depends; for as long as that takes. Raises
    what the work raises, Stopped where the operator cancels."""
    with Child(work, hear) as child:
        while not child.ended(LOOK_SECONDS):
            silent = time.monotonic() - child.heard_at
            if on is not None and silent > _TOLD_AFTER:
                step.waiting(f"waiting: no word for {silent:.0f} s from {on}")
            step.safe_point()
        return child.result()


def patiently(step: RunningStep, work: Callable[[Alive], object], what: str, *, patience: float = PATIENCE) -> Any:
    """What ``work`` returns; meanwhile the run is served, and says that it waits for ``what``. Raises what the work
    raises, Unreachable after ``patience`` seconds without a sign of life, Stopped where the operator cancels."""
    with Child(lambda say: work(lambda: say(""))) as child:
        while not child.ended(0.2):
            silent = time.monotonic() - child.heard_at
            if silent > _TOLD_AFTER:
                step.waiting(f"waiting: {what} does not answer")
            before = time.monotonic()
            step.safe_point()
            child.heard_at += time.monotonic() - before  # held: that was no silence
            if silent > patience:
                raise Unreachable(
                    f"{what} does not answer",
                    cause=f"no answer from its file system within {patience:g} seconds",
                    remedy="bring it back, then: reprise resume; or give up with: reprise rollback",
                )
        return child.result()


def see_that_it_answers(folder: Path, *, patience: float = PATIENCE) -> None:
    """Look at a folder, which need not be there, before this process itself opens it. Raises Unreachable."""
    with Child(lambda say: folder.is_dir()) as child:
        deadline = time.monotonic() + patience
        while not child.ended(LOOK_SECONDS):
            if time.monotonic() > deadline:
                raise Unreachable(
                    f"{folder} does not answer",
                    cause=f"no answer from its file system within {patience:g} seconds",
                    remedy="see whether its server answers and bring it back, then try again",
                )


def _short(line: str) -> str:
    return line[:_LONGEST_LINE].encode("ascii", "replace").decode()


def _write(told: int, said: object) -> None:
    rest = memoryview(json.dumps(said).encode() + b"\n")
    while rest:
        rest = rest[os.write(told, rest) :]


def _outcome(work: Callable[[Say], object], say: Say) -> dict[str, Any]:
    """The value that the work returned, or the error that it ended with."""
    try:
        return {"value": work(say)}
    except RepriseError as problem:
        said = {"message": problem.message, "cause": problem.cause, "remedy": problem.remedy}
        return {"kind": type(problem).__name__, **said}
    except OSError as problem:
        where = problem.filename or "a program could not be run"
        return {"kind": "RepriseError", "message": f"{where}: {problem.strerror}", "cause": None, "remedy": None}
    except BaseException as problem:
        traceback.print_exc()
        message = "a process of the engine's ended with an error of Reprise's own"
        return {"kind": "RepriseError", "message": message, "cause": repr(problem), "remedy": None}
