"""Files copied into the folder that is built: exactly, never through a link, never what is damaged."""

import os
import resource
import shutil
import stat
from pathlib import Path
from typing import cast

import pytest

from engine.media import bringing, sharing
from engine.media.choices import Choices
from engine.media.elsewhere import IN_ANOTHER, MOVED, SET_ASIDE
from engine.media.sources import open_set_aside
from engine.records.errors import RunFailed, Unreachable
from tests.media.scenes import Packed, Place, Scene, contents, nanoseconds, tree
from tests.media.test_snapshot import ODD

PLACES: list[Place] = ["beside", "delta", "into"]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def lose_everything(scene: Scene) -> None:
    scene.live.rename(scene.home / "was-live")
    scene.live.mkdir()


@pytest.mark.parametrize("place", PLACES)
def test_odd_names_links_holes_modes_and_attributes_come_back_exactly(scene: Scene, place: Place) -> None:
    for number, name in enumerate(ODD):
        scene.write(os.fsencode("2026/11/") + name, b"x" * number, number).chmod(0o600 | number)
    with (scene.live / "holes").open("wb") as file:
        file.truncate(64 << 20)
        file.write(b"begin")
    (scene.live / "outside").symlink_to("../../../etc/passwd")
    (scene.live / "nowhere").symlink_to("/does/not/exist")
    (scene.live / "empty").mkdir(mode=0o750)
    (scene.live / "2026").chmod(0o2775)
    has_attributes = True
    try:
        os.setxattr(scene.live / "holes", "user.origin", b"a scanner")
    except OSError:
        has_attributes = False
    if os.geteuid() == 0:
        os.chown(scene.live / "2026/11", 1234, 2345)
        os.chown(scene.live / "2026/11" / os.fsdecode(ODD[1]), 1234, 2345)
    scene.snapshot(100)
    before = tree(scene.live)
    lose_everything(scene)
    there = scene.restore(None, place)
    assert tree(there) == before
    assert (there / "holes").stat().st_blocks * 512 < 1 << 20
    if has_attributes:
        assert os.getxattr(there / "holes", "user.origin") == b"a scanner"
    if os.geteuid() == 0:
        for path in (there / "2026/11", there / "2026/11" / os.fsdecode(ODD[1])):
            assert (path.stat().st_uid, path.stat().st_gid) == (1234, 2345)
    assert scene.lost() == {} and scene.told() == {}


@pytest.mark.parametrize("place", PLACES)
def test_a_link_in_the_snapshot_where_its_catalogue_has_a_folder_is_not_followed(
    scene: Scene, place: Place, tmp_path: Path
) -> None:
    scene.write("folder/secret", b"harmless", 1)
    scene.write("linked", b"harmless", 1)
    taken = scene.snapshot(10)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"harmless")
    (taken.path / "folder/secret").unlink()
    (taken.path / "folder").rmdir()
    (taken.path / "folder").symlink_to(outside)
    (taken.path / "linked").unlink()
    (taken.path / "linked").symlink_to(outside / "secret")
    lose_everything(scene)
    there = scene.restore(5, place)
    assert contents(there) == {}
    assert scene.lost().keys() == {b"folder/secret", b"linked"}


@pytest.mark.parametrize("place", PLACES)
def test_a_link_in_the_live_folder_where_a_folder_must_be_goes_aside_and_nothing_is_written_through_it(
    scene: Scene, place: Place, tmp_path: Path
) -> None:
    scene.write("folder/file", b"content", 1)
    scene.snapshot(10)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"content")
    (scene.live / "folder/file").unlink()
    (scene.live / "folder").rmdir()
    (scene.live / "folder").symlink_to(outside)
    before = tree(scene.live)
    there = scene.restore(5, place)
    assert contents(there) == {b"folder/file": b"content"}
    assert not (there / "folder").is_symlink()
    assert os.listdir(outside) == ["file"]  # noqa: PTH208
    scene.undo(place)
    assert tree(scene.live) == before


@pytest.mark.parametrize("place", PLACES)
def test_what_a_snapshot_has_damaged_is_never_put_in_place_and_is_listed(scene: Scene, place: Place) -> None:
    names = (b"changed", b"longer", b"gone", b"good")
    for name in names:
        scene.write(name, name, 1)
    taken = scene.snapshot(10)
    (taken.path / "changed").write_bytes(b"CHANGED")
    (taken.path / "longer").write_bytes(b"longer and more")
    (taken.path / "gone").unlink()
    lose_everything(scene)
    there = scene.restore(5, place, dict(zip(names, names, strict=True)))
    assert contents(there) == {b"good": b"good"}
    lost = scene.lost()
    assert lost.keys() == {b"changed", b"longer", b"gone"}
    assert "damaged" in lost[b"changed"] and "damaged" in lost[b"longer"]
    with Choices(scene.decided) as choices:
        assert [each.rows for each in choices.all_lost()] == [1, 1, 1]


def test_a_right_live_file_is_shared_with_the_folder_that_is_set_aside_and_never_one_of_a_snapshot(
    scene: Scene,
) -> None:
    scene.write("right", b"content", 1)
    scene.write("wrong", b"content", 1)
    taken = scene.snapshot(10)
    scene.write("wrong", b"CONTENT", 1)
    there = scene.restore(5, "beside")
    assert contents(there) == {b"right": b"content", b"wrong": b"content"}
    snapshots = {(taken.path / name).stat().st_ino for name in ("right", "wrong")}
    assert not {(there / name).stat().st_ino for name in ("right", "wrong")} & snapshots
    assert (taken.path / "right").stat().st_nlink == 1
    assert contents(scene.aside)[b"wrong"] == b"CONTENT"


def test_what_was_shared_and_changed_in_place_meanwhile_is_copied_after_all_though_the_engine_died_in_between(
    scene: Scene,
) -> None:
    scene.write("file", b"content", 1)
    scene.snapshot(10)
    held = scene.decide(5)
    scene.bring(held, "beside")
    with (scene.live / "file").open("r+b") as file:
        file.write(b"CONTENT")
    with Choices(scene.decided) as choices:  # it had looked again, and died
        choices.ask("UPDATE live SET verdict = 'wrong'")
    scene.look(5, held)
    scene.bring(held, "beside")
    scene.swap("beside")
    assert contents(scene.live) == {b"file": b"content"}


@pytest.mark.parametrize("place", PLACES)
def test_killed_while_copying_it_goes_on_and_folders_get_their_modes(
    scene: Scene, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        scene.write(f"{number}/deep/file", b"%d" % number, 1)
        (scene.live / f"{number}").chmod(0o2771)
    scene.snapshot(10)
    before = tree(scene.live)
    lose_everything(scene)
    held = scene.decide(5, {b"%d/deep/file" % number: b"%d" % number for number in range(6)})
    real, count = bringing.Bringer._hear, 0

    class Killed(BaseException):
        pass

    def dying(*arguments: object) -> None:
        nonlocal count
        count += 1
        if count == 4:
            raise Killed
        real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(bringing, "_ON_DISK", 0)
    monkeypatch.setattr(bringing.Bringer, "_hear", dying)
    with pytest.raises(Killed):
        scene.bring(held, place)
    scene.bring(held, place)
    assert count == 7  # those that were on disk are not copied again
    scene.swap(place)
    assert tree(scene.building if place == "into" else scene.live) == before


def test_a_disk_that_takes_no_more_is_one_clear_error(scene: Scene) -> None:
    scene.write("file", bytes(range(256)) * 8192, 1)
    scene.snapshot(10)
    lose_everything(scene)
    held = scene.decide(5)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        with pytest.raises(RunFailed, match=r"building"):
            scene.bring(held, "beside")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("meanwhile", [True, False])
def test_a_snapshot_that_goes_away_is_an_error_and_none_of_its_files_counts_as_lost(
    scene: Scene, meanwhile: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(300):
        scene.write(f"{number:03}", b"%d" % number, 1)
    taken = scene.snapshot(10)
    shutil.copytree(taken.path, scene.home / "kept", copy_function=shutil.copy2)
    lose_everything(scene)
    held = scene.decide(5)
    real = bringing.Bringer._hear

    def vanishing(*arguments: object) -> None:
        shutil.rmtree(taken.path, ignore_errors=True)
        real(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        if meanwhile:
            patched.setattr(bringing.Bringer, "_hear", vanishing)
            patched.setattr(sharing, "_BATCH", 1)
            patched.setattr(sharing, "_WINDOW", 1)
        else:
            shutil.rmtree(taken.path)
        with pytest.raises(Unreachable, match="cannot be read"):
            scene.bring(held, "into")
    assert scene.lost() == {}
    (scene.home / "kept").rename(taken.path)
    scene.bring(held, "into")
    assert len(contents(scene.building)) == 300


@pytest.mark.parametrize("place", PLACES)
def test_what_one_snapshot_has_damaged_comes_from_another_or_from_another_name_with_its_own_attributes(
    scene: Scene, place: Place
) -> None:
    for name in ("before", "reserve", "twin", "hopeless"):
        scene.write(name, name.encode(), 1)
    scene.snapshot(2)  # in reserve
    (scene.live / "reserve").unlink()
    scene.write("reserve", b"reserve", 3).chmod(0o640)
    scene.snapshot(4)
    scene.write("copy of twin", b"twin", 5)
    taken = scene.snapshot(10)
    for name in ("before", "reserve", "twin", "hopeless"):
        (scene.copies / "s1" / name).write_bytes(b"damaged")
        (taken.path / name).write_bytes(b"damaged")
    for name in ("before", "hopeless", "twin"):
        (scene.copies / "s0" / name).write_bytes(b"damaged")
    (scene.copies / "s1" / "before").write_bytes(b"before")
    lose_everything(scene)
    there = scene.restore(6, place)
    assert contents(there) == {
        name: name.removeprefix(b"copy of ") for name in (b"before", b"reserve", b"twin", b"copy of twin")
    }
    status = (there / "reserve").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (0o640, nanoseconds(3))
    assert scene.lost().keys() == {b"hopeless"}
    told = scene.told()
    assert (told[b"before"], told[b"reserve"], told[b"twin"]) == ({IN_ANOTHER}, {IN_ANOTHER}, {MOVED})


def test_what_an_earlier_run_set_aside_serves_by_its_hash_and_is_never_linked_nor_changed(scene: Scene) -> None:
    scene.write("old", b"old", 1)
    scene.snapshot(2)
    earlier = scene.home / "before"
    earlier.mkdir()
    for name, content in {"late": b"late", "other": b"OTHER", "old": b"OLD"}.items():
        (earlier / name).write_bytes(content)
    scene.held.append(open_set_aside(earlier))
    before = tree(earlier)
    there = scene.restore(6, "beside", {b"late": b"late", b"other": b"other", b"old": b"old", b"none": b"none"})
    assert contents(there) == {b"late": b"late", b"old": b"old"}
    assert (there / "late").stat().st_nlink == 1 and tree(earlier) == before
    assert scene.lost().keys() == {b"other", b"none"} and "another content" in scene.lost()[b"other"]
    assert scene.told()[b"late"] == {SET_ASIDE} and b"other" not in scene.told()


@pytest.mark.parametrize("size_known", [True, False])
def test_a_moved_file_is_found_by_its_content_in_what_knows_no_hashes(scene: Scene, size_known: bool) -> None:
    """In a folder that rsync has made, and in what an earlier run has set aside."""
    scene.write("old/name", b"moved", 1)
    scene.write("like it", b"MOVED", 1)
    scene.snapshot(10)
    scene.unhash()
    earlier = scene.home / "before"
    (earlier / "there").mkdir(parents=True)
    for name, content in {"there/was": b"aside", "name": b"ASIDE"}.items():
        (earlier / name).write_bytes(content)
    scene.held.append(open_set_aside(earlier))
    lose_everything(scene)
    referred = {b"new/name": b"moved", b"name": b"aside", b"none": b"nowhere"}
    there = scene.restore(5, "beside", referred, sized=size_known)
    assert contents(there) == {b"new/name": b"moved", b"name": b"aside"}
    assert scene.lost().keys() == {b"none"}
    assert (scene.told()[b"new/name"], scene.told()[b"name"]) == ({MOVED}, {MOVED})
    assert (there / "name").stat().st_nlink == 1 and (earlier / "there/was").read_bytes() == b"aside"


@pytest.mark.parametrize("place", PLACES)
def test_a_moved_file_is_found_by_its_content_where_it_must_be_fetched_to_be_known(scene: Scene, place: Place) -> None:
    scene.write("old/name", b"moved", 1)
    for number in range(5):
        scene.write(f"like it {number}", b"MOVE%d" % number, 1)
    scene.write("right", b"right", 1)
    scene.snapshot(10)
    scene.pack()
    lose_everything(scene)
    referred = {b"new/name": b"moved", b"none": b"gone.", b"right": b"right"}
    there = scene.restore(5, place, referred)
    assert contents(there) == {b"new/name": b"moved", b"right": b"right"}
    assert scene.lost().keys() == {b"none"} and scene.told()[b"new/name"] == {MOVED}
    assert cast(Packed, scene.held[0].files).fetched == 1 + 6 + 1  # looked for once, in one go


def test_the_mode_of_a_folder_that_changed_since_the_moment_is_its_snapshots(scene: Scene) -> None:
    scene.write("folder/file", b"content", 1)
    (scene.live / "folder").chmod(0o2775)
    scene.snapshot(10)  # the folder's mtime is now: younger than the moment
    lose_everything(scene)
    there = scene.restore(5, "into")
    assert stat.S_IMODE((there / "folder").stat().st_mode) == 0o2775


@pytest.mark.parametrize("place", PLACES)
def test_what_must_be_fetched_comes_in_pages_and_what_is_right_all_the_same_stays(
    scene: Scene, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bringing, "_FETCHED_AT_ONCE", 2)
    for number in range(5):
        scene.write(f"{number}/file", b"%d" % number, 1)
    scene.snapshot(10)
    scene.pack()
    scene.write("3/file", b"x", 1)
    (scene.live / "4/file").unlink()
    before = (scene.live / "0/file").stat().st_ino
    there = scene.restore(5, place)
    assert contents(there) == {b"%d/file" % number: b"%d" % number for number in range(5)}
    if place == "delta":
        assert (there / "0/file").stat().st_ino == before
        assert contents(scene.aside) == {b"3/file": b"x"}
    assert not [each for each in os.listdir(there) if each.startswith(".")]  # noqa: PTH208


def test_what_is_fetched_and_then_copied_is_counted_once_and_progress_never_goes_back(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bringing, "_FETCHED_AT_ONCE", 2)
    for number in range(5):
        scene.write(f"{number}/file", b"x", 1)
    scene.snapshot(10)
    scene.pack()
    lose_everything(scene)
    told: list[tuple[int, int]] = []
    scene.bring(scene.decide(5), "into", lambda files, size: told.append((files, size)))
    assert told == sorted(told) and (1, 1) in told and (3, 3) in told and told[-1] == (5, 5)


@pytest.mark.parametrize("place", PLACES)
def test_no_name_of_a_users_file_is_one_of_ours(scene: Scene, place: Place) -> None:
    names = (b".fetched", b".fetched-names", b"files", b"names", b"files.staging", b".reprise-fetching", b".staging")
    for name in names:
        scene.write(name, b"content of " + name, 1)
    scene.snapshot(10)
    scene.pack()
    lose_everything(scene)
    assert contents(scene.restore(5, place)) == {name: b"content of " + name for name in names}
