"""Damaged, half-copied, foreign and hostile folders: unusable with the reason, or a problem, never a traceback."""

import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.catalog.conftest import Shelf


def _cut(path: Path, keep: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])


def _flip(path: Path, place: int, length: int = 1) -> None:
    data = bytearray(path.read_bytes())
    for at in range(place, place + length):
        data[at] ^= 0x10
    path.write_bytes(data)


def _drop(*names: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        for name in names:
            path = folder / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    return damage


def _cut_file(name: str, keep: float) -> Callable[[Path], None]:
    return lambda folder: _cut(folder / name, keep)


def _rename(old: str, new: str) -> Callable[[Path], None]:
    return lambda folder: (folder / old).rename(folder / new) and None


def _write(name: str, data: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(data) and None


def _link_label(folder: Path) -> None:
    (folder / "backup_label").unlink()
    (folder / "backup_label").symlink_to("/etc/hostname")


def _pipe_label(folder: Path) -> None:
    (folder / "backup_label").unlink()
    os.mkfifo(folder / "backup_label")


def _one_relation(folder: Path) -> Path:
    return max((folder / "base" / "1").iterdir(), key=lambda path: path.stat().st_size)


@pytest.mark.parametrize(
    ("kind", "damage", "check", "words"),
    [
        ("plain", _drop("backup_label"), "backup-label", "backup_label is missing"),
        ("plain-without-manifest", _drop("backup_label"), "backup-label", "backup_label is missing"),
        ("plain", _drop("global/pg_control"), "backup-incomplete", "global/pg_control missing"),
        ("plain", _drop("global", "pg_xact"), "backup-incomplete", "global, pg_xact, global/pg_control missing"),
        ("plain", _drop("base/1"), "backup-incomplete", "files are missing"),
        ("plain", lambda folder: _cut(_one_relation(folder), 0.5), "backup-damaged", "bytes, the manifest says"),
        ("plain", lambda folder: _flip(folder / "global/pg_control", 20), "backup-damaged", "CRC-32C"),
        ("plain", lambda folder: _flip(folder / "backup_manifest", 500), "backup-damaged", "backup_manifest"),
        ("plain", _cut_file("backup_manifest", 0.7), "backup-incomplete", "cut off"),
        ("plain", _write("backup_manifest", b""), "backup-incomplete", "cut off"),
        ("plain", _rename("backup_manifest", "backup_manifest.tmp"), "backup-incomplete", "never finished"),
        ("plain-without-manifest", _write("backup_label", b"START\n"), "backup-label", "START WAL LOCATION"),
        ("plain", _link_label, "backup-damaged", "backup_label"),
        ("plain", _pipe_label, "backup-damaged", "not an ordinary file"),
        ("plain", _write("PG_VERSION", b"twelve\n"), "backup-damaged", "PG_VERSION"),
        ("plain-without-manifest", _write("PG_VERSION", b"12\n"), "major-version", "PostgreSQL 12"),
        ("plain", _write("postmaster.pid", b"1\n"), "backup-label", "a server was started"),
        ("plain", _rename("backup_label", "backup_label.old"), "backup-label", "a server was started"),
        ("tar", _cut_file("base.tar", 0.6), "backup-incomplete", "base.tar"),
        ("tar-without-manifest", lambda folder: _cut(folder / "base.tar", 0.9), "backup-incomplete", "base.tar"),
        ("gzip", _cut_file("base.tar.gz", 0.6), "backup-incomplete", "cut off"),
        # one bit alone may decode to the very same bytes
        ("gzip", lambda folder: _flip(folder / "base.tar.gz", 30_000, 64), "backup-incomplete", "base.tar.gz"),
        ("gzip", _write("base.tar.gz", b""), "backup-incomplete", "base.tar.gz"),
        ("tar", _drop("base.tar"), "backup-incomplete", "no base.tar"),
        ("tar", _rename("base.tar", "base.tar.bz2"), "build-features", "base.tar.bz2 is packed"),
        ("gzip", _rename("backup_manifest", "backup_manifest.tmp"), "backup-incomplete", "never finished"),
    ],
)
def test_a_damaged_backup_is_not_usable(
    shelf: Shelf, kind: str, damage: Callable[[Path], None], check: str, words: str
) -> None:
    damage(shelf.put(kind))
    (backup,) = shelf.read().base_backups
    assert (backup.usable, backup.failed_check) == (False, check)
    assert words in (backup.reason or "")


def test_a_tar_without_its_last_blocks_is_cut_off(shelf: Shelf) -> None:
    """Cut between two members: nothing but the missing end tells of it."""
    folder = shelf.put("tar-without-manifest")
    path = folder / "base.tar"
    path.write_bytes(path.read_bytes().rstrip(b"\0"))
    size = path.stat().st_size
    os.truncate(path, size + (-size % 512))
    assert "cut off" in (shelf.read().base_backups[0].reason or "")


@pytest.mark.parametrize("name", ["base.tar", "pg_wal.tar"])
def test_a_pipe_in_a_tars_place_makes_that_backup_unusable_and_hides_no_other(shelf: Shelf, name: str) -> None:
    shelf.put("plain")
    folder = shelf.put("tar")
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    found = {each.id: each for each in shelf.read(patience=5).base_backups}
    assert found["plain"].usable
    assert f"{name} is not an ordinary file" in (found["tar"].reason or "")


def test_headers_without_end_before_a_tars_first_member_are_damage(shelf: Shelf) -> None:
    """Each says that the next one has a long name: a reader that follows them one in another runs out of stack."""
    folder = shelf.put("tar")
    long_name = tarfile.TarInfo("././@LongLink")
    long_name.type, long_name.size = tarfile.GNUTYPE_LONGNAME, 4
    block = long_name.tobuf(tarfile.GNU_FORMAT) + b"name".ljust(512, b"\0")
    (folder / "base.tar").write_bytes(block * 3000 + (folder / "base.tar").read_bytes())
    (backup,) = shelf.read().base_backups
    assert not backup.usable and "base.tar" in (backup.reason or "")


def test_a_tablespaces_tar_must_be_there_and_whole(shelf: Shelf) -> None:
    folder = shelf.put("tar")
    (space,) = [path for path in folder.glob("*.tar") if path.stem.isdigit()]
    os.truncate(space, 700)
    assert f"{space.name} is cut off" in (shelf.read().base_backups[0].reason or "")
    space.unlink()
    assert f"{space.name} of the tablespace" in (shelf.read().base_backups[0].reason or "")


def test_a_tablespace_that_leads_nowhere_is_found(shelf: Shelf) -> None:
    folder = shelf.put("plain")
    (link,) = [path for path in (folder / "pg_tblspc").iterdir() if path.is_symlink()]
    link.unlink()
    link.symlink_to(shelf.root / "gone")
    (backup,) = shelf.read().base_backups
    assert backup.failed_check == "tablespaces"


def test_what_is_no_backup_is_a_problem_or_passed_over(shelf: Shelf) -> None:
    (shelf.base / "empty").mkdir()
    (shelf.base / "foreign").mkdir()
    (shelf.base / "foreign" / "letter.odt").touch()
    (shelf.base / "PG_15_1").mkdir()
    (shelf.base / "spare").mkdir()
    (shelf.base / "spare" / "PG_15_202209061").mkdir()
    (shelf.base / "lost").symlink_to("nowhere")
    (shelf.base / "round").symlink_to("round")
    (shelf.base / "bad\nname").mkdir()
    (shelf.base / "notes.txt").touch()
    (shelf.base / ".hidden").mkdir()
    (Path(os.fsdecode(os.fsencode(shelf.base) + b"/latin-\xe9"))).mkdir()
    shelf.put("plain")
    (shelf.base / "latest").symlink_to("plain")
    found = shelf.read()
    assert [each.id for each in found.base_backups] == ["plain"]
    said = {Path(problem.where).name: problem.what for problem in found.problems}
    assert "empty" in said["empty"] and "no backup" in said["foreign"] and "nowhere" in said["lost"]
    assert "tablespace" in said["spare"] and "round" in said
    assert sum("name cannot be shown" in what for what in said.values()) == 2
    assert ".hidden" not in said and "notes.txt" not in said and "latest" not in said


def test_a_folder_that_is_itself_a_backup_is_named(shelf: Shelf) -> None:
    shelf.base.rmdir()
    shutil.copytree(shelf.copies.cluster.backups / "gzip", shelf.base)
    assert any("not a folder of backups" in problem.what for problem in shelf.read().problems)


def test_folders_that_are_away_are_said_to_be(shelf: Shelf) -> None:
    shelf.base.rmdir()
    shelf.wal.rmdir()
    shelf.wal.touch()
    found = shelf.read()
    assert not found.archive_answers and not found.backups_answer
    assert "not a folder" in (found.archive_problem or "")
    assert "No such file" in (found.backups_problem or "")
    assert {problem.where for problem in found.problems} == {str(shelf.base), str(shelf.wal)}


def test_a_backup_of_another_cluster_is_kept_and_flagged(shelf: Shelf) -> None:
    shelf.put("tar")
    shutil.copytree(shelf.copies.cluster.archive, shelf.wal, dirs_exist_ok=True)
    for path in shelf.wal.iterdir():
        if len(path.name) == 24:
            data = bytearray(path.read_bytes())
            data[24] ^= 0xFF  # the system identifier in the first page
            path.write_bytes(data)
    found = shelf.read()
    assert found.base_backups[0].usable
    assert any("system identifier" in problem.what for problem in found.problems)
