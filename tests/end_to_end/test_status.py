"""`status` on a real cluster: its exit code, its document, its metrics."""

from pathlib import Path

from tests.clusters import Cluster, wait_until
from tests.end_to_end.operator import operator_for


def test_the_status_follows_what_happens_to_the_copies(cluster: Cluster, open_dir: Path) -> None:
    operator = operator_for(cluster, open_dir)
    with operator.site.open("a") as file:
        file.write('[policy]\ndatabase_full = "1d"\ndatabase_incremental = "5min"\n')
    nothing = operator.call("status")
    things = {each["name"]: each for each in nothing.document["things"]}
    assert nothing.code == nothing.document["level"] == 2
    assert "there is no copy" in things["database-full"]["findings"]
    cluster.sql("CREATE TABLE ledger (id int)")
    operator.call("backup", "base", expect=0)
    cluster.sql("INSERT INTO ledger VALUES (1)")
    cluster.switch()
    metrics = open_dir / "reprise.prom"
    after = operator.call("status", "--prometheus", metrics)
    things = {each["name"]: each for each in after.document["things"]}
    assert after.code == 1, after.document  # the repository lies on the cluster's own device: always a warning
    assert all(
        "device of what it protects" in " ".join(things[name]["findings"]) for name in things if things[name]["level"]
    )
    assert things["database-full"]["policy_seconds"] == 86400
    assert 0 <= things["database-incremental"]["age_seconds"] < 300
    assert 'reprise_copy_level{site="archive",thing="database-full"} 1' in metrics.read_text()
    cluster.sql("ALTER SYSTEM SET archive_command = 'false'")
    cluster.sql("SELECT pg_reload_conf()")
    cluster.sql("INSERT INTO ledger VALUES (2)")
    cluster.sql("SELECT pg_switch_wal()")
    failed = "SELECT failed_count > 0 FROM pg_stat_archiver"
    wait_until(lambda: cluster.value(failed), "the archive command does not fail")
    broken = operator.call("status")
    assert broken.code == 2
    things = {each["name"]: each for each in broken.document["things"]}
    assert "archive_command fails" in " ".join(things["database-incremental"]["findings"])
    assert things["database-incremental"]["would_lose"]["seconds"] > 0
