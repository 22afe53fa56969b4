"""The recovering server and its feed, as replay, gate, promote and take_over need them.

The server outlives the engine and waits; the feed dies with it. So after a crash the server may still stand behind its
gate, and gets a new feed; or it is dead, and is started again. The feed's handle is kept from step to step here.
"""

import os
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from engine.feed.feed import Feed, start_feed
from engine.feed.orders import FeedSpec, FeedStatus
from engine.feed.script import NAME as SCRIPT
from engine.postgres.connecting import Connection, QueryFailed
from engine.postgres.server import Server, in_recovery, replay_lsn
from engine.records.errors import RunFailed, Unreachable
from engine.records.lsn import LONG_PAGE_HEADER, Lsn, format_lsn, parse_segment, segment_of, skip_page_header
from engine.records.target import RecoveryPoint
from engine.steps.protocol import RunningStep
from engine.steps.settings import STANDBY_SIGNAL, control_of, layout_of, spool_of
from engine.steps.shared.points import current_point, gate_lsn, gate_of
from engine.steps.shared.socket_folder import ensure_socket_folder
from engine.transfer.failures import mount_point

SALVAGED = "salvage"
"""Folder in the work folder that holds production's own, unarchived segments."""

_POLL = 0.1  # seconds
_PROMOTION = 300.0  # seconds
_TRY_CONNECTING = 0.5  # seconds between attempts while replay goes on
_SPOOL_BYTES = 192 << 20

_feeds: dict[Path, Feed] = {}
_log_begins: dict[tuple[Path, int], int] = {}


def server_of(step: RunningStep, data_dir: Path | None = None) -> Server:
    """The copy's server (or, in place, production's with our private socket)."""
    layout = layout_of(step.plan)
    database = step.site.database
    return Server(
        layout.programs,
        data_dir or Path(layout.data_dir),
        layout.run_as,
        Path(layout.socket_dir),
        layout.port,
        Path(layout.work) / "server.log",
        database.user,
        database.dbname,
    )


def ensure_feed(step: RunningStep, data_dir: Path) -> Feed:
    """The run's feed at the run's gate, started where none lives."""
    home = step.run_dir / "feed"
    point = current_point(step)
    feed = _feeds.get(home)
    if feed is not None and feed.alive() and feed.spec.pg_wal == str(data_dir / "pg_wal"):
        feed.set_gate(gate_of(point), waiting=step.safe_point)
        return feed
    if feed is not None:
        feed.stop()
    layout = layout_of(step.plan)
    spec = FeedSpec(
        roots=wal_roots(step, point),
        segment_size=point.segment_size,
        system_identifier=control_of(data_dir).system_identifier,
        spool=str(spool_of(layout)),
        pg_wal=str(data_dir / "pg_wal"),
        uid=layout.run_as.uid,
        gid=layout.run_as.gid,
        gate=gate_of(point),
        ahead=max(2, min(16, _SPOOL_BYTES // point.segment_size)),
    )
    _feeds[home] = feed = start_feed(spec, home)
    step.log(f"WAL feed started (pid {feed.pid}), gate {format_lsn(spec.gate.lsn)}")
    return feed


def wal_roots(step: RunningStep, point: RecoveryPoint) -> tuple[str, ...]:
    """The archive of the repository that the backup comes from, then what was salvaged. Another repository of the
    site is another archive: its being away must not stop this recovery."""
    repositories = step.site.database.repository
    own = [each for each in repositories if point.backup.path.is_relative_to(each.base_backups)]
    roots = [each.wal for each in own or repositories]
    salvaged = Path(layout_of(step.plan).work) / SALVAGED
    return (*dict.fromkeys(roots), *([str(salvaged)] if salvaged.is_dir() else []))


def feed_lives(step: RunningStep) -> bool:
    """Whether this engine's feed of the run is alive."""
    feed = _feeds.get(step.run_dir / "feed")
    return feed is not None and feed.alive()


def stop_feed(step: RunningStep) -> None:
    """End the feed of this engine, where there is one; a server still behind its gate waits."""
    feed = _feeds.pop(step.run_dir / "feed", None)
    if feed is not None:
        feed.stop()


def ensure_recovering(step: RunningStep, server: Server, settings: Mapping[str, str] | None = None) -> Feed:
    """The server behind the gate and its feed, started where they do not live. Raises RunFailed.

    A server that is started gets a feed of its own: what the old one knows is of the old server, and must not pass
    for where the new one stands."""
    if server.pid() is None:
        if not (server.data_dir / STANDBY_SIGNAL).exists():
            raise RunFailed(
                f"{server.data_dir} has no standby.signal: PostgreSQL would open it read-write",
                remedy="roll the run back, or discard the copy, and plan again",
            )
        stop_feed(step)
        wait_for_orphans(step, server)
        ensure_socket_folder(server)
        feed = ensure_feed(step, server.data_dir)
        pid = server.start(settings, timeout=60)
        step.log(f"server started behind the gate (pid {pid})")
    else:
        feed = ensure_feed(step, server.data_dir)
    layout = layout_of(step.plan)
    step.server(data_dir=str(server.data_dir), host=layout.socket_dir, port=layout.port, log=str(server.log))
    return feed


def wait_for_orphans(step: RunningStep, server: Server) -> None:
    """A killed server's children and its restore script end by themselves, within moments: they must not move or ask
    for anything once the next server runs. Raises Unreachable where they stay."""
    script = os.fsencode(spool_of(layout_of(step.plan)) / SCRIPT)
    server.wait(
        lambda: server.pid() is not None or not (server.processes() or _any_process_of(script)),
        60,
        "processes of a dead server stay",
    )


def _any_process_of(script: bytes) -> bool:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if script in (entry / "cmdline").read_bytes().split(b"\0"):
                    return True
    return False


def stop_recovering(step: RunningStep) -> None:
    """Stop the copy's server and the feed: before the switch-over, and to undo."""
    server_of(step).stop("fast")
    stop_feed(step)


class Watch:
    """Replay as it goes on: how far, and why not."""

    def __init__(self, step: RunningStep, server: Server, feed: Feed) -> None:
        self.step, self.server, self.feed = step, server, feed
        self._log_start = server.log.stat().st_size if server.log.exists() else 0
        self._connection: Connection | None = None
        self._try_at = 0.0

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
        done = low
        while True:
            self.step.safe_point()
            status = self.feed.status()
            self.require_server()
            found = self.replayed(status, point)
            done = max(done, min(found, gate))
            self.step.progress(done - low, gate - low, "lsn", self._detail(status, done, gate))
            if skip_page_header(found, point.segment_size) == gate:
                return found
            if found > gate:
                raise RunFailed(
                    f"replay went past the gate: {format_lsn(found)} instead of {format_lsn(gate)}",
                    cause="WAL beyond the gate lay in pg_wal",
                    remedy="discard the copy and restore again",
                )
            time.sleep(_POLL)

    def replayed(self, status: FeedStatus | None, point: RecoveryPoint) -> Lsn:
        """The replay LSN: by SQL, once the server accepts connections; before, no more than what the feed saw."""
        if self._connection is None and time.monotonic() >= self._try_at:
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

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _is_full(folder: Path, segment_size: int) -> bool:
    """Whether two more segments have no room there. A server's own words do not tell: its log may lie there too."""
    try:
        system = os.statvfs(folder)
    except OSError:
        return False
    return system.f_bavail * system.f_frsize < 2 * segment_size


def log_since_start(server: Server) -> str:
    """What the running server wrote since it was started, at most the last megabyte of it; nothing where none runs or
    it did not speak yet. What an earlier server said says nothing of where this one stands."""
    pid = server.pid()
    if pid is None:
        return ""
    try:
        with server.log.open("rb") as file:
            begin = _begin_of_log(server.log, pid, file)
            if begin is None:
                return ""
            file.seek(max(begin, file.seek(0, os.SEEK_END) - (1 << 20)))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def _begin_of_log(log: Path, pid: int, file: BinaryIO) -> int | None:
    """Where the postmaster with this pid began to write; our log_line_prefix names the pid."""
    if (log, pid) not in _log_begins:
        mark = f" [{pid}] LOG:  starting PostgreSQL ".encode()
        file.seek(0)
        position, found = 0, None
        for line in file:
            if mark in line:
                found = position
            position += len(line)
        if found is None:
            return None
        _log_begins[log, pid] = found
    return _log_begins[log, pid]


def last_restored(log: str) -> str | None:
    """The segment that the server says it restored last."""
    found = _RESTORED.findall(log)
    return found[-1] if found else None


def said_end_at(log: str, gate: Lsn) -> bool:
    """Whether the server found the end of its WAL at the gate: the zeros behind it (xlogreader.c)."""
    return f"invalid record length at {format_lsn(gate)}:" in log


_RESTORED = re.compile(r'restored log file "([0-9A-F]{24})" from archive')
_COMPLAINTS = ("invalid ", "incorrect ", "unexpected ", "record with ", "WAL file is from", "there is no contrecord")


def last_complaint(log: str) -> str | None:
    """What the server last said of WAL that it cannot read."""
    for line in reversed(log.splitlines()):
        _, mark, text = line.partition("LOG:  ")
        if mark and text.startswith(_COMPLAINTS):
            return text.strip()
    return None


def wait_for_promotion(step: RunningStep, server: Server, feed: Feed, promoted: Callable[[], bool]) -> None:
    """Poll, the run served, with safe points left out for the short while in which a promotion must not be left half
    done; where it waits for the archive, it may. Raises RunFailed with the server's last words, Stopped."""
    otherwise = "the server did not finish its promotion"
    deadline = time.monotonic() + _PROMOTION
    while not promoted():
        status = feed.status()
        waiting = status.waiting if status is not None else None
        if server.pid() is None or time.monotonic() > deadline:
            raise RunFailed(otherwise, cause=waiting or server.log_tail() or None, remedy="resume the run")
        step.progress(0, None, detail=f"waiting: {waiting}" if waiting else "the server is being promoted")
        if waiting:
            step.safe_point()
        time.sleep(0.05)


def _begin_of(name: str | None, segment_size: int) -> Lsn:
    return parse_segment(name, segment_size).number * segment_size if name is not None else 0
