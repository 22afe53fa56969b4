"""What the policy lets go, on a real cluster: listed first, deleted on request; what is promised can be restored."""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.acts import keeping
from tests.clusters import Cluster
from tests.end_to_end.operator import Operator, operator_for


@pytest.fixture
def cluster(lent: Cluster) -> Cluster:
    return lent


def policy(operator: Operator, text: str) -> None:
    with operator.site.open("a") as file:
        file.write(f"[retention]\n{text}\n")


def backups_of(cluster: Cluster) -> list[str]:
    """Their ids; what stands beside a backup comes and goes with it."""
    names = sorted(path.name for path in cluster.backups.iterdir())
    ids = [name for name in names if not name.endswith(".beside")]
    assert names == sorted([*ids, *(f"{id}.beside" for id in ids)])
    return ids


def expire(operator: Operator, monkeypatch: pytest.MonkeyPatch, *words: str) -> dict[str, Any]:
    """As it will be in two days: what is younger than one stays whatever the policy says."""
    monkeypatch.setattr(keeping, "now", lambda: datetime.now(UTC) + timedelta(days=2))
    return operator.ask("expire", *words, expect=0).document


def aged(cluster: Cluster) -> None:
    """Archived segments look as old as they would be on another day: the newest hour's always stay."""
    for path in cluster.archive.iterdir():
        os.utime(path, (time.time() - 7200,) * 2)


def test_old_backups_and_the_wal_that_only_they_need_go_and_the_rest_is_restored(
    cluster: Cluster, open_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = operator_for(cluster, open_dir)
    policy(operator, "base_backups = { count = 1 }")
    cluster.sql("CREATE TABLE ledger (id int)")
    for number in range(3):
        cluster.sql(f"INSERT INTO ledger VALUES ({number})")
        cluster.switch()
        operator.ask("backup", "base", expect=0)
    cluster.sql("INSERT INTO ledger VALUES (3)")
    cluster.switch()
    aged(cluster)
    before = backups_of(cluster)
    archived = sorted(path.name for path in cluster.archive.iterdir())
    today = operator.call("expire", expect=0).document
    assert not [each for each in today["delete"] if each["kind"] == "base"]  # younger than a day
    listed = expire(operator, monkeypatch)
    assert listed["applied"] is False
    assert backups_of(cluster) == before
    assert {each["id"] for each in listed["delete"] if each["kind"] == "base"} == set(before[:2])
    assert [each["id"] for each in listed["keep"] if each["kind"] == "base"] == before[2:]
    assert listed["bytes"] == sum(each["bytes"] for each in listed["delete"]) > 0
    done = expire(operator, monkeypatch, "--apply", "--yes")
    assert done["delete"] == listed["delete"]
    assert backups_of(cluster) == before[2:]
    left = sorted(path.name for path in cluster.archive.iterdir())
    assert set(left) < set(archived)
    assert expire(operator, monkeypatch, "--apply", "--yes")["delete"] == []
    report = operator.ask("restore", "--latest", "--into", operator.copy_to(), "--yes", expect=0).document
    assert operator.rows(report) == {0, 1, 2, 3}


def test_without_a_terminal_and_without_yes_nothing_is_deleted(cluster: Cluster, open_dir: Path) -> None:
    operator = operator_for(cluster, open_dir)
    policy(operator, "base_backups = { count = 1 }")
    assert operator.call("expire", "--apply").code == 2


def test_a_repository_that_is_away_loses_nothing(cluster: Cluster, open_dir: Path) -> None:
    operator = operator_for(cluster, open_dir)
    policy(operator, "base_backups = { count = 1 }")
    operator.ask("backup", "base", expect=0)
    aged(cluster)
    away = cluster.backups.rename(cluster.backups.with_name("away"))
    said = operator.call("expire", "--apply", "--yes", expect=0).document
    away.rename(cluster.backups)
    assert said["delete"] == []
    assert str(cluster.backups) in said["findings"][0]


@pytest.fixture
def two_backups(cluster: Cluster, open_dir: Path) -> Operator:
    """A history whose first backup, and the WAL before the second one, are past their time in two days."""
    operator = operator_for(cluster, open_dir)
    policy(operator, "base_backups = { count = 1 }")
    for _ in range(2):
        cluster.sql("SELECT pg_logical_emit_message(true, 'test', 'x')")
        cluster.switch()
        operator.ask("backup", "base", expect=0)
    aged(cluster)
    return operator


def kinds_going(listed: dict[str, Any]) -> set[str]:
    return {each["kind"] for each in listed["delete"]}


def test_whatever_may_be_a_backup_and_cannot_be_read_as_one_holds_all_the_wal(
    two_backups: Operator, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kinds_going(expire(two_backups, monkeypatch)) == {"base", "wal"}
    foreign, half = cluster.backups / "cluster-b", cluster.backups / "20261101T020000Z"
    (foreign / "main").mkdir(parents=True)
    listed = expire(two_backups, monkeypatch)
    assert kinds_going(listed) == {"base"} and str(foreign) in listed["findings"][0]
    (foreign / "main").rmdir()
    foreign.rmdir()
    foreign.symlink_to("nowhere")
    assert kinds_going(expire(two_backups, monkeypatch)) == {"base"}
    foreign.unlink()
    half.mkdir()
    (half / "PG_VERSION").write_text("15\n")
    assert kinds_going(expire(two_backups, monkeypatch)) == {"base"}  # it does not say from where on it needs WAL
    (half / "PG_VERSION").unlink()
    half.rmdir()
    assert kinds_going(expire(two_backups, monkeypatch)) == {"base", "wal"}


@pytest.mark.parametrize("known_by", ["the index", "an earlier expiry"])
def test_nothing_goes_while_an_archive_that_had_wal_is_empty(
    two_backups: Operator, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, known_by: str
) -> None:
    assert kinds_going(expire(two_backups, monkeypatch)) == {"base", "wal"}
    for path in (two_backups.home / "state" / "index").glob("*.seen" if known_by == "the index" else "*.sqlite*"):
        path.unlink()
    away = cluster.archive.rename(cluster.archive.with_name("away"))
    cluster.archive.mkdir()
    before = backups_of(cluster)
    for words in ((), ("--apply", "--yes")):
        listed = expire(two_backups, monkeypatch, *words)
        assert listed["delete"] == [] and "is empty, and had WAL" in listed["findings"][0]
    assert backups_of(cluster) == before
    cluster.archive.rmdir()
    away.rename(cluster.archive)
    assert kinds_going(expire(two_backups, monkeypatch)) == {"base", "wal"}
