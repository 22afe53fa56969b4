"""The site's own server as it answers now: what a copy that is taken of it needs to know."""

from engine.postgres.connecting import QueryFailed
from engine.postgres.server import connect_site
from engine.records.errors import Unreachable
from engine.records.survey import LiveDatabase, LiveServer, OsUser
from engine.site import Site

_ASK = """
SELECT current_setting('server_version_num')::int / 10000,
       (SELECT system_identifier FROM pg_control_system()),
       (SELECT timeline_id FROM pg_control_checkpoint()),
       (SELECT coalesce(sum(pg_database_size(oid)), 0)::bigint FROM pg_database WHERE datallowconn),
       coalesce(current_setting('summarize_wal', true), 'off') = 'on',
       current_setting('max_wal_senders')::int - (SELECT count(*) FROM pg_stat_replication),
       (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user),
       pg_is_in_recovery(),
       (SELECT count(*) FROM pg_tablespace WHERE pg_tablespace_location(oid) <> '')
"""
_WRITES = """
SELECT (SELECT system_identifier FROM pg_control_system()),
       CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint())::bigint
            ELSE ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::bigint END
"""
_DATABASES = """
SELECT datname, pg_database_size(oid) FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname
"""


def ask_databases(site: Site, run_as: OsUser) -> tuple[int, list[LiveDatabase]]:
    """The server's major version, and its databases. Raises Unreachable."""
    with connect_site(site.database, run_as) as connection:
        try:
            found = [LiveDatabase(name, size) for name, size in connection.execute(_DATABASES).fetchall()]
        except QueryFailed as failure:
            raise Unreachable("the server does not name its databases", cause=str(failure).strip()) from None
        return connection.info.server_version // 10000, found


def ask_server(site: Site, run_as: OsUser) -> LiveServer:
    """Raises Unreachable where it does not answer, or will not say."""
    with connect_site(site.database, run_as) as connection:
        try:
            row = connection.execute(_ASK).fetchone()
        except QueryFailed as failure:
            raise Unreachable("the server does not say how it stands", cause=str(failure).strip()) from None
    assert row is not None
    version, identifier, timeline, size, summarizes, senders, replicates, recovering, spaces = row
    return LiveServer(
        version, identifier % (1 << 64), timeline, size, summarizes, senders, bool(replicates), recovering, spaces
    )


def ask_timeline(site: Site, run_as: OsUser) -> tuple[int, int]:
    """The system identifier of the server that answers, and the timeline that it writes, or follows. Raises
    Unreachable."""
    with connect_site(site.database, run_as, timeout=5) as connection:
        try:
            row = connection.execute(_WRITES).fetchone()
        except QueryFailed as failure:
            raise Unreachable("the server does not say what it writes", cause=str(failure).strip()) from None
    assert row is not None
    return int(row[0]) % (1 << 64), int(row[1])
