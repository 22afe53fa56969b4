"""Checks of the recovered cluster, as it stands promoted and still to itself: the site's own questions, what could be
silently wrong, and what must be rebuilt by hand. A check that fails is told; it stops nothing."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, LiteralString

from engine.postgres.connecting import Connection, QueryFailed
from engine.postgres.server import Server
from engine.records.plan import Check
from engine.steps.protocol import RunningStep
from engine.steps.recovering import server_of
from engine.steps.settings import layout_of

_QUESTION_TIMEOUT = 300.0  # seconds for each of the site's own questions


def apply(step: RunningStep) -> None:
    """Reads only; applied again, it asks again."""
    layout = layout_of(step.plan)
    server = server_of(step, Path(layout.production or layout.data_dir))
    by_hand: list[str] = []
    with server.connect(statement_timeout=_QUESTION_TIMEOUT) as connection:
        for question in step.site.verify.sql:
            step.safe_point()
            step.check(_ask(connection, question))
        for look in (_page_checksums, _slots, _standbys, _subscriptions):
            step.safe_point()
            for check in _guarded(look, connection):
                step.check(check)
        databases = _column(
            connection, "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname"
        )
    for check in _in_databases(step, server, databases):
        step.check(check)
        if check.name == "collation" and check.ok is False:
            by_hand.append("reindex what depends on the collations named above, then refresh their versions")
    by_hand += _left_behind(step)
    step.fact(by_hand=by_hand)


def undo(step: RunningStep) -> None:
    """Nothing was changed."""


def _ask(connection: Connection, question: str) -> Check:
    """One of the site's own questions: it must return true."""
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


def _guarded(look: Callable[[Connection], Iterator[Check]], connection: Connection) -> list[Check]:
    try:
        return list(look(connection))
    except QueryFailed as error:
        name = look.__name__.strip("_").replace("_", "-")
        return [Check(name, "warn", None, f"could not be looked at: {str(error).strip().splitlines()[0]}")]


def _page_checksums(connection: Connection) -> Iterator[Check]:
    if _column(connection, "SELECT current_setting('data_checksums')") != ["on"]:
        yield Check(
            "page-checksums", "warn", None, "the cluster has no data checksums", "pg_amcheck looks at its structure"
        )
        return
    failures = _column(connection, "SELECT coalesce(sum(checksum_failures), 0)::bigint FROM pg_stat_database")[0]
    finding = f"{failures} pages failed their checksum since the server was started"
    yield Check(
        "page-checksums", "warn", failures == 0, finding, None if failures == 0 else "run pg_amcheck, restore again"
    )


def _slots(connection: Connection) -> Iterator[Check]:
    names = _column(connection, "SELECT slot_name::text FROM pg_replication_slots ORDER BY 1")
    if names:
        yield Check("rebuild", "info", True, f"replication slots: {', '.join(names)}")


def _standbys(connection: Connection) -> Iterator[Check]:
    names = _column(connection, "SELECT current_setting('synchronous_standby_names')")
    if names and names[0]:
        yield Check("sync-standby", "info", False, f"synchronous_standby_names names {names[0]}", "blank it")


def _subscriptions(connection: Connection) -> Iterator[Check]:
    names = _column(connection, "SELECT subname::text FROM pg_subscription ORDER BY 1")
    if names:
        finding = f"subscriptions: {', '.join(names)}; their publishers are ahead of what was recovered"
        yield Check("large-jobs", "info", True, finding, "refresh or recreate each before enabling it")


def _in_databases(step: RunningStep, server: Server, databases: list[str]) -> Iterator[Check]:
    """What each database must be asked by itself."""
    found: dict[str, list[str]] = {"collation": [], "indexes": [], "unlogged": [], "jobs": [], "unread": []}
    for name in databases:
        step.safe_point()
        try:
            with server.connect(name, statement_timeout=60) as connection:
                _look_into(connection, name, found)
        except (QueryFailed, OSError) as error:
            found["unread"].append(f"{name}: {str(error).strip().splitlines()[0]}")
        except Exception as error:
            if not hasattr(error, "message"):
                raise
            found["unread"].append(f"{name}: {error}")
    yield _listing("collation", "warn", found["collation"], "all collation versions are this machine's own",
                   "REINDEX what depends on them, then ALTER … REFRESH COLLATION VERSION")  # fmt: skip
    yield _listing("invalid-indexes", "warn", found["indexes"], "no index is invalid", "REINDEX or drop them")
    if found["unlogged"]:
        yield Check("unlogged", "info", True, f"unlogged tables are empty: {_some(found['unlogged'])}")
    if found["jobs"]:
        yield Check("large-jobs", "info", True, f"scheduled jobs: {_some(found['jobs'])}", "look before they run")
    if found["unread"]:
        yield Check("databases", "warn", None, f"could not be looked into: {_some(found['unread'])}")


def _look_into(connection: Connection, name: str, found: dict[str, list[str]]) -> None:
    collations = _column(
        connection,
        "SELECT collname::text || ' ' || collversion || ' is now ' || pg_collation_actual_version(oid)"
        " FROM pg_collation WHERE collversion IS NOT NULL AND collversion <> pg_collation_actual_version(oid)"
        " AND collencoding IN (-1, (SELECT encoding FROM pg_database WHERE datname = current_database()))",
    )
    if connection.info.server_version >= 150000:
        collations += _column(
            connection,
            "SELECT 'its own, ' || datcollversion || ' is now ' || pg_database_collation_actual_version(oid)"
            " FROM pg_database WHERE datname = current_database() AND datcollversion IS NOT NULL"
            " AND datcollversion <> pg_database_collation_actual_version(oid)",
        )
    found["collation"] += [f"{name}: {line}" for line in collations]
    found["indexes"] += [
        f"{name}: {line}"
        for line in _column(connection, "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid")
    ]
    found["unlogged"] += [
        f"{name}: {line}"
        for line in _column(
            connection,
            "SELECT oid::regclass::text FROM pg_class"
            " WHERE relpersistence = 'u' AND relkind IN ('r', 'm', 'p') ORDER BY 1",
        )
    ]
    if _column(connection, "SELECT to_regclass('cron.job')::text") != [None]:
        jobs = _column(connection, "SELECT count(*) FROM cron.job")[0]
        found["jobs"] += [f"{name}: {jobs} of pg_cron"] if jobs else []


def _listing(name: str, level: Any, lines: list[str], well: str, remedy: str) -> Check:
    return Check(name, level, False, _some(lines), remedy) if lines else Check(name, level, True, well)


def _some(lines: list[str]) -> str:
    more = f" and {len(lines) - 10} more" if len(lines) > 10 else ""
    return "; ".join(lines[:10]) + more


def _column(connection: Connection, query: LiteralString) -> list[Any]:
    return [row[0] for row in connection.execute(query).fetchall()]


def _left_behind(step: RunningStep) -> list[str]:
    """What a restore in place leaves to the operator (``rebuild``)."""
    layout = layout_of(step.plan)
    if layout.production is None:
        return []
    lines = ["standbys: rebuild them, or pg_rewind them onto the new timeline"]
    slots = Path(layout.set_aside or "-") / "pg_replslot"
    if slots.is_dir() and (names := sorted(path.name for path in slots.iterdir())):
        lines.append(f"replication slots of the cluster before, not carried over: {', '.join(names)}")
    lines.append("subscribers and logical consumers: compare them with what was recovered; some are ahead of it")
    lines.append("connection poolers: reconnect them")
    lines.append("take a new base backup: the new timeline has none yet")
    return lines
