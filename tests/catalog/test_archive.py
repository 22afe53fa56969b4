"""WAL archives as archive commands, Barman and pgBackRest leave them."""

import gzip
import os
import shutil
import threading
from pathlib import Path

import lz4.frame
import pytest

from engine.catalog.directory import read_repository
from engine.catalog.waiting import with_patience
from engine.records.errors import Unreachable
from engine.site import DatabaseRepository
from tests.catalog.conftest import Copies, Shelf

SHA1 = "0123456789abcdef0123456789abcdef01234567"


def _segments(copies: Copies) -> list[Path]:
    return sorted(path for path in copies.cluster.archive.iterdir() if len(path.name) == 24)


def test_a_flat_archive_is_listed_in_order(copies: Copies) -> None:
    found = read_repository(copies.site, "main")
    segments = _segments(copies)
    assert [Path(file.path) for file in found.wal_files] == segments
    status = segments[0].stat()
    first = found.wal_files[0]
    assert (first.size_bytes, first.mtime_ns, first.inode) == (status.st_size, status.st_mtime_ns, status.st_ino)
    assert first.compression is None and not first.partial and first.timeline == 1


def test_nested_and_packed_archives_give_the_same_segments(shelf: Shelf) -> None:
    segments = _segments(shelf.copies)
    expected = [(1, file.number) for file in read_repository(shelf.copies.site, "main").wal_files]
    for count, path in enumerate(segments):
        barman = shelf.wal / path.name[:16]
        pgbackrest = shelf.wal / "15-1" / path.name[:16]
        for folder in (barman, pgbackrest):
            folder.mkdir(parents=True, exist_ok=True)
        data = path.read_bytes()
        if count % 4 == 0:
            (barman / path.name).write_bytes(gzip.compress(data, 1))  # Barman keeps the plain name
        elif count % 4 == 1:
            (pgbackrest / f"{path.name}-{SHA1}.lz4").write_bytes(lz4.frame.compress(data))
        elif count % 4 == 2:
            (shelf.wal / f"{path.name}.gz").write_bytes(gzip.compress(data, 1))
        else:
            (pgbackrest / f"{path.name}-{SHA1}").write_bytes(data)
    (shelf.wal / "xlog.db").touch()
    (shelf.wal / "15-1" / "archive.info").touch()
    found = shelf.read()
    assert [(file.timeline, file.number) for file in found.wal_files] == expected
    assert [file.compression for file in found.wal_files[:4]] == ["gzip", "lz4", "gzip", None]
    assert found.problems == []
    assert (found.segment_size, found.system_identifier) == (
        shelf.copies.cluster.segment_size,
        read_repository(shelf.copies.site, "main").system_identifier,
    )


def test_history_partial_unfinished_and_foreign_files(shelf: Shelf) -> None:
    source = _segments(shelf.copies)[0]
    shutil.copy(source, shelf.wal / source.name)
    (shelf.wal / f"{source.name}.gz").write_bytes(gzip.compress(source.read_bytes(), 1))
    shutil.copy(source, shelf.wal / f"{source.name[:-2]}77.partial")
    (shelf.wal / "00000002.history").write_text("1\t0/900000\tno recovery target specified\n")
    (shelf.wal / "00000003.history.gz").write_bytes(gzip.compress(b"1\t0/900000\tx\n2\t0/A00000\ty\n"))
    (shelf.wal / "00000004.history").write_text("nonsense")
    (shelf.wal / "00000005.history").write_text("9\t0/900000\tits own child\n")
    (shelf.wal / f".{source.name}.tmp").touch()
    (shelf.wal / f"{source.name}.part").touch()
    (shelf.wal / f"{source.name[:-2]}78.bz2").touch()
    (shelf.wal / f"{source.name[:-2]}79").symlink_to("nowhere")
    (shelf.wal / f"{source.name[:-2]}7A").mkdir()
    (shelf.wal / "00000001FFFFFFFFFFFFFFFF").touch()
    (shelf.wal / "letter.odt").touch()
    found = shelf.read()
    assert [(Path(file.path).name, file.partial) for file in found.wal_files] == [
        (source.name, False),
        (f"{source.name}.gz", False),
        (f"{source.name[:-2]}77.partial", True),
    ]
    assert sorted(found.histories) == [2, 3]
    said = " | ".join(f"{problem.where}: {problem.what}" for problem in found.problems)
    for words in ("00000004.history", "00000005.history", ".bz2", "leads nowhere", "is no file", "more than once"):
        assert words in said
    assert "FFFFFFFFFFFFFFFF: 1 names do not fit" in said and "1 files are no WAL" in said
    assert len(found.problems) == 8


def test_an_archive_can_be_asked_without_being_listed(copies: Copies) -> None:
    found = read_repository(copies.site, "main", list_wal=False)
    assert (list(found.wal_files), found.archive_answers) == ([], True)
    assert set(found.stop_unknown) == {"tar-without-manifest", "plain-without-manifest"}
    away = DatabaseRepository("directory", str(copies.cluster.backups), str(copies.cluster.root / "away"))
    assert not read_repository(away, "main", list_wal=False).archive_answers


def test_an_empty_archive_is_no_problem(shelf: Shelf) -> None:
    found = shelf.read()
    assert (list(found.wal_files), found.problems, found.archive_answers) == ([], [], True)


def test_many_thousand_names_are_listed(tmp_path: Path, copies: Copies) -> None:
    wal = tmp_path / "wal"
    wal.mkdir()
    source = _segments(copies)[0]
    shutil.copy(source, wal / "000000010000000000000000")
    for number in range(1, 20_000):
        os.close(os.open(f"{wal}/00000001{number // 4096:08X}{number % 4096:08X}", os.O_CREAT | os.O_WRONLY))
    found = read_repository(DatabaseRepository("directory", str(tmp_path), str(wal)), "main")
    assert [file.number for file in found.wal_files] == list(range(20_000))


def test_a_file_system_that_hangs_counts_as_away(copies: Copies, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr("engine.catalog.directory.list_archive", lambda *_: release.wait(120))
    found = read_repository(copies.site, "main", patience=3)
    release.set()
    assert not found.archive_answers and "does not answer" in (found.archive_problem or "")
    assert found.backups_answer and len(found.base_backups) == len(copies.kinds)


def test_slow_work_that_answers_is_waited_for() -> None:
    pause = threading.Event()

    def work(alive: object) -> str:
        for _ in range(8):
            pause.wait(0.05)
            alive()  # type: ignore[operator]
        return "done"

    assert with_patience(work, "a slow disk", patience=0.3) == "done"
    with pytest.raises(Unreachable, match="a dead disk does not answer"):
        with_patience(lambda _: pause.wait(5), "a dead disk", patience=0.05)
    pause.set()
