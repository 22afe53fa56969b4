"""The production cluster as it stands: its files, its server, and the WAL that only it has."""

import os
import re
import shlex
import stat
import struct
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from engine.formats.control_file import ControlFile, read_control_file
from engine.formats.settings_file import read_settings_file
from engine.postgres.connecting import connect
from engine.postgres.processes import postmaster_pid
from engine.records.errors import DamagedCopy, RepriseError
from engine.records.lsn import LONG_PAGE_HEADER, Lsn, SegmentName, parse_lsn, parse_segment
from engine.records.survey import ClusterFacts, OsUser
from engine.site import Site
from engine.survey.libraries import PRELOADED, ask_libraries
from engine.survey.machine import is_mount_point
from engine.survey.patience import within
from engine.system.users import owner_of

_ASKED = (
    *PRELOADED,
    "archive_mode",
    "archive_command",
    "archive_library",
    "shared_buffers",
    "synchronous_standby_names",
    "max_connections",
    "max_worker_processes",
    "max_wal_senders",
    "max_prepared_transactions",
    "max_locks_per_transaction",
    "wal_compression",
    "config_file",
    "hba_file",
    "ident_file",
    "data_directory",
    "dynamic_library_path",
)
_FILES = ("config_file", "hba_file", "ident_file")
_PATIENCE = 10.0  # seconds; the server's own time limits are nothing to one that hangs
_LINKS = re.compile(r"[0-9]+\Z")
_SEGMENT = re.compile(r"[0-9A-F]{24}\Z")
_SIZES = frozenset(1 << power for power in range(20, 31))  # IsValidWalSegSize in xlog_internal.h
_FIRST_PAGE = struct.Struct("=HHIQI4xQII")  # XLogLongPageHeaderData in xlog_internal.h


class _Told(NamedTuple):
    """What the running server says of itself."""

    settings: Mapping[str, str]
    end_lsn: Lsn | None
    libraries: Mapping[str, str] | None


def read_cluster(site: Site, run_as: OsUser, is_archived: Callable[[int, int], bool]) -> ClusterFacts:
    """The facts of the site's own cluster. ``data_dir`` is where its folder really lies."""
    nothing = ClusterFacts(site.database.data_dir, exists=False)
    unknown = ClusterFacts(site.database.data_dir, exists=True)
    found, segments = within(20, lambda: _read(site, run_as, nothing), (unknown, None))
    if segments is None:
        return replace(found, wal_tail=None)
    tail = [name for name, segment in segments if not is_archived(segment.timeline, segment.number)]
    return replace(found, wal_tail=tuple(tail))


def _read(
    site: Site, run_as: OsUser, nothing: ClusterFacts
) -> tuple[ClusterFacts, list[tuple[str, SegmentName]] | None]:
    data_dir = Path(site.database.data_dir)
    if not data_dir.is_dir():
        return nothing, []
    data_dir = data_dir.resolve()
    control = _control(data_dir)
    pid = postmaster_pid(data_dir)
    told = within(_PATIENCE, lambda: _ask(site, run_as, data_dir), None) if pid else None
    settings = dict(told.settings) if told else settings_of_files(data_dir, site.database.config_file)
    if not told:
        settings |= _named_at_the_last_start(data_dir)
    wal = data_dir / "pg_wal"
    facts = ClusterFacts(
        data_dir=str(data_dir),
        exists=True,
        owner=owner_of(data_dir),
        mode=stat.S_IMODE(data_dir.stat().st_mode),
        version=_version(data_dir),
        system_identifier=control.system_identifier if control else None,
        timeline=control.timeline if control else None,
        state=control.state if control else None,
        settings=settings,
        lacks_configuration=site.database.config_file is None
        and (data_dir / "PG_VERSION").exists()  # an emptied folder is no cluster that is started from elsewhere
        and not (data_dir / "postgresql.conf").exists(),
        postmaster_pid=pid,
        running=pid is not None,
        answers=(told is not None) if pid else None,
        is_mount_point=is_mount_point(data_dir),
        wal_link=str(wal.resolve()) if wal.is_symlink() else None,
        tablespaces=_tablespaces(data_dir),
        end_lsn=told.end_lsn if told else None,
        libraries=told.libraries if told else None,
    )
    return facts, segments_in(wal, control)


def _version(data_dir: Path) -> int | None:
    try:
        return int((data_dir / "PG_VERSION").read_text("ascii"))
    except (OSError, ValueError):
        return None


def _control(data_dir: Path) -> ControlFile | None:
    try:
        return read_control_file((data_dir / "global" / "pg_control").read_bytes())
    except (OSError, DamagedCopy):
        return None


def _tablespaces(data_dir: Path) -> tuple[tuple[int, str], ...]:
    try:
        links = [
            entry for entry in os.scandir(data_dir / "pg_tblspc") if _LINKS.match(entry.name) and entry.is_symlink()
        ]
        return tuple(sorted((int(entry.name), str(Path(entry.path).resolve())) for entry in links))
    except OSError:
        return ()


def settings_of_files(data_dir: Path, config_file: str | None) -> dict[str, str]:
    """What postgresql.conf (with what it includes) and postgresql.auto.conf say."""
    settings = _settings(Path(config_file) if config_file else data_dir / "postgresql.conf", depth=0)
    return settings | _settings(data_dir / "postgresql.auto.conf", depth=10)


def _named_at_the_last_start(data_dir: Path) -> dict[str, str]:
    """The configuration files that the server was last started with, where its command line named them
    (postmaster.opts, CreateOptsFile in postmaster.c): so Debian does."""
    try:
        words = shlex.split((data_dir / "postmaster.opts").read_text("utf-8", errors="surrogateescape"))
    except (OSError, ValueError):
        return {}
    pairs = (word.removeprefix("--").partition("=") for word in words)
    return {name.replace("-", "_"): value for name, _, value in pairs if name.replace("-", "_") in _FILES and value}


def _settings(path: Path, depth: int) -> dict[str, str]:
    """PostgreSQL follows includes ten deep (guc-file.l); where two files name one setting, what is included later
    counts, which this simplifies to: after its includer."""
    try:
        found = read_settings_file(path.read_text("utf-8", errors="surrogateescape"))
    except OSError:
        return {}
    settings = dict(found.settings)
    for directive, name in found.includes if depth < 10 else ():
        place = path.parent / name
        try:
            inner = sorted(place.glob("*.conf")) if directive == "include_dir" else [place]
        except OSError:
            continue
        for each in inner:
            settings |= _settings(each, depth + 1)
    return settings


def _ask(site: Site, run_as: OsUser, data_dir: Path) -> _Told | None:
    """Ask the server at the site's address, if it is the one of this data directory."""
    database = site.database
    try:
        connection = connect(
            host=database.host,
            port=database.port,
            user=database.user,
            dbname=database.dbname,
            as_user=run_as,
            timeout=3,
            statement_timeout=3,
        )
    except (RepriseError, OSError):
        return None
    with closing(connection):
        try:
            names = list(_ASKED)
            rows = connection.execute("SELECT name, setting FROM pg_settings WHERE name = ANY (%s)", [names]).fetchall()
            row = connection.execute(
                "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END::text"
            ).fetchone()
        except connection.Error:
            return None
        settings = {str(name): str(setting) for name, setting in rows}
        if "data_directory" in settings and Path(settings["data_directory"]).resolve() != data_dir:
            return None
        libraries = ask_libraries(connection, database, run_as)
    return _Told(settings, parse_lsn(row[0]) if row and row[0] else None, libraries)


def segments_in(wal: Path, control: ControlFile | None) -> list[tuple[str, SegmentName]] | None:
    """The segments in pg_wal that hold this cluster's WAL, in order; without a pg_control, those that hold any
    cluster's. Recycled files wait under the names of segments to come; their first page still says what they were.
    None where the folder cannot be read."""
    found = []
    try:
        names = sorted(entry.name for entry in os.scandir(wal))
    except OSError:
        return None
    for name in names:
        if _SEGMENT.match(name) and (segment := _segment(wal / name, control)) is not None:
            found.append((name, segment))
    return found


def _segment(file: Path, control: ControlFile | None) -> SegmentName | None:
    """Which segment a file holds, where that is the one that its name says."""
    try:
        with file.open("rb") as opened:
            page = opened.read(LONG_PAGE_HEADER)
    except OSError:
        return None
    if len(page) < LONG_PAGE_HEADER:
        return None
    _, _, _, address, _, system_identifier, size, _ = _FIRST_PAGE.unpack(page)
    if control is not None and (system_identifier, size) != (control.system_identifier, control.segment_size):
        return None
    if size not in _SIZES:
        return None
    try:
        segment = parse_segment(file.name, size)
    except ValueError:
        return None
    return segment if address == segment.number * size else None
