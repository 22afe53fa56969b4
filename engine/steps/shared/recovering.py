"""The recovering server and its feed, as replay, gate, promote and take_over need them.

The server outlives the engine and waits; the feed dies with it. So after a crash the server may still stand behind its
gate, and gets a new feed; or it is dead, and is started again. The feed's handle is kept from step to step here.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from engine.feed.feed import Feed, start_feed
from engine.feed.orders import FeedSpec
from engine.feed.script import belongs_to
from engine.postgres.server import Server
from engine.records.errors import RunFailed
from engine.records.lsn import format_lsn
from engine.records.target import RecoveryPoint
from engine.steps.protocol import RunningStep
from engine.steps.shared import server_waits
from engine.steps.shared.layout import STANDBY_SIGNAL, control_of, layout_of, spool_of
from engine.steps.shared.points import current_point, gate_of
from engine.steps.shared.socket_folder import ensure_socket_folder

SALVAGED = "salvage"
"""Folder in the work folder that holds production's own, unarchived segments."""

_SPOOL_BYTES = 192 << 20

_feeds: dict[Path, Feed] = {}


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
        bytes_per_second=step.plan.bytes_per_second,
    )
    _feeds[home] = feed = start_feed(spec, home)
    step.log(f"WAL feed started (pid {feed.pid}), gate {format_lsn(spec.gate.lsn)}")
    return feed


def wal_roots(step: RunningStep, point: RecoveryPoint) -> tuple[str, ...]:
    """What was salvaged, which may go further than a segment that was adopted unfinished; then the archive of the
    repository that the backup comes from. Another repository of the site is another archive: its being away must not
    stop this recovery."""
    repositories = step.site.database.repository
    own = [each for each in repositories if point.backup.path.is_relative_to(each.base_backups)]
    roots = [each.wal for each in own or repositories]
    salvaged = Path(layout_of(step.plan).work) / SALVAGED
    return (*([str(salvaged)] if salvaged.is_dir() else []), *dict.fromkeys(roots))


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
    spool = spool_of(layout_of(step.plan))
    server.wait(
        lambda: server.pid() is not None or not (server.processes() or _any_process_of(spool)),
        60,
        "processes of a dead server stay",
    )


def _any_process_of(spool: Path) -> bool:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if belongs_to(spool, (entry / "cmdline").read_bytes()):
                    return True
    return False


def stop_recovering(step: RunningStep) -> None:
    """Stop the copy's server and the feed: before the switch-over, and to undo."""
    server_waits.stop(step, server_of(step))
    stop_feed(step)
