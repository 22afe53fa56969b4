"""The program in a real terminal: what it sends, and how it leaves."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pyte
import pytest

DEADLINE = 30.0  # seconds; a limit for waiting, never a measure
QUIET = 0.7  # seconds without a byte: it has settled


class Terminal:
    """A pseudo-terminal of 80x24 with the program in it."""

    def __init__(self, pid: int, handle: int) -> None:
        self.pid, self.handle = pid, handle
        self.sent = b""
        self.screen = pyte.Screen(80, 24)
        self.stream = pyte.ByteStream(self.screen)

    def read(self, seconds: float) -> bytes:
        """What arrives within so many seconds."""
        limit, got = time.monotonic() + seconds, b""
        while (left := limit - time.monotonic()) > 0:
            ready, _, _ = select.select([self.handle], [], [], left)
            if not ready:
                break
            try:
                data = os.read(self.handle, 65536)
            except OSError:
                break
            if not data:
                break
            got += data
        self.sent += got
        self.stream.feed(got)
        return got

    def until(self, text: str) -> bytes:
        """Read until the screen shows the text."""
        limit, got = time.monotonic() + DEADLINE, b""
        while text not in "\n".join(self.screen.display):
            assert time.monotonic() < limit, "\n".join(self.screen.display)
            got += self.read(0.05)
        return got

    def settle(self) -> bytes:
        """Read until nothing more arrives for a while."""
        got = b""
        while more := self.read(QUIET):
            got += more
        return got

    def press(self, keys: bytes) -> None:
        os.write(self.handle, keys)

    def ended(self) -> int:
        """Wait for the program's end."""
        limit = time.monotonic() + DEADLINE
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return status
            assert time.monotonic() < limit, "the program did not leave"
            if self.handle >= 0:
                self.read(0.05)
            else:
                time.sleep(0.02)


@contextmanager
def terminal(*arguments: str, **environ: str) -> Iterator[Terminal]:
    pid, handle = pty.fork()
    if pid == 0:
        keep = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLORTERM", "LC_ALL")}
        settings = {**keep, "TERM": "xterm-256color", "LANG": "C.UTF-8", **environ}
        os.execve(sys.executable, [sys.executable, "-m", "tests.tui.show", *arguments], settings)
    fcntl.ioctl(handle, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    shown = Terminal(pid, handle)
    try:
        yield shown
    finally:
        if shown.pid:
            os.kill(shown.pid, signal.SIGKILL)
            os.waitpid(shown.pid, 0)
        if shown.handle >= 0:
            os.close(shown.handle)


def test_an_idle_screen_sends_nothing_and_a_step_of_the_cursor_little() -> None:
    with terminal(COLORTERM="truecolor") as shown:
        shown.until("REACHABLE")
        shown.settle()
        assert shown.sent.count(b"reading what there is") == 1 and len(shown.sent) < 15_000  # the first pictures
        assert shown.read(2.5) == b""
        for key in (b"\x1b[D", b"h", b"\x1b[D"):
            shown.press(key)
            assert 0 < len(shown.settle()) <= 2048


def test_keys_that_arrive_at_once_are_done_one_after_another() -> None:
    with terminal() as shown:
        shown.until("REACHABLE")
        shown.press(b"/8441213\r\r")
        shown.until("Nothing is changed before Enter")
        shown.until("first of them xid 8441213")


def test_a_run_under_way_sends_little_while_nothing_changes() -> None:
    with terminal("--running", COLORTERM="truecolor") as shown:
        shown.until("attach?")
        shown.press(b"\r")
        shown.until("replay WAL")
        shown.settle()
        assert len(shown.read(2.5)) < 4 * 1024  # it looks once a second


def test_no_color_sends_no_colour() -> None:
    with terminal(NO_COLOR="1", COLORTERM="truecolor") as shown:
        shown.until("REACHABLE")
        shown.settle()
        codes = {part for found in re.findall(rb"\x1b\[([0-9;]*)m", shown.sent) for part in found.split(b";")}
        assert codes <= {b"", b"0", b"1", b"2", b"7", b"22", b"27", b"39", b"49"}


@pytest.mark.parametrize(("arguments", "environ"), [(("--ascii",), {}), ((), {"TERM": "linux"}), ((), {"LANG": "C"})])
def test_plain_terminals_get_plain_characters(arguments: tuple[str, ...], environ: dict[str, str]) -> None:
    with terminal(*arguments, **environ) as shown:
        shown.until("REACHABLE")
        shown.press(b"+?")
        shown.until("on this screen")
        shown.settle()
        assert max(shown.sent) < 0x80


def test_no_mouse_is_asked_for_with_no_mouse() -> None:
    with terminal("--no-mouse") as shown:
        shown.until("REACHABLE")
        assert b"\x1b[?1000h" not in shown.sent


def test_a_hang_up_makes_it_leave() -> None:
    with terminal() as shown:
        shown.until("REACHABLE")
        os.kill(shown.pid, signal.SIGHUP)
        shown.ended()


def test_a_terminal_that_is_gone_makes_it_leave_even_without_the_signal() -> None:
    with terminal() as shown:
        shown.until("REACHABLE")
        process = psutil.Process(shown.pid)
        os.close(shown.handle)
        shown.handle = -1
        shown.ended()
        assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_a_program_that_was_stopped_shows_its_screen_again_when_it_goes_on() -> None:
    with terminal() as shown:
        shown.until("REACHABLE")
        shown.settle()
        os.kill(shown.pid, signal.SIGTSTP)
        while psutil.Process(shown.pid).status() != psutil.STATUS_STOPPED:
            shown.read(0.05)
        shown.screen.reset()  # the shell had the terminal meanwhile
        os.kill(shown.pid, signal.SIGCONT)
        shown.until("REACHABLE")


def test_by_keys_to_a_run_and_q_leaves_and_gives_the_terminal_back() -> None:
    with terminal() as shown:
        shown.until("REACHABLE")
        shown.press(b"\r")
        shown.until("Nothing is changed before Enter")
        shown.press(b"\r")
        shown.until("server log")
        shown.press(b"q")
        assert shown.ended() == 0
        assert b"\x1b[?1049l" in shown.sent
