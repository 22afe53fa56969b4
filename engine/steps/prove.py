"""Where the recovered server stands, proven from itself against the WAL index.

Three witnesses, none of which is the plan: the replay LSN is the gate; the timeline in pg_control, after a restart
point, is the point's; the last transaction end that the server replayed is the one that the index names, its commit is
committed and the first lost one is not. Without a connection (an overflowed snapshot at the backup's start: hot
standby never begins) the server's log and the feed's account must name the gate.
"""

import time
from datetime import UTC, datetime

from msgspec import Struct

from engine.feed.orders import last_segment
from engine.postgres.connecting import Connection, QueryFailed
from engine.postgres.server import Server, in_recovery, replay_lsn
from engine.records.errors import RunFailed, Unreachable
from engine.records.history import TransactionEnd
from engine.records.lsn import Lsn, format_lsn, parse_segment, skip_page_header
from engine.records.plan import Check
from engine.records.runs import Reached
from engine.records.target import RecoveryPoint
from engine.steps.protocol import RunningStep
from engine.steps.shared import opening, server_waits
from engine.steps.shared.layout import control_of
from engine.steps.shared.points import current_point, gate_lsn, gate_of
from engine.steps.shared.recovering import ensure_feed, ensure_recovering, server_of
from engine.steps.shared.server_log import last_restored, log_since_start
from engine.steps.shared.watching import Watch


class Testimony(Struct, frozen=True):
    """What the server says of itself; None is what it cannot say."""

    lsn: Lsn
    timeline: int | None
    last_end_at: datetime | None
    kept_committed: bool | None
    lost_committed: bool | None
    how: str


def apply(step: RunningStep) -> None:
    """Tell the run where the server stands, proven or not. Nothing promotes what is not proven."""
    server = server_of(step)
    feed = ensure_recovering(step, server)
    point = current_point(step)
    Watch(step, server, feed).replay_to(point)  # at once, unless the server was started again
    reached = prove(step, server, point)
    step.log(f"{'proven' if reached.proven else 'NOT proven'}: {reached.finding}")


def undo(step: RunningStep) -> None:
    """Nothing was changed."""


def prove(step: RunningStep, server: Server, point: RecoveryPoint) -> Reached:
    """Ask the server, compare, tell the run."""
    testimony = hear(step, server, point)
    faults = compare(testimony, point)
    kept = point.kept_commit
    matched = testimony.kept_committed is True or (testimony.kept_committed is None and not faults)
    finding = "; ".join(faults) or f"replay stands at the gate {format_lsn(gate_lsn(point))} ({testimony.how})"
    reached = Reached(
        lsn=testimony.lsn,
        last_commit_at=kept.at if kept is not None and matched and not faults else None,
        last_commit_xid=kept.xid if kept is not None and matched and not faults else None,
        timeline=testimony.timeline or point.timeline,
        new_timeline=None,
        proven=not faults,
        finding=finding,
    )
    step.reached(reached)
    return reached


def require_proven(step: RunningStep, server: Server, point: RecoveryPoint) -> Reached:
    """`early-promotion`: replay at the gate, proven, or no promotion. Raises RunFailed."""
    reached = prove(step, server, point)
    if not reached.proven:
        raise RunFailed(
            "the server is not promoted: where it stands is not proven",
            cause=reached.finding,
            remedy="look at the server's log; mend the WAL archive and resume, or roll the run back",
        )
    return reached


def hear(step: RunningStep, server: Server, point: RecoveryPoint) -> Testimony:
    """What the server says: by SQL, unless it refuses connections for longer than the moment that it needs to open
    itself to them. Raises RunFailed."""
    gate = gate_lsn(point)
    deadline = time.monotonic() + opening.patience(server, gate)
    while True:
        try:
            with server.connect(timeout=5, statement_timeout=600) as connection:
                return _by_sql(step, connection, server, point)
        except (Unreachable, QueryFailed) as refusal:
            if time.monotonic() > deadline:
                opening.found_closed(server, gate)
                cause = refusal.cause if isinstance(refusal, Unreachable) else None
                return _without_connection(step, server, point, cause or str(refusal).strip())
        time.sleep(0.1)


def _by_sql(step: RunningStep, connection: Connection, server: Server, point: RecoveryPoint) -> Testimony:
    if not in_recovery(connection):
        raise RunFailed("the server is not in recovery any more", remedy="discard the copy and restore again")
    # After a restart point pg_control names the timeline that replay is on.
    if server_waits.checkpoint(step, server, timeout=600) is None:
        control = control_of(server.data_dir)
        timeline: int | None = max(control.min_recovery_timeline, control.timeline)
    else:  # not allowed to this user
        timeline = _timeline_of_log(server, point)
    lsn = replay_lsn(connection) or 0
    row = connection.execute("SELECT pg_last_xact_replay_timestamp()").fetchone()
    at = row[0] if row else None
    return Testimony(
        lsn=lsn,
        timeline=timeline,
        last_end_at=at.astimezone(UTC) if at is not None else None,
        kept_committed=_committed(connection, point.kept_commit),
        lost_committed=_committed(connection, point.lost_commit),
        how="pg_last_wal_replay_lsn()",
    )


def _committed(connection: Connection, end: TransactionEnd | None) -> bool | None:
    """Whether a transaction is committed in this server's eyes; None where it cannot tell (too old)."""
    if end is None:
        return None
    row = connection.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text").fetchone()
    next_xid = int(row[0]) if row else 0
    full = (next_xid & ~0xFFFFFFFF) | end.xid  # a WAL record's xid has no epoch
    if full >= next_xid + (1 << 31):
        full -= 1 << 32
    elif full < next_xid - (1 << 31):
        full += 1 << 32
    if full >= next_xid:
        return False  # not even begun
    try:
        row = connection.execute("SELECT pg_xact_status(%s::text::xid8)", [str(full)]).fetchone()
    except QueryFailed:
        return None
    return None if row is None or row[0] is None else row[0] == "committed"


def _without_connection(step: RunningStep, server: Server, point: RecoveryPoint, refused: str) -> Testimony:
    feed = ensure_feed(step, server.data_dir)
    lsn = Watch(step, server, feed).without_connection(feed.status(), point)
    step.check(
        Check(
            "pause-ignored",
            "info",
            False,
            f"the server accepts no connections at the gate: {refused}",
            "nothing can be read here; finish promotes it, a throw-away side copy can be looked at",
        )
    )
    timeline = _timeline_of_log(server, point)
    return Testimony(lsn, timeline, None, None, None, "by the server's log; it accepts no connections")


def _timeline_of_log(server: Server, point: RecoveryPoint) -> int | None:
    """The timeline of the last segment that the server restored, where that is the gate's."""
    restored = last_restored(log_since_start(server))
    if restored is None:
        return None
    name = parse_segment(restored, point.segment_size)
    return name.timeline if name.number == last_segment(gate_of(point), point.segment_size) else None


def compare(testimony: Testimony, point: RecoveryPoint) -> list[str]:
    """What does not fit; empty means proven."""
    gate, faults = gate_lsn(point), []
    if skip_page_header(testimony.lsn, point.segment_size) != gate:
        faults.append(f"replay stands at {format_lsn(testimony.lsn)}, the gate is {format_lsn(gate)}")
    if testimony.timeline is not None and testimony.timeline != point.timeline:
        faults.append(f"the server is on timeline {testimony.timeline}, not {point.timeline}")
    kept = point.kept
    told = kept.at if kept is not None and kept.kind != "prepare" else None  # a prepare is no end to the server
    if testimony.last_end_at is not None and told is not None and testimony.last_end_at != told:
        faults.append(
            f"the last transaction that the server replayed ended at {testimony.last_end_at.isoformat()}, "
            f"the WAL index says {told.isoformat()}"
        )
    if testimony.kept_committed is False and point.kept_commit is not None:
        faults.append(f"transaction {point.kept_commit.xid}, the last one to be kept, is not committed")
    if testimony.lost_committed is True and point.lost_commit is not None:
        faults.append(f"transaction {point.lost_commit.xid}, the first one to be lost, is committed")
    return faults
