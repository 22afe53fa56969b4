"""How the live server's archiving stands: asked of the server, whose user need only be in pg_monitor.

How far a stream is, pg_stat_replication says. What the server flushed counts, not what it inserted: no more is sent,
and at a page's start the latter lies behind a header that nothing follows.
"""

from engine.postgres.connecting import QueryFailed
from engine.postgres.server import connect_site
from engine.records.errors import Unreachable
from engine.records.status import ArchiverFacts, Stream
from engine.records.survey import OsUser
from engine.site import Site

_ASK = """
SELECT current_setting('archive_mode'),
       CASE WHEN current_setting('archive_library', true) <> '' THEN current_setting('archive_library', true)
            ELSE current_setting('archive_command') END,
       last_failed_time, last_failed_wal, last_archived_time, last_archived_wal,
       (SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'),
       pg_walfile_name(pg_current_wal_insert_lsn()),
       (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)
           %% (SELECT setting::numeric FROM pg_settings WHERE name = 'wal_segment_size'),
       (SELECT coalesce(sum(size), 0)::bigint FROM pg_ls_waldir()),
       (SELECT setting::bigint << 20 FROM pg_settings WHERE name = 'max_wal_size')
FROM pg_stat_archiver
"""
_SLOTS = """
SELECT slot_name, (pg_current_wal_lsn() - restart_lsn)::bigint
FROM pg_replication_slots WHERE restart_lsn IS NOT NULL AND slot_name <> %s
"""
_STREAM = """
SELECT slot_name, active, coalesce(wal_status = 'lost', false),
       coalesce(pg_current_wal_lsn() - restart_lsn, 0)::bigint, pg_walfile_name(flush_lsn),
       greatest(0, pg_current_wal_flush_lsn() - flush_lsn)::bigint,
       CASE WHEN state = 'streaming'
            THEN extract(epoch FROM clock_timestamp() - reply_time + coalesce(flush_lag, '0'))::float8 END
FROM pg_replication_slots LEFT JOIN pg_stat_replication ON pid = active_pid WHERE slot_name = %s
"""
_FIRST_RECORD = 256  # bytes into a segment: a switch leaves the next one with no more than its header


def ask_archiver(site: Site, run_as: OsUser, slot: str) -> ArchiverFacts:
    """``slot`` is that of `archiving stream`. Raises Unreachable where the server does not answer, is in recovery, or
    will not say."""
    with connect_site(site.database, run_as) as connection:
        try:
            row = connection.execute(_ASK.replace("%%", "%")).fetchone()
            slots = connection.execute(_SLOTS, (slot,)).fetchall()
            stream = connection.execute(_STREAM, (slot,)).fetchone()
        except QueryFailed as failure:
            raise Unreachable("the server does not say how its archiving stands", cause=str(failure).strip()) from None
    assert row is not None
    mode, command, failed_at, failed, archived_at, archived, waiting, current, offset, size, limit = row
    return ArchiverFacts(
        mode,
        command,
        failed_at,
        failed,
        archived_at,
        archived,
        waiting,
        current,
        int(offset) > _FIRST_RECORD,
        size,
        limit,
        tuple((name, held) for name, held in slots),
        Stream(*stream) if stream is not None else None,
    )
