"""Archiving set up and tested, on the site's live server."""

import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.acts.desk import Desk, writable
from engine.acts.looking import contents_of, look
from engine.acts.mounted import not_mounted, not_the_archive, remember
from engine.archiving.command import MARK, SCRIPT_NAME, archive_command, mark_archive, write_script
from engine.archiving.settings import ASKED, changes, obstacles
from engine.archiving.streaming import slot_of, stream_changes
from engine.catalog.directory import read_repository
from engine.postgres.connecting import Connection, QueryFailed, set_for_all
from engine.postgres.programs import choose_programs
from engine.postgres.running import run
from engine.postgres.server import connect_site, in_recovery
from engine.records.errors import Refused, RepriseError, Unreachable
from engine.records.status import Archiving, Change
from engine.records.survey import OsUser
from engine.steps.shared.commands import run_site_command
from engine.survey.machine import file_system
from engine.system.programs import clean_environment
from engine.system.users import default_run_as, is_root, may_reach, may_write
from engine.wal.files import open_segment
from engine.wal.segment import read_segment

_RESTART_SECONDS = 600
_RELOAD_SECONDS = 10
_OVERRIDDEN = """
SELECT name, current_setting(name), CASE source WHEN 'default' THEN 'defaults' ELSE source END
FROM pg_settings WHERE name = ANY(%s) AND source <> 'configuration file' ORDER BY name
"""
_STREAMED = "SELECT 1 FROM pg_replication_slots WHERE slot_name = %s AND active"
_COMMON = Path("/var/lib/reprise")  # for the script, where the site file lies out of the server's reach


def plan_archiving(desk: Desk, *, zstd: bool = False, stream: bool = False) -> Archiving:
    """What `set_up_archiving` would change. ``ok`` False: something stands against it. No other program's archive
    command is in the way of a ``stream``."""
    user = server_user(desk)
    with asked(desk, user) as (connection, now, version):
        against = [*obstacles({} if stream else now, in_recovery(connection)), *place_obstacles(desk, user)]
        if stream:
            room = file_system(os.path.join(desk.site.database.data_dir, "pg_wal"))  # noqa: PTH118
            wanted = stream_changes(now, room.free_bytes if room is not None else None, version)
        else:
            wanted = changes(now, _command(desk, user, zstd), _policy(desk), version)
            if zstd and shutil.which("zstd", path=clean_environment(user)["PATH"]) is None:
                against.append("zstd is not on this machine: install it, or set archiving up without --zstd")
    return Archiving(not against, tuple(wanted), findings=tuple(against))


def set_up_archiving(desk: Desk, *, zstd: bool = False, restart: bool = False, stream: bool = False) -> Archiving:
    """Write the archive command, set the server, reload it; restart it where that is needed and agreed. With
    ``stream`` what `stream_wal` needs, without an archive command.

    Raises Refused where something stands against it, RepriseError where the server will not.
    """
    planned = plan_archiving(writable(desk), zstd=zstd, stream=stream)
    if not planned.ok:
        raise Refused(planned.findings[0], remedy="nothing was changed; see to that first")
    user, findings = server_user(desk), []
    if not stream:
        script = _script(desk, user)
        script.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        write_script(script)
    mark(desk, user)
    with asked(desk, user) as (connection, _, _):
        try:
            for change in planned.changes:
                set_for_all(connection, change.setting, change.new)
            connection.execute("SELECT pg_reload_conf()")
        except QueryFailed as failure:
            raise RepriseError("the server does not take the settings", cause=str(failure).strip()) from None
    restarted = False
    if any(change.restart for change in planned.changes):
        if restart:
            _restart(desk, user)
            restarted = True
        else:
            again = "reprise archiving set-up --stream --restart" if stream else "reprise archiving set-up --restart"
            findings.append(f"a restart of the server is needed before it archives: {again}")
    findings += _not_taken(desk, user, [each for each in planned.changes if restarted or not each.restart])
    return Archiving(not findings, planned.changes, findings=tuple(findings))


def _not_taken(desk: Desk, user: OsUser, changed: Iterable[Change]) -> list[str]:
    """What the server does not heed, although it was told: its own command line comes before its files."""
    names = [each.setting for each in changed]
    deadline = time.monotonic() + _RELOAD_SECONDS
    while True:
        with asked(desk, user) as (connection, _, _):
            rows = connection.execute(_OVERRIDDEN, [names]).fetchall()
        if not rows or time.monotonic() > deadline:
            return [
                f"{name} is still {value or chr(39) * 2}: the server has it from its {by}" for name, value, by in rows
            ]
        time.sleep(0.1)


def prove_archiving(
    desk: Desk, *, timeout: float = 60, progress: Callable[[str], None] = lambda what: None
) -> Archiving:
    """Write a little, switch to the next segment, and see whether the one before arrives in the archive, whole and
    readable. ``timeout`` in seconds."""
    user, repository = server_user(desk), desk.site.database.repository[0]
    with asked(writable(desk), user) as (connection, now, _):
        slot = (slot_of(desk.site.name),)
        try:
            streamed = connection.execute(_STREAMED, slot).fetchone() is not None
            if now.get("archive_mode") == "off" and not streamed:
                remedy = "reprise archiving set-up, or reprise archiving stream"
                return Archiving(False, findings=(f"archive_mode is off, and nobody streams: {remedy}",))
            connection.execute("SELECT pg_logical_emit_message(false, 'reprise', 'archiving test')")
            row = connection.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchone()
            failures = connection.execute("SELECT failed_count FROM pg_stat_archiver").fetchone()
            assert row is not None and failures is not None
            segment, started = str(row[0]), time.monotonic()
            while time.monotonic() - started < timeout:
                if (found := _arrived(desk, segment)) is not None:
                    seconds = round(time.monotonic() - started, 3)
                    return Archiving(not found, segment=segment, seconds=seconds, findings=tuple(found))
                time.sleep(0.1)
            row = connection.execute("SELECT failed_count, last_failed_wal FROM pg_stat_archiver").fetchone()
        except QueryFailed as failure:
            raise RepriseError("archiving cannot be tested", cause=str(failure).strip()) from None
    told = f"{segment} did not arrive in {repository.wal} within {timeout:g} seconds"
    failed = [f"archive_command failed for {row[1]}: see the server's log"] if row and row[0] > failures[0] else []
    return Archiving(False, segment=segment, findings=(told, *failed))


def mark(desk: Desk, user: OsUser) -> None:
    """From now on the folder is known as the archive, by its mark and by what it holds. Raises RepriseError."""
    repository = desk.site.database.repository[0]
    mark_archive(Path(repository.wal), (user.uid, user.gid) if is_root() else None)
    remember(desk.state, repository.wal, contents_of(desk, repository))


def server_user(desk: Desk) -> OsUser:
    """Whom the live server belongs to. Raises RepriseError."""
    return default_run_as(desk.site.database.run_as, desk.site.database.data_dir)


@contextmanager
def asked(desk: Desk, user: OsUser) -> Iterator[tuple[Connection, dict[str, str], int]]:
    """A connection, the settings that matter, the major version. Raises Unreachable."""
    with connect_site(desk.site.database, user) as connection:
        rows = connection.execute(
            "SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", [list(ASKED)]
        ).fetchall()
        yield connection, dict(rows), connection.info.server_version // 10000


def _policy(desk: Desk) -> int | None:
    return desk.site.policy.seconds("database-incremental")


def _script(desk: Desk, user: OsUser) -> Path:
    """Beside the site file, where the server's user reaches it; else in a folder that everybody does."""
    beside = desk.site_file.parent
    return (beside if may_reach(user, beside) else _COMMON / desk.site.name) / SCRIPT_NAME


def _command(desk: Desk, user: OsUser, zstd: bool) -> str:
    return archive_command(_script(desk, user), desk.site.database.repository[0].wal, zstd=zstd)


def place_obstacles(desk: Desk, user: OsUser) -> list[str]:
    """Why the folder cannot become the archive. Our mark in an empty folder says that it is meant, whatever lay there
    before."""
    repository = desk.site.database.repository[0]
    wal = repository.wal
    if (away := not_mounted(wal)) is not None:
        return [away]
    if not Path(wal).is_dir():
        return [f"{wal} is not there: make it, and give it to {user.name}"]
    if not may_write(user, wal):
        return [f"{user.name} cannot write into {wal}"]
    contents = contents_of(desk, repository)
    if not contents.archive_answers:
        return [f"{wal} does not answer"]
    if contents.marked or contents.wal_files:
        return []
    indexed = bool(look(desk).histories[repository.base_backups].timelines())
    why = not_the_archive(desk.state, wal, contents, indexed=indexed)
    return [f"{why}; if a new archive is meant to begin there, make the file {wal}/{MARK}"] if why is not None else []


def _arrived(desk: Desk, segment: str) -> list[str] | None:
    """None: not there yet; else what is wrong with it."""
    contents = read_repository(desk.site.database.repository[0], "archive")
    for file in contents.wal_files:
        path = Path(file.path)
        if path.name.partition(".")[0] == segment and not file.partial:
            with open_segment(path) as opened:
                reading = read_segment(opened, file.timeline, file.number)
            return [f"{path}: {reading.damage}"] if reading.damage else []
    return None


def _restart(desk: Desk, user: OsUser) -> None:
    """With the site's own commands where it has them, else with pg_ctl, which keeps the words of the last start."""
    database = desk.site.database
    if database.stop_command and database.start_command:
        run_site_command(database.stop_command, "[database] stop_command", lambda line: None)
        run_site_command(database.start_command, "[database] start_command", lambda line: None)
    else:
        log = os.path.join(database.data_dir, "reprise-start.log")  # noqa: PTH118
        words = ["restart", "-D", database.data_dir, "-m", "fast", "-w", "-t", str(_RESTART_SECONDS), "-l", log]
        run(choose_programs(None, database.bin_dir), "pg_ctl", *words, user=user, timeout=_RESTART_SECONDS + 30)
    deadline = time.monotonic() + 60
    while True:
        try:
            connect_site(database, user).close()
            return
        except Unreachable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
