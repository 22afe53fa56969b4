"""A stream goes on after a recovery, where the newest WAL in its archive was left behind."""

from datetime import UTC, datetime
from pathlib import Path

from tests.clusters import Cluster, wait_until
from tests.end_to_end.operator import operator_for
from tests.end_to_end.streaming import STREAMED_ALL, streaming


def test_after_a_recovery_to_an_earlier_moment_every_change_is_streamed(cluster: Cluster, open_dir: Path) -> None:
    operator = operator_for(cluster, open_dir)
    cluster.base_backup("b1")
    cluster.sql("CREATE TABLE ledger (id int)")
    cluster.sql("INSERT INTO ledger VALUES (1)")
    cluster.switch()
    cluster.sql("ALTER SYSTEM SET archive_mode = off")
    cluster.stop()
    cluster.start()
    with streaming(operator):
        cluster.sql("INSERT INTO ledger VALUES (2)")
        moment = datetime.now(UTC)
        for id in (3, 4, 5):
            cluster.sql(f"INSERT INTO ledger VALUES ({id})")
            cluster.sql("SELECT pg_switch_wal()")
        cluster.sql("INSERT INTO ledger VALUES (6)")
        wait_until(lambda: bool(cluster.value(STREAMED_ALL)), "the stream stays behind")
    for step, id in enumerate((7, 8)):
        target = ("--time", moment.isoformat()) if step == 0 else ("--latest",)
        operator.ask("restore", *target, "--in-place", "--yes", expect=0)
        before = len(list(cluster.archive.rglob("0*")))
        with streaming(operator):
            cluster.sql(f"INSERT INTO ledger VALUES ({id})")
            cluster.sql("SELECT pg_switch_wal()")
            cluster.sql(f"INSERT INTO ledger VALUES ({id}0)")
            wait_until(lambda: bool(cluster.value(STREAMED_ALL)), "the stream stays behind")
            assert operator.ask("archiving", "test", expect=0).document["ok"]
            thing = next(
                each for each in operator.ask("status").document["things"] if each["name"] == "database-incremental"
            )
            assert not any("behind a gap" in finding for finding in thing["findings"])
        with streaming(operator):  # begun again, it goes on where it was
            cluster.sql("SELECT pg_switch_wal()")
            assert operator.ask("archiving", "test", expect=0).document["ok"]
        assert len(list(cluster.archive.rglob("0*"))) > before
        catalog = operator.ask("catalog", expect=0).document
        assert catalog["gaps"] == []
        assert not any("more than once" in problem["what"] for problem in catalog["problems"])
    report = operator.ask("restore", "--latest", "--into", operator.copy_to(), "--yes", expect=0).document
    assert operator.rows(report) == {1, 2, 7, 70, 8, 80}
