"""Taking a copy: what the machine and the repository allow, made into a plan. `acts.start` carries it out."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from engine.acts.desk import Desk
from engine.acts.following import measured, runs
from engine.acts.looking import backup_cache
from engine.backup import base, dump, media
from engine.backup.planning import Place
from engine.catalog.directory import read_repository
from engine.catalog.media import read_media
from engine.dumps.layout import DumpFormat
from engine.postgres.programs import choose_programs, programs_for
from engine.postgres.users import current_user, default_run_as, may_reach, may_write
from engine.records.copies import BaseBackup
from engine.records.errors import RepriseError, Unreachable, UsageError
from engine.records.plan import Plan
from engine.records.survey import LiveDatabase, OsUser, Programs
from engine.run.locks import lock_holder, repository_lock
from engine.site import DatabaseRepository
from engine.survey.machine import file_system
from engine.survey.patience import within
from engine.survey.server import ask_databases, ask_server


def plan_base_backup(desk: Desk, *, incremental: bool = False, format: Literal["tar", "plain"] = "tar") -> Plan:
    """The plan of a base backup into the site's first repository."""
    database = desk.site.database
    repository = database.repository[0]
    owner = default_run_as(database.run_as, database.data_dir, [Path(repository.base_backups)])
    server, no_server = None, None
    try:
        server = ask_server(desk.site, owner)
    except Unreachable as error:
        no_server = ": ".join(filter(None, (error.message, error.cause)))
    asked = base.Asked(
        desk.site.name,
        incremental,
        format,
        database.host,
        database.port,
        database.user,
        full_every=desk.site.policy.seconds("database-full"),
        second=repository.second,
    )
    return base.plan_base(
        asked,
        place_of(desk, repository.base_backups, owner, database.data_dir),
        server,
        no_server,
        _backups(desk, repository),
        owner=owner,
        programs=_programs(desk, owner, server.version if server else None),
        now=datetime.now(UTC),
        measured=measured(runs(desk)),
    )


def plan_dump(desk: Desk, *, database: str | None = None, format: DumpFormat = "custom") -> Plan:
    """The plan of a dump into the first repository that has a place for dumps. Raises UsageError."""
    site = desk.site.database
    repository = next((each for each in site.repository if each.dumps), None)
    if repository is None or repository.dumps is None:
        raise UsageError("the site names no place for dumps", remedy='add dumps = "/…" to its [[database.repository]]')
    owner = default_run_as(site.run_as, site.data_dir, [Path(repository.dumps)])
    version: int | None = None
    databases: list[LiveDatabase] = []
    no_server = None
    try:
        version, databases = ask_databases(desk.site, owner)
    except Unreachable as error:
        no_server = ": ".join(filter(None, (error.message, error.cause)))
    return dump.plan_dump(
        dump.AskedDump(
            desk.site.name, database, format, site.host, site.port, site.user, site.dbname, repository.second
        ),
        place_of(desk, repository.dumps, owner, site.data_dir),
        version,
        no_server,
        databases,
        owner=owner,
        programs=_programs(desk, owner, version),
        now=datetime.now(UTC),
        measured=measured(runs(desk)),
    )


def plan_media_snapshot(desk: Desk) -> Plan:
    """The plan of a snapshot of the users' files into the first media repository. Raises UsageError."""
    files = desk.site.media
    if files is None or not files.repository:
        raise UsageError("the site names no media repository", remedy="add [media] and [[media.repository]] to it")
    repository = files.repository[0]
    owner = current_user()  # who may read everybody's files; as root the copies keep their owners
    found = read_media(repository, repository.path)
    return media.plan_media(
        desk.site.name,
        files.path,
        within(10, lambda: any(Path(files.path).iterdir()), False),
        place_of(desk, repository.path, owner, files.path),
        found.snapshots,
        owner=owner,
        now=datetime.now(UTC),
        second=repository.second,
        measured=measured(runs(desk)),
    )


def place_of(desk: Desk, folder: str, owner: OsUser, source: str | None) -> Place:
    """A repository as it stands now; ``source`` is what will be copied into it, where that lies on this machine."""
    room = file_system(folder)
    original = file_system(source) if source is not None else None
    exists = room is not None and Path(folder).is_dir()
    return Place(
        folder,
        room,
        exists,
        writable=exists and may_write(owner, folder),
        held_by=lock_holder(repository_lock(desk.state, folder)),
        source_device=original.device if original is not None and original.nearest == source else None,
    )


def _backups(desk: Desk, repository: DatabaseRepository) -> list[BaseBackup]:
    found = read_repository(repository, repository.base_backups, cache=backup_cache(desk), list_wal=False)
    return found.base_backups


def _programs(desk: Desk, owner: OsUser, major: int | None) -> Programs | None:
    """The programs for the server's major version, where ``owner`` can run them."""
    try:
        chosen = choose_programs(major, desk.site.database.bin_dir)
        below_state = desk.state / "programs"
        cache = below_state if may_reach(owner, desk.state) else Path("/var/tmp") / f"reprise-programs-{owner.uid}"
        return programs_for(owner, chosen, cache)
    except RepriseError:
        return None
