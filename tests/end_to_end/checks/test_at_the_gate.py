"""What only shows at the gate: a replayed lock (`hot-standby-locks`), no connection at all (`pause-ignored`), a signal
file that is gone (`signal-files`)."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.postgres.connecting import Connection, QueryFailed, connect
from engine.records.errors import Unreachable
from engine.records.lsn import format_lsn
from tests.clusters import Cluster, kill_processes_below, make_cluster
from tests.end_to_end.checks.place import Checks, Place, make_place


@pytest.fixture(scope="module")
def dropped() -> Iterator[Cluster]:
    """A stopped cluster whose last commit drops the table ``orders``. Its backups: ``one``; ``crowded``, begun while a
    transaction had more than 64 subtransactions."""
    cluster = make_cluster("gate")
    try:
        cluster.sql("CREATE TABLE orders AS SELECT 1 AS id")
        cluster.base_backup("one")
        with cluster.connect() as connection:
            connection.execute("BEGIN")
            connection.execute("CREATE TABLE many (x int)")
            for number in range(70):
                connection.execute(f"SAVEPOINT s{number}".encode())
                connection.execute("INSERT INTO many VALUES (1)")
            cluster.base_backup("crowded")
            connection.execute("COMMIT")
        cluster.sql("DROP TABLE orders")
        cluster.switch()
        cluster.stop()
        yield cluster
    finally:
        cluster.destroy()


@pytest.fixture
def place(dropped: Cluster, open_dir: Path) -> Iterator[Place]:
    made = make_place(dropped, open_dir)
    yield made
    kill_processes_below(open_dir)


def before_the_drop(cluster: Cluster) -> tuple[str, ...]:
    last = [end for end in cluster.ends(1) if end.kind == "COMMIT"][-1]
    return "--lsn", format_lsn(last.lsn), "--exclusive"


def at_the_gate(place: Place, report: dict[str, Any]) -> Connection:
    user = place.original.user
    return connect(host=report["host"], port=report["port"], user="postgres", as_user=user, timeout=5)


def pause(place: Place, *words: str) -> dict[str, Any]:
    return place.operator.ask("restore", *words, *place.into, "--action", "pause", "--yes", expect=4).document


def test_a_table_that_is_being_dropped_at_the_gate_does_not_hang_anybody(place: Place, dropped: Cluster) -> None:
    report = pause(place, *before_the_drop(dropped), "--backup", "one")
    Checks(report).says("hot-standby-locks", "info", None, "DROP")
    Checks(report).says("libraries", "refuse", True, "found in")
    with at_the_gate(place, report) as connection:
        assert connection.execute("SELECT count(*) FROM pg_class").fetchone() is not None
        started = time.monotonic()
        with pytest.raises(QueryFailed, match="lock timeout"):
            connection.execute("SELECT * FROM orders")
        assert time.monotonic() - started < 10


@pytest.mark.slow
def test_where_nothing_can_be_read_at_the_gate_that_is_said_and_made_up_for(place: Place, dropped: Cluster) -> None:
    report = pause(place, *before_the_drop(dropped), "--backup", "crowded")
    checks = Checks(report)
    checks.says("pause-ignored", "info", False, "no connections at the gate")
    checks.says("libraries", "warn", None, "looked up after the promotion")
    checks.says("page-checksums", "warn", True, "every checksum right")
    with pytest.raises(Unreachable):
        at_the_gate(place, report)
    finished = Checks(place.operator.ask("finish", report["run"], "--yes", expect=0).document)
    finished.says("libraries", "refuse", True, "found in")
    with at_the_gate(place, finished.document) as connection:
        assert connection.execute("SELECT id FROM orders").fetchone() == (1,)


def test_a_copy_without_its_signal_file_is_never_started(place: Place, dropped: Cluster) -> None:
    report = pause(place, *before_the_drop(dropped), "--backup", "one")
    place.operator.ask("cancel", report["run"], "--yes")
    data_dir = Path(report["data_dir"])
    kill_processes_below(data_dir)
    signal_file = data_dir / "standby.signal"
    signal_file.rename(data_dir / "elsewhere")
    said = place.operator.ask("resume", report["run"], "--yes", expect=1).document
    assert "no standby.signal" in said["error"]["message"]
    (data_dir / "elsewhere").rename(signal_file)
    again = place.operator.ask("resume", report["run"], "--yes", expect=4).document
    assert again["outcome"] == "paused" and again["reached"]["proven"]
