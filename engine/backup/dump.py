"""The plan of a dump of one database."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from re import sub

from msgspec import Struct

from engine.backup.planning import Place, copying_at, make_plan, place_checks
from engine.dumps.layout import DumpFormat
from engine.records.plan import Check, Plan, PlannedStep
from engine.records.survey import LiveDatabase, OsUser, Programs
from engine.recovery.estimates import Measured

_MAINTENANCE = "postgres"  # initdb's own: nobody's documents lie there, unless it is the only one


class AskedDump(Struct, frozen=True):
    """What the operator wants, and how the server is reached. ``database`` None: the site's own."""

    site: str
    database: str | None
    format: DumpFormat
    host: str
    port: int
    user: str
    dbname: str
    second: str | None = None


def plan_dump(
    asked: AskedDump,
    place: Place,
    version: int | None,
    no_server: str | None,
    databases: Sequence[LiveDatabase],
    *,
    owner: OsUser,
    programs: Programs | None,
    now: datetime,
    measured: Iterable[Measured] = (),
) -> Plan:
    """``version`` None: the server does not answer, and ``no_server`` says why."""
    chosen, check = choose_database(asked, databases)
    name = f"{now:%Y%m%dT%H%M%SZ}-{sub(r'[^A-Za-z0-9_.-]', '_', chosen.name if chosen else '')[:40]}"
    copying = copying_at("dump", place, name, owner, programs=programs, second=asked.second)
    args = {"database": chosen.name if chosen else "", "format": asked.format, "version": version,
            "host": asked.host, "port": asked.port, "user": asked.user}  # fmt: skip
    steps = [
        PlannedStep("take-dump", "take-dump", f"dump the database {args['database']}", None, args),
        PlannedStep("verify-dump", "verify-dump", "read it back to its end", None, {"format": asked.format}),
    ]
    size = chosen.size_bytes if chosen else None
    checks = [*_server_checks(asked, version, no_server, programs), *([check] if version else [])]
    checks += place_checks(place, owner, size)
    return make_plan(asked.site, now, copying, steps, checks, bytes=size, measured=measured)


def choose_database(asked: AskedDump, databases: Sequence[LiveDatabase]) -> tuple[LiveDatabase | None, Check]:
    """The named database, else the site's, else the only one that is not PostgreSQL's own."""
    known = {each.name: each for each in databases}
    others = [name for name in known if name != _MAINTENANCE]
    wanted = asked.database
    if wanted is None:
        wanted = others[0] if asked.dbname == _MAINTENANCE and len(others) == 1 else asked.dbname
        if asked.dbname == _MAINTENANCE and len(others) > 1:
            finding = f"the site names no database of its own, and there are several: {', '.join(sorted(others)[:10])}"
            return None, Check("database", "refuse", False, finding, "name one: --database NAME")
    if wanted not in known:
        finding = f"there is no database {wanted!r} that takes connections"
        return None, Check("database", "refuse", False, finding, f"there are: {', '.join(sorted(known)[:10])}")
    return known[wanted], Check("database", "refuse", True, f"{wanted} takes connections")


def _server_checks(
    asked: AskedDump, version: int | None, no_server: str | None, programs: Programs | None
) -> Iterator[Check]:
    if version is None:
        finding = no_server or "the server does not answer"
        yield Check("server-running", "refuse", False, finding, "start it, or mend the site")
        return
    yield Check("server-running", "refuse", True, f"PostgreSQL {version} answers on {asked.host}:{asked.port}")
    if programs is None or programs.version < version:
        have = f"PostgreSQL {programs.version}" if programs else "none"
        finding = f"the server is PostgreSQL {version}, the programs here are {have}"
        remedy = f"install PostgreSQL {version}'s programs, or set bin_dir"
        yield Check("major-version", "refuse", False, finding, remedy)
