"""Folders that are made where somebody may have been first."""

import os
import stat
from pathlib import Path

import pytest

from engine.records.errors import RunFailed
from engine.transfer.removing import make_folder, remove_tree

NOBODY = 65534


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir(0o755)
    (tmp_path / "folder").symlink_to("theirs")
    with pytest.raises(RunFailed, match="not a folder"):
        make_folder(tmp_path / "folder", None)
    assert stat.S_IMODE((tmp_path / "theirs").stat().st_mode) == 0o755


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make somebody else's folder")
def test_somebody_elses_folder_is_refused_where_everybody_may_make_one(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    folder = tmp_path / "folder"
    folder.mkdir()
    os.chown(folder, NOBODY - 1, NOBODY)
    with pytest.raises(RunFailed, match="somebody else"):
        make_folder(folder, (NOBODY, NOBODY))
    assert folder.stat().st_uid == NOBODY - 1
    tmp_path.chmod(0o755)
    make_folder(folder, (NOBODY, NOBODY))
    assert (folder.stat().st_uid, stat.S_IMODE(folder.stat().st_mode)) == (NOBODY, 0o700)


def test_a_folder_of_ours_is_taken_again(tmp_path: Path) -> None:
    for _ in range(2):
        make_folder(tmp_path / "folder", None)
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o700


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_file_is_removed_as_a_folder_is(tmp_path: Path, interrupted: bool) -> None:
    (tmp_path / "copy").write_text("content")
    if interrupted:
        (tmp_path / "copy.reprise-deleted").write_text("an earlier try")
    remove_tree(tmp_path / "copy")
    assert not list(tmp_path.iterdir())


def test_of_a_link_only_the_link_is_removed(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "copy").symlink_to("theirs")
    remove_tree(tmp_path / "copy")
    assert [entry.name for entry in tmp_path.iterdir()] == ["theirs"]
