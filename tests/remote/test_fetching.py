"""Everything at a second place fetched back. A real sshd on loopback."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.records.errors import DamagedCopy, Refused
from engine.remote.fetching import fetch
from engine.remote.places import RemotePlace
from engine.remote.pushing import push
from engine.system.users import is_root
from tests.remote.wrapping import silent, wrapped_rsync


@pytest.fixture
def mount_point(tmp_path: Path) -> Iterator[Path]:
    """An empty file system of its own."""
    folder = tmp_path / "mounted"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)]
    if not is_root() or subprocess.run(words, capture_output=True, check=False).returncode != 0:
        pytest.skip("nothing can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_nothing_is_fetched_into_a_mount_point_and_a_folder_in_it_is_named(
    vault: tuple[RemotePlace, Path], copy: Path, mount_point: Path
) -> None:
    place = vault[0].below("mounted")
    push(copy, place, [], None, silent)
    with pytest.raises(Refused, match="is a mount point") as caught:
        fetch(place, mount_point, silent)
    assert str(mount_point / "copies") in (caught.value.remedy or "")
    assert not list(mount_point.iterdir()) and not mount_point.with_name(".draft-mounted").exists()
    fetch(place, mount_point / "copies", silent)
    assert (mount_point / "copies" / copy.name).is_dir()


def test_a_folder_that_is_made_while_it_is_fetched_stays_as_it_is(
    vault: tuple[RemotePlace, Path], copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, back = vault[0].below("made-meanwhile"), tmp_path / "back"
    push(copy, place, [], None, silent)
    made = f"mkdir '{back}'; echo mine >'{back}/mine'"
    wrapped_rsync(tmp_path, monkeypatch, f'$rsync "$@" || exit; case "$*" in *--dry-run*) {made};; esac')
    with pytest.raises(Refused, match="was made meanwhile"):
        fetch(place, back, silent)
    assert [path.name for path in back.iterdir()] == ["mine"]
    assert (tmp_path / ".draft-back" / copy.name).is_dir()


def test_all_of_it_comes_back_when_the_first_place_is_gone(
    vault: tuple[RemotePlace, Path], copy: Path, tmp_path: Path
) -> None:
    place = vault[0].below("five")
    push(copy, place, [], None, silent)
    fetch(place, tmp_path / "back", silent)
    assert (tmp_path / "back" / copy.name / "2026" / "a.pdf").read_bytes() == b"a" * 100_000


@pytest.mark.parametrize("before", ["empty", "full", "file", "link"])
def test_what_is_there_before_it_comes_back_is_never_touched(
    vault: tuple[RemotePlace, Path], copy: Path, tmp_path: Path, before: str
) -> None:
    place, back = vault[0].below(f"six-{before}"), tmp_path / "back"
    push(copy, place, [], None, silent)
    full = tmp_path / "full"
    full.mkdir()
    if before == "link":
        back.symlink_to(full)
    elif before == "file":
        back.write_text("mine")
    else:
        back.mkdir()
    if before == "empty":
        return fetch(place, back, silent)
    if before == "full":
        (back / copy.name).mkdir()
        (back / copy.name / "mine").write_text("mine")
    with pytest.raises(Refused):
        fetch(place, back, silent)
    kept = {"link": back.is_symlink() and not list(full.iterdir()), "file": back.is_file()}
    assert kept.get(before, (back / copy.name / "mine").exists())


def test_what_another_attempt_left_is_gone_on_with_and_what_does_not_belong_is_refused(
    vault: tuple[RemotePlace, Path], copy: Path, tmp_path: Path
) -> None:
    place, draft = vault[0].below("seven"), tmp_path / ".draft-back"
    push(copy, place, [], None, silent)
    draft.mkdir()
    (draft / "stray").write_text("of another place")
    with pytest.raises(DamagedCopy) as caught:
        fetch(place, tmp_path / "back", silent)
    assert "stray" in (caught.value.cause or "")
    assert (draft / "stray").exists() and not (tmp_path / "back").exists()
    (draft / "stray").unlink()
    fetch(place, tmp_path / "back", silent)
    assert (tmp_path / "back" / copy.name).is_dir() and not draft.exists()
