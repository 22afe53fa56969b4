"""git, in a clean environment: it asks nothing, runs no hooks, collects no garbage, and speaks English.

It runs as the owner of the repository that it reads: a foreign repository may name programs in its own configuration,
which git would start with our rights (git-config(1), safe.directory).
"""

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from engine.records.errors import RepriseError
from engine.records.survey import OsUser
from engine.system.programs import run_program
from engine.system.users import current_user, is_root, owner_of

_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
    "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",  # not ext::, which runs whatever a URL says
    "GIT_OPTIONAL_LOCKS": "0",
}


def git(
    *words: str | Path,
    user: OsUser,
    cwd: Path | str = "/",
    timeout: float | None = 60,
    env: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] | None = None,
) -> str:
    """Run git and return what it printed. ``timeout`` in seconds. Raises RepriseError with git's own words, Unreachable
    where it takes too long."""
    program = shutil.which("git")
    if program is None:
        raise RepriseError("git is not on this machine", remedy="install the package git")
    options = ["-c", "core.hooksPath=/dev/null", "-c", "gc.auto=0", "-c", "maintenance.auto=false"]
    return run_program(
        [program, *options, *map(str, words)],
        user if user.uid != os.geteuid() else None,
        cwd,
        timeout,
        _ENVIRONMENT | dict(env or {}),
        on_line=on_line,
        outlives=False,
    )


def who_reads(path: str) -> OsUser:
    """Who git runs as for a repository: its owner, where it lies on this machine and we are root; else ourselves."""
    owner = owner_of(path) if is_root() and path.startswith("/") else None
    return owner or current_user()
