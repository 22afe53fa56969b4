"""The archive's disk fills up under a server that archives and is written to: that is said, nothing half done counts,
and once there is room the server goes on by itself, without a gap."""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from engine import acts
from engine.archiving.command import MARK
from tests.clusters import Cluster, wait_until
from tests.end_to_end.mounts import MB, fill_disk, small_disk
from tests.end_to_end.operator import CHECKOUT, Operator, operator_for

ZSTD = pytest.param("--zstd", marks=pytest.mark.skipif(shutil.which("zstd") is None, reason="zstd is not here"))
_WAITING = "SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%%.ready'"


@pytest.mark.parametrize("how", ["plain", ZSTD])
def test_a_full_archive_is_said_nothing_half_done_counts_and_once_there_is_room_the_server_goes_on_by_itself(
    cluster: Cluster, open_dir: Path, how: str
) -> None:
    operator = operator_for(cluster, open_dir)
    cluster.sql("ALTER SYSTEM SET archive_command = ''")
    cluster.sql("SELECT pg_reload_conf()")
    wait_until(lambda: cluster.value("SHOW archive_command") in ("", "(disabled)"), "no reload")
    with small_disk(cluster.archive, open_dir / "disk.img", 64) as disk:
        os.chown(disk, cluster.user.uid, cluster.user.gid)
        operator.call("archiving", "set-up", "--yes", *([how] if how != "plain" else []), expect=0)
        operator.ask("backup", "base", expect=0)
        with cluster.load(writers=1):
            operator.ask("archiving", "test", expect=0)
            room = os.statvfs(disk)
            reserved = (room.f_bfree - room.f_bavail) * room.f_frsize  # root's alone: nothing that the server can have
            ballast = fill_disk(disk, leave=reserved + MB // 2)  # a segment is half written, and then there is no room
            failed = "SELECT failed_count > 0 FROM pg_stat_archiver"
            wait_until(lambda: _switched(cluster) and cluster.value(failed), "the server archives on")
            wait_until(lambda: _switched(cluster) and cluster.value(f"SELECT ({_WAITING}) > 3"), "nothing waits")

            thing = _incremental(operator)
            told = "; ".join(thing["findings"])
            assert thing["level"] == 2 and thing["would_lose"]["seconds"] > 0
            assert f"{disk} has " in told and "archive_command fails" in told and "wait to be archived" in told
            proven = acts.prove_archiving(acts.open_desk(operator.site, operator.home / "state"), timeout=2)
            assert not proven.ok and "did not arrive" in proven.findings[0]
            others = {MARK, ballast.name, "lost+found"}
            names = [path.name for path in disk.iterdir() if path.name[0] != "." and path.name not in others]
            assert all(re.fullmatch(r"[0-9A-F]{24}(\.[0-9A-F]{8}\.backup)?(\.zst)?", name) for name in names)
            assert all(each["ok"] for each in operator.ask("verify", "--all", expect=0).document["results"])
            before = operator.ask("catalog", expect=0).document
            assert before["gaps"] == []
            operator.ask("plan", "--latest", "--into", operator.copy_to(), expect=0)

            ballast.unlink()
            done = f"SELECT ({_WAITING}) = 0"
            wait_until(lambda: cluster.value(done), "the server does not go on by itself", timeout=180)
        cluster.sql("SELECT pg_switch_wal()")
        wait_until(lambda: cluster.value(done), "the last segment is not archived", timeout=180)
        assert not list(disk.glob(".draft-*"))
        thing = _incremental(operator)
        assert thing["level"] == 0, thing
        operator.call("archiving", "test", expect=0)
        catalog = operator.ask("catalog", expect=0).document
        assert catalog["gaps"] == [] and len(catalog["wal_ranges"]) == 1
        assert catalog["wal_ranges"][0]["segments"] > before["wal_ranges"][0]["segments"] + 3
        report = operator.ask("restore", "--latest", "--into", operator.copy_to(), "--yes", expect=0).document
        assert operator.rows(report) == {row[0] for row in cluster.sql("SELECT id FROM ledger")}


def test_a_stream_into_a_full_archive_goes_on_by_itself_when_there_is_room(cluster: Cluster, open_dir: Path) -> None:
    operator = operator_for(cluster, open_dir)
    cluster.sql("ALTER SYSTEM SET archive_mode = off")
    cluster.stop()
    cluster.start()
    with small_disk(cluster.archive, open_dir / "disk.img", 64) as disk:
        os.chown(disk, cluster.user.uid, cluster.user.gid)
        stream = subprocess.Popen(operator.command("archiving", "stream"), cwd=CHECKOUT, stdout=subprocess.DEVNULL)
        try:
            streaming = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
            wait_until(lambda: cluster.value(streaming) == 1, "nothing streams")
            operator.ask("backup", "base", expect=0)
            cluster.write(20)
            room = os.statvfs(disk)
            reserved = (room.f_bfree - room.f_bavail) * room.f_frsize
            ballast = fill_disk(disk, leave=reserved + MB // 2)
            wait_until(lambda: _switched(cluster) and cluster.value(streaming) == 0, "the stream goes on")
            told = "; ".join(_incremental(operator)["findings"])
            assert "nobody streams" in told and f"{disk} has " in told
            before = operator.ask("catalog", expect=0).document
            assert before["gaps"] == []
            proofs = operator.call("verify", "--all").document["results"]
            assert all("an unfinished segment" in told for each in proofs for told in each["findings"])
            time.sleep(6)  # it has tried again, in vain
            cluster.write(20)
            ballast.unlink()
            wait_until(lambda: cluster.value(streaming) == 1, "the stream does not go on by itself")
            operator.ask("archiving", "test", expect=0)
        finally:
            stream.terminate()
            stream.wait(60)
        catalog = operator.ask("catalog", expect=0).document
        assert catalog["gaps"] == [] and len(catalog["wal_ranges"]) == 1
        report = operator.ask("restore", "--latest", "--into", operator.copy_to(), "--yes", expect=0).document
        assert operator.rows(report) == {row[0] for row in cluster.sql("SELECT id FROM ledger")}


def _incremental(operator: Operator) -> dict[str, Any]:
    things = operator.ask("status").document["things"]
    return next(thing for thing in things if thing["name"] == "database-incremental")


def _switched(cluster: Cluster) -> bool:
    """Another segment, most of which cannot be compressed."""
    noise = "SELECT string_agg(sha256(random()::text::bytea), ''::bytea) FROM generate_series(1, 25000)"
    cluster.sql(f"SELECT pg_logical_emit_message(false, 'tests', ({noise})), pg_switch_wal()")
    return True
