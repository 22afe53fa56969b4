"""The end of a run: the server's log is kept with it. The report itself is written by the run, whatever its end."""

from pathlib import Path

from engine.records.plan import Plan
from engine.steps.protocol import RunningStep
from engine.transfer.durable import put_file, remove_drafts

KEPT_LOG = "server.log"
_KEPT_BYTES = 16 << 20


def apply(step: RunningStep) -> None:
    keep_server_log(step.plan, step.run_dir)


def undo(step: RunningStep) -> None:
    """The log stays with the run."""


def keep_server_log(plan: Plan, run_dir: Path) -> None:
    """The last 16 MiB of what the server wrote while it recovered, into the run's folder: whole and on disk, or as it
    was. Nothing where there is no log. Raises OSError."""
    log = Path(plan.layout.work) / "server.log" if plan.layout else None
    if log is None or not log.is_file():
        return
    remove_drafts(run_dir / KEPT_LOG)
    with log.open("rb") as source:
        source.seek(max(0, log.stat().st_size - _KEPT_BYTES))
        put_file(run_dir / KEPT_LOG, source.read(_KEPT_BYTES))
