"""Start the server behind the gate and replay to it."""

from pathlib import Path

from engine.records.lsn import format_lsn
from engine.steps.protocol import RunningStep
from engine.steps.shared.layout import layout_of, put_standby_signal
from engine.steps.shared.points import current_point
from engine.steps.shared.recovering import ensure_recovering, server_of, stop_recovering
from engine.steps.shared.watching import Watch


def apply(step: RunningStep) -> None:
    """Returns with the server at the gate, alive and fed. Applied again, it finds the server where it stands, or
    starts it anew: replay begins again at the last restart point."""
    layout = layout_of(step.plan)
    data_dir = Path(layout.data_dir)
    server = server_of(step)
    step.before(stop=str(data_dir))
    if server.pid() is None:
        put_standby_signal(layout, data_dir)
    lsn = Watch(step, server, ensure_recovering(step, server)).replay_to(current_point(step))
    step.log(f"replay stands at {format_lsn(lsn)}, the gate")


def undo(step: RunningStep) -> None:
    """Stop the server and the feed."""
    stop_recovering(step)
