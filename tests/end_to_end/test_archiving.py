"""Archiving set up and tested on a real cluster, from nothing and from another program's hands."""

import os
from pathlib import Path

from tests.clusters import Cluster, wait_until
from tests.end_to_end.operator import operator_for


def test_from_nothing_to_a_proven_archive(cluster: Cluster, open_dir: Path) -> None:
    operator = operator_for(cluster, open_dir)
    with operator.site.open("a") as file:
        file.write('[policy]\ndatabase_incremental = "2min"\n')
    cluster.sql("ALTER SYSTEM SET archive_mode = off")
    cluster.sql("ALTER SYSTEM SET archive_command = ''")
    cluster.stop()
    cluster.start()
    asked = operator.call("archiving", "set-up")
    assert asked.code == 2  # without a terminal nothing asks
    said = operator.call("archiving", "set-up", "--yes", "--restart", expect=0).document
    assert said["ok"]
    assert {each["setting"] for each in said["changes"]} >= {"archive_command", "archive_timeout"}
    assert operator.call("archiving", "set-up", "--yes", expect=0).document["changes"] == []
    proven = operator.call("archiving", "test", expect=0).document
    assert proven["ok"] and proven["seconds"] > 0
    assert any(path.name.startswith(proven["segment"]) for path in cluster.archive.iterdir())
    assert cluster.value("SHOW archive_timeout") == "1min"


def test_another_programs_command_is_never_replaced(cluster: Cluster, open_dir: Path) -> None:
    operator = operator_for(cluster, open_dir)
    before = cluster.value("SHOW archive_command")
    said = operator.call("archiving", "set-up", "--yes", expect=1).document
    assert "another program's" in said["findings"][0]
    assert cluster.value("SHOW archive_command") == before


def test_an_archive_that_goes_away_is_found_and_when_it_comes_back_nothing_is_missing(
    cluster: Cluster, open_dir: Path
) -> None:
    operator = operator_for(cluster, open_dir)
    cluster.sql("ALTER SYSTEM SET archive_command = ''")
    cluster.sql("SELECT pg_reload_conf()")
    wait_until(lambda: cluster.value("SHOW archive_command") in ("", "(disabled)"), "no reload")
    operator.call("archiving", "set-up", "--yes", expect=0)
    away = cluster.archive.rename(cluster.archive.with_name("away"))
    cluster.archive.mkdir()  # an empty mount point: not the archive
    os.chown(cluster.archive, cluster.user.uid, cluster.user.gid)
    cluster.sql("CREATE TABLE ledger (id int)")
    cluster.sql("SELECT pg_switch_wal()")
    failed = "SELECT failed_count > 0 FROM pg_stat_archiver"
    wait_until(lambda: cluster.value(failed), "the archive command does not fail")
    assert list(cluster.archive.iterdir()) == []
    cluster.archive.rmdir()
    away.rename(cluster.archive)
    proven = operator.call("archiving", "test", expect=0).document
    assert proven["ok"]
    segments = sorted(path.name for path in cluster.archive.iterdir() if len(path.name) == 24)
    numbers = [int(name[8:], 16) for name in segments]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
