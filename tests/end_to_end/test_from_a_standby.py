"""Base backups that were taken from a standby while both servers were at work: where they are consistent, and that a
copy from them holds exactly what it should."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest

from engine.postgres.server import Server, free_port
from engine.records.lsn import parse_lsn
from tests.clusters import Cluster, wait_until
from tests.end_to_end.operator import Operator, operator_for


@contextmanager
def standby_of(cluster: Cluster) -> Iterator[Server]:
    """A streaming standby in the cluster's folder."""
    cluster.base_backup("seed", wal="stream", extra=("-R",))
    data_dir = cluster.root / "data-standby"
    (cluster.backups / "seed").rename(data_dir)
    data_dir.chmod(0o700)
    log = cluster.root / "log-standby"
    standby = Server(cluster.programs, data_dir, cluster.user, cluster.socket_dir, free_port(), log)
    standby.start({"archive_mode": "off"})
    try:
        standby.wait_accepting()
        yield standby
    finally:
        standby.stop("immediate")


def caught_up(cluster: Cluster, standby: Server) -> bool:
    with standby.connect() as connection:
        row = connection.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", (_end_of(cluster),)).fetchone()
    return row is not None and bool(row[0])


def _end_of(cluster: Cluster) -> str:
    return str(cluster.value("SELECT pg_current_wal_flush_lsn()::text"))


@pytest.fixture
def operator(cluster: Cluster, open_dir: Path) -> Operator:
    """Two backups of the standby, taken under load; the second has no manifest."""
    primary = cluster.server
    cluster.write(20, seed=1)
    with standby_of(cluster) as standby:
        cluster.sql("CHECKPOINT")
        wait_until(lambda: caught_up(cluster, standby), "the standby stayed behind")
        kinds: tuple[tuple[str, Literal["tar.gz", "plain"], tuple[str, ...]], ...] = (
            ("one", "tar.gz", ()),
            ("two", "plain", ("--no-manifest",)),
        )
        with cluster.load(seed=2):
            for name, format, extra in kinds:
                cluster.server = standby
                try:
                    cluster.base_backup(name, format, extra=extra)
                finally:
                    cluster.server = primary
    cluster.write(30, seed=3)
    cluster.switch()
    return operator_for(cluster, open_dir)


def test_a_copy_holds_exactly_the_commits_up_to_the_target(operator: Operator, cluster: Cluster) -> None:
    listed = {each["id"]: each for each in operator.ask("catalog", expect=0).document["base_backups"]}
    assert listed["one"]["from_standby"] and listed["two"]["from_standby"]
    windows = {each["backup"]: each for each in operator.ask("windows", expect=0).document["windows"]}
    assert set(windows) == {"one", "two"}
    for name in windows:
        into = operator.copy_to(name)
        report = operator.ask("restore", "--immediate", "--backup", name, "--into", into, "--yes", expect=0).document
        gate = parse_lsn(report["reached"]["lsn"])
        assert report["reached"]["proven"] and gate == parse_lsn(windows[name]["from"]["lsn"])
        assert operator.rows(report) == cluster.rows_before(gate, 1)
        operator.ask("discard", report["run"], "--yes", expect=0)
    report = operator.ask("restore", "--latest", "--into", operator.copy_to(), "--yes", expect=0).document
    assert operator.rows(report) == {row.id for row in cluster.rows}
