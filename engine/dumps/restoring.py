"""The plan that restores a dump: into a fresh database, which takes the present one's place or stands beside it."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from humanize import naturalsize
from msgspec import Struct

from engine.dumps.layout import CONTENTS, GLOBALS, NOTE
from engine.records.copies import Dump
from engine.records.loading import Loading
from engine.records.plan import Check, Destination, Plan, PlannedStep
from engine.records.survey import FileSystem, LiveDatabase, OsUser, Programs
from engine.records.target import RecoveryTarget
from engine.recovery.estimates import Measured, estimate

_LONGEST_NAME = 63  # bytes (NAMEDATALEN - 1)
_GROWTH = 4  # times a compressed dump's size: what its database may take; the live one's own size, where it is larger


class LoadAsked(Struct, frozen=True):
    """``into``: the database whose place the dump takes; ``beside``: it gets this name, and nothing steps aside."""

    site: str
    into: str
    beside: bool
    host: str
    port: int
    user: str
    jobs: int
    has_application: bool
    verifies: int


def plan_load(
    asked: LoadAsked,
    dump: Dump,
    version: int | None,
    no_server: str | None,
    databases: Sequence[LiveDatabase],
    data_room: FileSystem | None,
    *,
    run_as: OsUser,
    programs: Programs | None,
    now: datetime,
    measured: Iterable[Measured] = (),
) -> Plan:
    """``version`` None: the server does not answer, and ``no_server`` says why."""
    present = {each.name: each for each in databases}
    stamp = f"{now:%Y%m%dT%H%M%SZ}"
    own = (dump.path / NOTE).is_file()
    aside = None if asked.beside or asked.into not in present else _name(asked.into, f"before-{stamp}")
    checks = [*_checks(asked, dump, version, no_server, present, data_room, programs)]
    target, destination = RecoveryTarget("dump", name=dump.id), Destination("database", asked.into)
    if programs is None:
        return Plan(asked.site, now, target, destination, None, None, (), tuple(checks))
    loading = Loading(
        dump=dump.id,
        format=dump.format,
        contents=str(dump.path / CONTENTS[dump.format] if own else dump.path),
        roles=str(dump.path / GLOBALS) if own else None,
        fresh=asked.into if asked.beside else _name(asked.into, f"reprise-{stamp}"),
        database=None if asked.beside else asked.into,
        aside=aside,
        run_as=run_as,
        programs=programs,
        host=asked.host,
        port=asked.port,
        user=asked.user,
    )
    steps = tuple(_steps(asked, dump, loading))
    return Plan(
        asked.site, now, target, destination, None, None, steps, tuple(checks),
        bytes_to_copy=dump.size_bytes, estimate=estimate(steps, measured), loading=loading,
    )  # fmt: skip


def _name(database: str, suffix: str) -> str:
    """A database name that says where it comes from, within what PostgreSQL keeps of a name."""
    room = _LONGEST_NAME - len(suffix) - 1
    return f"{database.encode()[:room].decode('utf-8', 'ignore')}-{suffix}"


def _steps(asked: LoadAsked, dump: Dump, loading: Loading) -> Iterator[PlannedStep]:
    def step(kind: str, title: str, bytes: int | None = None, **args: object) -> PlannedStep:
        return PlannedStep(kind, kind, title, bytes, args)

    yield step("roles", "make the roles that are missing")
    yield step("load", f"load {dump.id} into a fresh database", dump.size_bytes, jobs=asked.jobs)
    if asked.verifies:
        yield step("ask-database", f"check the result, {asked.verifies} questions of the site")
    if not asked.beside:
        if asked.has_application:
            yield step("stop-application", "stop the application")
        title = f"set {asked.into} aside as {loading.aside}" if loading.aside else f"name it {asked.into}"
        yield step("swap-database", title)
    yield step("report", "write the report")


def _checks(
    asked: LoadAsked,
    dump: Dump,
    version: int | None,
    no_server: str | None,
    present: dict[str, LiveDatabase],
    data_room: FileSystem | None,
    programs: Programs | None,
) -> Iterator[Check]:
    def check(name: str, ok: bool | None, finding: str, remedy: str | None = None) -> Check:
        return Check(name, "refuse", ok, finding, remedy)

    if not dump.usable:
        yield check("backup-damaged", False, f"{dump.id}: {dump.reason}", "choose another dump")
    if version is None:
        yield check("server-running", False, no_server or "the server does not answer", "start it, or mend the site")
        return
    yield check("server-running", True, f"PostgreSQL {version} answers on {asked.host}:{asked.port}")
    if programs is None:
        yield check("major-version", False, f"no programs of PostgreSQL {version} are here", "install them")
    if asked.into in ("postgres", "template0", "template1"):
        finding = f"{asked.into} is PostgreSQL's own database"
        yield check("database", False, finding, "name another one: --database NAME")
    elif asked.beside and asked.into in present:
        yield check("database", False, f"there is a database {asked.into} already", "name another one")
    else:
        there = "is set aside and kept" if asked.into in present else "does not exist yet"
        yield check("database", True, f"{asked.into} {there}")
    wanted = max(dump.size_bytes * _GROWTH, present[asked.into].size_bytes if asked.into in present else 0)
    told = f"about {naturalsize(wanted, binary=True)} are needed"
    if data_room is None:
        yield Check("disk-space", "warn", None, f"{told}; how much is free is not known")
    else:
        free = f"{naturalsize(data_room.free_bytes, binary=True)} are free"
        remedy = None if wanted < data_room.free_bytes else "make room on the server's disk"
        yield check("disk-space", wanted < data_room.free_bytes, f"{told}, {free}", remedy)
    at = f"{dump.started_at:%Y-%m-%d %H:%M:%SZ}"
    yield Check("full-way", "info", True, f"a dump holds the moment at which it was taken, {at}, and no other")
