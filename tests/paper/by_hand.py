"""The page for the safe, taken at its word: its commands are run as they stand."""

import os
import re
import subprocess
from pathlib import Path

from engine.records.survey import OsUser, Programs

_FENCES = re.compile(r"^(`{3,})sh\n(.*?)\n\1$", re.DOTALL | re.MULTILINE)


def commands(page: str, *, without: str = "## Without this program") -> str:
    """All that the page says to type from a heading on, in its order."""
    return "\n".join(found[2] for found in _FENCES.finditer(page.partition(without)[2]))


def type_all(script: str, new: Path, programs: Programs, user: OsUser, **variables: str) -> str:
    """Type it into a shell that stops at the first error; what it printed. ``new`` is the page's NEW."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/", "LC_ALL": "C", "NEW": str(new), "AS": user.name}
    done = subprocess.run(
        ["sh", "-e", "-c", script],
        env={**environment, "BIN": programs.bin_dir, **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    log = new / "run" / "server.log"
    assert done.returncode == 0, (
        f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}\n{log.read_text()[-3000:] if log.exists() else ''}"
    )
    return done.stdout
