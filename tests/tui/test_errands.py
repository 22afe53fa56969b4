"""Work in the background, and who is left to hear of it."""

import threading
import time

import pytest
from textual.message import Message
from textual.message_pump import MessagePump

from tui.errands import Errand


class Gone(MessagePump):
    """A screen that has left while its errand was on its way."""

    def post_message(self, message: Message) -> bool:
        raise RuntimeError("Event loop is closed")


def test_an_answer_that_nobody_waits_for_any_more_is_dropped_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread's traceback would stand on the operator's terminal after the screen has left it."""
    told: list[object] = []
    monkeypatch.setattr(threading, "excepthook", told.append)
    errand = Errand(Gone(), "look")
    for _ in range(2):
        errand.ask("look", lambda: None)
        deadline = time.monotonic() + 30
        while errand.busy:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert not told
