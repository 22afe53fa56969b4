"""Which version of a file is taken from which snapshot, and what is told of it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.media.choices import Choices, Wanted
from engine.media.choosing import CAME, CHANGED, CLASH, DELETED, DIFFER, IN_TWO_WAYS, OLDER, nanoseconds
from engine.media.elsewhere import IN_THE_WAY, MOVED
from tests.media.scenes import Scene


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def wanted(scene: Scene, path: bytes = b"file") -> Wanted | None:
    with Choices(scene.decided) as choices:
        return next((each for each in choices.all_wanted() if each.path == path), None)


def taken_from(scene: Scene, moment: float, path: bytes = b"file") -> tuple[str | None, bool]:
    """The snapshot that it is taken from, and whether that is sure."""
    held = scene.decide(moment)
    found = wanted(scene, path)
    return (held[found.source].snapshot.id, found.sure) if found is not None else (None, True)


def test_of_overlapping_snapshots_the_newest_version_by_the_moment_is_taken_and_that_they_differ_is_told(
    scene: Scene,
) -> None:
    scene.write("file", b"older", -5)
    scene.write("same", b"same", -5)
    scene.snapshot(0, 100)  # read before 55
    scene.write("file", b"newer", 55)
    scene.snapshot(50, 60)
    assert taken_from(scene, 80) == ("s1", False)
    assert scene.told()[b"file"] == {DIFFER}
    assert wanted(scene, b"same") is not None and b"same" not in scene.told()


def test_of_snapshots_one_after_the_other_the_later_is_known_last_whatever_its_mtime(scene: Scene) -> None:
    scene.write("file", b"first", 5)
    scene.snapshot(10, 11)
    scene.write("file", b"unpacked with an old time", 1)
    scene.snapshot(20, 100)
    assert taken_from(scene, 50)[0] == "s1"


def test_the_snapshot_after_has_it_exactly_where_its_mtime_is_by_the_moment(scene: Scene) -> None:
    scene.write("file", b"first", 1)
    scene.snapshot(10)
    scene.write("file", b"second", 20)
    scene.snapshot(40)
    assert taken_from(scene, 30) == ("s1", True)
    assert b"file" not in scene.told()


def test_what_changed_after_the_moment_is_taken_from_before_and_told(scene: Scene) -> None:
    scene.write("file", b"first", 1)
    scene.snapshot(10)
    scene.write("file", b"second", 35)
    scene.write("new", b"came after", 35)
    scene.snapshot(40)
    assert taken_from(scene, 30) == ("s0", False)
    assert scene.told()[b"file"] == {OLDER}
    assert wanted(scene, b"new") is None


def test_what_was_deleted_in_between_is_taken_and_told(scene: Scene) -> None:
    scene.write("file", b"first", 1).parent.joinpath("other").touch()
    scene.snapshot(10)
    (scene.live / "file").unlink()
    scene.snapshot(40)
    assert taken_from(scene, 30) == ("s0", False)
    assert scene.told()[b"file"] == {DELETED}


def test_an_old_mtime_that_came_late_proves_nothing_and_is_told(scene: Scene) -> None:
    scene.write("file", b"first", 2)
    scene.write("other", b"other", 3)
    scene.snapshot(10)
    scene.write("file", b"moved over it", 1)
    scene.write("unpacked", b"x", 1)
    scene.write("other", b"meanwhile", 12)
    scene.snapshot(40)
    assert taken_from(scene, 30) == ("s0", False)
    assert scene.told()[b"file"] == {OLDER}
    assert scene.told()[b"unpacked"] == {CAME}
    assert b"other" not in scene.told()


def test_what_changed_while_the_snapshot_before_was_taken_is_told(scene: Scene) -> None:
    scene.write("file", b"first", 1)
    scene.snapshot(10, 20)
    scene.write("file", b"second", 15)
    scene.snapshot(40)
    assert taken_from(scene, 30) == ("s1", False)
    assert scene.told()[b"file"] == {CHANGED}


def test_an_undated_snapshot_is_never_exact(scene: Scene) -> None:
    scene.write("file", b"first", 1)
    name = scene.snapshot(40, dated=False).id
    assert taken_from(scene, 30)[0] == "s0"
    general = scene.told()[b""]
    assert any(name in each and "nothing says when" in each for each in general)
    assert any("no snapshot starts at or after" in each for each in general)


def test_a_file_and_a_folder_of_one_name_never_both_and_it_is_told(scene: Scene) -> None:
    scene.write("file/inner", b"x", 1)
    scene.snapshot(10)
    (scene.live / "file" / "inner").unlink()
    (scene.live / "file").rmdir()
    scene.write("file", b"a file", 20)
    scene.snapshot(40)
    assert taken_from(scene, 30) == ("s1", True)
    assert CLASH in scene.told()[b"file/inner"]
    assert wanted(scene, b"file/inner") is None


def test_what_the_database_calls_a_file_and_a_folder_too_is_lost_in_one_of_the_two_ways(scene: Scene) -> None:
    scene.write("file", b"a file", 1)
    scene.snapshot(10)
    (scene.live / "file").unlink()
    scene.write("file/inner", b"inner", 20)
    scene.snapshot(40)
    scene.decide(30, {b"file": b"a file", b"file/inner": b"inner"})
    assert list(scene.lost().values()) == [IN_TWO_WAYS]


def test_what_a_snapshot_has_as_a_folder_does_not_take_the_place_of_a_file_that_is_referred_to(scene: Scene) -> None:
    scene.write("file", b"a file", 1)
    scene.snapshot(10)
    (scene.live / "file").unlink()
    scene.write("file/deeper/inner", b"x", 20)
    scene.snapshot(40)
    scene.decide(30, {b"file": b"a file"})
    found = wanted(scene)
    assert found is not None and found.entry.kind == "f"


def test_a_moved_file_is_found_by_its_content_under_any_number_of_names(scene: Scene) -> None:
    scene.write("file", b"content", 1)
    scene.snapshot(10)
    scene.decide(20, {b"here": b"content", b"there/too": b"content", b"nowhere": b"gone"})
    for path in (b"here", b"there/too"):
        found = wanted(scene, path)
        assert found is not None and found.origin == b"file"
        assert scene.told()[path] == {MOVED}
    assert scene.lost().keys() == {b"nowhere"}


def test_a_moved_file_is_not_put_below_a_file(scene: Scene) -> None:
    scene.write("file", b"a file", 1)
    scene.write("elsewhere", b"content", 1)
    scene.snapshot(10)
    scene.decide(20, {b"file": b"a file", b"file/inner": b"content"})
    assert scene.lost().keys() == {b"file/inner"}
    assert IN_THE_WAY in scene.told()[b"file/inner"]


def test_the_version_that_the_database_knows_wins_over_every_time(scene: Scene) -> None:
    scene.write("file", b"meant", 1)
    scene.snapshot(10)
    scene.write("file", b"newer", 20)
    scene.snapshot(40)
    held = scene.decide(30, {b"file": b"meant"})
    found = wanted(scene)
    assert found is not None and held[found.source].snapshot.id == "s0" and found.sure
    assert b"file" not in scene.told()


def test_nanoseconds_are_exact() -> None:
    assert nanoseconds(datetime(2026, 3, 1, 12, 0, 0, 123456, UTC)) == 1772366400_123456000
    assert nanoseconds(datetime(1969, 12, 31, 23, 59, 59, 500000, UTC)) == -500_000_000
    assert (
        nanoseconds(datetime(2026, 3, 1, tzinfo=UTC) + timedelta(microseconds=999_999)) % 1_000_000_000 == 999_999_000
    )
