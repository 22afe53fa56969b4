"""The live folder changed by renames, killed anywhere, with others at work in it; and all of it taken back."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.media import swapping
from engine.media.choices import Choices
from engine.media.swapping import plan_moves, swap_back, swap_whole
from engine.records.errors import RunFailed
from tests.media.scenes import Scene, contents, tree

RENAMING = "engine.media.swapping.os.rename"


class Killed(BaseException):
    """As SIGKILL: nothing is done afterwards."""


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def ready(scene: Scene) -> dict[bytes, tuple[object, ...]]:
    """A scene with a delta about to be swapped in; the live folder as it stands."""
    (scene.live / "gone").mkdir(mode=0o775)
    (scene.live / "gone").chmod(0o775)
    scene.write("gone/deep/file", b"deleted since", 1)
    scene.write("damaged", b"right", 1)
    scene.write("folder", b"it was a file", 1)
    scene.snapshot(10)
    (scene.live / "gone/deep/file").unlink()
    (scene.live / "gone/deep").rmdir()
    (scene.live / "gone").rmdir()
    (scene.live / "folder").unlink()
    scene.write("folder/inner", b"and is a folder", 1)
    scene.write("damaged", b"wrong", 1)
    scene.write("later/new", b"came after", 20)
    before = tree(scene.live)
    scene.bring(scene.decide(5), "delta")
    return before


def killed_at(monkeypatch: pytest.MonkeyPatch, name: str, number: int) -> Callable[[], int]:
    """The ``number``-th call of a function of os dies; how many there were."""
    real, count = getattr(os, name), 0

    def dying(*arguments: object, **options: object) -> object:
        nonlocal count
        count += 1
        if count == number:
            raise Killed
        return real(*arguments, **options)

    monkeypatch.setattr(swapping.os, name, dying)
    return lambda: count


AFTER = {b"gone/deep/file": b"deleted since", b"damaged": b"right", b"folder": b"it was a file"}


@pytest.mark.parametrize("act", ["resume", "undo"])
@pytest.mark.parametrize(
    ("name", "number"),
    [*(("rename", n) for n in range(1, 7)), ("mkdir", 4), ("mkdir", 5), ("fchmod", 1), ("fchmod", 2)],
)
def test_killed_anywhere_it_goes_on_or_is_taken_back(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, act: str, name: str, number: int
) -> None:
    before = ready(scene)
    with monkeypatch.context() as patched:
        killed_at(patched, name, number)
        with pytest.raises(Killed):
            scene.swap("delta")
    if act == "resume":
        scene.swap("delta")
        assert contents(scene.live) == AFTER
        assert contents(scene.aside) == {
            b"damaged": b"wrong", b"folder/inner": b"and is a folder", b"later/new": b"came after"
        }  # fmt: skip
        assert stat.S_IMODE((scene.live / "gone").stat().st_mode) == 0o775
        assert stat.S_IMODE((scene.live / "gone/deep").stat().st_mode) == 0o755
    scene.undo("delta")
    scene.undo("delta")  # and once more, as after a kill
    assert tree(scene.live) == before


def test_what_comes_to_a_place_between_out_and_in_is_kept_under_another_name(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = ready(scene)
    real = os.rename

    def renaming(*arguments: object, **options: object) -> None:
        real(*arguments, **options)  # type: ignore[arg-type]
        if not (scene.live / "damaged").exists() and (scene.aside / "damaged").exists():
            (scene.live / "damaged").write_bytes(b"an application came in between")
            monkeypatch.setattr(swapping.os, "rename", real)

    monkeypatch.setattr(swapping.os, "rename", renaming)
    scene.swap("delta")
    assert contents(scene.live) == AFTER
    aside = contents(scene.aside)
    assert (aside[b"damaged"], aside[b"damaged.came-later-1"]) == (b"wrong", b"an application came in between")
    scene.undo("delta")
    assert tree(scene.live) == before
    assert contents(scene.aside) == {b"damaged.came-later-1": b"an application came in between"}


def test_a_long_name_that_comes_in_between_has_a_place_too(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "x" * 255
    scene.write(name, b"right", 1)
    scene.snapshot(10)
    scene.write(name, b"wrong", 1)
    scene.bring(scene.decide(5), "delta")
    with monkeypatch.context() as patched:
        killed_at(patched, "rename", 2)
        with pytest.raises(Killed):
            scene.swap("delta")
    (scene.live / name).write_bytes(b"third")
    scene.swap("delta")
    assert contents(scene.live) == {name.encode(): b"right"}
    assert set(contents(scene.aside).values()) == {b"wrong", b"third"}


def test_undone_what_others_put_in_its_place_is_kept_in_what_was_built(scene: Scene) -> None:
    before = ready(scene)
    scene.swap("delta")
    (scene.live / "new").write_bytes(b"replaces")
    (scene.live / "new").rename(scene.live / "damaged")
    scene.undo("delta")
    assert tree(scene.live) == before
    assert contents(scene.building)[b"damaged"] == b"replaces"


def test_a_link_that_an_application_puts_in_the_way_is_not_followed(scene: Scene, tmp_path: Path) -> None:
    ready(scene)
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o700)
    (scene.live / "gone").symlink_to(outside)
    with pytest.raises((RunFailed, OSError)):
        scene.swap("delta")
    assert list(outside.iterdir()) == []
    assert stat.S_IMODE(outside.stat().st_mode) == 0o700


def test_the_moves_of_many_files_are_walked_page_by_page(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swapping, "_PAGE", 2)
    before = ready(scene)
    scene.swap("delta")
    assert contents(scene.live) == AFTER
    scene.undo("delta")
    assert tree(scene.live) == before


def test_what_moves_stands_once_it_is_written_down(scene: Scene) -> None:
    ready(scene)
    with Choices(scene.decided) as choices:
        plan_moves(choices)
        count = choices.number("SELECT count(*) FROM move")
        choices.ask("DELETE FROM live")
        plan_moves(choices)
        assert choices.number("SELECT count(*) FROM move") == count > 0


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("act", ["resume", "undo"])
def test_a_whole_folder_swapped_killed_between_its_two_renames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, act: str
) -> None:
    live, building, aside = tmp_path / "live", tmp_path / "building", tmp_path / "aside"
    for folder in (live, building):
        folder.mkdir()
        (folder / "file").write_text(folder.name)
    live.chmod(0o751)
    real, count = Path.rename, 0

    def dying(self: Path, target: Path) -> Path:
        nonlocal count
        count += 1
        if count == number:
            raise Killed
        return real(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", dying)
        with pytest.raises(Killed):
            swap_whole(live, building, aside)
    if act == "resume":
        swap_whole(live, building, aside)
        assert ((live / "file").read_text(), (aside / "file").read_text()) == ("building", "live")
        assert stat.S_IMODE(live.stat().st_mode) == 0o751
    swap_back(live, building, aside)
    swap_back(live, building, aside)
    assert ((live / "file").read_text(), (building / "file").read_text()) == ("live", "building")
    assert not aside.exists()
