"""Everything at a second place fetched back. A real sshd on loopback."""

import errno
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.records.errors import DamagedCopy, Refused, RepriseError
from engine.remote import fetching
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


def test_users_files_come_back_whatever_they_are_called_and_what_is_half_sent_is_told(
    vault: tuple[RemotePlace, Path], copy: Path, tmp_path: Path
) -> None:
    """One that was left out was missing from the comparison, too: it was the same rule."""
    place, there = vault[0].below("hidden"), vault[1] / "hidden"
    users = [f"2026/{name}/x" for name in (".draft-letter.odt", f".draft-{copy.name}~01234567", ".expired-a")]
    users += ["2026/.draft-partial/x", "2026/wal/.draft-partial/x", ".draft-letter.odt"]
    rests = [f"{folder}.draft-{copy.name}~0123abcd" for folder in ("", "base/", "dumps/")] + ["base/.expired-1"]
    rests += ["wal/.draft-partial", "wal/a/b/.draft-partial"]
    for user in users:
        (copy / user).parent.mkdir(parents=True, exist_ok=True)
        (copy / user).write_text(user)
    push(copy, place, [], None, silent)
    for rest in rests:
        (there / rest).mkdir(parents=True)
        (there / rest / "half").touch()
    told = fetch(place, tmp_path / "back", silent)
    assert [(tmp_path / "back" / copy.name / user).read_text() for user in users] == users
    assert not [rest for rest in rests if (tmp_path / "back" / rest).exists()]
    assert told.left_out == tuple(sorted(rests[:4]))
    # the address of one copy: what stands at its top is the users' too
    fetch(place.below(copy.name), tmp_path / "one", silent)
    assert (tmp_path / "one" / ".draft-letter.odt").read_text() == ".draft-letter.odt"


def test_it_is_on_disk_before_it_has_its_name_and_here_is_a_name_too(
    vault: tuple[RemotePlace, Path], copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, back = vault[0].below("here"), tmp_path / "back"
    push(copy, place, [], None, silent)
    back.mkdir()
    monkeypatch.chdir(back)

    def full(folder: int) -> None:
        assert (tmp_path / ".draft-back" / copy.name / "2026" / "a.pdf").stat().st_size == 100_000
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch, pytest.raises(RepriseError, match="could not be written"):
        patch.setattr(fetching, "sync_file_system", full)
        fetch(place, Path(), silent)
    assert not list(back.iterdir())
    with pytest.raises(Refused, match=f"{tmp_path} is there already"):
        fetch(place, Path(".."), silent)
    assert fetch(place, Path(), silent).into == back
    assert (back / copy.name).is_dir()


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
        fetch(place, back, silent)
        return
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
