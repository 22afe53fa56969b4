"""`beside`: what a bare machine needs besides a base backup, in ``<id>.beside`` next to it.

The configuration files that lie outside the data directory, the site file, and ``cluster.json``: the server's version,
each database's extensions, libraries and collation versions, that of its own default collation (PostgreSQL 15 on) among
them; and the operating system with its C library, whose version is that of its collations. Without these the backup
starts, and then lacks a library or sorts its indexes another way.

Arguments: ``host``, ``port``, ``user``, ``data_dir``, ``site_file`` (None: not known).
"""

import platform
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.postgres.connecting import Connection, QueryFailed, connect
from engine.records.coding import to_json
from engine.records.errors import Unreachable
from engine.steps.copying.drafts import copying_of, grows_at, published
from engine.steps.protocol import RunningStep
from engine.steps.shared.children import Say, carried
from engine.transfer.failures import writing
from engine.transfer.noting import write_new
from engine.transfer.removing import make_folder, remove_tree

SUFFIX = ".beside"

_FILES = """
SELECT setting FROM pg_settings WHERE name IN ('config_file', 'hba_file', 'ident_file') AND setting <> ''
UNION SELECT DISTINCT sourcefile FROM pg_file_settings
"""
_INCLUDED = (  # by those for authentication, from PostgreSQL 16 on
    "SELECT DISTINCT file_name FROM pg_hba_file_rules", "SELECT DISTINCT file_name FROM pg_ident_file_mappings",
)  # fmt: skip
_CLUSTER = """
SELECT version(), current_setting('shared_preload_libraries'), current_setting('lc_collate', true),
       current_setting('data_checksums')
"""
_DATABASES = "SELECT datname FROM pg_database WHERE datallowconn ORDER BY datname"
_DEFAULT = """
SELECT datcollate, datctype, to_jsonb(d)->>'datlocprovider', to_jsonb(d)->>'datcollversion'
FROM pg_database AS d WHERE datname = current_database()
"""
_EXTENSIONS = "SELECT extname, extversion FROM pg_extension ORDER BY extname"
_LIBRARIES = "SELECT DISTINCT probin FROM pg_proc WHERE probin IS NOT NULL AND probin <> '' ORDER BY probin"
_COLLATIONS = """
SELECT collname, collprovider, collversion FROM pg_collation WHERE collversion IS NOT NULL AND collprovider <> 'b'
ORDER BY collname LIMIT 5000
"""


def apply(step: RunningStep) -> None:
    copying = copying_of(step)
    folder = grows_at(copying).with_name(Path(copying.path).name + SUFFIX)
    if carried(step, lambda say: published(copying), on=copying.repository):
        return
    files, cluster = _ask(step)
    if Path(step.args["data_dir"]).is_dir():  # else the server is another machine's
        cluster["system"] = {"os": _os_name(), "libc": " ".join(platform.libc_ver()), "machine": platform.machine()}
    kept = {"site.toml": Path(step.args["site_file"])} if step.args["site_file"] else {}
    for number, path in enumerate(files):
        if not path.is_relative_to(step.args["data_dir"]):
            kept[f"{number}-{path.name}"] = path
            cluster.setdefault("files", {})[f"{number}-{path.name}"] = str(path)

    def work(say: Say) -> None:
        remove_tree(folder)
        make_folder(folder, None)
        for name, path in kept.items():
            _keep(path, folder / name, say)
        with writing(folder):
            write_new(folder / "cluster.json", to_json(cluster, indent=1), 0o600)

    carried(step, work, lambda told: step.note(text=told), on=copying.repository)


def undo(step: RunningStep) -> None:
    """It lies in the draft, which goes as a whole."""


def _os_name() -> str | None:
    """As os-release(5) has it."""
    with suppress(OSError):
        return platform.freedesktop_os_release().get("PRETTY_NAME")
    return None


def _keep(source: Path, target: Path, say: Say) -> None:
    """Copy one small file; one that cannot be read is told, and the backup is none the worse."""
    try:
        with source.open("rb") as opened:
            data = opened.read()
    except OSError as problem:
        say(f"{source} could not be kept beside the backup: {problem.strerror}")
        return
    with writing(target):
        write_new(target, data, 0o600)


def _ask(step: RunningStep) -> tuple[list[Path], dict[str, Any]]:
    """The configuration files, and what the server says of itself and its databases."""
    with _connect(step, "postgres") as connection:
        found = connection.execute(_CLUSTER).fetchone()
        assert found is not None
        names = [name for (name,) in connection.execute(_DATABASES).fetchall()]
        files = []
        with suppress(QueryFailed):  # pg_file_settings is the superuser's
            for query in (_FILES, *_INCLUDED):
                files += [Path(name) for (name,) in connection.execute(query).fetchall() if name]
    cluster: dict[str, Any] = dict(
        zip(("version", "shared_preload_libraries", "lc_collate", "data_checksums"), found, strict=True)
    )
    cluster["databases"] = {}
    for name in names:
        step.safe_point()
        with suppress(QueryFailed, Unreachable), _connect(step, name) as connection:
            cluster["databases"][name] = _database(connection)
    return sorted(set(files)), cluster


def _database(connection: Connection) -> dict[str, Any]:
    default = connection.execute(_DEFAULT).fetchone()
    assert default is not None
    return {
        "default_collation": dict(zip(("collate", "ctype", "provider", "version"), default, strict=True)),
        "extensions": dict(connection.execute(_EXTENSIONS).fetchall()),
        "libraries": [library for (library,) in connection.execute(_LIBRARIES).fetchall()],
        "collations": [list(row) for row in connection.execute(_COLLATIONS).fetchall()],
    }


def _connect(step: RunningStep, dbname: str) -> Connection:
    args = step.args
    return connect(
        host=args["host"], port=args["port"], user=args["user"], dbname=dbname, as_user=copying_of(step).owner
    )
