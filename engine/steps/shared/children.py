"""A long piece of work, carried out in a child process, so that the step can go on serving its run."""

import json
import os
import select
import signal
import traceback
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any

from engine.records import errors
from engine.records.errors import RepriseError
from engine.transfer.worker import die_with

_FAILED = "a child process of the engine ended with an error of Reprise's own"


class Child:
    """Use it as a context: leaving it ends the child and the programs that it started (its process group). What the
    work returns must be JSON values."""

    def __init__(self, work: Callable[[], object]) -> None:
        engine = os.getpid()
        self._out, told = os.pipe()
        self._said = b""
        self._pid = os.fork()
        if self._pid == 0:
            try:
                os.setpgid(0, 0)
                os.close(self._out)
                die_with(engine)
                os.write(told, json.dumps(_outcome(work)).encode())
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
            self._said += data
        return False

    def result(self) -> Any:
        """What the work returned. Raises the RepriseError that it ended with, if it did."""
        if not self._said:
            raise errors.RunFailed("a child process of the engine died", remedy="reprise resume")
        said = json.loads(self._said)
        if "error" in said:
            kind: type[RepriseError] = getattr(errors, said.pop("error"), RepriseError)
            raise kind(said["message"], cause=said["cause"], remedy=said["remedy"])
        return said["result"]

    def __enter__(self) -> "Child":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._out)


def _outcome(work: Callable[[], object]) -> dict[str, object]:
    try:
        return {"result": work()}
    except RepriseError as problem:
        said = {"message": problem.message, "cause": problem.cause, "remedy": problem.remedy}
        return {"error": type(problem).__name__, **said}
    except BaseException as problem:
        traceback.print_exc()
        return {"error": "RepriseError", "message": _FAILED, "cause": repr(problem), "remedy": None}
