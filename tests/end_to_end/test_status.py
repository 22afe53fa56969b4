"""`status` on a real cluster: its exit code, its document, its metrics."""

from pathlib import Path
from typing import Any

from tests.clusters import Cluster, wait_until
from tests.end_to_end.operator import Operator, operator_for


def test_the_status_follows_what_happens_to_the_copies(cluster: Cluster, open_dir: Path) -> None:
    operator = operator_for(cluster, open_dir)
    with operator.site.open("a") as file:
        file.write('[policy]\ndatabase_full = "1d"\ndatabase_incremental = "5min"\n')
    nothing = operator.ask("status")
    things = {each["name"]: each for each in nothing.document["things"]}
    assert nothing.code == nothing.document["level"] == 2
    assert "there is no copy" in things["database-full"]["findings"]
    cluster.sql("CREATE TABLE ledger (id int)")
    operator.ask("backup", "base", expect=0)
    cluster.sql("INSERT INTO ledger VALUES (1)")
    cluster.switch()
    metrics = open_dir / "reprise.prom"
    after = operator.ask("status", "--prometheus", metrics)
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
    broken = operator.ask("status")
    assert broken.code == 2
    things = {each["name"]: each for each in broken.document["things"]}
    assert "archive_command fails" in " ".join(things["database-incremental"]["findings"])
    assert things["database-incremental"]["would_lose"]["seconds"] > 0


def test_an_idle_server_loses_nothing_unless_its_archive_lacks_a_segment_behind_the_backup(
    cluster: Cluster, open_dir: Path
) -> None:
    operator = operator_for(cluster, open_dir)
    operator.ask("backup", "base", expect=0)
    cluster.sql("CREATE TABLE ledger (id int)")
    cluster.switch()
    lacking = max(cluster.archive.glob("[0-9A-F]" * 24))

    def lost() -> float:
        cluster.sql("INSERT INTO ledger VALUES (1)")
        cluster.switch()  # what the server logs of itself begins the next segment at any time
        seconds: float = incremental(operator)["would_lose"]["seconds"]
        return seconds

    wait_until(lambda: lost() == 0, "an idle server is said to lose something")
    assert incremental(operator)["level"] == 1  # the repository's device
    lacking.unlink()
    thing = incremental(operator)
    assert thing["would_lose"]["seconds"] > 0
    assert thing["level"] == 2
    assert "lies behind a gap" in thing["findings"][0]
    operator.ask("backup", "base", expect=0)
    wait_until(lambda: lost() == 0, "a backup behind the gap does not help")


def incremental(operator: Operator) -> dict[str, Any]:
    things: list[dict[str, Any]] = operator.ask("status").document["things"]
    return next(each for each in things if each["name"] == "database-incremental")
