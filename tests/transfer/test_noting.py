"""Small files written where somebody may have put a link first."""

import resource
from pathlib import Path

import pytest

from engine.acts.reporting import write_anew
from engine.transfer.noting import write_new
from tests.limits import limited


def test_a_link_under_the_files_name_is_not_written_through(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_text("kept")
    (tmp_path / "note").symlink_to(theirs)
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "note", b"data")
    assert theirs.read_text() == "kept"


def test_a_link_in_place_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "folder").symlink_to("theirs")
    with pytest.raises(NotADirectoryError):
        write_new(tmp_path / "folder" / "note", b"data")
    assert not list((tmp_path / "theirs").iterdir())


def test_what_cannot_be_made_touches_nothing_and_what_cannot_be_finished_leaves_nothing(tmp_path: Path) -> None:
    theirs, name = tmp_path / "theirs", tmp_path / "note"
    theirs.write_text("kept")
    with limited(resource.RLIMIT_NOFILE, 0), pytest.raises(OSError, match="open files"):
        write_anew(theirs, b"data")
    assert theirs.read_text() == "kept"
    with limited(resource.RLIMIT_FSIZE, 2), pytest.raises(OSError, match="too large"):
        write_anew(name, b"data")
    assert [path.name for path in tmp_path.iterdir()] == ["theirs"]


def test_a_new_file_has_its_content_and_mode(tmp_path: Path) -> None:
    write_new(tmp_path / "note", b"data", 0o600)
    assert (tmp_path / "note").read_bytes() == b"data"
    assert (tmp_path / "note").stat().st_mode & 0o777 == 0o600
