"""One of PostgreSQL's programs, run to its end: as another user, in a clean environment, with a time limit."""

import os
import pwd
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import sh

from engine.postgres.users import is_root
from engine.records.errors import RepriseError, Unreachable
from engine.records.survey import OsUser, Programs
from engine.transfer.worker import die_with

KEPT_LINES = 2000  # of a program's output; a verify of a broken backup may print one line per file
_TOLD_LINES = 6


def run(
    programs: Programs,
    program: str,
    *arguments: str | Path,
    user: OsUser | None = None,
    cwd: str | Path = "/",
    timeout: float | None = 60,
    env: Mapping[str, str] | None = None,
    input: str | bytes | None = None,
    on_line: Callable[[str], None] | None = None,
) -> str:
    """Run ``program`` from ``programs`` and return what it printed (stdout and stderr as they came, the last
    KEPT_LINES lines). ``timeout`` is in seconds; ``on_line`` hears every line while it runs (on a thread of sh's).

    Raises RepriseError with the program's own last lines where it fails, Unreachable where it takes too long.
    """
    executable = Path(programs.bin_dir) / program
    if not executable.is_file():
        raise RepriseError(
            f"{program} is not among the PostgreSQL {programs.version} programs in {programs.bin_dir}",
            remedy=f"install PostgreSQL {programs.version}'s server and client packages, or set the site's bin_dir",
        )
    return run_program([str(executable), *map(str, arguments)], user, cwd, timeout, env, input, on_line)


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
    """As ``run``, for a whole command line. Not ``outlives``: the kernel ends the program where this process dies."""
    lines: deque[str] = deque(maxlen=KEPT_LINES)

    def collect(line: str) -> None:
        lines.append(line)
        if on_line is not None:
            on_line(line.rstrip("\n"))

    settings: dict[str, Any] = {
        "_cwd": str(cwd),
        "_env": clean_environment(user) | dict(env or {}),
        "_tty_out": False,
        "_out": collect,
        "_err_to_out": True,
        "_no_out": True,  # sh keeps everything otherwise; the callback hears it all the same
        "_encoding": "utf-8",
        "_decode_errors": "replace",
        "_new_session": new_session,
        "_bg_exc": False,
    }
    if user is not None and user.uid != os.geteuid():
        # sh then does initgroups, setgid and setuid between fork and exec
        settings["_uid"] = user.uid
    if not outlives:
        settings["_preexec_fn"] = partial(die_with, os.getpid())
    if timeout is not None:
        settings["_timeout"] = timeout
    if input is not None:
        settings["_in"] = input
    name = Path(command[0]).name
    try:
        sh.Command(command[0])(*command[1:], **settings)
    except sh.TimeoutException:
        raise Unreachable(
            f"{name} did not end within {timeout:g} seconds and was stopped", cause=_last(lines) or None
        ) from None
    except sh.ErrorReturnCode as failure:
        raise RepriseError(
            f"{name} failed with exit code {failure.exit_code}", cause=_last(lines) or "it said nothing"
        ) from None
    except (sh.ForkException, sh.CommandNotFound, OSError, RuntimeError) as failure:
        last = str(failure).strip().splitlines()
        raise RepriseError(
            f"{name} could not be started" + (f" as {user.name}" if user else ""),
            cause=last[-1] if last else type(failure).__name__,
            remedy="only root can change to another user" if user and not is_root() else None,
        ) from None
    return "".join(lines)


def clean_environment(user: OsUser | None = None) -> dict[str, str]:
    """What PostgreSQL's programs get to see: messages in English, no PG* variable of the caller's."""
    home = pwd.getpwuid(user.uid if user else os.geteuid()).pw_dir
    return {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C", "HOME": home}


def _last(lines: Sequence[str]) -> str:
    told = [line.strip() for line in lines if line.strip()]
    return "\n".join(told[-_TOLD_LINES:])
