"""Replay watched on its way to the gate: how far it is, and why it does not go on."""

import os
import time
from pathlib import Path

from engine.feed.feed import Feed
from engine.feed.orders import FeedStatus
from engine.postgres.connecting import Connection, QueryFailed
from engine.postgres.processes import read_postmaster_file
from engine.postgres.server import Server, in_recovery, replay_lsn
from engine.records.errors import RunFailed, Unreachable
from engine.records.lsn import LONG_PAGE_HEADER, Lsn, format_lsn, parse_segment, segment_of, skip_page_header
from engine.records.target import RecoveryPoint
from engine.steps.protocol import RunningStep
from engine.steps.shared.points import gate_lsn
from engine.steps.shared.server_log import last_complaint, log_since_start, said_end_at
from engine.transfer.failures import mount_point

_POLL, _SHORT_POLL = 0.1, 0.01  # seconds between two looks; near the gate
_TRY_CONNECTING = 0.5  # seconds until a connection that failed is tried again


class Watch:
    """Replay as it goes on: how far, and why not."""

    def __init__(self, step: RunningStep, server: Server, feed: Feed) -> None:
        self.step, self.server, self.feed = step, server, feed
        self._log_start = server.log.stat().st_size if server.log.exists() else 0
        self._connection: Connection | None = None
        self._try_at = 0.0
        self._waiting: str | None = None

    def replay_to(self, point: RecoveryPoint) -> Lsn:
        """Wait until replay stands at the gate and return the server's own replay LSN; progress is told meanwhile.

        Raises RunFailed where the server dies; Stopped where the operator cancels. A server that cannot read on waits,
        and the progress says for what.
        """
        try:
            return self._replay_to(point)
        finally:
            self.close()

    def _replay_to(self, point: RecoveryPoint) -> Lsn:
        gate, start = gate_lsn(point), point.pieces[0].low
        low = point.backup.start_lsn or start
        done, looked_at = low, time.monotonic()
        while True:
            self.step.safe_point()
            status = self.feed.status()
            self.require_server()
            found = self.replayed(status, point)
            before, done = done, max(done, min(found, gate))
            self.step.progress(done - low, gate - low, "lsn", self._detail(status, done, gate))
            self._note_waiting(status)
            if skip_page_header(found, point.segment_size) == gate:
                return found
            if found > gate:
                raise RunFailed(
                    f"replay went past the gate: {format_lsn(found)} instead of {format_lsn(gate)}",
                    cause="WAL beyond the gate lay in pg_wal",
                    remedy="discard the copy and restore again",
                )
            last, looked_at = looked_at, time.monotonic()
            time.sleep(_pause(gate - done, done - before, looked_at - last))

    def replayed(self, status: FeedStatus | None, point: RecoveryPoint) -> Lsn:
        """The replay LSN: by SQL, once the server accepts connections; before, no more than what the feed saw."""
        if self._connection is None and time.monotonic() >= self._try_at and self._accepts():
            try:
                self._connection = self.server.connect(timeout=3)
            except Unreachable:
                self._try_at = time.monotonic() + _TRY_CONNECTING
        if self._connection is not None:
            try:
                if not in_recovery(self._connection):
                    raise RunFailed("the server left recovery by itself", remedy="discard the copy and restore again")
                return replay_lsn(self._connection) or 0
            except QueryFailed:  # the server ended or hangs: the next look tells which
                self.close()
        return self.without_connection(status, point)

    def _accepts(self) -> bool:
        """Whether the server says that it accepts connections: asked too early, it notes each refusal in its log."""
        noted = read_postmaster_file(self.server.data_dir)
        return noted is not None and noted.status == "ready"

    def without_connection(self, status: FeedStatus | None, point: RecoveryPoint) -> Lsn:
        """The replay LSN without SQL: the gate, where the server itself says that its WAL ends there; else the begin
        of the segment that it took last."""
        gate, size = gate_lsn(point), point.segment_size
        if status is None:
            return 0
        if gate % size <= LONG_PAGE_HEADER:
            # Nothing of the gate's segment is replayed: asking for it again and again says that all before is.
            asked = status.again
            if asked is not None and parse_segment(asked, size).number == segment_of(gate, size):
                return gate
        elif said_end_at(self.log_text(), gate):
            return gate
        return _begin_of(status.served, size)

    def log_text(self) -> str:
        """What this server wrote since it was started, the last megabyte of it."""
        return log_since_start(self.server)

    def require_server(self) -> None:
        if self.server.pid() is not None:
            return
        cause = self.server.log_tail(since=self._log_start) or self.server.log_tail() or None
        if _is_full(self.server.data_dir, self.feed.spec.segment_size):
            raise RunFailed(
                "the recovering server ended: no room is left on the file system of "
                + mount_point(self.server.data_dir),
                cause=cause,
                remedy="make room there, then: reprise resume; or give the copy up with: reprise rollback",
            )
        raise RunFailed(
            "the recovering server ended",
            cause=cause,
            remedy="mend the cause and resume the run: the server is started again behind the same gate",
        )

    def _detail(self, status: FeedStatus | None, done: Lsn, gate: Lsn) -> str:
        if status is not None and status.waiting is not None:
            return f"waiting: {status.waiting}"
        if status is None or not status.listed:
            return "reading the list of the archive"
        if status.again is not None and done < gate:
            complaint = last_complaint(self.log_text())
            return f"the server does not get past segment {status.again}" + (f": {complaint}" if complaint else "")
        return f"segment {status.served}" if status.served else "starting"

    def _note_waiting(self, status: FeedStatus | None) -> None:
        """In the engine's log, once for each thing that is waited for: afterwards it says where the time went."""
        waiting = status.waiting if status is not None else None
        if waiting != self._waiting:
            self.step.log(f"replay waits: {waiting}" if waiting else "replay goes on")
            self._waiting = waiting

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _pause(left: int, gained: int, seconds: float) -> float:
    """Seconds until the next look: no more than the bytes that are left take at the rate that was just seen."""
    return min(_POLL, max(_SHORT_POLL, left * seconds / gained)) if gained else _POLL


def _is_full(folder: Path, segment_size: int) -> bool:
    """Whether two more segments have no room there. A server's own words do not tell: its log may lie there too."""
    try:
        system = os.statvfs(folder)
    except OSError:
        return False
    return system.f_bavail * system.f_frsize < 2 * segment_size


def _begin_of(name: str | None, segment_size: int) -> Lsn:
    return parse_segment(name, segment_size).number * segment_size if name is not None else 0
