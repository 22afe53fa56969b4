"""The live folder's verdicts: what is right, wrong, came after the moment, or stays though nobody asked for it."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from engine.media import looking
from engine.media.choices import LIVE, Choices
from engine.media.elsewhere import MOVED
from engine.media.looking import DOUBTFUL, DRESSED, look_at_live
from tests.media.scenes import Packed, Scene, at, nanoseconds


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def verdicts(scene: Scene) -> dict[bytes, str]:
    with Choices(scene.decided) as choices:
        rows = choices.ask("SELECT key, verdict FROM live WHERE kind <> 'd'")
        return {key.replace(b"\0", b"/"): verdict for key, verdict in rows}


def test_a_content_that_changed_without_size_and_time_is_wrong_and_only_fast_believes_it(scene: Scene) -> None:
    scene.write("file", b"right", 1)
    scene.write("touched", b"right", 1)
    scene.snapshot(10)
    scene.write("file", b"wrong", 1)
    os.utime(scene.live / "touched", ns=(0, 0))
    scene.decide(5)
    assert verdicts(scene) == {b"file": "wrong", b"touched": "right"}
    scene.decided.unlink()
    scene.decide(5, fast=True)
    assert verdicts(scene) == {b"file": "right", b"touched": "right"}


def test_fast_takes_times_for_the_same_that_the_snapshot_cannot_tell_apart(scene: Scene) -> None:
    scene.write("file", b"right", 1)
    scene.snapshot(10)
    scene.pack()
    scene.held = [replace(each, files=Coarse(each.snapshot)) for each in scene.held]
    for apart, verdict in ((999, "right"), (1000, "wrong")):
        scene.write("file", b"RIGHT", 1)
        os.utime(scene.live / "file", ns=(0, nanoseconds(1) + apart))
        scene.decided.unlink(missing_ok=True)
        scene.decide(5, {b"file": b"right"}, fast=True)
        assert verdicts(scene) == {b"file": verdict}


class Coarse(Packed):
    """Its times are microseconds, as borg's are."""

    resolution = 1000


def test_what_was_hashed_is_not_read_again_unless_it_changed(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        scene.write(name, b"right", 1)
    scene.snapshot(10)
    held = scene.decide(5)
    read: list[bytes] = []
    real = looking.share_out

    def shared(root: bytes, orders: Iterable[tuple[Any, bytes]], **options: Any) -> Any:
        return real(root, (read.append(each[0][0]) or each for each in orders), **options)  # type: ignore[func-returns-value]

    monkeypatch.setattr(looking, "share_out", shared)
    scene.write("two", b"wrong", 1)
    scene.look(5, held)
    assert (read, verdicts(scene)) == ([b"two"], {b"one": "right", b"two": "wrong"})


def test_what_came_after_goes_and_what_may_have_stood_there_stays_whatever_its_ctime_says(scene: Scene) -> None:
    scene.write("wanted", b"x", 1)
    scene.snapshot(40)
    scene.write("came", b"x", 35)
    scene.write("restored", b"an rsync put it there with its old time", 2)
    scene.decide(30)
    assert verdicts(scene) == {b"wanted": "right", b"came": "after", b"restored": "orphan"}
    assert scene.told()[b"restored"] == {DOUBTFUL}
    assert b"came" not in scene.told()


def test_what_the_snapshot_after_has_with_an_older_time_stood_there_though_nobody_refers_to_it(scene: Scene) -> None:
    scene.write("referred", b"x", 1)
    scene.write("template", b"the application needs it", 1)
    scene.snapshot(40)
    os.utime(scene.live / "template", ns=(nanoseconds(50), nanoseconds(50)))
    scene.write("new", b"x", 50)
    scene.decide(30, {b"referred": b"x"})
    assert verdicts(scene) == {b"referred": "right", b"template": "orphan", b"new": "after"}


def test_what_no_snapshot_has_is_found_live_by_name_or_by_content(scene: Scene) -> None:
    scene.snapshot(10)
    scene.write("by-name", b"one", 20)
    scene.write("renamed", b"two", 20)
    scene.write("wrong", b"abc", 20)
    scene.decide(30, {b"by-name": b"one", b"moved": b"two", b"wrong": b"xyz", b"nowhere": b"four"})
    assert scene.lost().keys() == {b"wrong", b"nowhere"}
    assert scene.told() == {b"moved": {MOVED}, **{key: told for key, told in scene.told().items() if key == b""}}
    with Choices(scene.decided) as choices:
        origins = {each.path: (each.source, each.origin) for each in choices.all_wanted()}
    assert origins == {b"by-name": (LIVE, b"by-name"), b"moved": (LIVE, b"renamed")}


def test_many_lost_files_are_sought_page_by_page(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "_PAGE", 3)
    scene.snapshot(10)
    for number in range(10):
        scene.write(f"old/{number}", b"content %d" % number, 20)
    scene.decide(30, {b"new/%d" % number: b"content %d" % number for number in range(11)})
    assert scene.lost().keys() == {b"new/10"}


def test_one_file_of_a_snapshot_without_hashes_may_serve_two_paths(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two wanted paths with one origin: both get the hash that was read."""
    scene.write("one", b"content", 1)
    scene.write("two", b"content", 1)
    scene.snapshot(10)
    held = scene.decide(5)
    with Choices(scene.decided) as choices:
        choices.ask("UPDATE wanted SET sha256 = NULL, origin = x'6f6e65'")  # "one"
    monkeypatch.setattr(looking, "_PAGE", 1)
    scene.look(5, held)
    assert verdicts(scene) == {b"one": "right", b"two": "right"}


def test_a_folder_where_a_file_must_be_goes_as_a_whole(scene: Scene) -> None:
    scene.write("place", b"a file", 1)
    scene.snapshot(10)
    (scene.live / "place").unlink()
    scene.write("place/inner", b"x", 1)
    scene.decide(5)
    assert verdicts(scene) == {b"place/inner": "below"}
    with Choices(scene.decided) as choices:
        assert list(choices.ask("SELECT key, verdict FROM live WHERE kind = 'd'")) == [(b"place", "wrong")]


def test_a_file_where_only_a_folder_of_wanted_ones_stood_is_wrong(scene: Scene) -> None:
    """The folder itself is not asked for: a database refers to what is in it."""
    scene.write("place/inner", b"x", 1)
    scene.snapshot(10)
    (scene.live / "place/inner").unlink()
    (scene.live / "place").rmdir()
    scene.write("place", b"a file", 1)
    scene.decide(5, {b"place/inner": b"x"})
    assert verdicts(scene) == {b"place": "wrong"}


def test_what_stays_with_another_owner_or_mode_is_told(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "_PAGE", 2)
    for name in ("a", "folder/b", "c", "same", "wrong"):
        scene.write(name, b"right", 1)
    scene.snapshot(10)
    for name in ("a", "folder", "folder/b", "wrong"):
        (scene.live / name).chmod(0o700)
    scene.write("wrong", b"WRONG", 1)  # it is replaced
    told = {b"a", b"folder", b"folder/b"}
    if os.geteuid() == 0:
        os.chown(scene.live / "c", 1234, 1234)
        told.add(b"c")
    held = scene.decide(5)
    with Choices(scene.decided) as choices:
        for _ in range(2):
            look_at_live(choices, bytes(scene.live), held, at(5), stays=True)
    assert {path for path, sorts in scene.told().items() if DRESSED in sorts} == told
    scene.look(5, held)
    (scene.live / "a").chmod(0o644)
    with Choices(scene.decided) as choices:
        look_at_live(choices, bytes(scene.live), held, at(5), stays=True)
    assert {path for path, sorts in scene.told().items() if DRESSED in sorts} == told - {b"a"}
