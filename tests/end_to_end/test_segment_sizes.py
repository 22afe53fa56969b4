"""Segments of other sizes than the 1 MB of nearly all tests: PostgreSQL's own 16 MB, and larger ones."""

from collections.abc import Callable
from pathlib import Path

import pytest

from engine import acts
from engine.records.history import Piece
from engine.records.lsn import format_lsn
from tests.clusters import Cluster
from tests.end_to_end.operator import operator_for

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("megabytes", [16, 64])
def test_every_end_is_found_a_copy_stops_where_it_should_and_production_comes_back(
    new_cluster: Callable[..., Cluster], open_dir: Path, megabytes: int
) -> None:
    """The target lies in the last of several segments, one of them begun by a record that is larger than most."""
    cluster = new_cluster("sizes", segment_mb=megabytes)
    cluster.write(20, seed=1)
    cluster.base_backup("one", "tar.gz")
    cluster.sql("CREATE TABLE ballast AS SELECT repeat(md5(n::text), 60) AS t FROM generate_series(1, 4000) AS n")
    for seed in (2, 3):
        cluster.write(40, seed=seed)
        cluster.switch()
    operator = operator_for(cluster, open_dir)
    desk = acts.open_desk(operator.site, open_dir / "state")
    acts.read_archive(desk)
    view = acts.look(desk)
    (history,) = view.histories.values()
    assert history.segment_size == megabytes << 20
    told = [(end.lsn, end.xid, end.at) for end in cluster.ends(1)]
    assert [(end.lsn, end.xid, end.at) for end in history.ends(Piece(1, 0, 1 << 64), limit=1 << 30)] == told
    assert len(history.runs(1)) == 1

    behind = view.windows[0].from_lsn
    commits = [end for end in cluster.ends(1) if end.kind == "COMMIT" and end.lsn > behind]
    target = commits[-7].lsn
    words = ("--lsn", format_lsn(target), "--exclusive", "--into", operator.copy_to(), "--yes")
    report = operator.ask("restore", *words, expect=0).document
    assert report["reached"]["proven"] and report["reached"]["lsn"] == format_lsn(target)
    assert operator.rows(report) == cluster.rows_before(target, 1)
    operator.ask("discard", report["run"], "--yes", expect=0)

    acts.write_runbook(desk, open_dir / "runbook.md", "markdown")
    raised = f"min_wal_size = '{2 * megabytes}MB'" in (open_dir / "runbook.md").read_text()
    assert raised == (2 * megabytes > 80)  # else the server by hand would not start, either
    report = operator.ask("restore", "--latest", "--in-place", "--yes", expect=0).document
    assert {row[0] for row in cluster.sql("SELECT id FROM ledger")} == {row.id for row in cluster.rows}
