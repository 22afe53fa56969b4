"""Taking base backups from the command line, on a real cluster."""

from pathlib import Path

from tests.clusters import Cluster
from tests.end_to_end.operator import operator_for


def test_a_full_backup_is_taken_verified_and_listed_and_can_be_restored(cluster: Cluster, open_dir: Path) -> None:
    operator = operator_for(cluster, open_dir)
    cluster.sql("CREATE TABLE ledger (id int)")
    cluster.sql("INSERT INTO ledger VALUES (1)")
    said = operator.call("backup", "base", expect=0).document
    assert said["outcome"] == "completed"
    copy = said["copy"]
    assert copy["kind"] == "base" and Path(copy["path"]).is_dir()
    assert [path.name for path in cluster.backups.iterdir()] == [copy["id"]]
    listed = operator.call("catalog", expect=0).document["base_backups"]
    assert [(each["id"], each["usable"]) for each in listed] == [(copy["id"], True)]
    cluster.sql("INSERT INTO ledger VALUES (2)")
    cluster.switch()
    report = operator.call("restore", "--latest", "--into", operator.copy_to(), "--yes", expect=0).document
    assert operator.rows(report) == {1, 2}
