"""A promotion, and what is left of one that died: PostgreSQL's own order is not safe against a plain restart.

PostgreSQL removes the signal file first, then writes the new timeline's history, then the end-of-recovery record
(StartupXLOG in xlog.c; pg_control then names the new timeline as minRecoveryPoint's), then goes "in production". In
between, a plain start would open the *old* timeline read-write. So nothing is ever started here before `standing` has
said where the cluster stands.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from msgspec.structs import replace

from engine.feed.feed import Feed
from engine.formats.history_file import read_history
from engine.postgres.running import run
from engine.postgres.server import Server, in_recovery
from engine.records.errors import RunFailed, Unreachable
from engine.records.lsn import format_lsn, skip_page_header
from engine.records.target import RecoveryPoint
from engine.steps.protocol import RunningStep
from engine.steps.shared import server_waits
from engine.steps.shared.layout import STANDBY_SIGNAL, control_of
from engine.steps.shared.points import gate_lsn, gate_of

_PROMOTION = 300.0  # seconds

Standing = Literal["behind the gate", "died between", "promoted", "on the old timeline"]

_RECOVERING = ("in archive recovery", "shut down in recovery")


def standing(data_dir: Path, timeline: int) -> Standing:
    """Where a cluster stands that is to be promoted from ``timeline``, by its signal file and pg_control alone."""
    control = control_of(data_dir)
    if (data_dir / STANDBY_SIGNAL).exists():
        return "behind the gate"
    if max(control.timeline, control.min_recovery_timeline) > timeline:
        return "promoted"
    return "died between" if control.state in _RECOVERING else "on the old timeline"


def standing_for_good(step: RunningStep, server: Server, timeline: int) -> Standing:
    """As ``standing``, of a cluster that nothing moves on by itself: what stands between is stopped, and asked again,
    since a server that still lives may finish its promotion until then. Raises RunFailed where the cluster was opened
    on the old timeline."""
    stands = standing(server.data_dir, timeline)
    if stands == "died between":
        server_waits.stop(step, server, "immediate")
        stands = standing(server.data_dir, timeline)
        if stands == "died between":
            step.log("an earlier promotion died: back behind the gate")
    if stands == "on the old timeline":
        raise refuse_old_timeline(server.data_dir, timeline)
    return stands


def refuse_old_timeline(data_dir: Path, timeline: int) -> RunFailed:
    return RunFailed(
        f"the cluster in {data_dir} was opened read-write on the old timeline {timeline}",
        cause="it was started by something else than Reprise after its promotion died (promotion-crash)",
        remedy="do not use it: stop it, discard it or roll the run back, and restore again",
    )


def promote(step: RunningStep, server: Server, feed: Feed, point: RecoveryPoint) -> int:
    """Promote a server that stands proven at the gate; return the new timeline once pg_control names it, the cluster
    is in production and the fork is exactly the gate. Raises RunFailed."""
    old = point.timeline
    feed.set_gate(replace(gate_of(point), hold=False), waiting=step.safe_point)
    _ask(server)
    step.log("promotion asked for")
    _wait_for_promotion(
        step,
        server,
        feed,
        lambda: standing(server.data_dir, old) == "promoted" and control_of(server.data_dir).state == "in production",
    )
    return settle(step, server, point)


def settle(step: RunningStep, server: Server, point: RecoveryPoint) -> int:
    """Of a server that was promoted: a checkpoint, then the proof. Returns the new timeline."""
    said = "waiting for the server to accept connections"
    server.wait_accepting(300, lambda: step.progress(0, None, detail=said))
    with server.connect() as connection:
        if in_recovery(connection):
            raise RunFailed("the server is still in recovery after its promotion", cause=server.log_tail() or None)
    if refusal := server_waits.checkpoint(step, server, timeout=3600):
        raise RunFailed(
            "the checkpoint after the promotion failed", cause=refusal, remedy="look at the server's log, then resume"
        )
    control = control_of(server.data_dir)
    if control.timeline <= point.timeline or control.state != "in production":
        raise RunFailed(
            f"the promotion is not proven: pg_control says timeline {control.timeline}, {control.state}",
            cause=server.log_tail() or None,
            remedy="look at the server's log, then resume",
        )
    require_fork_at_gate(server.data_dir, control.timeline, point)
    return control.timeline


def require_fork_at_gate(data_dir: Path, timeline: int, point: RecoveryPoint) -> None:
    """The new timeline's history must name the gate as its switch point. Raises RunFailed."""
    path = data_dir / "pg_wal" / f"{timeline:08X}.history"
    try:
        fork = read_history(path.read_text(), timeline)[-1]
    except (OSError, IndexError) as error:
        raise RunFailed(f"the new timeline's history {path} cannot be read", cause=str(error)) from error
    if fork.parent != point.timeline or skip_page_header(fork.lsn, point.segment_size) != gate_lsn(point):
        raise RunFailed(
            f"timeline {timeline} left timeline {fork.parent} at {format_lsn(fork.lsn)}, "
            f"not {point.timeline} at the gate {format_lsn(gate_lsn(point))}",
            remedy="do not use this cluster: discard it or roll the run back, and restore again",
        )


def _ask(server: Server) -> None:
    """`pg_promote()`; `pg_ctl promote` where no connection is possible."""
    try:
        with server.connect(timeout=5) as connection:
            connection.execute("SELECT pg_promote(wait => false)")
            return
    except Unreachable:
        pass
    run(server.programs, "pg_ctl", "promote", "-W", "-D", server.data_dir, user=server.user, timeout=60)


def _wait_for_promotion(step: RunningStep, server: Server, feed: Feed, promoted: Callable[[], bool]) -> None:
    """Poll, the run served, with safe points left out for the short while in which a promotion must not be left half
    done; where it waits for the archive, it may. Raises RunFailed with the server's last words, Stopped."""
    deadline = time.monotonic() + _PROMOTION
    while not promoted():
        status = feed.status()
        waiting = status.waiting if status is not None else None
        if server.pid() is None or time.monotonic() > deadline:
            cause = waiting or server.log_tail() or None
            raise RunFailed("the server did not finish its promotion", cause=cause, remedy="resume the run")
        step.progress(0, None, detail=f"waiting: {waiting}" if waiting else "the server is being promoted")
        if waiting:
            step.safe_point()
        time.sleep(0.05)
