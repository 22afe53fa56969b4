"""Starting an engine: a process and session of its own that outlives the terminal it was started from.

`python -m engine.run FOLDER` is forked away, leads no terminal, reads nothing, and writes to engine.log. Where
systemd-logind may kill a user's processes at log-out (logind.conf(5), KillUserProcesses), it gets a scope of its own.
"""

import os
import select
import shutil
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from engine.records.errors import RepriseError, Unreachable
from engine.run import folder as folders
from engine.run.locks import lock_holder
from engine.run.story import Act
from engine.system.ours import our_environment, our_program
from engine.system.users import current_user, is_root, lingers

_OPTIONS: dict[Act, list[str]] = {"apply": [], "rollback": ["--rollback"], "discard": ["--discard"]}


def start_engine(folder: Path, act: Act = "apply", *, program: Sequence[str] | None = None, timeout: float = 60) -> int:
    """Start the engine of a run and return its process id once it holds its locks and has journalled its start.

    ``timeout`` is in seconds. Raises RepriseError with the engine's own words where it declines (another run holds
    the site, the run does not allow the act), or where it died; Unreachable where it said nothing in time.
    """
    reading, writing = os.pipe()
    command = [*(program or our_program("engine.run")), str(folder), *_OPTIONS[act]]
    command += ["--ready", str(writing)]
    try:
        with os.fdopen(os.open(folder / folders.LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
            child = subprocess.Popen(
                [*_scope(folder.name), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=our_environment(),
                pass_fds=[writing],
                start_new_session=True,
            )
    except OSError as error:
        os.close(reading)
        raise RepriseError(f"the engine of {folder.name} could not be started", cause=str(error)) from error
    finally:
        os.close(writing)
    try:
        told = _hear(reading, timeout)
    except TimeoutError:
        raise Unreachable(
            f"the engine of {folder.name} did not say within {timeout:g} seconds that it has begun",
            cause=_tail(folder),
            remedy=f"it may still do so; see how it stands with: reprise attach {folder.name}",
        ) from None
    finally:
        os.close(reading)
    if told is not None:
        with suppress(subprocess.TimeoutExpired):
            child.wait(timeout)  # it forks and leaves at once
    if not told or not told.get("pid"):
        if told:
            raise RepriseError(told["message"], cause=told.get("cause"), remedy=told.get("remedy"))
        raise RepriseError(f"the engine of {folder.name} ended before it began", cause=_tail(folder))
    return int(told["pid"])


def _hear(pipe: int, timeout: float) -> dict[str, str] | None:
    """The engine's first words; None where it ended without any. Raises TimeoutError."""
    data = b""
    deadline = time.monotonic() + timeout
    while True:
        if not select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise TimeoutError
        received = os.read(pipe, 65536)
        if not received:
            break
        data += received
    try:
        return msgspec.json.decode(data, type=dict[str, str])
    except msgspec.DecodeError:
        return None


def _tail(folder: Path) -> str | None:
    try:
        lines = (folder / folders.LOG).read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    return "\n".join(lines[-5:]) or None


def _scope(run: str) -> list[str]:
    """What to put before the command so that it does not die with the login session; nothing where no session is.

    A user's own scope lies below his service manager, which ends with his last session unless he lingers
    (systemd-run(1), the example with screen). Without lingering the session is the better place: logind leaves it
    alone, unless it is told to kill (the check `logind` says so).
    """
    if not Path("/run/systemd/system").is_dir() or (run_scope := shutil.which("systemd-run")) is None:
        return []
    if not is_root() and not lingers(current_user()):
        return []
    try:
        inside = "session-" in Path("/proc/self/cgroup").read_text()
    except OSError:
        return []
    if not inside:
        return []
    scope = [run_scope, "--scope", "--quiet", "--collect", *([] if is_root() else ["--user"])]
    try:
        works = subprocess.run([*scope, "true"], stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [*scope, f"--description=Reprise {run}", "--"] if works.returncode == 0 else []


def wait_for_end(folder: Path, timeout: float) -> bool:
    """Wait until no engine of this run lives; ``timeout`` in seconds. Returns whether that came about."""
    deadline = time.monotonic() + timeout
    while lock_holder(folder / folders.LOCK) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
