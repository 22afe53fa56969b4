"""Promote the side copy at the gate and leave it running, harmless, on a timeline of its own."""

from msgspec.structs import replace

from engine.postgres.connecting import QueryFailed
from engine.postgres.server import Server
from engine.records.coding import from_json, to_builtins, to_json
from engine.records.errors import RepriseError
from engine.records.runs import Reached
from engine.records.target import RecoveryPoint
from engine.steps.protocol import RunningStep
from engine.steps.prove import require_proven
from engine.steps.settings import write_configuration
from engine.steps.shared.layout import control_of, layout_of, put_standby_signal
from engine.steps.shared.points import current_point
from engine.steps.shared.promotion import promote, settle, standing_for_good
from engine.steps.shared.recovering import (
    ensure_recovering,
    server_of,
    stop_feed,
    stop_recovering,
    wait_for_orphans,
)
from engine.steps.shared.socket_folder import ensure_socket_folder
from engine.steps.shared.watching import Watch

REACHED = "reached"
"""The fact that carries the proof at the gate over a crash: afterwards it cannot be had again."""


def apply(step: RunningStep) -> None:
    """Require the proof, promote, check the fork, drop the recovery's settings, end the feed.

    Applied again it first looks where the cluster stands; a promotion that died goes back behind the gate. Raises
    RunFailed where the cluster was meanwhile opened on the old timeline.
    """
    server, point = server_of(step), current_point(step)
    step.before(promoted=str(server.data_dir))
    stands = standing_for_good(step, server, point.timeline)
    if stands == "promoted":
        new_timeline = _finish(step, server, point)
    else:
        if stands == "died between":
            put_standby_signal(layout_of(step.plan), server.data_dir)
        feed = ensure_recovering(step, server)
        Watch(step, server, feed).replay_to(point)
        step.fact(**{REACHED: to_builtins(require_proven(step, server, point))})
        step.safe_point()
        new_timeline = promote(step, server, feed, point)
    write_configuration(step, control_of(server.data_dir), recovering=False)
    _reload(server)
    stop_feed(step)
    step.reached(replace(from_json(to_json(step.facts[REACHED]), Reached), new_timeline=new_timeline))
    step.log(f"promoted: timeline {new_timeline}, archiving off")


def undo(step: RunningStep) -> None:
    """Stop the server; the copy is deleted as a whole."""
    stop_recovering(step)


def stop_copy(server: Server) -> bool:
    """`stop RUN`: stop a side copy's server. False where none ran."""
    return server.stop("fast")


def start_copy(server: Server) -> None:
    """`start RUN`: start a finished side copy and wait until it accepts connections. What keeps it harmless stands in
    its own files. Raises RepriseError, Unreachable."""
    if server.pid() is None:
        ensure_socket_folder(server)
        server.start()
    server.wait_accepting()


def _finish(step: RunningStep, server: Server, point: RecoveryPoint) -> int:
    """The promotion came through, the engine did not see it. Its crash recovery, if any, needs no WAL of ours."""
    if server.pid() is None:
        wait_for_orphans(step, server)
        ensure_socket_folder(server)
        write_configuration(step, control_of(server.data_dir), recovering=False)
        server.start(timeout=60)
    layout = layout_of(step.plan)
    step.server(data_dir=str(server.data_dir), host=layout.socket_dir, port=layout.port, log=str(server.log))
    return settle(step, server, point)


def _reload(server: Server) -> None:
    try:
        with server.connect() as connection:
            connection.execute("SELECT pg_reload_conf()")
    except (QueryFailed, RepriseError):
        return  # the next start reads the files anyway
