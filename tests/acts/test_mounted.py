"""What is remembered of an archive, so that an empty folder is never taken for it."""

import resource
from dataclasses import replace
from pathlib import Path

from engine.acts.mounted import Seen, recall, remember
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
