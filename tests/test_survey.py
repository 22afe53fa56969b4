"""The survey of the machine and of a real cluster."""

import shutil
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.records.copies import BaseBackup
from engine.records.plan import Destination
from engine.records.survey import OsUser, Programs, Survey
from engine.site import Database, DatabaseRepository, Identity, Site
from engine.survey import take_survey
from engine.survey.machine import file_system, is_mount_point, unmounted_above
from engine.survey.managers import find_managers
from engine.survey.patience import within
from tests.clusters import Cluster
from tests.end_to_end.mounts import small_disk

ME = OsUser("nobody", 65534, 65534)


def site_of(data_dir: Path, repository: Path, **database: object) -> Site:
    kept = DatabaseRepository("directory", str(repository), str(repository))
    return Site(Identity("archive"), Database(str(data_dir), [kept], **database))  # type: ignore[arg-type]


def survey_at(
    site: Site,
    destination: Destination,
    backup: BaseBackup | None = None,
    programs: Programs | None = None,
    is_archived: Callable[[int, int], bool] | None = None,
) -> Survey:
    return take_survey(site, destination, backup, run_as=ME, programs=programs, is_archived=is_archived)


def side(path: Path, port: int | None = None) -> Destination:
    return Destination("side-copy", str(path), port)


# The cluster


def site_of_cluster(cluster: Cluster) -> Site:
    place = {"host": str(cluster.socket_dir), "port": cluster.port, "user": "postgres", "run_as": cluster.user.name}
    return site_of(cluster.data_dir, cluster.archive, **place)


def test_a_running_cluster_tells_its_settings_and_its_unarchived_tail(cluster: Cluster, tmp_path: Path) -> None:
    cluster.write(5)
    archived = set(cluster.segments())
    asked = site_of_cluster(cluster)

    def is_archived(timeline: int, number: int) -> bool:
        return any(name.startswith(f"{timeline:08X}") and name.endswith(f"{number:08X}"[-4:]) for name in archived)

    found = take_survey(
        asked, side(tmp_path / "copy"), None, run_as=cluster.user, programs=cluster.programs, is_archived=is_archived
    ).cluster
    assert found.exists and found.running and found.answers
    assert found.version == cluster.programs.version
    assert found.settings["data_directory"] == str(cluster.data_dir)
    assert found.owner is not None and found.owner.uid == cluster.user.uid
    assert found.end_lsn is not None and found.system_identifier
    current = cluster.value("SELECT pg_walfile_name(pg_current_wal_insert_lsn())")
    assert found.wal_tail is not None and current in found.wal_tail
    assert not set(found.wal_tail) & archived
    cluster.stop()
    stopped = take_survey(asked, side(tmp_path / "copy"), None, run_as=cluster.user, programs=None).cluster
    assert not stopped.running and stopped.answers is None
    assert stopped.state == "shut down"
    assert "max_connections" in stopped.settings


def test_segments_recycled_for_later_are_not_wal(cluster: Cluster, tmp_path: Path) -> None:
    cluster.write(5)
    cluster.stop()
    wal, asked = cluster.data_dir / "pg_wal", site_of_cluster(cluster)

    def tail() -> tuple[str, ...] | None:
        return survey_at(asked, side(tmp_path / "copy"), is_archived=lambda timeline, number: False).cluster.wal_tail

    before = tail()
    assert before
    shutil.copy(wal / before[-1], wal / f"{before[-1][:16]}0000FFFF")
    assert tail() == before


def test_the_unarchived_tail_of_a_ruined_cluster_is_seen_and_none_is_claimed_where_nobody_can_look(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.write(5)
    cluster.stop()
    control, asked = cluster.data_dir / "global" / "pg_control", site_of_cluster(cluster)

    def tail() -> tuple[str, ...] | None:
        return survey_at(asked, side(tmp_path / "copy"), is_archived=lambda timeline, number: False).cluster.wal_tail

    before = tail()
    assert before
    control.write_bytes(bytes(8192))
    (cluster.data_dir / "pg_wal" / "000000010000000000000FFF").write_bytes(bytes(cluster.segment_size))
    assert tail() == before
    control.unlink()
    assert tail() == before
    (cluster.data_dir / "pg_wal").rename(cluster.data_dir / "elsewhere")
    assert tail() is None


def test_another_server_at_the_sites_address_is_not_taken_for_its_own(
    cluster: Cluster, new_cluster: Callable[..., Cluster], tmp_path: Path
) -> None:
    other = new_cluster("other")
    place = {"host": str(other.socket_dir), "port": other.port, "user": "postgres"}
    found = take_survey(
        site_of(cluster.data_dir, cluster.archive, **place),
        side(tmp_path / "c"),
        None,
        run_as=other.user,
        programs=None,
    ).cluster
    assert found.running and found.answers is False


def test_a_bare_machine_has_no_cluster(tmp_path: Path) -> None:
    found = survey_at(
        site_of(tmp_path / "nowhere", tmp_path), Destination("in-place", str(tmp_path / "nowhere"))
    ).cluster
    assert not found.exists and not found.running


def test_a_ruined_data_directory_is_described_not_raised_over(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    (data_dir / "global").mkdir(parents=True)
    (data_dir / "global" / "pg_control").write_bytes(b"\xff" * 8192)
    (data_dir / "PG_VERSION").write_bytes(b"\xff\n")
    (data_dir / "postmaster.pid").write_text("not a number\n")
    (data_dir / "pg_wal").symlink_to(tmp_path / "gone")
    (data_dir / "pg_tblspc").mkdir()
    (data_dir / "pg_tblspc" / "16999").symlink_to(tmp_path / "ts")
    (data_dir / "postgresql.conf").write_text("max_connections = 7\ninclude 'postgresql.conf'\n")
    found = survey_at(site_of(data_dir, tmp_path), side(tmp_path / "copy")).cluster
    assert (found.exists, found.version, found.system_identifier, found.wal_tail) == (True, None, None, None)
    assert found.wal_link == str(tmp_path / "gone")
    assert found.tablespaces == ((16999, str(tmp_path / "ts")),)
    assert found.settings["max_connections"] == "7"


# The destination and the machine


def test_what_stands_in_the_destination_is_named(tmp_path: Path) -> None:
    site = site_of(tmp_path / "none", tmp_path)

    def stands(path: Path) -> tuple[str, str | None]:
        facts = survey_at(site, side(path)).destination
        return facts.state, facts.contents

    assert stands(tmp_path / "absent") == ("absent", None)
    (tmp_path / "empty").mkdir()
    assert stands(tmp_path / "empty") == ("empty", None)
    (tmp_path / "file").write_text("x")
    assert stands(tmp_path / "file")[0] == "not a folder"
    for name in ("staging", "own", "work"):  # the last as earlier versions called a run's own folder
        (tmp_path / f"dead-{name}" / name).mkdir(parents=True)
        assert stands(tmp_path / f"dead-{name}") == ("occupied", "a half-restored copy")
    (tmp_path / "full" / "x").mkdir(parents=True)
    assert stands(tmp_path / "full")[0] == "occupied"
    assert not (tmp_path / "absent").exists()


def test_a_port_in_use_is_told_and_without_one_a_free_one_is_found(tmp_path: Path) -> None:
    site = site_of(tmp_path / "none", tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        facts = survey_at(site, side(tmp_path / "copy", port)).destination
        assert facts.port == port and facts.port_user is not None
        free = survey_at(site, side(tmp_path / "copy")).destination
        assert free.port not in (None, port) and free.port_user is None


def test_a_repository_that_is_away_is_told(tmp_path: Path) -> None:
    found = survey_at(site_of(tmp_path / "none", tmp_path / "away"), side(tmp_path / "copy"))
    assert found.archive_answers is False
    assert found.archive_problem is not None and "away" in found.archive_problem
    assert survey_at(site_of(tmp_path / "none", tmp_path), side(tmp_path / "copy")).archive_answers is True


def test_a_missing_library_is_named_and_one_that_is_there_is_not(tmp_path: Path) -> None:
    (tmp_path / "there.so").write_bytes(b"")
    programs = Programs("/bin", 15, "15", library_dir=str(tmp_path))
    backup = BaseBackup("b", "r", tmp_path, "plain", preload_libraries=("there", "$libdir/there", "timescaledb"))
    found = survey_at(site_of(tmp_path / "none", tmp_path), side(tmp_path / "copy"), backup, programs)
    assert found.missing_libraries == ("timescaledb",)


def test_an_absent_folders_file_system_is_its_nearest_ancestors(tmp_path: Path) -> None:
    found = file_system(str(tmp_path / "a" / "b"))
    assert found is not None and found.nearest == str(tmp_path)
    assert is_mount_point(Path(found.mount_point))
    assert 0 < found.free_bytes <= found.total_bytes
    assert not is_mount_point(tmp_path)


def test_a_mount_point_of_fstab_that_is_not_mounted_is_found_from_any_folder_that_would_lie_there(
    tmp_path: Path,
) -> None:
    place, fstab = tmp_path / "back up", tmp_path / "fstab"
    (place / "wal").mkdir(parents=True)
    (tmp_path / "link").symlink_to(place)
    written = str(place).replace(" ", "\\040")
    fstab.write_text(
        f"# {tmp_path} x\n/dev/a / ext4 defaults 0 1\n/dev/b none swap sw\nnas:/b {written} nfs noauto 0 0\n\n/dev"
    )
    for folder in (place, place / "wal", place / "not" / "there", tmp_path / "link" / "wal"):
        assert unmounted_above(folder, fstab, []) == (place, fstab)
    for folder in (tmp_path, tmp_path / "back up too", Path("/")):
        assert unmounted_above(folder, fstab, []) is None
    assert unmounted_above(place, tmp_path / "no fstab", [tmp_path / "no units"]) is None
    fstab.write_text("proc /proc proc defaults 0 0\n")
    assert unmounted_above(Path("/proc/self"), fstab, []) is None


def test_so_is_that_of_a_mount_unit_which_nobody_masked_and_none_of_those_that_only_came_along(tmp_path: Path) -> None:
    place, fstab, units = tmp_path / "back-up" / "größe", tmp_path / "fstab", tmp_path / "units"
    (units / "remote-fs.target.wants").mkdir(parents=True)
    (tmp_path / "vendor").mkdir()
    plain = str(place).strip("/").replace("-", "\\x2d").replace("ö", "\\xc3\\xb6").replace("ß", "\\xc3\\x9f")
    name = plain.replace("/", "-") + ".mount"
    vendor, enabled = tmp_path / "vendor" / name, units / "remote-fs.target.wants" / name
    vendor.touch()
    assert unmounted_above(place / "wal", fstab, [units]) is None
    enabled.symlink_to(vendor)
    assert unmounted_above(place / "wal", fstab, [units]) == (place, enabled)
    assert unmounted_above(place.parent, fstab, [units]) is None
    enabled.unlink()
    (units / name).symlink_to("/dev/null")
    assert unmounted_above(place, fstab, [units]) is None


def test_what_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()
    assert within(0.05, lambda: never.wait(60), "gave up") == "gave up"
    never.set()

    def fails() -> str:
        raise OSError("ESTALE")

    assert within(5, fails, "failed") == "failed"
    assert within(5, lambda: "right", "wrong") == "right"


def test_this_machine_has_no_cluster_manager_running_for_a_test() -> None:
    assert find_managers(None, "") == ()


def test_a_disk_that_takes_no_more_files_is_seen_whatever_room_is_left(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", tmp_path / "disk.img", 8) as disk:
        before = file_system(str(disk))
        assert before is not None and 0 < before.free_files <= before.total_files
        for number in range(10):
            (disk / f"{number}").touch()
        after = file_system(str(disk))
        assert after is not None and after.free_files == before.free_files - 10
        assert after.free_bytes > 0
