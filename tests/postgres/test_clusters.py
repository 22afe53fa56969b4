"""The test clusters themselves: what other tests rely on."""

from engine.records.lsn import parse_lsn
from tests.clusters import Cluster
from tests.histories import History


def test_the_ledger_holds_exactly_the_rows_that_the_wal_says_committed(cluster: Cluster) -> None:
    cluster.write(20)
    cluster.switch()
    there = {row[0] for row in cluster.sql("SELECT id FROM ledger")}
    assert there == {row.id for row in cluster.rows}
    assert there == cluster.rows_before(cluster.lsn(), 1)
    assert len(there) > 60


def test_a_recorded_history_has_two_timelines_and_all_kinds_of_transaction_ends(history: History) -> None:
    cluster = history.cluster
    assert cluster.server.pid() is None
    ends = cluster.ends()
    assert {end.kind for end in ends} == {"COMMIT", "ABORT", "PREPARE", "COMMIT_PREPARED", "ABORT_PREPARED"}
    assert {end.timeline for end in ends} == {1, 2}
    committed = {(end.timeline, end.xid) for end in ends}
    assert all((row.timeline, row.xid) in committed for row in cluster.rows)
    assert history.fork < history.before_accident
    second = cluster.rows_before(parse_lsn("FF/0"), 2, history.fork)
    assert {row.timeline for row in cluster.rows if row.id in second} == {1, 2}
