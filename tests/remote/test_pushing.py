"""Copies on another server: pushed, verified there, shared, never replaced. A real sshd on loopback."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from engine.records.errors import DamagedCopy, RepriseError, Unreachable
from engine.remote.places import RemotePlace
from engine.remote.pushing import push
from engine.remote.rsync import compare
from engine.system.users import is_root
from tests.clusters import wait_until
from tests.remote.wrapping import silent, wrapped_rsync


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
    """On this machine the second is refused. One on another machine goes on with what the first has sent, and names a
    folder of its own: in the first's one something still lives, and writes by its working directory, not by a name."""
    place, folder = vault[0].below("two-at-once"), vault[1] / "two-at-once"
    push(copy, place, [], None, silent)
    after = copy.with_name("20261127T030000Z")
    copy.rename(after)
    held, go_on, write_now, written = (tmp_path / name for name in ("held", "go-on", "write-now", "written"))
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
    try:
        wait_until(held.exists, "the first does not compare")
        with pytest.raises(RepriseError, match="is being pushed already"):
            push(after, place, [], copy.name, silent)
        (draft,) = folder.glob(".draft-*")
        write = f"while test ! -e '{write_now}'; do sleep 0.05; done; echo half >t; mv t a.pdf; touch '{written}'"
        living = subprocess.Popen(["sh", "-c", write], cwd=draft / "2026")
        elsewhere = shutil.copytree(after, tmp_path / "elsewhere" / after.name, symlinks=True)
        with pytest.MonkeyPatch.context() as patch:
            wait = f"touch '{write_now}'; while test ! -e '{written}'; do sleep 0.05; done"
            wrapped_rsync(tmp_path / "second", patch, f'$rsync "$@" || exit; case "$*" in *--dry-run*) {wait};; esac')
            push(elsewhere, place, [], copy.name, silent)
        assert living.wait() == 0
    finally:
        go_on.touch()
        write_now.touch()
    assert os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]) == 7
    compare(after, place.below(after.name))
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
    beside, target = tmp_path / "1.beside", folder / "1.beside"  # a base backup's, which is a folder
    for path, text in ((beside, "mine"), (target, "others")):
        path.mkdir()
        (path / "site.toml").write_text(text)
    with pytest.raises(DamagedCopy):
        push(note, place, [beside], None, silent)
    assert (target / "site.toml").read_text() == "others" and not (folder / note.name).exists()


def test_a_full_or_closed_folder_there_is_an_error(vault: tuple[RemotePlace, Path], copy: Path) -> None:
    (vault[1] / "file").write_text("not a folder")
    with pytest.raises(RepriseError):
        push(copy, vault[0].below("file"), [], None, silent)
