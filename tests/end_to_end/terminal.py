"""A program in a real pty (pexpect) and what it shows there (pyte)."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pexpect
import pyte

CHECKOUT = Path(__file__).parents[2]
DEADLINE = 60.0  # seconds; a limit for waiting, never a measure
_THEIRS = ("NO_COLOR", "COLORTERM", "LC_ALL", "LC_CTYPE", "TZ")


class _Screen(pyte.Screen):
    """pyte knows no other screen (DECSET 1049); here it begins empty, and so does the one that is come back to."""

    def set_mode(self, *modes: int, private: bool = False) -> None:
        super().set_mode(*modes, private=private)
        self._change(modes, private)

    def reset_mode(self, *modes: int, private: bool = False) -> None:
        super().reset_mode(*modes, private=private)
        self._change(modes, private)

    def _change(self, modes: tuple[int, ...], private: bool) -> None:
        if private and 1049 in modes:
            self.erase_in_display(2)
            self.cursor_position()


class Terminal:
    """A pseudo-terminal with one program in it. ``sent`` is every byte that the program wrote."""

    def __init__(self, command: list[str], columns: int, rows: int, environ: dict[str, str]) -> None:
        self.screen = _Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.sent = b""
        kept = {name: value for name, value in os.environ.items() if name not in _THEIRS}
        self.child = pexpect.spawn(
            command[0],
            command[1:],
            env={**kept, "TERM": "xterm-256color", "LANG": "C.UTF-8", **environ},
            cwd=str(CHECKOUT),
            dimensions=(rows, columns),
        )
        self.child.delaybeforesend = None

    @property
    def text(self) -> str:
        return "\n".join(self.screen.display)

    @property
    def pid(self) -> int:
        return int(self.child.pid)

    def read(self, seconds: float) -> bytes:
        """What the next read brings, if anything comes within so many seconds."""
        try:
            got: bytes = self.child.read_nonblocking(1 << 16, seconds)
        except (pexpect.TIMEOUT, pexpect.EOF):
            return b""
        self.sent += got
        self.stream.feed(got)
        return got

    def until(self, *texts: str, seconds: float = DEADLINE) -> None:
        """Read until the screen shows one of these texts."""
        limit = time.monotonic() + seconds
        while not any(text in self.text for text in texts):
            assert time.monotonic() < limit, f"never saw {texts} on:\n{self.text}"
            if not self.read(0.05) and not self.child.isalive():
                raise AssertionError(f"the program ended ({self.child.exitstatus}) before {texts}:\n{self.text}")

    def settle(self, quiet: float = 0.5) -> None:
        """Read until nothing comes for so many seconds."""
        while self.read(quiet):
            pass

    def press(self, keys: str) -> None:
        self.child.send(keys)

    def ended(self) -> int | None:
        """Wait for the program's end while reading; its exit status, None where a signal ended it."""
        limit = time.monotonic() + DEADLINE
        while self.child.isalive():
            assert time.monotonic() < limit, f"the program did not leave:\n{self.text}"
            self.read(0.05)
        while self.read(0.05):
            pass
        return self.child.exitstatus  # type: ignore[no-any-return]

    def hang_up(self) -> None:
        """Close the terminal's other side, as a broken SSH connection does, and wait for the program to be gone."""
        self.child.ptyproc.fileobj.close()
        limit = time.monotonic() + DEADLINE
        while os.waitpid(self.pid, os.WNOHANG)[0] == 0:
            assert time.monotonic() < limit, "the program outlives its terminal"
            time.sleep(0.02)
        self.child.terminated = self.child.closed = self.child.ptyproc.terminated = self.child.ptyproc.closed = True


@contextmanager
def terminal(*command: str, columns: int = 80, rows: int = 24, **environ: str) -> Iterator[Terminal]:
    """This Python with these arguments in a terminal; whatever happens, it is gone afterwards."""
    shown = Terminal([sys.executable, *command], columns, rows, environ)
    try:
        yield shown
    finally:
        if not shown.child.closed:
            shown.child.close(force=True)
