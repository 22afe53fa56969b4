"""Checks of the recovered cluster, as it stands promoted and still to itself: the site's own questions, what could be
silently wrong, and what must be rebuilt by hand. What fails is told; only the site's own questions stop the run, and
not even those a proof drill, whose verdict counts every check."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, LiteralString

from engine.formats.settings_file import read_settings
from engine.postgres.connecting import Connection, QueryFailed
from engine.postgres.server import Server
from engine.records.coding import from_json, to_builtins, to_json
from engine.records.errors import RepriseError, RunFailed
from engine.records.plan import Check
from engine.steps.inspect import ACCEPTED, LIBRARIES_UNREAD, OPEN_DATABASES, PAGES, look_up_libraries, told
from engine.steps.protocol import RunningStep
from engine.steps.settings import FILES, ORIGINAL
from engine.steps.shared.children import carried
from engine.steps.shared.layout import layout_of
from engine.steps.shared.page_reading import Place, read_again, reading_of
from engine.steps.shared.reading_through import read_through
from engine.steps.shared.recovering import server_of

_QUESTION_TIMEOUT = 300.0  # seconds for each of the site's own questions
_INSTALLS_FROM = 14  # PostgreSQL 14, the first that has pg_amcheck
_GLOBAL = 1664  # pg_global's OID, pg_tablespace.dat
_JOB_TABLES = {"pg_cron": "cron.job", "pgAgent": "pgagent.pga_job", "pg_timetable": "timetable.chain"}

_Found = dict[str, list[str]]


def apply(step: RunningStep) -> None:
    """Reads only; applied again, it asks again. Raises RunFailed where a question of the site is not answered with
    true, before production is opened, unless the operator has accepted that."""
    layout = layout_of(step.plan)
    server = server_of(step, Path(layout.production or layout.data_dir))
    by_hand: list[str] = []
    failed = []
    for question in step.site.verify.sql:
        answer = _answer(step, server, question)
        step.check(answer)
        if answer.ok is not True:
            failed.append(answer.finding)
    with server.connect() as connection:
        databases = _column(connection, OPEN_DATABASES)
        subscriptions = _column(connection, "SELECT subname::text FROM pg_subscription ORDER BY 1")
    if step.facts.get(LIBRARIES_UNREAD):
        look_up_libraries(step, server, "see whether its extensions work")
    found = _look_into_all(step, server, databases)
    for check in _told(found, subscriptions):
        step.check(check)
        if check.name == "collation" and check.ok is False:
            by_hand.append("reindex what depends on the collations named above, then refresh their versions")
    step.check(_page_checksums(step, server, _to_read_through(step, server, databases, found["amcheck"])))
    left = _left_behind(step)
    if left:
        step.check(Check("rebuild", "info", True, "; ".join(left)))
    step.fact(by_hand=[*by_hand, *left])
    if failed and step.plan.proof is None and not (step.run_dir / ACCEPTED).exists():
        run = step.run_dir.name
        raise RunFailed(
            f"{len(failed)} of {len(step.site.verify.sql)} questions of the site are not answered with true",
            cause=failed[0],
            remedy=f"look at the server; then reprise rollback {run}, or to go on all the same: "
            f"reprise resume {run} --accept-checks",
        )


def undo(step: RunningStep) -> None:
    """Nothing was changed."""


def _answer(step: RunningStep, server: Server, question: str) -> Check:
    """One of the site's own questions, asked while the run is served. Raises Unreachable, Stopped."""

    def work(_: object) -> object:
        with server.connect(statement_timeout=_QUESTION_TIMEOUT) as connection:
            connection.execute("SET default_transaction_read_only = on")
            return to_builtins(_ask(connection, question))

    return from_json(to_json(carried(step, work, on=f"the server, which is asked {question}")), Check)


def _ask(connection: Connection, question: str) -> Check:
    """It must return true, and may change nothing."""
    try:
        row = connection.execute(question.encode()).fetchone()
    except QueryFailed as error:
        return Check("verify", "warn", False, f"{question}: {str(error).strip().splitlines()[0]}")
    except UnicodeEncodeError:
        return Check("verify", "warn", None, "a question of the site is not valid text")
    answer = row[0] if row else None
    if answer is True:
        return Check("verify", "warn", True, f"{question}: true")
    return Check("verify", "warn", False, f"{question}: {answer!r} instead of true", "look before you open the system")


def _to_read_through(
    step: RunningStep, server: Server, databases: list[str], with_amcheck: list[str]
) -> tuple[list[str], bool]:
    """The databases for pg_amcheck, and whether it shall install its extension where that is not: in the copy of a
    proof drill, which is thrown away, where the site's user may."""
    if step.plan.proof is None or server.programs.version < _INSTALLS_FROM:
        return with_amcheck, False
    try:
        with server.connect() as connection:
            there = _column(
                connection,
                "SELECT name FROM pg_available_extensions, pg_roles"
                " WHERE name = 'amcheck' AND rolname = current_user AND rolsuper",
            )
    except (QueryFailed, RepriseError):
        there = []
    return (databases, True) if there else (with_amcheck, False)


def _page_checksums(step: RunningStep, server: Server, to_read: tuple[list[str], bool]) -> Check:
    """Damaged pages: those that were doubtful at the gate, read again now that a checkpoint has written all that
    replay had mended; those that PostgreSQL met; and what pg_amcheck finds where a database has its extension."""
    pages = read_again(step, server.data_dir, reading_of(told_then)) if (told_then := step.facts.get(PAGES)) else None
    amcheck = read_through(step, server, *to_read)
    try:
        with server.connect() as connection:
            on = _column(connection, "SELECT current_setting('data_checksums')") == ["on"]
            query: LiteralString = "SELECT coalesce(sum(checksum_failures), 0)::bigint FROM pg_stat_database"
            failures = int(_column(connection, query)[0])
    except (QueryFailed, RepriseError) as error:
        return Check("page-checksums", "warn", None, f"could not be looked at: {_first_line(error)}")
    words = [told(pages) if pages else "pages were not read" if on else "the cluster has no data checksums"]
    if pages and pages.wrong:
        words.append("they belong to " + _some(_relations(server, pages.wrong)))
    if failures:
        words.append(f"PostgreSQL itself met {failures} pages with a wrong checksum")
    words.append(amcheck.finding)
    finding = "; ".join(words)
    if failures or amcheck.ok is False or (pages and pages.doubtful):
        return Check("page-checksums", "warn", False, finding, "restore an older backup, compare")
    if amcheck.ok or (pages and pages.complete):
        return Check("page-checksums", "warn", True, finding)
    remedy = "CREATE EXTENSION amcheck and pg_amcheck --all" + ("; or stop it and pg_checksums --check" if on else "")
    return Check("page-checksums", "warn", None, finding, remedy)


def _relations(server: Server, wrong: Sequence[Place]) -> list[str]:
    """What the files of wrong pages are, as far as the server can say."""
    names = []
    for file in dict.fromkeys(place.file for place in wrong):
        *folders, database, name = file.split("/")
        tablespace = folders[1] if folders[0:1] == ["pg_tblspc"] else _GLOBAL if database == "global" else 0
        number = int(re.split("[_.]", name)[0])
        names.append(_relation(server, database, int(tablespace), number) or f"an unknown relation ({file})")
    return list(dict.fromkeys(names))


def _relation(server: Server, database: str, tablespace: int, file: int) -> str | None:
    """``database`` is its OID, or ``global``. Raises nothing: damage may reach into the catalogs."""
    try:
        with server.connect() as connection:
            row = connection.execute("SELECT datname FROM pg_database WHERE oid::text = %s", [database]).fetchone()
        with server.connect(row[0] if row else None) as connection:
            named = connection.execute(
                "SELECT pg_filenode_relation(%s::oid, %s::oid)::regclass::text", [tablespace, file]
            ).fetchone()
            return f"{named[0]} in {connection.info.dbname}" if named and named[0] else None
    except (QueryFailed, RepriseError):
        return None


def _look_into_all(step: RunningStep, server: Server, databases: list[str]) -> _Found:
    """What each database must be asked by itself."""
    found: _Found = {kind: [] for kind in ("collation", "indexes", "unlogged", "jobs", "amcheck", "unread")}
    for name in databases:
        step.safe_point()
        try:
            with server.connect(name, statement_timeout=60) as connection:
                _look_into(connection, name, found)
        except (QueryFailed, OSError, RepriseError) as error:
            found["unread"].append(f"{name}: {_first_line(error)}")
    return found


def _told(found: _Found, subscriptions: list[str]) -> Iterator[Check]:
    if found["collation"] or not found["unread"]:
        yield _listing("collation", "warn", found["collation"], "every recorded version is this machine's",
                       "REINDEX what depends on them, then ALTER … REFRESH COLLATION VERSION")  # fmt: skip
    else:
        yield Check("collation", "warn", None, "not compared in every database", "see below")
    yield _listing("invalid-indexes", "warn", found["indexes"], "no index is invalid", "REINDEX or drop them")
    empty = f"unlogged tables are empty: {_some(found['unlogged'])}" if found["unlogged"] else "no unlogged tables"
    yield Check("unlogged", "info", True, empty)
    jobs = [f"scheduled jobs: {_some(found['jobs'])}"] if found["jobs"] else []
    if subscriptions:
        jobs.append(f"subscriptions: {_some(subscriptions)}; their publishers are ahead of what was recovered")
    remedy = "look before they run: disable them, or compare and recreate them" if jobs else None
    yield Check("large-jobs", "info", True, "; ".join(jobs) or "no scheduled jobs and no subscriptions", remedy)
    well = "every database that may be connected to could be looked into"
    unread = [f"could not be looked into: {_some(found['unread'])}"] if found["unread"] else []
    yield _listing("databases", "warn", unread, well, "connect to them and see why, before the system is opened")


def _look_into(connection: Connection, name: str, found: _Found) -> None:
    """A recorded version that this machine cannot name counts as another one (PostgreSQL: "collation has no actual
    version, but a version was recorded"). Before 15 the databases' own collations have no recorded version."""
    collations = _column(
        connection,
        "SELECT format('%s %s is now %s', collname, collversion,"
        " coalesce(pg_collation_actual_version(oid), 'unknown'))"
        " FROM pg_collation WHERE collversion IS DISTINCT FROM pg_collation_actual_version(oid)"
        " AND collversion IS NOT NULL"
        " AND collencoding IN (-1, (SELECT encoding FROM pg_database WHERE datname = current_database()))",
    )
    if connection.info.server_version >= 150000:
        collations += _column(
            connection,
            "SELECT format('its own, %s is now %s', datcollversion,"
            " coalesce(pg_database_collation_actual_version(oid), 'unknown'))"
            " FROM pg_database WHERE datname = current_database() AND datcollversion IS NOT NULL"
            " AND datcollversion IS DISTINCT FROM pg_database_collation_actual_version(oid)",
        )
    invalid = _column(connection, "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid")
    unlogged = _column(
        connection,
        "SELECT oid::regclass::text FROM pg_class WHERE relpersistence = 'u' AND relkind IN ('r', 'm', 'p') ORDER BY 1",
    )
    for kind, lines in (("collation", collations), ("indexes", invalid), ("unlogged", unlogged)):
        found[kind] += [f"{name}: {line}" for line in lines]
    if _column(connection, "SELECT extname FROM pg_extension WHERE extname = 'amcheck'"):
        found["amcheck"].append(name)
    for what, table in _JOB_TABLES.items():
        if connection.execute("SELECT to_regclass(%s)::text", [table]).fetchone() != (None,):
            row = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
            found["jobs"] += [f"{name}: {row[0]} of {what}"] if row and row[0] else []


def _listing(name: str, level: Any, lines: list[str], well: str, remedy: str) -> Check:
    return Check(name, level, False, _some(lines), remedy) if lines else Check(name, level, True, well)


def _some(lines: list[str]) -> str:
    more = f" and {len(lines) - 10} more" if len(lines) > 10 else ""
    return "; ".join(lines[:10]) + more


def _column(connection: Connection, query: LiteralString) -> list[Any]:
    return [row[0] for row in connection.execute(query).fetchall()]


def _first_line(error: Exception) -> str:
    """What PostgreSQL said: where it let nobody in, that is the cause."""
    said = (error.cause if isinstance(error, RepriseError) else None) or str(error)
    return said.strip().partition("\n")[0]


def _left_behind(step: RunningStep) -> list[str]:
    """What a restore in place leaves to the operator (``rebuild``): what the cluster before, or else the backup, knew
    of others that follow it."""
    layout = layout_of(step.plan)
    if layout.production is None:
        return []
    before = Path(layout.set_aside) if layout.set_aside else None
    named = _standbys_named(before, Path(layout.production))
    lines = [
        "standbys: rebuild them, or pg_rewind them onto the new timeline" + (f" (named: {named})" if named else "")
    ]
    slots = before / "pg_replslot" if before else None
    if slots and slots.is_dir() and (names := sorted(path.name for path in slots.iterdir())):
        lines.append(f"replication slots of the cluster before, not carried over: {', '.join(names)}")
    lines.append("subscribers and logical consumers: compare them with what was recovered; some are ahead of it")
    lines.append("connection poolers: reconnect them")
    lines.append("take a new base backup: the new timeline has none yet")
    return lines


def _standbys_named(before: Path | None, production: Path) -> str:
    """synchronous_standby_names, as the cluster before or the backup had it."""
    named = ""
    for name in FILES[:2]:
        for place in (before / name if before else None, production / (name + ORIGINAL)):
            if place is not None and place.is_file():
                settings = read_settings(place.read_text("utf-8", "surrogateescape"))
                named = settings.get("synchronous_standby_names", named)
                break
    return named
