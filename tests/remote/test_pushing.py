"""Copies on another server: pushed, verified there, shared, never replaced, fetched back. A real sshd on loopback."""

import os
import shutil
import signal
import stat
import struct
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from engine.postgres.processes import is_alive
from engine.records.errors import DamagedCopy, Refused, RepriseError, Unreachable
from engine.remote import pushing
from engine.remote.places import RemotePlace, read_place
from engine.remote.pushing import compare, fetch, push, push_wal, refuse_short
from engine.system.users import is_root
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


def wrapped_rsync(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a script in rsync's place; ``$rsync`` is the real one."""
    (folder / "bin").mkdir(parents=True)
    rsync = folder / "bin" / "rsync"
    rsync.write_text(f"#!/bin/sh\nrsync={shutil.which('rsync')}\n{script}\n")
    rsync.chmod(0o755)
    monkeypatch.setenv("PATH", f"{rsync.parent}:{os.environ['PATH']}")


def test_a_push_that_is_taken_up_again_changes_nothing_of_the_copy_before(
    vault: tuple[RemotePlace, Path], copy: Path, tmp_path: Path
) -> None:
    place, folder = vault[0].below("resumed"), vault[1] / "resumed"
    (copy / "2026" / "closed").mkdir()
    (copy / "2026" / "closed" / "c.pdf").write_bytes(b"c" * 100)
    (copy / "2026" / "closed").chmod(0o500)
    push(copy, place, [], None, silent)
    after = copy.with_name("20261127T030000Z")
    copy.rename(after)
    (after / "2026" / "new.pdf").write_text("new")
    before = {path: path.lstat() for path in (folder / copy.name).rglob("*")}
    with pytest.MonkeyPatch.context() as patch:
        wrapped_rsync(tmp_path, patch, 'case "$*" in *--dry-run*) exit 12;; esac; exec $rsync "$@"')
        with pytest.raises(Unreachable):
            push(after, place, [], copy.name, silent)
    (draft,) = folder.glob(".draft-*")
    assert (draft / "2026" / "a.pdf").stat().st_ino == (folder / copy.name / "2026" / "a.pdf").stat().st_ino
    arrived = (draft / "2026" / "new.pdf").stat().st_ino
    link = after / "2026" / "link"
    (after / "2026" / "a.pdf").chmod(0o600)
    (after / "2026" / "closed" / "c.pdf").chmod(0o640)
    os.utime(link, ns=(1, 1), follow_symlinks=False)
    if is_root():
        os.lchown(link, 12345, 12345)
        os.chown(after / "2026" / "a.pdf", 12345, 12345)
    push(after, place, [], copy.name, silent)
    for path, was in before.items():
        found = path.lstat()
        assert (found.st_mode, found.st_uid, found.st_gid, found.st_mtime_ns) == (
            was.st_mode, was.st_uid, was.st_gid, was.st_mtime_ns,
        ), path  # fmt: skip
    there = folder / after.name / "2026"
    assert not list(folder.glob(".draft-*"))
    assert stat.S_IMODE((there / "a.pdf").stat().st_mode) == 0o600
    assert (there / "a.pdf").read_bytes() == b"a" * 100_000
    assert (there / "new.pdf").stat().st_ino == arrived, "what had arrived is gone on with"
    shared = Path("2026", "it's here; $(touch x)", "b.pdf")
    assert (folder / after.name / shared).stat().st_ino == (folder / copy.name / shared).stat().st_ino


def test_of_two_pushes_of_one_copy_none_names_what_the_other_works_on(
    vault: tuple[RemotePlace, Path], copy: Path, tmp_path: Path
) -> None:
    """The second begins when the first has compared its draft, and takes it over: before it had names of its own, it
    emptied what the first then named."""
    place, folder = vault[0].below("two-at-once"), vault[1] / "two-at-once"
    push(copy, place, [], None, silent)
    after = copy.with_name("20261127T030000Z")
    copy.rename(after)
    held, go_on = tmp_path / "held", tmp_path / "go-on"
    with pytest.MonkeyPatch.context() as patch:
        wait = f"touch '{held}'; while test ! -e '{go_on}'; do sleep 0.05; done"
        wrapped_rsync(tmp_path, patch, f'$rsync "$@" || exit; case "$*" in *--dry-run*) {wait};; esac')
        first = os.fork()
        if first == 0:
            try:
                push(after, place, [], copy.name, silent)
                os._exit(0)
            except RepriseError:
                os._exit(7)
            finally:
                os._exit(1)
    wait_until(held.exists, "the first does not compare")
    with pytest.MonkeyPatch.context() as patch:
        # what the second has done when the first goes on: it took over, and sent nothing yet
        wrapped_rsync(tmp_path / "second", patch, f"touch '{go_on}'; exit 12")
        with pytest.raises(Unreachable):
            push(after, place, [], copy.name, silent)
    assert os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]) == 7
    assert not (folder / after.name).exists()
    push(after, place, [], copy.name, silent)
    assert sorted(path.name for path in folder.iterdir()) == [copy.name, after.name]


def test_a_draft_there_that_is_a_link_is_refused_and_what_it_leads_to_stays(
    vault: tuple[RemotePlace, Path], copy: Path
) -> None:
    place, folder = vault[0].below("linked"), vault[1] / "linked"
    push(copy, place, [], None, silent)
    after = copy.with_name("20261127T030000Z")
    copy.rename(after)
    os.link(folder / copy.name / "2026" / "a.pdf", folder / "second")
    (folder / f".draft-{after.name}").symlink_to(copy.name)
    (after / "2026" / "new.pdf").write_text("new")
    with pytest.raises(RepriseError) as caught:
        push(after, place, [], copy.name, silent)
    assert "is a link" in (caught.value.cause or "")
    assert (folder / copy.name / "2026" / "a.pdf").exists() and not (folder / copy.name / "2026" / "new.pdf").exists()


@pytest.mark.parametrize("attribute", ["mode", "mode-of-folder", "owner"])
def test_another_mode_or_owner_there_is_found(vault: tuple[RemotePlace, Path], copy: Path, attribute: str) -> None:
    if attribute == "owner" and not is_root():
        pytest.skip("only root can give a file away")
    place, folder = vault[0].below(f"attribute-{attribute}"), vault[1] / f"attribute-{attribute}"
    push(copy, place, [], None, silent)
    there = folder / copy.name / "2026"
    if attribute == "owner":
        os.chown(there / "a.pdf", 12345, -1)
    else:
        (there if attribute == "mode-of-folder" else there / "a.pdf").chmod(0o711)
    with pytest.raises(DamagedCopy) as caught:
        push(copy, place, [], None, silent)
    assert "differ in mode or owner" in (caught.value.cause or "")


@pytest.mark.parametrize("stranger", ["empty", "full", "file", "link"])
def test_what_takes_the_name_there_meanwhile_is_neither_replaced_nor_moved_into(
    vault: tuple[RemotePlace, Path], copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stranger: str
) -> None:
    place, folder = vault[0].below(f"race-{stranger}"), vault[1] / f"race-{stranger}"
    target = folder / copy.name
    made = {
        "empty": f"mkdir '{target}'",
        "full": f"mkdir '{target}'; echo mine >'{target}/mine'",
        "file": f"echo mine >'{target}'",
        "link": f"mkdir '{tmp_path}/elsewhere'; ln -s '{tmp_path}/elsewhere' '{target}'",
    }[stranger]
    # after the last look, before the draft gets its name
    wrapped_rsync(tmp_path, monkeypatch, f'$rsync "$@" || exit; case "$*" in *--dry-run*) {made};; esac')
    with pytest.raises(RepriseError):
        push(copy, place, [], None, silent)
    assert len(list(folder.glob(".draft-*/2026/a.pdf"))) == 1
    if stranger == "link":
        assert target.is_symlink() and not list((tmp_path / "elsewhere").iterdir())
    elif stranger == "file":
        assert target.read_text() == "mine\n"
    else:
        assert [path.name for path in target.iterdir()] == (["mine"] if stranger == "full" else [])


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
    with pytest.raises(DamagedCopy) as caught:
        push_wal(wal, place, silent)
    assert one.name in (caught.value.cause or "")
    assert (folder / one.name).read_bytes() == b"1" * MIB


def flipped(path: str) -> str:
    """Shell: one byte of a file becomes another, its size and time stay."""
    return f'touch -r "{path}" "{path}.t"; printf X | dd of="{path}" bs=1 seek=7 conv=notrunc 2>/dev/null; ' + (
        f'touch -r "{path}.t" "{path}"; rm "{path}.t"'
    )


def test_wal_that_did_not_arrive_as_it_was_sent_is_found(
    vault: tuple[RemotePlace, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, folder, wal = vault[0].below("garbled"), vault[1] / "garbled", tmp_path / "wal"
    wal.mkdir()
    for number in (1, 2):
        (wal / f"00000001000000000000000{number}").write_bytes(b"1" * MIB)
    monkeypatch.setattr(pushing, "_SAMPLE", 0)
    assert push_wal(wal, place, silent) == []
    strange = "0 \\#134 \udcff\n.00000020.backup"
    (wal / strange).write_bytes(b"1" * MIB)
    garble = f"set -- '{folder}'/*134*; {flipped('$1')}"
    wrapped_rsync(tmp_path, monkeypatch, f'$rsync "$@" || exit; case "$*" in *--ignore-existing*) {garble};; esac')
    with pytest.raises(DamagedCopy, match="is not what") as caught:
        push_wal(wal, place, silent)
    assert "1 files differ" in (caught.value.cause or "")


def test_wal_that_rots_there_is_found_when_its_turn_comes(vault: tuple[RemotePlace, Path], tmp_path: Path) -> None:
    place, folder = vault[0].below("rotten"), vault[1] / "rotten"
    (tmp_path / "000000010000000000000001").write_bytes(b"1" * MIB)
    push_wal(tmp_path, place, silent)
    subprocess.run(["sh", "-c", flipped(str(folder / "000000010000000000000001"))], check=True)
    with pytest.raises(DamagedCopy):
        push_wal(tmp_path, place, silent)


def test_of_wal_that_was_there_only_a_sample_is_read_again(
    vault: tuple[RemotePlace, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, wal, told = vault[0].below("sample"), tmp_path / "wal", tmp_path / "told"
    wal.mkdir()
    for number in range(pushing._SAMPLE + 4):
        (wal / f"0000000100000000000000{number:02X}").write_bytes(b"1" * MIB)
    push_wal(wal, place, silent)
    (wal / "0000000100000000000000FF").write_bytes(b"1" * MIB)
    count = f"tee '{told}.one' | $rsync \"$@\"; code=$?; tr '\\0' '\\n' <'{told}.one' >'{told}'; exit $code"
    wrapped_rsync(tmp_path, monkeypatch, f'case "$*" in *--checksum*) {count};; esac; exec $rsync "$@"')
    push_wal(wal, place, silent)
    names = told.read_text().split()
    assert len(names) == pushing._SAMPLE + 1 and "0000000100000000000000FF" in names


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
    wrapped_rsync(tmp_path, monkeypatch, '$rsync "$@" && exit 24')
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


def in_the_vault() -> RemotePlace:
    return read_place("ssh://nobody@127.0.0.1/x")


@pytest.mark.skipif(shutil.which("rsync") is None, reason="rsync is not on this machine")
@pytest.mark.parametrize("through", ["rsync", "ssh"])
def test_rsync_and_ssh_end_with_the_engine_that_is_killed(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, through: str
) -> None:
    shell, noted = tmp_path / "shell", tmp_path / "pid"
    shell.write_text(f"#!/bin/sh\necho $PPID $$ >{noted}\nexec sleep 60\n")
    shell.chmod(0o755)
    monkeypatch.setenv("RSYNC_RSH", str(shell))
    pid = os.fork()
    if pid == 0:
        try:
            if through == "rsync":
                compare(copy, in_the_vault())
            else:
                in_the_vault().run("true")
        finally:
            os._exit(1)
    wait_until(lambda: noted.exists() and noted.read_text().endswith("\n"), "it did not start")
    rsync, ssh = map(int, noted.read_text().split())
    program = rsync if through == "rsync" else ssh
    assert is_alive(program)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    try:
        wait_until(lambda: not is_alive(program), "it lives on", timeout=5)
    finally:
        with suppress(ProcessLookupError):
            os.kill(ssh, signal.SIGKILL)
