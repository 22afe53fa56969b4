"""Owner and mode of what stays in the live folder: put right where its snapshot says others, and given back."""

import os
import stat
from pathlib import Path

import pytest

from engine.media import dressing
from engine.media.choices import Choices
from engine.media.dressing import UNDRESSED, dress_live
from tests.media.scenes import Scene, tree

MODES = {"a": 0o640, "folder": 0o2750, "folder/b": 0o600, "folder/c": 0o444, "d": 0o604}


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A snapshot, after which all modes, and where we may owners, were changed; one file is wrong besides."""
    monkeypatch.setattr(dressing, "_PAGE", 2)
    scene = Scene(tmp_path)
    for name in ("a", "folder/b", "folder/c", "d", "wrong"):
        scene.write(name, b"content of " + name.encode(), 1)
    for name, mode in MODES.items():
        (scene.live / name).chmod(mode)
    scene.snapshot(10)
    for name in MODES:
        (scene.live / name).chmod(0o700)
        if os.geteuid() == 0:
            os.chown(scene.live / name, 1234, 1235)
    scene.write("wrong", b"WRONG", 1)
    return scene


def dresses(root: Path) -> dict[bytes, tuple[int, int, int]]:
    """Mode, owner and group of all that is there."""
    found = {}
    for path in tree(root):
        status = os.lstat(bytes(root) + b"/" + path)
        found[path] = stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid
    return found


def test_they_become_what_the_snapshot_says_and_a_rollback_gives_back_what_they_were(scene: Scene) -> None:
    before, dressed_before = tree(scene.live), dresses(scene.live)
    scene.restore(5, "delta")
    assert dresses(scene.live) == dresses(scene.copies / "s0")
    assert (scene.live / "wrong").read_bytes() == b"content of wrong"
    scene.undo("delta")
    assert (tree(scene.live), dresses(scene.live)) == (before, dressed_before)


def test_carried_out_twice_as_after_a_crash_what_they_were_is_still_known(scene: Scene) -> None:
    dressed_before = dresses(scene.live)
    scene.restore(5, "delta")
    (scene.live / "a").chmod(0o700)  # as if it had been written down only
    with Choices(scene.decided) as choices, scene.moving(choices) as moving:
        dress_live(choices, moving)
    assert dresses(scene.live) == dresses(scene.copies / "s0")
    scene.undo("delta")
    assert dresses(scene.live) == dressed_before


def test_what_somebody_else_has_changed_since_stays_his(scene: Scene) -> None:
    scene.restore(5, "delta")
    (scene.live / "a").chmod(0o755)
    (scene.live / "d").unlink()
    (scene.live / "d").write_bytes(b"another's")  # perhaps under the same inode
    (scene.live / "d").chmod(0o611)
    scene.undo("delta")
    assert stat.S_IMODE((scene.live / "a").stat().st_mode) == 0o755
    assert stat.S_IMODE((scene.live / "d").stat().st_mode) == 0o611


def test_a_kill_between_the_owner_and_the_mode_is_undone_too(scene: Scene) -> None:
    before = dresses(scene.live)
    scene.restore(5, "delta")
    for name in ("a", "d"):
        (scene.live / name).chmod(before[name.encode()][0])  # the owner was given, the mode not yet
    scene.undo("delta")
    assert dresses(scene.live) == before


def test_a_file_that_a_set_aside_folder_shares_keeps_what_it_has_there(scene: Scene) -> None:
    """As after an earlier restore that put a whole folder in its place."""
    earlier = scene.home / "earlier"
    earlier.mkdir()
    for name in ("a", "d"):
        os.link(scene.live / name, earlier / name)
    before, there = dresses(scene.live), dresses(earlier)
    inode = (earlier / "a").stat().st_ino
    scene.restore(5, "delta")
    assert dresses(scene.live) == dresses(scene.copies / "s0") and dresses(earlier) == there
    assert (scene.live / "a").read_bytes() == b"content of a" and (scene.live / "a").stat().st_ino != inode
    scene.undo("delta")
    assert dresses(scene.live) == before and (scene.live / "a").stat().st_ino == inode


def test_what_cannot_be_opened_is_named(scene: Scene) -> None:
    held = scene.decide(5)
    scene.bring(held, "delta")
    (scene.live / "a").unlink()
    scene.swap("delta")
    assert scene.told()[b"a"] >= {UNDRESSED}
    assert dresses(scene.live)[b"d"] == dresses(scene.copies / "s0")[b"d"]
