"""What is remembered of an archive, so that an empty folder is never taken for it."""

import resource
from pathlib import Path

from msgspec.structs import replace

from engine.acts.mounted import Seen, not_the_archive, recall, remember
from engine.catalog.directory import RepositoryContents
from engine.records.copies import WalFile
from tests.limits import limited

SEGMENT = WalFile("/wal/000000010000000000000001", 1, 1, None, 16 << 20, 0, 1)


def test_on_a_full_disk_it_stays_known_that_an_archive_had_wal(tmp_path: Path) -> None:
    had = RepositoryContents([], [SEGMENT], {}, [], [])
    marked = replace(had, marked=True)
    remember(tmp_path, "/wal", had)
    with limited(resource.RLIMIT_FSIZE, 2):
        remember(tmp_path, "/wal", marked)
    assert recall(tmp_path, "/wal") == Seen(segments=True)
    remember(tmp_path, "/wal", marked)
    assert recall(tmp_path, "/wal") == Seen(segments=True, marked=True)


def test_a_folder_that_lacks_what_the_archive_had_is_not_that_archive(tmp_path: Path) -> None:
    wal = str(tmp_path / "wal")
    empty = RepositoryContents([], [], {}, [], [])
    full = replace(empty, wal_files=[SEGMENT])
    assert not_the_archive(tmp_path, wal, empty) is None
    assert "is empty, and had WAL" in (not_the_archive(tmp_path, wal, empty, indexed=True) or "")
    remember(tmp_path, wal, full)
    assert "is empty, and had WAL" in (not_the_archive(tmp_path, wal, empty) or "")
    assert not_the_archive(tmp_path, wal, full) is None
    remember(tmp_path, wal, replace(full, marked=True))
    assert "lacks the mark" in (not_the_archive(tmp_path, wal, full) or "")
    assert not_the_archive(tmp_path, wal, replace(full, marked=True)) is None
