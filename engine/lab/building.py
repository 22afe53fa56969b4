"""The lab's life, compressed into less than a minute: three base backups, two media snapshots and a dump under load,
restore points, an accident, and life going on after it."""

import json
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from engine.archiving.command import SCRIPT_NAME, archive_command, mark_archive, write_script
from engine.lab import place, software, system
from engine.lab.copies import Copies, LabCopy
from engine.lab.lab import DATABASE_USER, Lab
from engine.lab.workload import Workload
from engine.postgres.programs import choose_programs, describe_folder, programs_for
from engine.postgres.running import run
from engine.postgres.server import Server, free_port
from engine.records.errors import Refused, RepriseError
from engine.records.survey import OsUser, Programs
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
from engine.system.users import everyday_user, give, is_root, os_user

SITE_NAME = "lab"
ACCIDENT = "attachments"

_SETTINGS = {
    "listen_addresses": "''", "wal_level": "replica", "archive_mode": "on", "archive_timeout": "1min",
    "max_wal_senders": "5", "shared_buffers": "32MB", "max_connections": "40", "max_wal_size": "256MB",
    "checkpoint_timeout": "5min",
    "logging_collector": "off", "lc_messages": "C", "log_timezone": "UTC", "timezone": "UTC",
}  # fmt: skip

Progress = Callable[[int, int, str], None]


def build_lab(
    directory: Path | None,
    state: Path,
    copies: Copies,
    *,
    reset: bool,
    progress: Progress,
    programs: Programs | None = None,
) -> Lab:
    """The lab in ``directory`` (None: see place.lab_folder), its server stopped. A finished one is used again, a
    half-built one or, with ``reset``, any is built anew. ``copies`` takes its copies; ``progress`` hears steps done,
    steps, and what comes next. ``programs``: the PostgreSQL to build with, default the machine's newest, else the
    embedded one.

    Raises RepriseError; whatever happens, no process is left behind.
    """
    user = everyday_user()
    folder = place.lab_folder(directory, state, user)
    place.check_ours(folder)
    if not reset and (folder / place.DONE).is_file():
        return _found(folder, programs)
    with place.taken(folder), _ended_by_signals() as check_signals:
        _stop_all(folder, user, copies)
        place.emptied(folder)
        chosen = programs_for(user, programs or choose_programs(), folder / "programs")
        lab = Lab(folder, chosen, user, free_port())
        try:
            _live(lab, copies, progress, check_signals)
        finally:
            _stop_all(folder, user, copies)
    return lab


def _found(folder: Path, wanted: Programs | None) -> Lab:
    noted = json.loads((folder / place.DONE).read_text())
    try:
        programs = replace(describe_folder(noted["bin_dir"]), embedded=noted["embedded"])
    except RepriseError as failure:
        failure.remedy = "the lab's PostgreSQL is gone: build it anew with reprise demo --reset"
        raise
    if wanted is not None and wanted.version_text != programs.version_text:
        raise Refused(
            f"the lab in {folder} was built with PostgreSQL {programs.version_text}, not {wanted.version_text}",
            remedy="build it anew with --reset, or another one with --dir",
        )
    return Lab(folder, programs, os_user(noted["run_as"]), noted["port"])


def _live(lab: Lab, copies: Copies, progress: Progress, check_signals: Callable[[], None]) -> None:
    """The lab's whole life, step by step; the workload runs from the sixth step to the last but two."""
    began = time.monotonic()
    workload: list[Workload] = []
    backups: list[str] = []
    accident: dict[str, Any] = {}

    def writers_on() -> None:
        workload.append(lab.start_workload())
        time.sleep(1)

    def writers_off() -> None:
        time.sleep(1)
        workload[0].stop()
        workload.clear()

    def live_until(second: float) -> Callable[[], None]:
        # counted from the beginning: what a slow machine takes longer for, life is shorter by (but not below 3 s)
        return lambda: time.sleep(max(3, began + second - time.monotonic()))

    def take(what: LabCopy) -> Callable[[], object]:
        return lambda: copies.take(lab.site_file, what)

    def backup(what: LabCopy) -> Callable[[], None]:
        return lambda: backups.append(copies.take(lab.site_file, what))

    steps: list[tuple[str, Callable[[], object]]] = [
        ("a new cluster", lambda: _create(lab)),
        ("the document system moves in", lambda: _fill(lab)),
        ("its source code is copied", take("source") if _has_git() else lambda: None),
        ("its installation is packed", take("image")),
        ("its users start to work", writers_on),
        ("first base backup, plain, under load", backup("base-plain")),
        ("first snapshot of the files", take("media")),
        ("a quiet morning", live_until(16)),
        ("restore point: before the import", lambda: _restore_point(lab, "before-import")),
        ("second base backup, compressed tar, under load", backup("base")),
        ("a busy noon", live_until(25)),
        ("restore point: month end", lambda: _restore_point(lab, "month-end")),
        ("third base backup" + (", incremental" if lab.programs.version >= 17 else ""), backup("base-incremental")),
        ("a dump of the database", take("dump")),
        ("second snapshot of the files", take("media")),
        ("an ordinary afternoon", live_until(35 + random.random() * 2)),
        ("somebody makes a mistake", lambda: accident.update(_accident(lab))),
        ("life goes on", live_until(42 + random.random() * 2)),
        ("restore point: evening", lambda: _restore_point(lab, "evening")),
        ("the users go home", writers_off),
        ("the last segment is archived", lambda: _archive_rest(lab)),
        ("its server stops", lab.stop_server),
    ]
    try:
        for done, (what, act) in enumerate(steps):
            progress(done, len(steps), what)
            act()
            check_signals()
    finally:
        for running in workload:
            running.kill()
    noted = {
        "bin_dir": lab.programs.bin_dir, "embedded": lab.programs.embedded, "run_as": lab.user.name,
        "port": lab.port, "version": lab.programs.version,
        "base_backups": backups, "accident": accident,
    }  # fmt: skip
    draft = lab.directory / f"{place.DONE}.new"
    draft.write_text(json.dumps(noted, indent=1) + "\n")
    draft.chmod(0o600)
    draft.rename(lab.directory / place.DONE)
    progress(len(steps), len(steps), "the lab is ready")


def _create(lab: Lab) -> None:
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


def _fill(lab: Lab) -> None:
    software.install(lab.software, lab.source, lab.user)
    with lab.server.connect(statement_timeout=60) as connection:
        system.fill(connection, lab.media, lab.user, random.Random(20261123))
    _write_site(lab)


def _restore_point(lab: Lab, name: str) -> None:
    with lab.server.connect() as connection:
        connection.execute("SELECT pg_create_restore_point(%s)", (name,))


def _accident(lab: Lab) -> dict[str, Any]:
    """DROP TABLE, in the wrong window. What happened is noted outside the database."""
    with lab.server.connect() as connection:
        connection.execute("BEGIN")
        connection.execute(f"DROP TABLE {ACCIDENT}")
        row = connection.execute("SELECT pg_current_xact_id()::text, pg_current_wal_insert_lsn()::text").fetchone()
        connection.execute("COMMIT")
    assert row is not None
    return {"table": ACCIDENT, "at": datetime.now(UTC).isoformat(), "xid": int(row[0]), "lsn": row[1]}


def _archive_rest(lab: Lab) -> None:
    with lab.server.connect() as connection:
        row = connection.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchone()
    assert row is not None
    last = lab.archive / str(row[0])
    lab.server.wait(last.exists, 60, f"{last.name} was not archived")


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
            references="SELECT path, size, sha256 FROM attachments",
        ),
        [Source(str(lab.source), mirror=str(lab.source_mirror))] if _has_git() else [],
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


def _has_git() -> bool:
    return shutil.which("git") is not None


def _time_zone() -> str:
    """The machine's own time zone by name, where it is known."""
    _, found, name = str(Path("/etc/localtime").resolve()).partition("/zoneinfo/")
    return name if found else "UTC"


def _stop_all(folder: Path, user: OsUser, copies: Copies) -> None:
    """Stop the copies that are being taken, then every server whose data directory stands in the lab's folder: a
    half-built lab's, a set-aside cluster's. Nobody wants its data any more, and a backup of it that an interrupted
    building left would hold up a fast stop."""
    copies.stop(folder)
    for pid_file in folder.glob("*/postmaster.pid"):
        server = Server(_NO_PROGRAMS, pid_file.parent, user, folder, 0, folder / "log" / "postgresql.log")
        server.stop("immediate", timeout=20)


_NO_PROGRAMS = Programs("", 0, "")  # stopping needs none


@contextmanager
def _ended_by_signals() -> Iterator[Callable[[], None]]:
    """A hang-up or a polite kill ends the building as Ctrl-C does: with everything stopped. The check is for a signal
    that came in the middle of a fork: Python ignores what is raised in its hooks (os.register_at_fork)."""
    came: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        came.append(number)
        raise KeyboardInterrupt

    def check() -> None:
        if came:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield check
        return
    former = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield check
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
