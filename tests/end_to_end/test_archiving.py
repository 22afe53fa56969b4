"""Archiving set up and tested on a real cluster, from nothing and from another program's hands."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from engine.acts import mounted
from engine.archiving.command import MARK
from tests.clusters import Cluster, wait_until
from tests.end_to_end.operator import CHECKOUT, operator_for


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
    refused = operator.call("archiving", "set-up", "--yes", expect=1).document
    assert "lacks the mark" in refused["findings"][0]
    assert list(cluster.archive.iterdir()) == []
    cluster.archive.rmdir()
    away.rename(cluster.archive)
    proven = operator.call("archiving", "test", expect=0).document
    assert proven["ok"]
    segments = sorted(path.name for path in cluster.archive.iterdir() if len(path.name) == 24)
    numbers = [int(name[8:], 16) for name in segments]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_a_stream_brings_wal_into_the_archive_alone_and_ends_when_it_is_told_to(
    cluster: Cluster, open_dir: Path
) -> None:
    operator = operator_for(cluster, open_dir)
    fill = "CREATE TABLE ledger AS SELECT generate_series(1, 50000)"  # more than a segment
    _unset(cluster)
    stream = subprocess.Popen(operator.command("archiving", "stream"), cwd=CHECKOUT, stdout=subprocess.PIPE)
    try:
        streaming = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'reprise_archive' AND active"
        wait_until(lambda: cluster.value(streaming) == 1, "nothing streams")
        before = {path.name for path in cluster.archive.iterdir() if len(path.name) == 24}
        cluster.sql(fill)
        cluster.sql("SELECT pg_switch_wal()")
        arrived = lambda: {path.name for path in cluster.archive.iterdir() if len(path.name) == 24} - before  # noqa: E731
        wait_until(lambda: len(arrived()) > 1, "no segment arrives")
    finally:
        stream.terminate()
        said, _ = stream.communicate(timeout=60)
    assert stream.returncode == 0
    assert "max_slot_wal_keep_size is not set" in json.loads(said)["findings"][0]
    wait_until(lambda: cluster.value(streaming) == 0, "something streams on")
    assert operator.ask("catalog", expect=0).document["gaps"] == []
    away = cluster.archive.rename(cluster.archive.with_name("away"))
    cluster.archive.mkdir()  # an empty mount point: what went there would be gone when the mount is back
    os.chown(cluster.archive, cluster.user.uid, cluster.user.gid)
    refused = operator.call("archiving", "stream", expect=1).document
    assert "lacks the mark" in refused["findings"][0] or "is empty" in refused["findings"][0]
    assert list(cluster.archive.iterdir()) == [] and any(away.iterdir())


def _unset(cluster: Cluster) -> None:
    cluster.sql("ALTER SYSTEM SET archive_command = ''")
    cluster.sql("SELECT pg_reload_conf()")
    wait_until(lambda: cluster.value("SHOW archive_command") in ("", "(disabled)"), "no reload")


def test_a_mount_point_of_fstab_that_is_not_mounted_does_not_become_the_archive(
    cluster: Cluster, open_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = operator_for(cluster, open_dir)
    _unset(cluster)
    fstab = open_dir / "fstab"
    monkeypatch.setattr(mounted, "FSTAB", fstab)
    (cluster.archive / MARK).touch()  # of a set-up that met the empty folder: it proves nothing
    for place in (cluster.archive, cluster.archive.parent):
        fstab.write_text(f"nas:/backup {place} nfs defaults 0 0\n")
        refused = operator.ask("archiving", "set-up", "--yes", expect=1).document
        assert f"{place} is a mount point in {fstab}, and not mounted" in refused["findings"][0]
    assert cluster.value("SHOW archive_command") in ("", "(disabled)")
    fstab.write_text(f"nas:/backup {open_dir} nfs defaults 0 0\n")
    operator.ask("archiving", "set-up", "--yes", expect=0)


def test_an_empty_folder_that_bears_the_mark_begins_a_new_archive(cluster: Cluster, open_dir: Path) -> None:
    operator = operator_for(cluster, open_dir)
    cluster.sql("SELECT pg_switch_wal()")
    wait_until(lambda: any(cluster.archive.iterdir()), "nothing is archived")
    operator.ask("status")  # sees the WAL that is there
    _unset(cluster)
    cluster.archive.rename(cluster.archive.with_name("old"))
    cluster.archive.mkdir()
    os.chown(cluster.archive, cluster.user.uid, cluster.user.gid)
    operator.ask("status")  # the index forgets what is gone
    refused = operator.ask("archiving", "set-up", "--yes", expect=1).document
    assert "is empty, and had WAL" in refused["findings"][0] and MARK in refused["findings"][0]
    (cluster.archive / MARK).touch()
    operator.ask("archiving", "set-up", "--yes", expect=0)
