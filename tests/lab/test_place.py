"""Where the lab lies: only a lab is ever emptied."""

import fcntl
import os
from pathlib import Path

import pytest

from engine.lab.place import DONE, MARK, check_ours, emptied, lab_folder, taken
from engine.records.errors import Refused
from engine.records.survey import OsUser
from engine.system.users import is_root, may_reach


def test_a_folder_that_holds_something_else_is_refused_and_not_touched(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    with pytest.raises(Refused, match="not a lab"), taken(tmp_path):
        pass
    assert [entry.name for entry in tmp_path.iterdir()] == ["letters"]


def test_a_link_to_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(Refused, match="not a folder"):
        check_ours(tmp_path / "link")


@pytest.mark.skipif(not is_root(), reason="needs root to give a folder away")
def test_somebody_elses_folder_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, 1, 1)
    with pytest.raises(Refused, match="somebody else"):
        check_ours(tmp_path)


def test_a_lab_that_is_being_built_is_refused(tmp_path: Path) -> None:
    with taken(tmp_path / "lab"):
        pass
    with (tmp_path / "lab" / MARK).open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(Refused, match="building"), taken(tmp_path / "lab"):
            pass


def test_emptying_removes_links_and_not_what_they_point_to(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "kept").touch()
    with taken(tmp_path / "lab"):
        (tmp_path / "lab" / "link").symlink_to(tmp_path / "outside")
        (tmp_path / "lab" / "data").mkdir()
        emptied(tmp_path / "lab")
    assert [entry.name for entry in (tmp_path / "lab").iterdir()] == [MARK]
    assert (tmp_path / "outside" / "kept").exists()


def test_too_long_a_path_for_a_socket_is_refused_before_anything_is_made(open_dir: Path) -> None:
    with pytest.raises(Refused, match="too long"), taken(open_dir / ("x" * 100)):
        pass
    assert list(open_dir.iterdir()) == []


def test_the_lab_lies_below_the_state_folder_where_its_user_may_go(open_dir: Path, os_user: OsUser) -> None:
    assert lab_folder(None, open_dir, os_user) == open_dir / "lab"
    assert lab_folder(Path("/elsewhere"), open_dir, os_user) == Path("/elsewhere")


@pytest.mark.skipif(not is_root(), reason="an ordinary user can reach his own folders")
def test_roots_lab_lies_where_its_user_may_go_and_is_found_again(tmp_path: Path, os_user: OsUser) -> None:
    tmp_path.chmod(0o700)
    apart = lab_folder(None, tmp_path, os_user)
    assert apart.parent == Path("/var/tmp")
    assert may_reach(os_user, apart.parent)
    assert lab_folder(None, tmp_path / "other", os_user) != apart
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / DONE).touch()
    assert lab_folder(None, tmp_path, os_user) == tmp_path / "lab"
