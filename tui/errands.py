"""Work that must not hold the screen up: one daemon thread for each kind of question, the latest question wins.

Daemon threads, not Textual's thread workers: those are joined at exit, and a disk that hangs would hold the program.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from textual.message import Message
from textual.message_pump import MessagePump

from engine.records.errors import RepriseError


class Answer(Message):
    """What an errand brought back: ``result``, or ``error``."""

    def __init__(self, errand: "Errand", ask: object, result: Any, error: RepriseError | None) -> None:
        super().__init__()
        self.errand = errand
        self.ask = ask
        self.result = result
        self.error = error


class Errand:
    """Runs what was asked last; what was asked meanwhile and overtaken is never run."""

    def __init__(self, owner: MessagePump, name: str) -> None:
        self.owner = owner
        self.name = name
        self._wanted: tuple[object, Callable[[], Any]] | None = None
        self._running = False
        self._lock = threading.Lock()

    @property
    def busy(self) -> bool:
        return self._running

    def ask(self, what: object, work: Callable[[], Any]) -> None:
        """Have ``work`` done in the background; an Answer with ``what`` in it comes to the owner."""
        with self._lock:
            self._wanted = (what, work)
            if self._running:
                return
            self._running = True
        threading.Thread(target=self._run, name=f"errand {self.name}", daemon=True).start()

    def _run(self) -> None:
        while True:
            with self._lock:
                if self._wanted is None:
                    self._running = False
                    return
                (what, work), self._wanted = self._wanted, None
            result, error = None, None
            try:
                result = work()
            except RepriseError as known:
                error = known
            except Exception as unknown:  # a defect of ours must not pass as an empty answer
                error = RepriseError(
                    f"{type(unknown).__name__}: {unknown}",
                    cause="this is a defect of Reprise",
                    remedy="the command line tells more",
                )
            with suppress(RuntimeError):  # the screen, or the program, has gone meanwhile: nobody waits for it
                self.owner.post_message(Answer(self, what, result, error))
