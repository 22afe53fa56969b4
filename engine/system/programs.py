"""One program, run to its end: as another user, in a clean environment, with a time limit.

sh starts it and ends it. Its output comes through a pipe of our own: sh's readers and its time limit wait in steps of a
tenth of a second (measured, sh 2.4), which a restore with its many short programs would feel.
"""

import codecs
import os
import pwd
import select
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import sh

from engine.records.errors import RepriseError, Unreachable
from engine.records.survey import OsUser
from engine.system.dying import die_with
from engine.system.users import is_root

KEPT_LINES = 2000  # of a program's output; a verify of a broken backup may print one line per file
_TOLD_LINES = 6
_LONGEST_LINE = 1 << 20  # characters; what is longer is heard in pieces
_LOOK_SECONDS = 0.25  # between two looks whether a silent program has ended, and left its output open to another


def run_program(
    command: Sequence[str],
    user: OsUser | None = None,
    cwd: str | Path = "/",
    timeout: float | None = 60,
    env: Mapping[str, str] | None = None,
    input: str | bytes | None = None,
    on_line: Callable[[str], None] | None = None,
    new_session: bool = False,
    outlives: bool = True,
) -> str:
    """Run a command line and return what it printed (stdout and stderr as they came, the last KEPT_LINES lines).
    ``timeout`` is in seconds; ``on_line`` hears every line while it runs. Not ``outlives``: the kernel ends the program
    where this process dies.

    Raises RepriseError with the program's own last lines where it fails, Unreachable where it takes too long.
    """
    name = Path(command[0]).name
    lines = _Lines(on_line)
    out, into = os.pipe()
    try:
        settings: dict[str, Any] = {
            "_cwd": str(cwd),
            "_env": clean_environment(user) | dict(env or {}),
            "_tty_out": False,
            "_out": into,
            "_err_to_out": True,
            "_new_session": new_session,
            "_bg": True,
            "_bg_exc": False,
        }
        if user is not None and user.uid != os.geteuid():
            # sh then does initgroups, setgid and setuid between fork and exec
            settings["_uid"] = user.uid
        if not outlives:
            settings["_preexec_fn"] = partial(die_with, os.getpid())
        if input is not None:
            settings["_in"] = input
        try:
            program = sh.Command(command[0])(*command[1:], **settings)
        finally:
            os.close(into)
        try:
            in_time = _hear(program, out, lines, timeout)
        except BaseException:  # what hears its lines wants no more of it
            _kill(program)
            raise
        if not in_time:
            _kill(program)
            raise Unreachable(
                f"{name} did not end within {timeout:g} seconds and was stopped", cause=lines.last() or None
            )
        program.wait()
    except sh.ErrorReturnCode as failure:
        raise RepriseError(
            f"{name} failed with exit code {failure.exit_code}", cause=lines.last() or "it said nothing"
        ) from None
    except (sh.ForkException, sh.CommandNotFound, OSError, RuntimeError) as failure:
        last = str(failure).strip().splitlines()
        raise RepriseError(
            f"{name} could not be started" + (f" as {user.name}" if user else ""),
            cause=last[-1] if last else type(failure).__name__,
            remedy="only root can change to another user" if user and not is_root() else None,
        ) from None
    finally:
        os.close(out)
    return "".join(lines.kept)


class _Lines:
    """A program's output, line by line as it comes."""

    def __init__(self, on_line: Callable[[str], None] | None) -> None:
        self.kept: deque[str] = deque(maxlen=KEPT_LINES)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pending = ""
        self._on_line = on_line

    def feed(self, data: bytes) -> None:
        """Some more of it; nothing at all: it has ended."""
        text = self._pending + self._decoder.decode(data, final=not data)
        *lines, self._pending = text.split("\n")
        for line in lines:
            self._hear(line + "\n")
        if self._pending and (not data or len(self._pending) > _LONGEST_LINE):
            self._hear(self._pending)
            self._pending = ""

    def last(self) -> str:
        told = [line.strip() for line in self.kept if line.strip()]
        return "\n".join(told[-_TOLD_LINES:])

    def _hear(self, line: str) -> None:
        self.kept.append(line)
        if self._on_line is not None:
            self._on_line(line.rstrip("\n"))


def _hear(program: Any, out: int, lines: _Lines, timeout: float | None) -> bool:
    """Hear a program until it ends; False where it does not within the time. One that has ended, and left its output
    open to another (a server that it started), is waited for no longer."""
    deadline = None if timeout is None else time.monotonic() + timeout
    ended = False
    while True:
        left = _LOOK_SECONDS if deadline is None else min(_LOOK_SECONDS, deadline - time.monotonic())
        if left <= 0:
            return False
        if select.select([out], [], [], left)[0]:
            data = os.read(out, 65536)
            lines.feed(data)
            if not data:
                return True
        elif ended:
            lines.feed(b"")
            return True
        else:
            ended = not program.is_alive()


def _kill(program: Any) -> None:
    with suppress(ProcessLookupError):
        program.kill()
    with suppress(sh.ErrorReturnCode):
        program.wait()


def clean_environment(user: OsUser | None = None) -> dict[str, str]:
    """What a program gets to see: messages in English, nothing of the caller's, no PG* variable either."""
    home = pwd.getpwuid(user.uid if user else os.geteuid()).pw_dir
    return {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C", "HOME": home}
