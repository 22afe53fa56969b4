"""Libraries that the recovered server will load: which of them this machine lacks.

Before a recovery they are known from the backup's settings, and from the live cluster's databases where it answers;
those of the copy itself are looked up once it stands at the gate (`engine/steps/inspect.py`).
"""

import time
from collections.abc import Mapping
from contextlib import closing

from engine.formats.settings_file import read_list
from engine.postgres.connecting import Connection, QueryFailed, connect
from engine.postgres.libraries import SEARCHED, libraries_of_functions, library_dir, missing
from engine.records.copies import BaseBackup
from engine.records.errors import RepriseError
from engine.records.survey import ClusterFacts, OsUser, Programs
from engine.site import Database

PRELOADED = ("shared_preload_libraries", "session_preload_libraries", "local_preload_libraries")
_TIME_LIMIT = 10.0  # seconds for all databases


def missing_libraries(
    backup: BaseBackup | None, cluster: ClusterFacts, programs: Programs | None, *, in_place: bool
) -> tuple[str, ...] | None:
    """The libraries that are not where PostgreSQL looks for them; None where that place is not known. Production's
    own count too: what it preloads in place, what its functions call where the backup is of the same cluster."""
    if programs is None:
        return ()
    named = list(backup.preload_libraries) if backup else []
    whose: Mapping[str, str] = {}
    if in_place:
        for setting in PRELOADED:
            named += [_preloaded(setting, name) for name in read_list(cluster.settings.get(setting, ""))]
    if backup is not None and backup.system_identifier == cluster.system_identifier:
        whose = cluster.libraries or {}
    folder = library_dir(programs)
    if folder is None:
        return None if named or whose else ()
    searched = cluster.settings.get("dynamic_library_path") or SEARCHED
    lacking = missing([*named, *whose], folder, searched)
    return tuple(f"{name} ({whose[name]})" if name in whose else name for name in lacking)


def _preloaded(setting: str, name: str) -> str:
    """What anybody may have loaded comes from one folder alone (load_libraries in miscinit.c)."""
    return f"$libdir/plugins/{name}" if setting == "local_preload_libraries" and "/" not in name else name


def ask_libraries(connection: Connection, database: Database, run_as: OsUser) -> Mapping[str, str] | None:
    """The libraries that the functions of all databases call, and whose they are; None where not every database told
    in time. ``connection`` is one to the same server."""
    deadline, found = time.monotonic() + _TIME_LIMIT, dict[str, str]()
    try:
        names = connection.execute("SELECT datname FROM pg_database WHERE datallowconn ORDER BY 1").fetchall()
        for (name,) in names:
            if time.monotonic() > deadline:
                return None
            with closing(
                connect(
                    host=database.host,
                    port=database.port,
                    user=database.user,
                    dbname=str(name),
                    as_user=run_as,
                    timeout=3,
                    statement_timeout=3,
                )
            ) as each:
                for library, whose in libraries_of_functions(each).items():
                    found.setdefault(library, whose)
    except (RepriseError, QueryFailed, OSError):
        return None
    return found
