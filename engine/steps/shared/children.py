"""A function that waits for a program, carried out in a child process, so that the step can go on serving its run."""

import json
import os
import select
import signal
import traceback
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from engine.records import errors
from engine.records.errors import RepriseError
from engine.transfer.worker import die_with

Say = Callable[[str], None]


class Child:
    """Use it as a context: leaving it ends the child and the programs that it started (its process group).

    ``work`` is given a function to say a line with, from whatever thread; ``hear`` hears it on this side.
    """

    def __init__(self, work: Callable[[Say], object], hear: Say = lambda line: None) -> None:
        self._hear = hear
        engine = os.getpid()
        self._out, told = os.pipe()
        self._pending = b""
        self._told: dict[str, str | None] | None = None
        self._pid = os.fork()
        if self._pid == 0:
            try:
                os.setpgid(0, 0)
                os.close(self._out)
                die_with(engine)
                os.write(told, _encode(_outcome(work, lambda line: _say(told, line))))
            finally:
                os._exit(0)
        os.close(told)
        with suppress(OSError):
            os.setpgid(self._pid, self._pid)  # whichever of the two comes first

    def ended(self, seconds: float) -> bool:
        """Whether the work is done; waits up to ``seconds`` for it."""
        while select.select([self._out], [], [], seconds)[0]:
            data = os.read(self._out, 65536)
            if not data:
                return True
            *lines, self._pending = (self._pending + data).split(b"\n")
            for line in lines:
                said = json.loads(line)
                if isinstance(said, str):
                    self._hear(said)
                else:
                    self._told = said
        return False

    def result(self) -> None:
        """Raises the RepriseError that the work ended with, if it did."""
        if self._told is None:
            raise errors.RunFailed("the process that was to wait for a program died", remedy="reprise resume")
        if failure := self._told.get("message"):
            kind: type[RepriseError] = getattr(errors, self._told["kind"] or "", RepriseError)
            raise kind(failure, cause=self._told["cause"], remedy=self._told["remedy"])

    def __enter__(self) -> "Child":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._out)


_LONGEST_LINE = 2000  # characters; a pipe takes 4096 bytes in one piece, whoever else writes (pipe(7))


def _say(told: int, line: str) -> None:
    os.write(told, _encode(line[:_LONGEST_LINE].encode("ascii", "replace").decode()))


def _encode(said: object) -> bytes:
    return json.dumps(said).encode() + b"\n"


def _outcome(work: Callable[[Say], object], say: Say) -> dict[str, str | None]:
    """What came of the work; an error has a message."""
    try:
        work(say)
    except RepriseError as problem:
        said = {"message": problem.message, "cause": problem.cause, "remedy": problem.remedy}
        return {"kind": type(problem).__name__, **said}
    except BaseException as problem:
        traceback.print_exc()
        return {"kind": "RepriseError", "message": "a program could not be run", "cause": repr(problem), "remedy": None}
    return {}
