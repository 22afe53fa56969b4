"""The shared libraries that a server loads, and whether they are there (dfmgr.c, expand_dynamic_library_name)."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from engine.postgres.connecting import Connection
from engine.records.survey import Programs

SEARCHED = "$libdir"
"""dynamic_library_path's default."""

_BELOW_PREFIX = ("lib", "lib64/pgsql", "lib/pgsql", "lib/postgresql", "lib64/postgresql")
_CORE = "plpgsql.so"  # in every installation


def library_dir(programs: Programs) -> Path | None:
    """The folder that ``$libdir`` means: what pg_config says; without it, as the server itself finds it, from where
    its program lies (path.c, get_pkglib_path)."""
    if programs.library_dir is not None:
        return Path(programs.library_dir)
    prefix = (Path(programs.bin_dir) / "postgres").resolve().parent.parent
    return next((prefix / name for name in _BELOW_PREFIX if (prefix / name / _CORE).is_file()), None)


def missing(names: Iterable[str], folder: Path, searched: str = SEARCHED) -> list[str]:
    """Those that PostgreSQL would not find; ``folder`` is what ``$libdir`` means, ``searched`` the server's
    dynamic_library_path."""
    return [name for name in dict.fromkeys(names) if not _is_there(name, str(folder), searched)]


def _is_there(name: str, folder: str, searched: str) -> bool:
    if "/" in name:
        places = [Path(name.replace("$libdir", folder, 1))]
    else:
        places = [Path(each.replace("$libdir", folder, 1)) / name for each in searched.split(":") if each]
    return any(Path(f"{place}{suffix}").is_file() for place in places for suffix in ("", ".so"))


def libraries_of_functions(connection: Connection) -> Mapping[str, str]:
    """Each library that a function of the connected database calls, and whose function it is: an extension's, or
    somebody's own. Raises QueryFailed."""
    rows = connection.execute(
        "SELECT probin, coalesce('extension ' || min(extname), 'function ' || min(proname))"
        " || ' in ' || current_database()"
        " FROM pg_proc LEFT JOIN pg_depend ON classid = 'pg_proc'::regclass AND objid = pg_proc.oid AND deptype = 'e'"
        " LEFT JOIN pg_extension ON pg_extension.oid = refobjid"
        " WHERE probin IS NOT NULL GROUP BY probin ORDER BY probin"
    ).fetchall()
    return {str(library): str(whose) for library, whose in rows}
