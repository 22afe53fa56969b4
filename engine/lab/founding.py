"""A new lab: its cluster, the document system in it, its site file."""

import random
import shutil
from pathlib import Path

from engine.archiving.command import SCRIPT_NAME, archive_command, mark_archive, write_script
from engine.lab import software, system
from engine.lab.lab import DATABASE_USER, Lab
from engine.postgres.running import run
from engine.site import (
    Database,
    DatabaseRepository,
    Environment,
    Identity,
    KeepBaseBackups,
    KeepByCalendar,
    Media,
    MediaRepository,
    Policy,
    Retention,
    Schedule,
    Site,
    Source,
    Verify,
    write_site,
)
from engine.system.users import give, is_root

SITE_NAME = "lab"

_SETTINGS = {
    "listen_addresses": "''", "wal_level": "replica", "archive_mode": "on", "archive_timeout": "1min",
    "max_wal_senders": "5", "shared_buffers": "32MB", "max_connections": "40", "max_wal_size": "256MB",
    "checkpoint_timeout": "5min",
    "logging_collector": "off", "lc_messages": "C", "log_timezone": "UTC", "timezone": "UTC",
}  # fmt: skip


def create(lab: Lab) -> None:
    log_dir = lab.server.log.parent
    repositories = (lab.base_backups, lab.dumps, lab.archive, lab.media_snapshots, lab.source_mirror.parent, lab.images)
    for folder in (*repositories, lab.media, lab.socket_dir, log_dir):
        folder.mkdir(parents=True)
    script = lab.directory / SCRIPT_NAME
    write_script(script)
    mark_archive(lab.archive, (lab.user.uid, lab.user.gid) if is_root() else None)
    lab.data_dir.mkdir(mode=0o700)
    for folder in (lab.directory / "backup", lab.media, lab.socket_dir, log_dir, lab.data_dir):
        give(folder, lab.user)
    arguments = ["-D", str(lab.data_dir), "-U", DATABASE_USER, "-A", "peer", "-E", "UTF8", "--locale=C", "--no-sync"]
    run(lab.programs, "initdb", *arguments, "--data-checksums", "--wal-segsize=1", user=lab.user, cwd=lab.data_dir)
    command = archive_command(script, str(lab.archive)).replace("'", "''")
    settings = {**_SETTINGS, "archive_command": f"'{command}'", "port": str(lab.port)}
    settings["unix_socket_directories"] = "'{}'".format(str(lab.socket_dir).replace("'", "''"))
    if lab.programs.version >= 17:
        settings["summarize_wal"] = "on"
    with (lab.data_dir / "postgresql.conf").open("a") as file:
        file.writelines(f"{name} = {value}\n" for name, value in settings.items())
    (lab.data_dir / "pg_hba.conf").write_text(
        "local  all          all  peer  map=lab\n"  # the map lets run_as and root in
        "local  replication  all  peer  map=lab\n"
    )
    names = sorted({lab.user.name, "root"})
    (lab.data_dir / "pg_ident.conf").write_text("".join(f"lab  {name}  {DATABASE_USER}\n" for name in names))
    lab.server.start()
    lab.server.wait_accepting()


def fill(lab: Lab) -> None:
    software.install(lab.software, lab.source, lab.user)
    with lab.server.connect(statement_timeout=60) as connection:
        system.fill(connection, lab.media, lab.user, random.Random(20261123))
    _write_site(lab)


def _write_site(lab: Lab) -> None:
    """Everything that a site can say; nothing of its schedule is installed."""
    repository = DatabaseRepository("directory", str(lab.base_backups), str(lab.archive), dumps=str(lab.dumps))
    database = Database(
        data_dir=str(lab.data_dir),
        repository=[repository],
        bin_dir=lab.programs.bin_dir,
        host=str(lab.socket_dir),
        port=lab.port,
        user=DATABASE_USER,
        dbname="postgres",
        run_as=lab.user.name,
    )
    site = Site(
        Identity(name=SITE_NAME, timezone=_time_zone()),
        database,
        Media(
            path=str(lab.media),
            repository=[MediaRepository("directory", str(lab.media_snapshots))],
            references=system.REFERENCES,
        ),
        [Source(str(lab.source), mirror=str(lab.source_mirror))] if has_git() else [],
        Environment(str(lab.images), path=str(lab.software)),
        verify=Verify(sql=list(system.VERIFY)),
        policy=Policy(database_full="7d", database_incremental="5min", files="1h", source="1d", environment="365d"),
        retention=Retention(
            KeepBaseBackups(count=4, days=28),
            dumps=KeepByCalendar(daily=7, monthly=12),
            media=KeepByCalendar(hourly=24, daily=14, weekly=8, monthly=12),
        ),
        schedule=Schedule(
            "*-*-* 02:00", "hourly", dump="Sun 04:00", files="hourly", source="daily", verify="Sun 05:00"
        ),
    )
    write_site(site, lab.site_file)


def has_git() -> bool:
    return shutil.which("git") is not None


def _time_zone() -> str:
    """The machine's own time zone by name, where it is known."""
    _, found, name = str(Path("/etc/localtime").resolve()).partition("/zoneinfo/")
    return name if found else "UTC"
