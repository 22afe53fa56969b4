"""What stands in the way on this machine: folders, disks, ports, users, other runs."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from engine.run.locks import folder_lock, site_lock, take_lock
from tests.clusters import Cluster, own
from tests.end_to_end.checks.place import ROOT_ONLY, Place, make_place, tmpfs
from tests.histories import History


def test_an_occupied_a_half_restored_and_a_wrong_destination_are_refused(place: Place) -> None:
    there = place.home / "there"
    (there / "staging").mkdir(parents=True)
    where = ("--latest", "--into", str(there))
    place.plan(*where).says("half-restored", "refuse", False, "a half-restored copy")
    (there / "staging").rmdir()
    place.plan(*where).says("destination", "refuse", True, "empty")
    (there / "letter").write_text("dear")
    place.plan(*where).says("destination", "refuse", False, "'letter'")
    place.plan("--latest", "--into", str(there / "letter")).says("destination", "refuse", False, "not")


def test_a_port_in_use_is_refused_with_its_user(place: Place) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = str(listener.getsockname()[1])
        place.plan("--latest", "--port", port).says("port", "refuse", False, port, str(os.getpid()))
    place.plan("--latest", "--port", port).says("port", "refuse", True, "free")


@ROOT_ONLY
def test_a_disk_that_is_too_small_is_refused(place: Place) -> None:
    with tmpfs(place.home / "small", "8m") as small:
        place.plan("--latest", "--into", str(small / "copy")).says("disk-space", "refuse", False, str(small))
    place.plan("--latest").says("disk-space", "refuse", True)


@ROOT_ONLY
def test_a_data_directory_that_is_a_mount_point_is_emptied_and_a_read_only_one_refused(
    history: History, open_dir: Path
) -> None:
    outer = open_dir / "outer"
    with tmpfs(outer, "400m"), tmpfs(outer / "data", "300m") as data_dir:
        place = make_place(history.cluster, open_dir, data_dir)
        copy_cluster(history.cluster, data_dir)
        checks = place.plan("--latest", "--in-place")
        checks.says("mount-point", "refuse", True, "within it")
        subprocess.run(["mount", "-o", "remount,ro", data_dir], check=True)
        place.plan("--latest", "--in-place").says("mount-point", "refuse", False, "cannot be written to")


def test_a_production_whose_disk_is_not_mounted_is_refused_in_place(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    fstab = place.home / "fstab"
    fstab.write_text(f"/dev/sdb1 {place.original.data_dir.parent} xfs defaults 0 2\n")
    place.plan("--latest", "--in-place").says("mount-point", "refuse", True)
    monkeypatch.setattr("engine.survey.FSTAB", fstab)
    place.plan("--latest", "--in-place").says("mount-point", "refuse", False, f"{fstab}, and not mounted")
    place.plan("--latest")


def copy_cluster(cluster: Cluster, data_dir: Path) -> None:
    """A stopped cluster's data directory, elsewhere."""
    shutil.copytree(cluster.data_dir, data_dir, symlinks=True, dirs_exist_ok=True)
    own(data_dir, cluster.user)
    data_dir.chmod(0o700)


@ROOT_ONLY
def test_a_folder_that_postgresql_may_not_enter_is_refused_before_anything_is_copied_to_it(place: Place) -> None:
    """As root's own home is, where an operator may well stand."""
    closed = place.home / "closed"
    closed.mkdir(mode=0o700)
    words = ("--latest", "--into", str(closed / "deeper" / "copy"))
    place.plan(*words).says("ownership", "refuse", False, place.original.user.name, f"may not enter {closed}")
    closed.chmod(0o711)
    place.plan(*words).says("ownership", "refuse", True)


@ROOT_ONLY
def test_another_user_than_the_clusters_owner_is_refused(place: Place) -> None:
    place.plan("--latest", "--in-place").says("ownership", "refuse", True, place.original.user.name)
    other = "daemon" if place.original.user.name != "daemon" else "nobody"
    place.site(run_as=other)
    place.plan("--latest", "--in-place").says("ownership", "refuse", False, place.original.user.name, other)


def test_a_site_or_folder_that_another_run_holds_is_refused_with_the_holder(place: Place) -> None:
    state, copy = place.home / "state", place.home / "copy"
    for path, words in ((site_lock(state, "archive"), ("--in-place",)), (folder_lock(state, copy), place.into)):
        lock = take_lock(path, "20261122-other", "held")
        place.plan("--latest", *words).says("another-run", "refuse", False, "20261122-other", str(os.getpid()))
        lock.release()
        place.plan("--latest", *words).says("another-run", "refuse", True)


def test_a_cluster_manager_is_refused_in_place_and_told_beside_it(place: Place) -> None:
    place.plan("--latest", "--in-place").says("managed-elsewhere", "refuse", True)
    script = place.home / "patroni"
    script.write_text("input()\n")
    with subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE) as manager:
        try:
            place.plan("--latest", "--in-place").says(
                "managed-elsewhere", "refuse", False, f"Patroni (pid {manager.pid})"
            )
            place.plan("--latest").says("managed-elsewhere", "info", True, "left alone")
        finally:
            manager.kill()
