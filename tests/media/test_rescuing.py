"""What a check misses and a folder that was moved out has: brought back, and nothing else."""

import errno
import hashlib
import os
import stat
from pathlib import Path

import pytest

from engine.media import rescuing
from engine.media.choices import Choices
from engine.media.references import Reference
from engine.media.rescuing import rescue
from engine.media.swapping import plan_moves
from tests.media.scenes import Scene, contents, tree


@pytest.fixture
def aside(tmp_path: Path) -> Path:
    return tmp_path / "aside"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir(mode=0o755)
    return tmp_path / "folder"


def put(root: Path, path: bytes, content: bytes) -> Path:
    place = root / os.fsdecode(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return place


def reference(path: bytes, content: bytes | None, *, size: int | None = None) -> Reference:
    digest = hashlib.sha256(content).hexdigest() if content is not None else None
    return Reference(path, len(content) if content is not None and size is None else size, digest, 1)


def rescued(references: list[Reference], aside: Path, folder: Path) -> int:
    """All that is referred to and not there."""
    references = sorted(references, key=lambda each: each.path.replace(b"/", b"\0"))
    missing = [each.path for each in references if not (folder / os.fsdecode(each.path)).exists()]
    return rescue(references, missing, os.fsencode(aside), os.fsencode(folder), b".draft")


def test_what_was_moved_out_comes_back_with_its_attributes_and_stays_there_too(aside: Path, folder: Path) -> None:
    odd = b"2026/odd\xff\nname"
    for path in (b"2026/11/a", odd, b"nobody's"):
        put(aside, path, path)
    (aside / "2026/11").chmod(0o2750)
    (aside / "2026/11/a").chmod(0o640)
    os.utime(aside / "2026/11/a", ns=(1, 1))
    before = tree(aside)
    wanted = [reference(b"2026/11/a", b"2026/11/a"), reference(odd, None), reference(b"2026/11/none", b"x")]
    assert rescued(wanted, aside, folder) == 2
    assert contents(folder) == {b"2026/11/a": b"2026/11/a", odd: odd}
    status = (folder / "2026/11/a").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns, status.st_nlink) == (0o640, 1, 1)
    assert stat.S_IMODE((folder / "2026/11").stat().st_mode) == 0o2750
    assert tree(aside) == before


def test_only_what_the_database_means_by_size_and_content_comes_back(aside: Path, folder: Path) -> None:
    for path in (b"content", b"size", b"right size"):
        put(aside, path, b"OTHER")
    wanted = [reference(b"content", b"other"), reference(b"size", None, size=4), reference(b"right size", None, size=5)]
    assert rescued(wanted, aside, folder) == 1
    assert contents(folder) == {b"right size": b"OTHER"}


@pytest.mark.parametrize("sized", [True, False])
def test_a_moved_one_is_found_by_its_content_and_may_serve_many(
    aside: Path, folder: Path, sized: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rescuing, "_PAGE", 2)
    for number in range(5):
        put(aside, b"old/%d" % number, b"content %d" % number)
    folder.chmod(0o2775)
    wanted = [reference(b"new/%d" % number, b"content %d" % (number % 5)) for number in range(7)]
    wanted = [each if sized else each._replace(size=None) for each in wanted]
    put(folder, b"there", b"there")
    assert rescued([*wanted, reference(b"there", b"there")], aside, folder) == 7
    assert contents(folder) == {b"there": b"there"} | {
        b"new/%d" % each: b"content %d" % (each % 5) for each in range(7)
    }
    assert stat.S_IMODE((folder / "new").stat().st_mode) == 0o2775  # not closed to the application


def test_no_link_is_followed_and_nothing_is_written_over(aside: Path, folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    put(outside, b"secret", b"secret")
    aside.mkdir()
    (aside / "linked").symlink_to(outside / "secret")
    (aside / "through").symlink_to(outside)
    for path in (b"away/file", b"place", b"file/below"):
        put(aside, path, b"x")
    (folder / "away").symlink_to(outside)
    (folder / "place").mkdir()
    put(folder, b"file", b"a file")
    wanted = [
        reference(path, b"secret" if path in (b"linked", b"through/secret") else b"x")
        for path in (b"linked", b"through/secret", b"away/file", b"place", b"file/below")
    ]
    missing = sorted((each.path for each in wanted), key=lambda path: path.replace(b"/", b"\0"))
    ordered = sorted(wanted, key=lambda each: each.path.replace(b"/", b"\0"))
    assert rescue(ordered, missing, os.fsencode(aside), os.fsencode(folder), b".draft") == 0
    assert os.listdir(outside) == ["secret"] and contents(folder)[b"file"] == b"a file"  # noqa: PTH208


def test_a_disk_that_fills_meanwhile_leaves_no_draft(
    aside: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(aside, b"a", b"a")

    def full(handle: int, place: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(rescuing, "take_attributes", full)
    with pytest.raises(OSError, match="space"):
        rescued([reference(b"a", b"a")], aside, folder)
    assert list(folder.iterdir()) == [] and contents(aside) == {b"a": b"a"}


def test_by_way_of_the_swap_it_can_be_taken_back_and_is_not_lost_then(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.write("there", b"there", 1)
    (scene.live / "a file").write_bytes(b"x")
    before, earlier = tree(scene.live), tmp_path / "earlier"
    for path in (b"2026/11/a", b"b", b"a file/below"):
        put(earlier, path, path)
    (earlier / "2026").chmod(0o2750)
    wanted = [reference(path, path) for path in (b"2026/11/a", b"a file/below", b"b")]
    places = [os.fsencode(each) for each in (earlier, scene.live)]
    with Choices(scene.decided) as choices:
        plan_moves(choices)
        with scene.moving(choices) as swap:
            assert rescue(wanted, [each.path for each in wanted], *places, b".draft", swap) == 2
    assert {b"2026/11/a", b"b", b"there", b"a file"} == contents(scene.live).keys()
    assert stat.S_IMODE((scene.live / "2026").stat().st_mode) == 0o2750
    assert not contents(scene.building)
    scene.undo("delta")
    assert tree(scene.live) == before
    assert contents(scene.building) == {b"2026/11/a": b"2026/11/a", b"b": b"b"}


def test_a_wrong_copy_of_the_runs_own_is_replaced_and_a_wrong_one_of_anybody_else_is_not(
    aside: Path, folder: Path
) -> None:
    for name in (b"ours", b"another's"):
        put(aside, name, b"right")
        put(folder, name, b"wrong")
    wanted = sorted((reference(b"ours", b"right"), reference(b"another's", b"right")))
    places = [os.fsencode(each) for each in (aside, folder)]
    names = [each.path for each in wanted]
    assert rescue(wanted, [], *places, b".draft", wrong=names, ours=lambda path, status: path == b"ours") == 1
    assert contents(folder) == {b"ours": b"right", b"another's": b"wrong"}


def test_a_wrong_copy_that_was_brought_into_the_live_folder_goes_out_and_an_undo_gives_back_what_was_before(
    tmp_path: Path,
) -> None:
    """One was not there before the run, the other was wrong then, too."""
    scene = Scene(tmp_path)
    for name in ("absent", "wrong"):
        scene.write(name, b"older", 1)
    scene.snapshot(10)
    (scene.live / "absent").unlink()
    scene.write("wrong", b"as it was", 1)
    before, earlier = tree(scene.live), tmp_path / "earlier"
    scene.restore(15, "delta")
    assert set(contents(scene.live).values()) == {b"older"}
    names = [b"absent", b"wrong"]
    for path in names:
        put(earlier, path, b"right")
    wanted = [reference(path, b"right") for path in names]
    places = [os.fsencode(each) for each in (earlier, scene.live)]
    with Choices(scene.decided) as choices, scene.moving(choices) as swap:
        assert rescue(wanted, [], *places, b".draft", swap, wrong=names, ours=lambda path, status: True) == 2
    assert set(contents(scene.live).values()) == {b"right"}
    scene.undo("delta")
    assert tree(scene.live) == before
    assert set(contents(scene.building).values()) == {b"right"}
