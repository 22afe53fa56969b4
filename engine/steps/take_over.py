"""In place, after the switch-over: replay behind the same gate under production's settings, promote, prove the new
timeline, and only then give the archive command back.

The order is what keeps the archive whole (`promotion-crash`): until the new timeline is in pg_control, in production
and forked exactly at the gate, there is no archive command, so whatever dies, no segment of the archive is touched.
With `archive_mode = on` all the while, the new timeline's history is marked and goes first, once the command is back.
"""

import time
from pathlib import Path

from msgspec.structs import replace

from engine.feed.feed import Feed
from engine.postgres import processes
from engine.postgres.connecting import QueryFailed
from engine.postgres.server import Server
from engine.records.coding import from_json, to_builtins, to_json
from engine.records.errors import RepriseError, RunFailed
from engine.records.lsn import format_lsn
from engine.records.plan import Check
from engine.records.runs import Reached
from engine.records.target import RecoveryPoint
from engine.steps.promote import REACHED
from engine.steps.protocol import RunningStep
from engine.steps.prove import require_proven
from engine.steps.settings import remove_slots
from engine.steps.shared import server_waits
from engine.steps.shared.layout import control_of, layout_of, put_standby_signal
from engine.steps.shared.points import current_point
from engine.steps.shared.production_settings import (
    archives,
    production_settings,
    put_back,
    start_settings,
    write_private_block,
)
from engine.steps.shared.promotion import promote, settle, standing_for_good
from engine.steps.shared.recovering import ensure_recovering, server_of, stop_feed, wait_for_orphans
from engine.steps.shared.socket_folder import ensure_socket_folder
from engine.steps.shared.watching import Watch

_HISTORY_WAIT = 20  # seconds for production's archive command to take the history file
_WAKE_EVERY = 1.0  # seconds


def apply(step: RunningStep) -> None:
    """Leave production's cluster promoted on a new timeline, archiving, listening privately until `open`.

    Applied again after a crash it looks where the cluster stands and converges: behind the gate again, or on to the
    finish. Raises RunFailed where it was opened on the old timeline meanwhile.
    """
    layout, point = layout_of(step.plan), current_point(step)
    data_dir = Path(layout.production or layout.data_dir)
    server = server_of(step, data_dir)
    step.before(stop=str(data_dir))
    if standing_for_good(step, server, point.timeline) == "promoted":
        new_timeline = _finish(step, server, point)
    else:
        new_timeline = _behind_the_gate(step, server, point)
    _give_archiving_back(step, server, new_timeline)
    stop_feed(step)
    reached = from_json(to_json(step.facts[REACHED]), Reached)
    step.reached(replace(reached, new_timeline=new_timeline))
    step.log(f"production recovered to {format_lsn(reached.lsn)}, on timeline {new_timeline}; it listens privately")


def undo(step: RunningStep) -> None:
    """Stop the recovered server; undoing the switch-over then moves its folder away."""
    layout = layout_of(step.plan)
    server_waits.stop(step, server_of(step, Path(layout.production or layout.data_dir)))
    stop_feed(step)


def _behind_the_gate(step: RunningStep, server: Server, point: RecoveryPoint) -> int:
    layout = layout_of(step.plan)
    if server.pid() is None:
        put_back(step, server.data_dir)
        control = control_of(server.data_dir)
        write_private_block(step, server.data_dir, control, recovering=True, hold_archiving=True)
        remove_slots(server.data_dir)
        put_standby_signal(layout, server.data_dir)
    feed = ensure_recovering(step, server, start_settings(step.site.database, server.data_dir))
    Watch(step, server, feed).replay_to(point)
    _require_held_archiving(server)
    step.fact(**{REACHED: to_builtins(require_proven(step, server, point))})
    step.safe_point()
    new_timeline = promote(step, server, feed, point)
    _require_fresh(feed, new_timeline)
    return new_timeline


def _finish(step: RunningStep, server: Server, point: RecoveryPoint) -> int:
    """The promotion came through, the engine did not see the end of it. The block still holds archiving back, or the
    whole was proven before it was given back."""
    if server.pid() is None:
        wait_for_orphans(step, server)
        ensure_socket_folder(server)
        control = control_of(server.data_dir)
        write_private_block(step, server.data_dir, control, recovering=False, hold_archiving=True)
        server.start(start_settings(step.site.database, server.data_dir), timeout=60)
    layout = layout_of(step.plan)
    step.server(data_dir=str(server.data_dir), host=layout.socket_dir, port=layout.port, log=str(server.log))
    return settle(step, server, point)


def _require_held_archiving(server: Server) -> None:
    """No archive command while the promotion may still die. Raises RunFailed."""
    try:
        with server.connect() as connection:
            rows = connection.execute(
                "SELECT name, setting FROM pg_settings WHERE name = ANY (%s)",
                [["archive_command", "archive_library", "archive_mode"]],
            ).fetchall()
    except (RepriseError, QueryFailed):
        return  # an overflowed snapshot: no connection; the block is the last word in the last file
    held = {str(name): str(setting) for name, setting in rows}
    if held.get("archive_command") not in ("", "(disabled)") or held.get("archive_library"):
        raise RunFailed(
            "the server would archive while it is promoted",
            cause=f"archive_command is {held.get('archive_command')!r}",
            remedy="remove archive_command from the server's start command, then resume",
        )
    if held.get("archive_mode") == "always":
        raise RunFailed(
            "archive_mode is always: the gate's segment would be archived", remedy="set it to on, then resume"
        )


def _require_fresh(feed: Feed, timeline: int) -> None:
    """`archive-clash`: the archive must not know the new timeline's number. Raises RunFailed."""
    status = feed.status()
    if status is not None and timeline in status.timelines:
        raise RunFailed(
            f"the archive already has a timeline {timeline}",
            cause="its history file was not visible to the server when it chose a number",
            remedy="roll the run back, and restore again once the archive is reachable",
        )


def _give_archiving_back(step: RunningStep, server: Server, timeline: int) -> None:
    """Production's real archive command, by a reload; then wait a moment for the history file to go."""
    write_private_block(step, server.data_dir, control_of(server.data_dir), recovering=False, hold_archiving=False)
    with server.connect() as connection:
        connection.execute("SELECT pg_reload_conf()")
        if not archives(production_settings(step, server.data_dir)):
            step.log("production does not archive")
            return
        marker = server.data_dir / "pg_wal" / "archive_status" / f"{timeline:08X}.history.ready"
        done = marker.with_suffix(".done")
        deadline, wake_at = time.monotonic() + _HISTORY_WAIT, time.monotonic()
        while not done.exists() and time.monotonic() < deadline:
            step.safe_point()
            if connection.info.server_version < 140000 and time.monotonic() > wake_at and (pid := server.pid()):
                wake_at = time.monotonic() + _WAKE_EVERY  # it may not have heard of the command yet
                processes.wake_archiver(pid)
            time.sleep(0.1)
        step.check(
            Check(
                "archive-clash",
                "warn",
                done.exists(),
                f"the history of timeline {timeline} is in the archive"
                if done.exists()
                else f"the archive command has not yet taken the history of timeline {timeline}",
                None if done.exists() else "see what archive_command says in the server's log",
            )
        )
