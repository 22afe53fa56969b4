"""Who sits at the keyboard, as far as the system tells. An auditor reads it in a run's report.

None of it is proof against somebody who is root: the login uid is the kernel's (proc(5), ``/proc/[pid]/loginuid``) and
survives sudo and su, all else is what the session's processes carry in their environment.
"""

import os
import platform
import pwd
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from engine.records.runs import Operator

_NOBODY_LOGGED_IN = 0xFFFFFFFF
_LONGEST_LINE = 32  # processes between us and the session's first


def present_operator() -> Operator:
    """Who started this process."""
    told: dict[str, str] = {}
    for environment in _environments():
        for name in ("SUDO_USER", "SSH_CONNECTION", "SSH_CLIENT"):
            if environment.get(name):
                told.setdefault(name, environment[name])
    client = told.get("SSH_CONNECTION") or told.get("SSH_CLIENT")
    return Operator(_name(os.geteuid()), _login_name(), told.get("SUDO_USER"), client.split()[0] if client else None)


def operating_system() -> str:
    """The name and version of this machine's operating system, and its kernel's."""
    name = platform.system()
    with suppress(OSError):
        name = platform.freedesktop_os_release().get("PRETTY_NAME", name)
    return f"{name}, {platform.system()} {platform.release()}"


def _login_name() -> str | None:
    """Who logged in on the session that this process belongs to."""
    with suppress(OSError, ValueError):
        uid = int(Path("/proc/self/loginuid").read_text())
        if uid != _NOBODY_LOGGED_IN:
            return _name(uid)
    with suppress(OSError):
        return os.getlogin()
    return None


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _environments() -> Iterator[Mapping[str, str]]:
    """Our own, then those of the processes that we descend from: sudo takes out of ours where a session came from."""
    yield os.environ
    pid = os.getppid()
    for _ in range(_LONGEST_LINE):
        if pid <= 1:
            return
        try:
            words = (Path("/proc") / str(pid) / "environ").read_bytes().split(b"\0")
            status = (Path("/proc") / str(pid) / "stat").read_bytes()
        except OSError:  # another user's, or gone
            return
        yield dict(os.fsdecode(word).split("=", 1) for word in words if b"=" in word)
        pid = int(status.rpartition(b")")[2].split()[1])
