"""How the machine and the live cluster stand, read once before planning into one frozen Survey.

Whatever may hang (a dead NFS mount, a stuck server) is asked with a time limit, and nothing raises for a sick machine:
what could not be found out is None, or empty where the record has no None.

machine     file systems, memory, ports, logind, SELinux
cluster     the production cluster: its files, its server, its pg_wal
archiver    how the live server's archiving stands; asked by the overview, not for a plan
changes     how many files changed since a moment; for the overview, too
managers    who else starts and stops the server
libraries   what the server preloads and what its functions call, and what of it is missing
patience    asking with a time limit
"""

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias

from engine.formats.settings_file import read_list
from engine.postgres.server import free_port
from engine.records.copies import BaseBackup
from engine.records.errors import RepriseError
from engine.records.plan import Destination
from engine.records.survey import ClusterFacts, DestinationFacts, LockHolder, OsUser, Programs, Survey
from engine.site import Site
from engine.survey.cluster import read_cluster
from engine.survey.libraries import missing_libraries
from engine.survey.machine import FSTAB, UNITS, closed_to, file_system, login_facts, memory, port_user, unmounted_above
from engine.survey.managers import find_managers
from engine.survey.patience import within
from engine.system.users import is_root, lingers

__all__ = ["take_survey"]

IsArchived = Callable[[int, int], bool]
_Folder: TypeAlias = tuple[Literal["absent", "empty", "occupied", "not a folder"], str | None]


def take_survey(
    site: Site,
    destination: Destination,
    backup: BaseBackup | None,
    *,
    run_as: OsUser,
    programs: Programs | None,
    backup_settings: Mapping[str, str] | None = None,
    is_archived: IsArchived | None = None,
    archived_timelines: tuple[int, ...] = (),
    site_lock: LockHolder | None = None,
    held_by: LockHolder | None = None,
) -> Survey:
    """Look at everything that checks and plans need. ``backup_settings`` are the backup's own (catalog),
    ``is_archived`` tells of (timeline, segment number) whether the archive has it, the locks are the run's room's.

    ``destination.port`` of the answer is the port that is asked for or, where none is, a free one.
    """
    database = site.database
    cluster = read_cluster(site, run_as, is_archived or (lambda timeline, number: True))
    paths = {"/", destination.path or "/", database.data_dir, cluster.data_dir}
    paths |= {str(Path(path).parent) for path in (database.data_dir, cluster.data_dir)}
    paths |= {location for _, location in cluster.tablespaces}
    paths |= {cluster.wal_link} if cluster.wal_link else set()
    paths |= {tablespace.location for tablespace in (backup.tablespaces if backup else ())}
    file_systems = [found for path in sorted(paths) if (found := file_system(path)) is not None]
    total, available = memory()
    kills, removes = login_facts()
    answers, problem = _archive(site, backup)
    settings = dict(backup_settings or {})
    return Survey(
        taken_at=datetime.now(UTC),
        run_as=run_as,
        as_root=is_root(),
        programs=programs,
        cluster=cluster,
        destination=_destination(site, destination, run_as, held_by),
        file_systems=tuple(file_systems),
        memory_total=total,
        memory_available=available,
        managers=find_managers(cluster.postmaster_pid, database.stop_command),
        missing_libraries=missing_libraries(backup, cluster, programs, in_place=destination.kind == "in-place"),
        backup_settings=settings,
        archive_answers=answers,
        archive_problem=problem,
        archived_timelines=archived_timelines,
        site_lock=site_lock,
        selinux=Path("/sys/fs/selinux/enforce").exists(),
        kill_user_processes=kills,
        remove_ipc=removes,
        lingers=lingers(run_as),
        config_outside=_outside(site),
        listens_elsewhere=within(5, partial(_listens_elsewhere, site, cluster, settings), None),
        unmounted=within(5, partial(_unmounted, cluster.data_dir), None),
    )


def _unmounted(data_dir: str) -> str | None:
    found = unmounted_above(Path(data_dir), FSTAB, UNITS)
    return f"{found.place} is a mount point in {found.source}, and not mounted" if found is not None else None


def _outside(site: Site) -> dict[str, str]:
    named = {name: getattr(site.database, name) for name in ("config_file", "hba_file", "ident_file")}
    return {name: path for name, path in named.items() if path}


def _listens_elsewhere(site: Site, cluster: ClusterFacts, backup_settings: Mapping[str, str]) -> str | None:
    """What the settings leave open is said at the start of production. One that answers at the site's address was
    started with words that have it listen there, and will be again."""
    settings, database = cluster.settings or backup_settings, site.database
    if cluster.answers:
        return None
    if (port := settings.get("port", str(database.port))) != str(database.port):
        return f"port {port}, the site file says {database.port}"
    folders = settings.get("unix_socket_directories")
    if folders is None or not database.host.startswith("/"):
        return None
    if Path(database.host).resolve() in ((Path(cluster.data_dir) / each).resolve() for each in read_list(folders)):
        return None
    return f"{folders or 'no socket'}, the site file says {database.host}"


def _archive(site: Site, backup: BaseBackup | None) -> tuple[bool | None, str | None]:
    """Whether every repository's folders answer, and the backup's own."""
    folders = [path for each in site.database.repository for path in (each.base_backups, each.wal)]
    for folder in [*folders, *([str(backup.path)] if backup else [])]:
        problem = within(5, partial(_look_into, folder), f"{folder} does not answer within 5 seconds")
        if problem is not None:
            return False, problem
    return True, None


def _look_into(folder: str) -> str | None:
    try:
        if Path(folder).is_file():
            return None
        with os.scandir(folder) as entries:
            next(entries, None)
    except OSError as error:
        return f"{folder}: {error.strerror}"
    return None


def _destination(site: Site, destination: Destination, run_as: OsUser, held_by: LockHolder | None) -> DestinationFacts:
    path = Path(destination.path)
    closed = within(5, partial(_closed, run_as, path), None)
    if destination.kind == "in-place":
        place = destination.path
        return DestinationFacts(place, "absent", port=site.database.port, held_by=held_by, closed=closed)
    port = destination.port
    if port is None:
        try:
            port = free_port()
        except (RepriseError, OSError):
            port = None
    user = port_user(port) if port is not None and destination.port is not None else None
    silent: _Folder = "occupied", "it does not answer"
    state, contents = within(5, partial(_folder, path), silent)
    nearest = file_system(destination.path)
    writable = nearest is not None and nearest.writable
    inside = within(5, partial(_inside, site, path), None)
    return DestinationFacts(destination.path, state, contents, writable, port, user, held_by, inside, closed)


def _closed(run_as: OsUser, path: Path) -> str | None:
    """Of the folders above one that is made for run_as, or is given to him, the first that he may not enter."""
    above = path.resolve().parent
    while not above.is_dir():
        above = above.parent
    return closed_to(run_as, above)


def _inside(site: Site, path: Path) -> str | None:
    """The site's own folder that a destination would lie in, links followed."""
    own = [site.database.data_dir]
    for repository in site.database.repository:
        own += [repository.base_backups, repository.wal, *([repository.dumps] if repository.dumps else [])]
    if site.media is not None:
        own += [site.media.path, *(each.path for each in site.media.repository if each.path.startswith("/"))]
    real = path.resolve()
    return next((folder for folder in own if real.is_relative_to(Path(folder).resolve())), None)


def _folder(path: Path) -> _Folder:
    try:
        names = {entry.name for entry in os.scandir(path)}
    except FileNotFoundError:
        return ("not a folder", "a dangling link") if path.is_symlink() else ("absent", None)
    except NotADirectoryError:
        return "not a folder", "a file"
    except OSError as error:
        return "occupied", f"it cannot be read: {error.strerror}"
    if not names:
        return "empty", None
    inner = path / "data"
    # "work": a run's own folder, as earlier versions called it
    if names & {"staging", "own", "work"} and not (inner / "global" / "pg_control").exists():
        return "occupied", "a half-restored copy"
    if "PG_VERSION" in names:
        whole = (path / "global" / "pg_control").exists()
        return "occupied", "a data directory" if whole else "a half-restored copy"
    if (inner / "PG_VERSION").exists():
        return "occupied", "a side copy of an earlier run"
    return "occupied", f"{len(names)} entries, {sorted(names)[0]!r} among them"
