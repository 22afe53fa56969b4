"""A base backup read through: whole ones pass, and a damage anywhere is named."""

import shutil
from pathlib import Path

import pytest

from engine.records.errors import DamagedCopy
from engine.transfer.verifying import verify_backup
from tests.histories import History

FORMATS = {"plain": "plain", "tar.gz": "tar"}


def copy_of(history: History, kind: str, open_dir: Path) -> Path:
    copy = open_dir / "backup"
    shutil.copytree(history.cluster.backups / history.backups[kind], copy, symlinks=True)
    return copy


@pytest.mark.parametrize("kind", FORMATS)
def test_a_whole_backup_passes_with_every_byte_read(history: History, kind: str) -> None:
    told: list[tuple[int, int | None]] = []
    backup = history.cluster.backups / history.backups[kind]
    assert verify_backup(backup, FORMATS[kind], lambda done, total: told.append((done, total)))
    assert told[-1][1] is not None
    assert told[-1][0] >= told[-1][1]


def test_a_bit_that_flipped_is_named_with_its_file(history: History, open_dir: Path) -> None:
    backup = copy_of(history, "plain", open_dir)
    table = max((path for path in (backup / "base").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    content = bytearray(table.read_bytes())
    content[len(content) // 2] ^= 4
    table.write_bytes(content)
    with pytest.raises(DamagedCopy, match=table.name):
        verify_backup(backup, "plain")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.97])
def test_a_flipped_bit_or_a_cut_anywhere_in_a_tar_is_found(history: History, open_dir: Path, share: float) -> None:
    backup = copy_of(history, "tar.gz", open_dir)
    archive = backup / "base.tar.gz"
    whole = archive.read_bytes()
    archive.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(DamagedCopy):
        verify_backup(backup, "tar")
    broken = bytearray(whole)
    broken[int(len(whole) * share)] ^= 1
    archive.write_bytes(broken)
    with pytest.raises(DamagedCopy):
        verify_backup(backup, "tar")


def test_a_file_too_few_and_one_too_many_are_named(history: History, open_dir: Path) -> None:
    backup = copy_of(history, "plain", open_dir)
    (backup / "base" / "stray").write_bytes(b"x")
    with pytest.raises(DamagedCopy, match="stray"):
        verify_backup(backup, "plain")
    (backup / "base" / "stray").unlink()
    (backup / "global" / "pg_filenode.map").unlink()
    with pytest.raises(DamagedCopy, match="pg_filenode"):
        verify_backup(backup, "plain")
