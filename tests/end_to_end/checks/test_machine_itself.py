"""Memory and mount points, on a real machine: what a plan says, and that what it mends is mended."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clusters import Cluster, own
from tests.end_to_end.checks.place import ROOT_ONLY, Place, add, make_place, tmpfs
from tests.histories import History


@pytest.fixture
def place(history: History, open_dir: Path) -> Place:
    return make_place(history.cluster, open_dir)


def test_production_that_wants_more_memory_than_there_is_is_told(place: Place, history: History) -> None:
    place.plan("--latest", "--in-place").says("memory", "warn", True, "available")
    named = ("--immediate", "--backup", history.backups["plain"], "--timeline", "1")
    add(place.backup(history.backups["plain"]) / "postgresql.auto.conf", "shared_buffers = '900TB'")
    place.plan(*named).says("memory", "warn", True, "the copy takes 128 MiB", "origin's shared_buffers are 900.0 TiB")
    place.site(data_dir=str(place.home / "bare"))  # no production: the backup's settings are its own
    place.plan(*named, "--in-place").says("memory", "warn", False, "900.0 TiB", "may not start")


@ROOT_ONLY
@pytest.mark.slow
def test_a_data_directory_that_is_a_mount_point_is_restored_within_it_and_rolled_back(
    new_cluster: Callable[..., Cluster], open_dir: Path
) -> None:
    cluster = new_cluster("mounted")
    cluster.write(5)
    cluster.base_backup("one")
    cluster.write(5)
    cluster.switch()
    cluster.stop()
    kept = cluster.data_dir.with_name("kept")
    cluster.data_dir.rename(kept)
    with tmpfs(cluster.data_dir, "600m") as mount:
        shutil.copytree(kept, mount, symlinks=True, dirs_exist_ok=True)
        own(mount, cluster.user)
        mount.chmod(0o700)
        device = mount.stat().st_dev
        cluster.start()
        place = make_place(cluster, open_dir)
        cluster.sql("DROP TABLE ledger")
        lost = cluster.ends(1)[-1]
        place.plan("--latest", "--in-place").says("mount-point", "refuse", True, "contents are moved aside within it")
        checks = place.restore("--xid", str(lost.xid), "--in-place")
        assert mount.stat().st_dev == device and os.path.ismount(mount)
        assert cluster.value("SELECT count(*) FROM ledger") > 0
        place.operator.call("rollback", checks.document["run"], "--yes", expect=0)
        assert cluster.value("SELECT to_regclass('ledger')") is None
        cluster.stop()
        assert os.path.ismount(mount)
