"""Asking what may never answer."""

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")


def within(seconds: float, ask: Callable[[], T], otherwise: U) -> T | U:
    """What ``ask`` returns, or ``otherwise`` where it takes longer or fails with an OSError. A thread that hangs in the
    kernel cannot be ended; it is left behind and does not hold up our exit."""
    answer: list[T | U] = []

    def work() -> None:
        try:
            answer.append(ask())
        except OSError:
            answer.append(otherwise)

    thread = threading.Thread(target=work, daemon=True, name="survey")
    thread.start()
    thread.join(seconds)
    return answer[0] if answer else otherwise
