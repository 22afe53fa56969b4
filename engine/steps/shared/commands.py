"""The site's own command lines (``[application] stop``, ``stop_command`` …): the operator wrote them for a shell."""

import subprocess
import tempfile
import time
from collections.abc import Callable

from engine.records.errors import RepriseError, Unreachable

TIMEOUT = 300.0  # seconds
_GO_ON = "resume the run or roll it back (it has its own copy of the site file: site.json in its folder)"


def run_site_command(
    command: str,
    key: str,
    log: Callable[[str], None],
    *,
    waiting: Callable[[], None] | None = None,
    timeout: float = TIMEOUT,
) -> None:
    """Run a command line of the site file with ``sh -c`` and log what it says; ``key`` names it to the operator.

    Its text is told nowhere: people write passwords into command lines. It has a session of its own (what it starts
    outlives our terminal) and the usual umask instead of ours, which would close its files to everybody.

    ``waiting`` is called several times a second meanwhile. What the command leaves running in the background lives
    on. Raises RepriseError with its last lines where it fails, Unreachable where it takes over ``timeout`` seconds
    (it is then left alone: nobody knows what half of it would mean).
    """
    log(f"running {key}")
    with tempfile.TemporaryFile() as output:  # a pipe would be held open by what it leaves running
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            umask=0o022,
            start_new_session=True,
        )
        deadline = time.monotonic() + timeout
        while process.poll() is None:
            if waiting is not None:
                waiting()
            if time.monotonic() > deadline:
                raise Unreachable(
                    f"{key} did not end within {timeout:g} seconds",
                    remedy=f"see what it waits for, then {_GO_ON}",
                )
            try:
                process.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
        output.seek(0)
        lines = output.read().decode("utf-8", "replace").splitlines()
    for line in lines:
        log(f"  {line}")
    if process.returncode != 0:
        raise RepriseError(
            f"{key} failed with exit code {process.returncode}",
            cause="\n".join(lines[-5:]) or None,
            remedy=f"mend it, then {_GO_ON}",
        )
