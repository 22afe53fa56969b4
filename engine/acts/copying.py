"""Taking a copy: what the machine and the repository allow, made into a plan. `acts.start` carries it out."""

import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal

from engine.acts.desk import Desk
from engine.acts.following import measured
from engine.acts.looking import backup_cache
from engine.backup import base, dump, image, media, source
from engine.backup.planning import Place
from engine.catalog.directory import read_repository
from engine.catalog.media import read_media
from engine.dumps.layout import DumpFormat
from engine.keeping.proofs import failed_ids, read_proofs
from engine.postgres.programs import choose_programs, programs_for
from engine.records.copies import BaseBackup
from engine.records.errors import RepriseError, Unreachable, UsageError
from engine.records.plan import Plan
from engine.records.survey import LiveDatabase, OsUser, Programs
from engine.run.locks import lock_holder, repository_lock
from engine.site import DatabaseRepository, Source
from engine.source.copies import uncommitted
from engine.source.git import git, who_reads
from engine.survey.machine import file_system, mounted_below
from engine.survey.patience import within
from engine.survey.server import ask_databases, ask_server
from engine.system.users import current_user, default_run_as, is_root, may_reach, may_write, who_else_writes


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
        wal=repository.wal,
        data_dir=database.data_dir,
        site_file=str(desk.site_file),
        second=repository.second,
    )
    return base.plan_base(
        asked,
        place_of(desk, repository.base_backups, owner, database.data_dir),
        server,
        no_server,
        _backups(desk, repository),
        owner=owner,
        programs=programs_of(desk, owner, server.version if server else None),
        now=_free_moment(repository.base_backups),
        measured=measured(desk),
        failed=failed_ids(read_proofs(desk.state), "base", repository.base_backups),
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
        programs=programs_of(desk, owner, version),
        now=_free_moment(repository.dumps),
        measured=measured(desk),
    )


def plan_media_snapshot(desk: Desk) -> Plan:
    """The plan of a snapshot of the users' files into the first media repository. Raises UsageError."""
    files = desk.site.media
    if files is None or files.own is None:
        raise UsageError("the site names no media repository", remedy="add [media] and [[media.repository]] to it")
    repository = files.own
    owner = current_user()  # who may read everybody's files; as root the copies keep their owners
    found = read_media(repository, repository.path)
    return media.plan_media(
        desk.site.name,
        files.path,
        within(10, lambda: any(Path(files.path).iterdir()), False),
        place_of(desk, repository.path, owner, files.path),
        found.snapshots,
        owner=owner,
        now=_free_moment(repository.path),
        second=repository.second,
        measured=measured(desk),
        failed=failed_ids(read_proofs(desk.state), "media", repository.path),
    )


def plan_source_copies(desk: Desk, path: str | None = None) -> list[Plan]:
    """A plan for each git repository of the site, or for the one with this path. Raises UsageError where there is
    none."""
    if not desk.site.source:
        raise UsageError(
            "the site names no source code", remedy="add [[source]] to it, with path and mirror or bundles"
        )
    wanted = [each for each in desk.site.source if path in (None, each.path)]
    if not wanted:
        named = ", ".join(each.path for each in desk.site.source)
        raise UsageError(f"the site has no source {path!r}", remedy=f"it has: {named}")
    return [_plan_source(desk, each) for each in wanted]


def _plan_source(desk: Desk, wanted: Source) -> Plan:
    form = "mirror" if wanted.mirror is not None else "bundle"
    target = wanted.mirror or wanted.bundles or ""
    folder = str(Path(target).parent) if form == "mirror" else target
    owner = who_reads(wanted.path)
    why_not, changed = None, 0
    try:
        git("ls-remote", "--quiet", "--", wanted.path, user=owner)
        changed = uncommitted(wanted.path, owner)
    except (RepriseError, Unreachable) as error:
        why_not = error.cause or error.message
    return source.plan_source(
        desk.site.name,
        wanted.path,
        form,
        target,
        why_not,
        changed,
        place_of(desk, folder, owner, wanted.path if wanted.path.startswith("/") else None),
        owner=owner,
        now=_free_moment(folder),
        second=wanted.second,
        measured=measured(desk),
    )


def plan_image(desk: Desk) -> Plan:
    """The plan of a copy of the environment. Raises UsageError where the site names none."""
    wanted = desk.site.environment
    if wanted is None:
        raise UsageError(
            "the site names no environment", remedy="add [environment] to it, with path or image, and store"
        )
    origin = wanted.path or wanted.image or ""
    owner = current_user()
    left_out = _inside(desk, origin) if wanted.path is not None else []
    mounted = within(10, lambda: mounted_below(Path(origin)), []) if wanted.path is not None else []
    return image.plan_image(
        desk.site.name,
        origin,
        "packed" if wanted.path is not None else "registered",
        within(10, lambda: Path(origin).is_dir() if wanted.path else Path(origin).is_file(), False),
        left_out,
        [each for each in mounted if not any(Path(each).is_relative_to(place) for place in left_out)],
        place_of(desk, wanted.store, owner, origin),
        owner=owner,
        now=_free_moment(wanted.store),
        second=wanted.second,
        measured=measured(desk),
    )


def _inside(desk: Desk, folder: str) -> list[str]:
    """What lies in a folder and has copies of its own, or is a place of copies."""
    site = desk.site
    places = [site.database.data_dir, *site.holding, *(each.wal for each in site.database.repository)]
    places += [site.media.path] if site.media else []
    inside = [place for place in places if Path(place).is_relative_to(folder) and place != folder]
    return list(dict.fromkeys(inside))


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
        others=_others(desk, folder, owner) if exists and is_root() else None,
    )


def _others(desk: Desk, folder: str, owner: OsUser) -> str | None:
    """Who may write into a folder but those in whose hands its copies are anyway: their owner, and who runs
    PostgreSQL's programs."""
    users, database = [owner], desk.site.database
    with suppress(RepriseError):
        users.append(default_run_as(database.run_as, database.data_dir))
    return within(5, lambda: who_else_writes(folder, users), None)


def _free_moment(repository: str) -> datetime:
    """Now, after which a new copy is named. Names count whole seconds: one in which another copy began is sat out."""

    def begun(stamp: str) -> bool:
        return any(stamp in name for name in os.listdir(repository))  # noqa: PTH208

    while True:
        now = datetime.now(UTC)
        if not within(10, partial(begun, f"{now:%Y%m%dT%H%M%SZ}"), False):
            return now
        time.sleep(0.05)


def _backups(desk: Desk, repository: DatabaseRepository) -> list[BaseBackup]:
    found = read_repository(repository, repository.base_backups, cache=backup_cache(desk), list_wal=False)
    return found.base_backups


def programs_of(desk: Desk, owner: OsUser, major: int | None) -> Programs | None:
    """The programs for the server's major version, where ``owner`` can run them."""
    try:
        chosen = choose_programs(major, desk.site.database.bin_dir)
        below_state = desk.state / "programs"
        cache = below_state if may_reach(owner, desk.state) else Path("/var/tmp") / f"reprise-programs-{owner.uid}"
        return programs_for(owner, chosen, cache)
    except RepriseError:
        return None
