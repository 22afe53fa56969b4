"""A cluster large enough that a run over it can be caught in the middle, and runs to its last commit, which is lost."""

from pathlib import Path
from typing import Any

from engine.records.lsn import Lsn, format_lsn
from tests.clusters import Cluster, make_cluster
from tests.end_to_end.middle import Run
from tests.end_to_end.operator import Operator
from tests.end_to_end.production import FILL
from tests.waldump import Ended

MB = 1 << 20


def make_large() -> Cluster:
    """A stopped cluster with a plain base backup of some 70 MB and some 40 segments of WAL behind it."""
    cluster = make_cluster("large")
    cluster.sql("CREATE TABLE filler (id int, text text)")
    cluster.sql("ALTER TABLE filler ALTER text SET STORAGE PLAIN")
    cluster.sql(FILL.format(45_000))
    cluster.write(10, seed=1)
    cluster.base_backup("one")
    for seed in range(2, 6):
        cluster.sql(FILL.format(9_000))
        cluster.write(10, seed=seed)
    cluster.switch()
    cluster.stop()
    return cluster


def last_commit(cluster: Cluster) -> Ended:
    return [end for end in cluster.ends(1) if end.kind == "COMMIT"][-1]


def into(operator: Operator, destination: Path | None = None) -> list[str]:
    """The words for a side copy up to the last commit."""
    lsn = format_lsn(last_commit(operator.cluster).lsn)
    return ["--lsn", lsn, "--exclusive", "--into", str(destination or operator.copy_to())]


def is_whole(operator: Operator, report: dict[str, Any], lsn: Lsn | None = None) -> None:
    """The run has ended as an undisturbed one does, and not on the old timeline."""
    assert report["outcome"] == "completed", report
    reached = report["reached"]
    assert reached["proven"] is True
    assert reached["new_timeline"] > reached["timeline"]
    wanted = operator.cluster.rows_before(lsn if lsn is not None else last_commit(operator.cluster).lsn, 1)
    assert operator.rows(report) == wanted


def nothing_starts_below(folder: Path) -> None:
    """Nothing below looks like a whole data directory."""
    assert not [path for path in folder.rglob("pg_control") if path.parent.name == "global"]


def data_dir_of(run: Run) -> Path:
    found = run.state.data_dir
    assert found is not None
    return Path(found)
