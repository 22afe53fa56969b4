"""Copies on another server: pushed, verified there, shared, never replaced, fetched back. A real sshd on loopback."""

import os
import shutil
import signal
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.postgres.processes import is_alive
from engine.records.errors import DamagedCopy, Refused, RepriseError, Unreachable
from engine.remote.places import RemotePlace, read_place
from engine.remote.pushing import compare, fetch, push, push_wal, refuse_short
from tests.clusters import wait_until
from tests.remote.sshd import running_sshd

MIB = 1 << 20


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
    one = wal / "000000010000000000000001"
    one.write_bytes(b"1" * MIB)
    (wal / ".draft-x").write_bytes(b"half")
    (wal / "000000010000000000000002.partial").write_bytes(b"half")
    assert push_wal(wal, place, silent) == []
    assert [path.name for path in folder.iterdir()] == [one.name]
    one.write_bytes(b"2" * MIB)
    push_wal(wal, place, silent)
    assert (folder / one.name).read_bytes() == b"1" * MIB


def test_a_segment_that_is_too_short_is_not_sent_and_said_so_and_all_else_is(
    vault: tuple[RemotePlace, Path], tmp_path: Path
) -> None:
    place, folder = vault[0].below("short"), vault[1] / "short"
    wal = tmp_path / "wal"
    (wal / "0000000100000000").mkdir(parents=True)
    head = struct.pack("<HHIQI4xQII", 0xD10D, 2, 1, 1 << 24, 0, 7, 16 * MIB, 8192)
    (wal / "000000010000000000000001").write_bytes(head.ljust(16 * MIB, b"\0"))
    (wal / "000000010000000000000002").write_bytes(head.ljust(8 * MIB, b"\0"))
    (wal / "000000010000000000000003").write_bytes(b"")
    (wal / "000000010000000000000004").write_bytes(b"\x28\xb5\x2f\xfd packed")
    (wal / "0000000100000000" / "00000002.history").write_bytes(b"1")
    short = push_wal(wal, place, silent)
    assert short == ["000000010000000000000002", "000000010000000000000003"]
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == [
        "0000000100000000/00000002.history", "000000010000000000000001", "000000010000000000000004",
    ]  # fmt: skip
    with pytest.raises(DamagedCopy, match="shorter than a segment"):
        refuse_short(short)


def test_a_short_segment_that_is_there_already_is_found(vault: tuple[RemotePlace, Path], tmp_path: Path) -> None:
    place, folder = vault[0].below("short-there"), vault[1] / "short-there"
    (tmp_path / "000000010000000000000001").write_bytes(b"1" * MIB)
    folder.mkdir()
    (folder / "000000010000000000000001").write_bytes(b"1")
    with pytest.raises(DamagedCopy):
        push_wal(tmp_path, place, silent)
    assert (folder / "000000010000000000000001").read_bytes() == b"1"


def test_what_stands_beside_a_copy_is_held_against_what_is_there_and_never_replaced(
    vault: tuple[RemotePlace, Path], tmp_path: Path
) -> None:
    place, folder = vault[0].below("image"), vault[1] / "image"
    note, packed = tmp_path / "1.json", tmp_path / "1.tar.zst"
    note.write_text("{}")
    packed.write_bytes(b"packed")
    folder.mkdir()
    (folder / packed.name).write_bytes(b"others")
    with pytest.raises(DamagedCopy):
        push(note, place, [packed], None, silent)
    assert (folder / packed.name).read_bytes() == b"others"
    assert not (folder / note.name).exists()


def test_a_comparison_of_which_files_went_away_is_no_success(
    vault: tuple[RemotePlace, Path], copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = vault[0].below("vanished")
    push(copy, place, [], None, silent)
    (tmp_path / "bin").mkdir()
    rsync = tmp_path / "bin" / "rsync"
    rsync.write_text(f'#!/bin/sh\n{shutil.which("rsync")} "$@" && exit 24\n')
    rsync.chmod(0o755)
    monkeypatch.setenv("PATH", f"{rsync.parent}:{os.environ['PATH']}")
    with pytest.raises(RepriseError, match="failed"):
        compare(copy, place.below(copy.name))


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


def test_a_server_that_is_away_is_said_so_with_what_to_try(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSYNC_RSH", "ssh -F none -o BatchMode=yes -o ConnectTimeout=2")
    with pytest.raises(Unreachable) as caught:
        push(copy, read_place("ssh://nobody@127.0.0.1:1/vault"), [], None, silent)
    assert "try: ssh" in (caught.value.remedy or "")


def test_a_full_or_closed_folder_there_is_an_error(vault: tuple[RemotePlace, Path], copy: Path) -> None:
    (vault[1] / "file").write_text("not a folder")
    with pytest.raises(RepriseError):
        push(copy, vault[0].below("file"), [], None, silent)


@pytest.mark.skipif(shutil.which("rsync") is None, reason="rsync is not on this machine")
def test_rsync_ends_with_the_engine_that_is_killed(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shell, noted = tmp_path / "shell", tmp_path / "pid"
    shell.write_text(f"#!/bin/sh\necho $PPID $$ >{noted}\nexec sleep 60\n")
    shell.chmod(0o755)
    monkeypatch.setenv("RSYNC_RSH", str(shell))
    pid = os.fork()
    if pid == 0:
        try:
            compare(copy, read_place("ssh://nobody@127.0.0.1/x"))
        finally:
            os._exit(1)
    wait_until(lambda: noted.exists() and noted.read_text().endswith("\n"), "it did not start")
    program, its_child = map(int, noted.read_text().split())
    assert is_alive(program)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    try:
        wait_until(lambda: not is_alive(program), "it lives on", timeout=5)
    finally:
        os.kill(its_child, signal.SIGKILL)
