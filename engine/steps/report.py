"""The end of a run: the server's log is kept with it. The report itself is written by the run, whatever its end."""

import shutil
from pathlib import Path

from engine.steps.protocol import RunningStep
from engine.steps.settings import layout_of

KEPT_LOG = "server.log"
_KEPT_BYTES = 16 << 20


def apply(step: RunningStep) -> None:
    """Keeps the last 16 MiB of what the server wrote while it recovered."""
    log = Path(layout_of(step.plan).work) / "server.log"
    if not log.is_file():
        return
    kept = step.run_dir / KEPT_LOG
    kept.touch(mode=0o600)
    with log.open("rb") as source, kept.open("wb") as target:
        source.seek(max(0, log.stat().st_size - _KEPT_BYTES))
        shutil.copyfileobj(source, target)


def undo(step: RunningStep) -> None:
    """The log stays with the run."""
