"""Archiving set up and tested on a real cluster, from nothing and from another program's hands."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from engine.acts import archiving, mounted
from engine.archiving.command import MARK
from tests.clusters import Cluster, wait_until
from tests.end_to_end.operator import CHECKOUT, Operator, operator_for


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
    assert operator.ask("archiving", "set-up", "--yes", expect=0).document["changes"] == []
    proven = operator.call("archiving", "test", expect=0).document
    assert proven["ok"] and proven["seconds"] > 0
    assert any(path.name.startswith(proven["segment"]) for path in cluster.archive.iterdir())
    assert cluster.value("SHOW archive_timeout") == "1min"


def test_another_programs_command_is_never_replaced(cluster: Cluster, open_dir: Path) -> None:
    operator = operator_for(cluster, open_dir)
    before = cluster.value("SHOW archive_command")
    said = operator.ask("archiving", "set-up", "--yes", expect=1).document
    assert "another program's" in said["findings"][0]
    assert cluster.value("SHOW archive_command") == before


def test_another_programs_archive_library_is_never_replaced(cluster: Cluster, open_dir: Path) -> None:
    if cluster.programs.version < 15:
        pytest.skip("archive_library exists from PostgreSQL 15 on")
    operator = operator_for(cluster, open_dir)
    _unset(cluster)
    cluster.sql("ALTER SYSTEM SET archive_library = 'basic_archive'")
    cluster.sql("SELECT pg_reload_conf()")
    wait_until(lambda: cluster.value("SHOW archive_library") == "basic_archive", "no reload")
    said = operator.ask("archiving", "set-up", "--yes", expect=1).document
    assert said["findings"] == ["archive_library is 'basic_archive': another program archives this cluster's WAL"]
    assert cluster.value("SHOW archive_command") in ("", "(disabled)")


def test_an_archive_that_goes_away_is_found_and_when_it_comes_back_nothing_is_missing(
    cluster: Cluster, open_dir: Path
) -> None:
    operator = operator_for(cluster, open_dir)
    cluster.sql("ALTER SYSTEM SET archive_command = ''")
    cluster.sql("SELECT pg_reload_conf()")
    wait_until(lambda: cluster.value("SHOW archive_command") in ("", "(disabled)"), "no reload")
    operator.ask("archiving", "set-up", "--yes", expect=0)
    away = cluster.archive.rename(cluster.archive.with_name("away"))
    cluster.archive.mkdir()  # an empty mount point: not the archive
    os.chown(cluster.archive, cluster.user.uid, cluster.user.gid)
    cluster.sql("CREATE TABLE ledger (id int)")
    cluster.sql("SELECT pg_switch_wal()")
    failed = "SELECT failed_count > 0 FROM pg_stat_archiver"
    wait_until(lambda: cluster.value(failed), "the archive command does not fail")
    refused = operator.ask("archiving", "set-up", "--yes", expect=1).document
    assert "lacks the mark" in refused["findings"][0]
    assert list(cluster.archive.iterdir()) == []
    cluster.archive.rmdir()
    away.rename(cluster.archive)
    proven = operator.ask("archiving", "test", expect=0).document
    assert proven["ok"]
    segments = sorted(path.name for path in cluster.archive.iterdir() if len(path.name) == 24)
    numbers = [int(name[8:], 16) for name in segments]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_a_stream_brings_wal_into_the_archive_alone_and_the_status_says_how_far_it_is(
    cluster: Cluster, open_dir: Path
) -> None:
    operator = operator_for(cluster, open_dir)
    cluster.base_backup("b1")
    cluster.sql("CREATE TABLE first ()")
    cluster.switch()
    cluster.sql("ALTER SYSTEM SET archive_mode = off")
    cluster.sql("ALTER SYSTEM SET archive_command = 'another program'")  # in nobody's way: it is never called
    cluster.stop()
    cluster.start()
    assert _incremental(operator)["findings"][0].startswith("archive_mode is off: no change")

    words = operator.command("archiving", "stream", "--accept-gap")  # there is none: nothing is left out
    stream = subprocess.Popen(words, cwd=CHECKOUT, stdout=subprocess.PIPE)
    try:
        streaming = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'reprise_archive' AND active"
        wait_until(lambda: cluster.value(streaming) == 1, "nothing streams")
        before = set(cluster.segments())
        cluster.sql("CREATE TABLE ledger AS SELECT generate_series(1, 50000)")  # more than a segment
        cluster.sql("SELECT pg_switch_wal()")
        wait_until(lambda: len(set(cluster.segments()) - before) > 1, "no segment arrives")
        cluster.sql("CREATE TABLE newest ()")  # in a segment that does not fill
        wait_until(lambda: _incremental(operator)["would_lose"]["seconds"] == 0, "the stream is not seen to be there")
        thing = _incremental(operator)
        assert thing["level"] == 1 and "lies on the device of what it protects" in thing["findings"][0]  # and no more
        assert ".partial until that segment is full" in " ".join(thing["findings"])
        assert operator.ask("archiving", "test", expect=0).document["ok"]
        cluster.sql("CREATE TABLE newer_still ()")
        wait_until(lambda: _incremental(operator)["would_lose"]["seconds"] == 0, "the stream does not go on")
    finally:
        stream.terminate()
        said, _ = stream.communicate(timeout=60)
    assert stream.returncode == 0
    assert "set it with: reprise archiving set-up --stream" in json.loads(said)["findings"][0]
    wait_until(lambda: cluster.value(streaming) == 0, "something streams on")
    cluster.sql("SELECT pg_switch_wal()")
    thing = _incremental(operator)
    assert thing["level"] == 2 and thing["would_lose"]["seconds"] > 0
    told = thing["findings"][0]
    assert told.startswith("nobody streams: no change is copied; replication slot reprise_archive holds ")
    assert "holds 0" not in told

    catalog = operator.ask("catalog", expect=0).document
    assert catalog["gaps"] == []
    (unfinished,) = operator.ask("archiving", "adopt", expect=3).document["leave"]
    assert unfinished["refused"] and "server answers" in unfinished["why"]

    cluster.sql("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'")
    cluster.sql("SELECT pg_reload_conf()")
    cluster.sql("INSERT INTO ledger SELECT generate_series(1, 50000)")
    cluster.sql("SELECT pg_switch_wal()")
    lost = "SELECT wal_status = 'lost' FROM pg_replication_slots"  # from 17 on not at once: WAL is summarized first
    wait_until(lambda: cluster.sql("CHECKPOINT") == [] and cluster.value(lost), "no WAL is given up")
    assert "has lost WAL (max_slot_wal_keep_size)" in _incremental(operator)["findings"][0]
    refused = operator.ask("archiving", "stream", expect=1).document
    assert "reprise archiving stream --accept-gap" in refused["findings"][0]
    words = [word for word in operator.command("archiving", "stream", "--accept-gap") if word != "--json"]
    stream = subprocess.Popen(words, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        flushed = "SELECT count(*) FROM pg_stat_replication WHERE flush_lsn IS NOT NULL"
        wait_until(lambda: cluster.value(flushed) == 1, "nothing streams anew")
        assert "goes on behind a gap" in _incremental(operator)["findings"][0]
        assert operator.ask("archiving", "test", expect=0).document["ok"]
        assert len(operator.ask("catalog", expect=0).document["gaps"]) == 1
    finally:
        stream.terminate()
        told, _ = stream.communicate(timeout=60)
    assert told == "the stream has ended; until it is started again its slot holds WAL back on the server\n"

    away = cluster.archive.rename(cluster.archive.with_name("away"))
    cluster.archive.mkdir()  # an empty mount point: what went there would be gone when the mount is back
    os.chown(cluster.archive, cluster.user.uid, cluster.user.gid)
    refused = operator.call("archiving", "stream", expect=1).document
    assert "lacks the mark" in refused["findings"][0] or "is empty" in refused["findings"][0]
    assert list(cluster.archive.iterdir()) == [] and any(away.iterdir())


def test_what_a_stream_needs_is_set_and_its_slot_bounded(cluster: Cluster, open_dir: Path) -> None:
    operator = operator_for(cluster, open_dir)
    before = cluster.value("SHOW archive_command")
    said = operator.ask("archiving", "set-up", "--stream", "--yes", expect=0).document
    (change,) = said["changes"]
    assert (change["setting"], change["from"], change["restart"]) == ("max_slot_wal_keep_size", "-1", False)
    size = "SELECT setting::bigint FROM pg_settings WHERE name = 'max_slot_wal_keep_size'"
    wait_until(lambda: cluster.value(size) == int(change["to"].removesuffix("MB")), "it is not set")
    free = shutil.disk_usage(cluster.data_dir).free >> 20
    assert 0 < cluster.value(size) < free
    assert operator.ask("archiving", "set-up", "--stream", "--yes", expect=0).document["changes"] == []
    assert cluster.value("SHOW archive_command") == before  # another program's
    cluster.sql("ALTER SYSTEM SET max_wal_senders = 0")
    cluster.stop()
    cluster.start()
    said = operator.ask("archiving", "set-up", "--stream", "--yes", "--restart", expect=0).document
    assert [(each["setting"], each["restart"]) for each in said["changes"]] == [("max_wal_senders", True)]
    assert int(cluster.value("SHOW max_wal_senders")) > 0


def test_what_the_server_does_not_heed_is_told_and_zstd_must_be_there(
    cluster: Cluster, open_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = operator_for(cluster, open_dir)
    _unset(cluster)
    cluster.stop()
    cluster.start({"archive_timeout": "0"})  # on its command line
    said = operator.ask("archiving", "set-up", "--yes", expect=1).document
    assert said["findings"] == ["archive_timeout is still 0: the server has it from its command line"]
    assert said["ok"] is False and "archive-wal.sh" in cluster.value("SHOW archive_command")
    monkeypatch.setattr(archiving, "clean_environment", lambda user: {"PATH": str(open_dir)})
    refused = operator.ask("archiving", "set-up", "--zstd", "--yes", expect=1).document
    assert "zstd is not on this machine" in refused["findings"][0]
    assert not cluster.value("SHOW archive_command").endswith("zstd")


def _incremental(operator: Operator) -> dict[str, Any]:
    things = operator.ask("status").document["things"]
    return next(thing for thing in things if thing["name"] == "database-incremental")


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
