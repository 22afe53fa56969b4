"""Work on a repository that may hang: a network file system that is away blocks every system call on it for ever."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from engine.records.errors import Unreachable

T = TypeVar("T")

PATIENCE = 20.0  # seconds without any answer after which a repository counts as away


class _Outcome(Generic[T]):
    def __init__(self) -> None:
        self.done = threading.Event()
        self.heard_at = time.monotonic()
        self.value: T | None = None
        self.error: BaseException | None = None

    def alive(self) -> None:
        self.heard_at = time.monotonic()


def with_patience(work: Callable[[Callable[[], None]], T], what: str, patience: float = PATIENCE) -> T:
    """Do ``work`` in a thread of its own; it calls what it is given whenever the file system has answered. Raises
    Unreachable when ``patience`` seconds pass without that: the thread then stays behind, blocked in the kernel."""
    outcome: _Outcome[T] = _Outcome()

    def carry_out() -> None:
        try:
            outcome.value = work(outcome.alive)
        except BaseException as error:  # handed to the caller
            outcome.error = error
        outcome.done.set()

    threading.Thread(target=carry_out, name=f"reading {what}", daemon=True).start()
    while not outcome.done.wait(max(0.01, outcome.heard_at + patience - time.monotonic())):
        if time.monotonic() >= outcome.heard_at + patience:
            raise Unreachable(
                f"{what} does not answer",
                cause=f"no answer from its file system within {patience:g} seconds",
                remedy="see whether its mount or network is away; the rest of the site can still be used",
            )
    if outcome.error is not None:
        raise outcome.error
    return outcome.value  # type: ignore[return-value]  # set where there is no error
