"""The copy's own files: one complete set, harmless after a plain `pg_ctl start`.

`postgresql.conf`, `postgresql.auto.conf`, `pg_hba.conf`, `pg_ident.conf` are written whole; the backup's own ones are
kept beside them as `<name>.reprise-original` (what they include does not count then, and cannot fail). Nothing of the
origin's own can act: no archiving, no TCP, no slots, no subscriptions, no job runner, no command of its recovery. Who
may connect: whoever can open the socket, which is mode 0700, so `run_as` and root, as any database user.

In place, `take_over` puts production's own files back (`engine/steps/production_settings.py`).
"""

import os
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from engine.feed.script import restore_command
from engine.formats.control_file import WAL_LEVELS, ControlFile
from engine.formats.settings_file import quote_setting, read_settings
from engine.records.errors import RunFailed
from engine.records.plan import Layout, Plan
from engine.records.target import RecoveryPoint
from engine.recovery.settings import room_for_segments
from engine.steps.protocol import RunningStep
from engine.steps.shared.layout import control_of, layout_of, put_standby_signal, spool_of, write_file
from engine.steps.shared.points import current_point

ORIGINAL = ".reprise-original"
MARK = "# Made by Reprise"
FILES = ("postgresql.conf", "postgresql.auto.conf", "pg_hba.conf", "pg_ident.conf")

# Libraries that start jobs, mails or replication by themselves as soon as a server is up. None has a resource manager
# of its own, so replay never needs them.
JOB_RUNNERS = frozenset(
    {"pg_cron", "pg_partman_bgw", "pglogical", "pg_timetable", "bdr", "spock", "pg_squeeze", "pg_net"}
)

_ORIGINS = ("max_connections", "max_worker_processes", "max_wal_senders", "max_prepared_transactions")
STANDBY_NEEDS = (*_ORIGINS, "max_locks_per_transaction")  # the manual, "Administrator's Overview" of hot standby
_TRACKED = 1000  # replication origins


def apply(step: RunningStep) -> None:
    """Write the set. Applied again, it writes the same."""
    layout = layout_of(step.plan)
    data_dir = Path(layout.data_dir)
    control = control_of(data_dir)
    step.before(restore=[name + ORIGINAL for name in FILES])
    for name in FILES:
        keep_original(data_dir, name)
    write_file(layout, data_dir / "postgresql.auto.conf", f"{MARK}: cleared. The backup's is kept as *{ORIGINAL}.\n")
    write_file(layout, data_dir / "pg_hba.conf", hba_text())
    write_file(layout, data_dir / "pg_ident.conf", f"{MARK}: no maps.\n")
    step.safe_point()
    write_configuration(step, control, recovering=True)
    remove_slots(data_dir)
    put_standby_signal(layout, data_dir)
    step.log(f"settings written to {data_dir}; the backup's own are kept as *{ORIGINAL}")


def undo(step: RunningStep) -> None:
    """Nothing: the copy is deleted as a whole."""


def write_configuration(step: RunningStep, control: ControlFile, *, recovering: bool) -> None:
    """Write the copy's postgresql.conf, with or without what only a recovery needs."""
    layout = layout_of(step.plan)
    settings = side_copy_settings(step.plan, current_point(step), control)
    if recovering:
        settings |= recovery_settings(layout, current_point(step).timeline)
    data_dir = Path(layout.data_dir)
    write_file(layout, data_dir / "postgresql.conf", conf_text(settings))


def reaches_the_point(step: RunningStep, control: ControlFile) -> bool:
    """Whether the configuration that stands there lets a recovery come to the run's point: on its timeline, and with
    nothing lower than a standby needs by then."""
    point = current_point(step)
    path = Path(layout_of(step.plan).data_dir) / "postgresql.conf"
    try:
        stands = read_settings(path.read_text("utf-8", "surrogateescape"))
    except OSError as error:
        raise RunFailed(f"{path} cannot be read", cause=error.strerror) from error
    needed = needed_settings(step.plan, point, control)
    return stands.get("recovery_target_timeline") == str(point.timeline) and all(
        _whole(stands.get(name)) >= int(value) for name, value in needed.items()
    )


def side_copy_settings(plan: Plan, point: RecoveryPoint, control: ControlFile) -> dict[str, str]:
    """All that a harmless copy is started with, recovering or not."""
    layout = layout_of(plan)
    data_dir = Path(layout.data_dir)
    preload = plan.point.backup.preload_libraries if plan.point else ()
    settings = {
        "data_directory": str(data_dir),
        "hba_file": str(data_dir / "pg_hba.conf"),
        "ident_file": str(data_dir / "pg_ident.conf"),
        "listen_addresses": "",
        "unix_socket_directories": quote_list([layout.socket_dir]),
        "unix_socket_permissions": "0700",
        "port": str(layout.port),
        "ssl": "off",
        "archive_mode": "off",
        "archive_command": "",
        "wal_level": "logical" if control.settings["wal_level"] == WAL_LEVELS.index("logical") else "replica",
        "wal_log_hints": "on" if control.settings["wal_log_hints"] else "off",
        "track_commit_timestamp": "on" if control.settings["track_commit_timestamp"] else "off",
        "synchronous_standby_names": "",
        "max_logical_replication_workers": "0",
        "shared_preload_libraries": ",".join(harmless_libraries(preload)),
        "shared_buffers": "128MB",
        "huge_pages": "off",
        "logging_collector": "off",
        "log_destination": "stderr",
        "log_line_prefix": "%m [%p] ",
        "lc_messages": "C",
        "password_encryption": "scram-sha-256",
    }
    needed = needed_settings(plan, point, control) | room_for_origins(control)
    return settings | needed | room_for_segments(control.segment_size)


def needed_settings(
    plan: Plan, point: RecoveryPoint, control: ControlFile, ours: Mapping[str, str] | None = None
) -> dict[str, str]:
    """What a standby must not undercut: the largest of the origin's (pg_control), the plan's, those that the WAL up to
    ``point`` changes to (it may be later than the plan's), and ``ours``. Lower ones stop the replay, or pause it
    early."""
    raised = dict(plan.raised_settings)
    floors = {"max_connections": 20}  # room for superuser_reserved_connections and ours
    return {
        name: str(
            max(
                control.settings[name],
                _whole(raised.get(name)),
                *(change.settings.get(name, 0) for change in point.parameter_changes),
                _whole((ours or {}).get(name)),
                floors.get(name, 0),
            )
        )
        for name in STANDBY_NEEDS
    }


def room_for_origins(control: ControlFile, ours: Mapping[str, str] | None = None) -> dict[str, str]:
    """Room to track a subscriber's replication origins: the server ends where the WAL names one more than it has room
    for (replorigin_advance in origin.c). How many the origin had stands nowhere but in its configuration, which may lie
    outside the backup; the room is cheap. ``ours`` is never undercut."""
    name = "max_active_replication_origins" if control.version >= 18 else "max_replication_slots"
    return {name: str(max(_TRACKED, _whole((ours or {}).get(name))))}


def recovery_settings(layout: Layout, timeline: int) -> dict[str, str]:
    """What only the recovery needs: the server waits in standby mode for what the feed gives it. The timeline is a
    number: `latest` follows stray history files past the fork."""
    return {
        "restore_command": restore_command(spool_of(layout)),
        "recovery_target_timeline": str(timeline),
        "wal_retrieve_retry_interval": "20ms",
        "restart_after_crash": "off",
    }


def harmless_libraries(libraries: Iterable[str]) -> list[str]:
    return [name for name in libraries if Path(name).stem not in JOB_RUNNERS]


def hba_text() -> str:
    return f"{MARK}: the socket itself is open to run_as and root only.\nlocal all all trust\n"


def conf_text(settings: Mapping[str, str]) -> str:
    head = f"{MARK}. The backup's own files are kept as *{ORIGINAL} beside this one.\n"
    return head + "".join(f"{name} = {quote_setting(value)}\n" for name, value in settings.items())


def quote_list(folders: list[str]) -> str:
    """A value of `unix_socket_directories`: in double quotes what is not plain (SplitDirectoriesString)."""
    plain = re.compile(r"[\w/.+-]+")
    return ", ".join(f if plain.fullmatch(f) else '"' + f.replace('"', '""') + '"' for f in folders)


def keep_original(data_dir: Path, name: str) -> None:
    """Set a file of the backup's aside, once; what we wrote ourselves is no original."""
    path, original = data_dir / name, data_dir / (name + ORIGINAL)
    if not path.is_file() or original.exists():
        return
    with path.open("rb") as file:
        ours = file.read(len(MARK)) == MARK.encode()
    if not ours:
        path.rename(original)


def remove_slots(data_dir: Path) -> None:
    """A copy made with the file system's means may have brought replication slots along. A link is not followed: what
    lies behind it is not the copy's; an empty folder takes its place."""
    slots = data_dir / "pg_replslot"
    if slots.is_symlink():
        slots.unlink()
        slots.mkdir(mode=0o700)
        if os.geteuid() == 0:
            owner = data_dir.stat()
            os.chown(slots, owner.st_uid, owner.st_gid, follow_symlinks=False)
    elif slots.is_dir():
        for slot in slots.iterdir():
            shutil.rmtree(slot) if slot.is_dir() and not slot.is_symlink() else slot.unlink()


def _whole(text: str | None) -> int:
    return int(text) if text and text.strip().isdigit() else 0
