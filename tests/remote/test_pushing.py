"""Copies on another server: pushed, verified there, shared, never replaced, fetched back. A real sshd on loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.records.errors import DamagedCopy, RepriseError, Unreachable
from engine.remote.places import RemotePlace, read_place
from engine.remote.pushing import compare, fetch, push, push_wal
from tests.remote.sshd import running_sshd


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RemotePlace, Path]]:
    """The other server's folder, as an address and as a path."""
    with running_sshd(tmp_path_factory.mktemp("sshd")) as sshd, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RSYNC_RSH", sshd.rsh)
        folder = tmp_path_factory.mktemp("vault")
        yield read_place(sshd.place(folder)), folder


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    copy = tmp_path / "20261127T020000Z"
    (copy / "2026" / "it's here; $(touch x)").mkdir(parents=True)
    (copy / "2026" / "a.pdf").write_bytes(b"a" * 100_000)
    (copy / "2026" / "it's here; $(touch x)" / "b.pdf").write_bytes(b"b" * 100)
    (copy / "2026" / "link").symlink_to("a.pdf")
    return copy


def silent(done: int) -> None:
    pass


def test_a_copy_gets_its_name_there_only_when_it_is_whole_and_what_stands_beside_it_comes_first(
    vault: tuple[RemotePlace, Path], copy: Path
) -> None:
    place, folder = vault[0].below("one"), vault[1] / "one"
    beside = copy.with_name(copy.name + ".json")
    beside.write_text("{}")
    told: list[int] = []
    push(copy, place, [beside], None, told.append)
    assert sorted(path.name for path in folder.iterdir()) == [copy.name, beside.name]
    assert (folder / copy.name / "2026" / "it's here; $(touch x)" / "b.pdf").read_bytes() == b"b" * 100
    assert (folder / copy.name / "2026" / "link").readlink() == Path("a.pdf")
    push(copy, place, [beside], None, silent)


def test_another_copy_of_that_name_is_never_replaced(vault: tuple[RemotePlace, Path], copy: Path) -> None:
    place, folder = vault[0].below("two"), vault[1] / "two"
    push(copy, place, [], None, silent)
    before = (folder / copy.name / "2026" / "a.pdf").read_bytes()
    (copy / "2026" / "a.pdf").write_bytes(b"c" * 100_000)
    with pytest.raises(DamagedCopy, match="is not what"):
        push(copy, place, [], None, silent)
    assert (folder / copy.name / "2026" / "a.pdf").read_bytes() == before


@pytest.mark.parametrize("harm", ["flip", "remove", "add"])
def test_whatever_is_changed_there_is_found(vault: tuple[RemotePlace, Path], copy: Path, harm: str) -> None:
    place, folder = vault[0].below(f"three-{harm}"), vault[1] / f"three-{harm}"
    push(copy, place, [], None, silent)
    target = folder / copy.name / "2026" / "a.pdf"
    if harm == "flip":
        content = bytearray(target.read_bytes())
        content[7] ^= 1
        target.write_bytes(content)
    elif harm == "remove":
        target.unlink()
    else:
        target.with_name("stray").write_text("x")
    with pytest.raises(DamagedCopy):
        compare(copy, place.below(copy.name))


def test_unchanged_files_are_shared_there_with_the_copy_before(vault: tuple[RemotePlace, Path], copy: Path) -> None:
    place, folder = vault[0].below("four"), vault[1] / "four"
    push(copy, place, [], None, silent)
    after = copy.with_name("20261127T030000Z")
    copy.rename(after)
    (after / "2026" / "new.pdf").write_text("new")
    push(after, place, [], copy.name, silent)
    inodes = {(folder / name / "2026" / "a.pdf").stat().st_ino for name in (copy.name, after.name)}
    assert len(inodes) == 1


def test_wal_is_added_and_never_replaced_and_drafts_stay_here(vault: tuple[RemotePlace, Path], tmp_path: Path) -> None:
    place, folder = vault[0].below("wal"), vault[1] / "wal"
    wal = tmp_path / "wal"
    wal.mkdir()
    (wal / "000000010000000000000001").write_bytes(b"one")
    (wal / ".draft-x").write_bytes(b"half")
    (wal / "000000010000000000000002.partial").write_bytes(b"half")
    push_wal(wal, place, silent)
    assert [path.name for path in folder.iterdir()] == ["000000010000000000000001"]
    (wal / "000000010000000000000001").write_bytes(b"other")
    push_wal(wal, place, silent)
    assert (folder / "000000010000000000000001").read_bytes() == b"one"


def test_all_of_it_comes_back_when_the_first_place_is_gone(
    vault: tuple[RemotePlace, Path], copy: Path, tmp_path: Path
) -> None:
    place = vault[0].below("five")
    push(copy, place, [], None, silent)
    fetch(place, tmp_path / "back", silent)
    assert (tmp_path / "back" / copy.name / "2026" / "a.pdf").read_bytes() == b"a" * 100_000


def test_a_server_that_is_away_is_said_so_with_what_to_try(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSYNC_RSH", "ssh -F none -o BatchMode=yes -o ConnectTimeout=2")
    with pytest.raises(Unreachable) as caught:
        push(copy, read_place("ssh://nobody@127.0.0.1:1/vault"), [], None, silent)
    assert "try: ssh" in (caught.value.remedy or "")


def test_a_full_or_closed_folder_there_is_an_error(vault: tuple[RemotePlace, Path], copy: Path) -> None:
    (vault[1] / "file").write_text("not a folder")
    with pytest.raises(RepriseError):
        push(copy, vault[0].below("file"), [], None, silent)
