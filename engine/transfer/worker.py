"""The child process that makes a copy: ``python -m engine.transfer.worker``. Its threads do what the engine, which is
single-threaded, must not.

The engine writes one line with the order and then a newline every now and then. When these stop coming (the operator
holds the run, or the engine is busy) the copy pauses; when the pipe ends (the engine is gone) the process ends at once,
and the kernel ends it too where that is possible: no writer survives into a resume. The answers are lines of JSON:
``{"done", "total", "syncing"}`` while it goes on, then ``{"result"}`` or ``{"error"}``.
"""

import json
import os
import signal
import time
import traceback
from threading import Condition, Thread
from typing import Any

from engine.records.errors import RepriseError
from engine.system.dying import die_with
from engine.transfer.passing import Order, Tally, carry
from engine.transfer.throttle import Throttle

FIRST_REPORT = 0.02  # seconds; the next ones come later and later, a small backup is soon copied
REPORT_SECONDS = 0.1


class Pulse:
    """The engine's signs of life."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._heard = time.monotonic()
        self._changed = Condition()
        Thread(target=self._listen, daemon=True).start()

    def wait_while_held(self) -> None:
        """Returns at once while the engine is heard, else when it is heard again."""
        if time.monotonic() - self._heard < self._patience:
            return
        with self._changed:
            while time.monotonic() - self._heard >= self._patience:
                self._changed.wait()

    def _listen(self) -> None:
        while os.read(0, 4096):
            with self._changed:
                self._heard = time.monotonic()
                self._changed.notify_all()
        os._exit(3)


def tell(**said: Any) -> None:
    os.write(1, json.dumps(said).encode() + b"\n")


def main() -> None:
    stdin = open(0, "rb", buffering=0, closefd=False)  # noqa: SIM115  # a buffer would swallow the signs of life
    request = json.loads(stdin.readline())
    die_with(request.pop("engine"))
    request["tablespaces"] = {int(oid): place for oid, place in request["tablespaces"].items()}
    pulse = Pulse(request.pop("patience"))
    tally = Tally(pulse.wait_while_held, Throttle(request.pop("bytes_per_second")))
    outcome: list[dict[str, Any]] = []

    def work() -> None:
        try:
            outcome.append({"result": carry(Order(**request), tally)})
        except RepriseError as problem:
            told = {"message": problem.message, "cause": problem.cause, "remedy": problem.remedy}
            outcome.append({"error": {"kind": type(problem).__name__, **told}})
        except BaseException as problem:
            traceback.print_exc()  # for engine.log; the operator gets the line below
            told = {"message": "the copy ended with an error of Reprise's own", "cause": repr(problem), "remedy": None}
            outcome.append({"error": {"kind": "RepriseError", **told}})

    thread = Thread(target=work, daemon=True)
    thread.start()
    pause = FIRST_REPORT
    while thread.is_alive():
        thread.join(pause)
        pause = min(1.5 * pause, REPORT_SECONDS)
        tell(done=tally.done, total=tally.total, syncing=tally.syncing)
    tell(**outcome[0])


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the operator's ctrl+c is the engine's business
    main()
