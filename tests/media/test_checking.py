"""Files held against references: whatever is wrong is found and named, nothing is changed, and a check that was stopped
goes on where it was."""

import hashlib
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.media import check_book
from engine.media.checking import check_again, check_files, read_findings
from engine.media.references import References, collect
from engine.records.checking import FileCheck
from engine.records.errors import Unreachable


class Stopped(Exception):
    """As a ctrl+c in the midst of it."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "media"
    for number in range(60):
        folder = root / f"{number % 5}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.bin").write_bytes(f"file {number}".encode() * number)
    return root


def rows_of(root: Path) -> list[tuple[str, int, str]]:
    """A row for each file, as it is."""
    files = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    return [
        (str(path.relative_to(root)), path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(files)
    ]


@pytest.fixture
def check(root: Path, tmp_path: Path) -> Callable[..., FileCheck]:
    def check(rows: Iterable[tuple[object, ...]], **options: object) -> FileCheck:
        return check_files(root, gathered(rows, tmp_path), tmp_path / "book", **options)  # type: ignore[arg-type]

    return check


def gathered(rows: Iterable[tuple[object, ...]], folder: Path) -> References:
    return collect(rows, folder / "references")


def found(check: FileCheck, kind: str) -> list[tuple[bytes, str, int]]:
    return [(each.path, each.why, each.rows) for each in read_findings(check.book, kind)]


def test_files_that_are_right_are_right(root: Path, check: Callable[..., FileCheck]) -> None:
    rows = rows_of(root)
    told = check(rows)
    assert (told.ok, told.checked, told.missing, told.wrong, told.orphans) == (True, 60, 0, 0, 0)
    assert told.bytes == sum(size for _, size, _ in rows)
    assert told.as_check().ok is True


def test_missing_wrong_and_orphans_are_found_and_nothing_is_changed(
    root: Path, check: Callable[..., FileCheck]
) -> None:
    rows: list[tuple[object, ...]] = [*rows_of(root), ("0/5.bin", None, None), ("no/where", 7, None), ("no/where",)]
    (root / "0/10.bin").unlink()
    (root / "1/11.bin").write_bytes(b"shorter")
    damaged = root / "2/12.bin"
    status = damaged.stat()
    damaged.write_bytes(b"x" * status.st_size)
    os.utime(damaged, ns=(status.st_atime_ns, status.st_mtime_ns))
    (root / "3/new").write_bytes(b"12345")
    (root / "zz\nnew").write_bytes(b"12")
    before = {path: path.lstat().st_ctime_ns for path in root.rglob("*")}
    told = check(rows)
    assert found(told, "missing") == [(b"0/10.bin", "", 1), (b"no/where", "", 2)]
    assert found(told, "wrong") == [
        (b"1/11.bin", f"it has 7 bytes, the database says {len('file 11') * 11}", 1),
        (b"2/12.bin", "it has other content than the database says", 1),
    ]
    assert found(told, "orphan") == [(b"3/new", "", 0), (b"zz\nnew", "", 0)]
    assert (told.missing, told.wrong, told.orphans, told.orphan_bytes, told.ok) == (2, 2, 2, 7, False)
    assert told.as_check().ok is False
    assert {path: path.lstat().st_ctime_ns for path in root.rglob("*")} == before


def test_what_is_missing_or_wrong_is_found_with_its_rows_and_a_stopped_check_goes_on_with_them(
    root: Path, tmp_path: Path
) -> None:
    (root / "0/10.bin").unlink()
    (root / "1/11.bin").write_bytes(b"shorter")
    rows = [(*row, number, row[0][:3]) for number, row in enumerate(rows_of(root))]
    rows += [("0/10.bin", 80, "", 70, "a\nb"), ("0/10.bin", 80, "", 71, None)]
    rows = [(path, 8 if path == "1/11.bin" else size, None, id, part) for path, size, _, id, part in rows]
    found = collect(rows, tmp_path / "references", None, ("path", "size", "sha256", "id", "part"))
    told = check_files(root, found, tmp_path / "book")
    assert told.names_rows
    assert [each.named for each in read_findings(told.book, "missing")] == [
        ({"id": 70, "part": "a\nb"}, {"id": 71, "part": None})
    ]
    ((wrong,),) = [each.named for each in read_findings(told.book, "wrong")]
    assert wrong["part"] == "1/1"
    assert stat.S_IMODE((tmp_path / "book").stat().st_mode) == 0o600


def test_orphans_are_no_error_and_what_came_since_is_none(root: Path, check: Callable[..., FileCheck]) -> None:
    rows = rows_of(root)
    (root / "orphan").write_bytes(b"x")
    assert (check(rows).orphans, check(rows).ok) == (1, True)
    assert check(rows, asked_at=datetime.now(UTC) - timedelta(hours=1)).orphans == 0
    assert check(rows, asked_at=datetime.now(UTC) + timedelta(hours=1)).orphans == 1


def test_checked_again_only_what_is_still_referred_to_and_still_missing_or_wrong_counts(
    root: Path, check: Callable[..., FileCheck], tmp_path: Path
) -> None:
    rows = rows_of(root)
    (root / "0/5.bin").unlink()
    (root / "0/10.bin").unlink()
    right = (root / "1/11.bin").read_bytes()
    (root / "1/11.bin").write_bytes(b"half of it")
    (root / "2/12.bin").write_bytes(b"wrong")
    told = check(rows)
    assert (told.missing, told.wrong) == (2, 2)
    (root / "1/11.bin").write_bytes(right)
    fewer = gathered((row for row in rows if row[0] != "0/5.bin"), tmp_path)
    again = check_again(told, fewer, tmp_path / "again")
    assert (found(again, "missing"), [each[0] for each in found(again, "wrong")]) == (
        [(b"0/10.bin", "", 1)],
        [b"2/12.bin"],
    )
    assert (again.checked, again.missing, again.wrong) == (60, 1, 1)


def test_one_path_alone_is_checked_with_what_lies_below_it(root: Path, check: Callable[..., FileCheck]) -> None:
    rows: list[tuple[object, ...]] = [*rows_of(root), ("0/none",), ("00/none",), ("1/none",)]
    (root / "0/orphan").write_bytes(b"x")
    (root / "1/orphan").write_bytes(b"x")
    told = check(rows, only=b"0")
    assert (told.checked, found(told, "missing"), found(told, "orphan")) == (
        13,
        [(b"0/none", "", 1)],
        [(b"0/orphan", "", 0)],
    )
    assert check(rows, only=b"0/5.bin").ok


def test_what_stands_behind_a_link_or_is_no_file_is_wrong(root: Path, check: Callable[..., FileCheck]) -> None:
    (root / "link").symlink_to("0")
    (root / "out").symlink_to("/etc")
    (root / "file-link").symlink_to("0/0.bin")
    os.mkfifo(root / "pipe")
    rows = [(name,) for name in ("link/0.bin", "out/passwd", "file-link", "pipe", "1", "0/5.bin/below")]
    told = check(rows)
    assert found(told, "wrong") == [
        (b"1", "it is a folder", 1),
        (b"file-link", "it is a symbolic link, which is not followed", 1),
        (b"link/0.bin", "it lies behind a symbolic link, which is not followed", 1),
        (b"out/passwd", "it lies behind a symbolic link, which is not followed", 1),
        (b"pipe", "it is no plain file", 1),
    ]
    assert found(told, "missing") == [(b"0/5.bin/below", "", 1)]


def test_rows_that_name_no_file_make_it_not_ok(root: Path, check: Callable[..., FileCheck]) -> None:
    told = check([*rows_of(root), (None,), ("../outside",)])
    assert (told.missing, told.wrong, told.ok, len(told.problems)) == (0, 0, False, 2)


def stop_after(files: int) -> Callable[[int, int, int], None]:
    def progress(done: int, total: int, bytes: int) -> None:
        if done >= files:
            raise Stopped

    return progress


def test_a_stopped_check_goes_on_and_reads_only_what_changed_or_is_left(
    root: Path, check: Callable[..., FileCheck], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(400):
        (root / f"more-{number:03}").write_bytes(b"x" * 10)
    rows = rows_of(root)
    with pytest.raises(Stopped):
        check(rows, progress=stop_after(200))
    changed = root / "0/10.bin"
    status = changed.stat()
    changed.write_bytes(b"y" * status.st_size)
    os.utime(changed, ns=(status.st_atime_ns, status.st_mtime_ns))
    told = check(rows)
    assert told.resumed_from is not None
    assert 150 < told.trusted < 460
    assert told.checked == 460
    assert 0 < told.bytes < sum(size for _, size, _ in rows)
    assert found(told, "wrong") == [(b"0/10.bin", "it has other content than the database says", 1)]
    again = check(rows)  # that one is done: nothing is trusted any more
    assert (again.resumed_from, again.trusted, again.wrong) == (None, 0, 1)


KILLED = """
import os, signal, sys
from pathlib import Path
from engine.media.checking import check_files
from engine.media.references import open_references
root, references, book = map(Path, sys.argv[1:])
check_files(root, open_references(references), book,
            progress=lambda done, total, read: done >= 2300 and os.kill(os.getpid(), signal.SIGKILL))
"""


def test_a_killed_check_goes_on_with_what_it_had_written_down(root: Path, tmp_path: Path) -> None:
    for number in range(2500):
        (root / f"more-{number:04}").write_bytes(b"x")
    references = gathered(rows_of(root), tmp_path)
    words = [sys.executable, "-c", KILLED, root, references.path, tmp_path / "book"]
    assert subprocess.run(words, cwd=Path(__file__).parents[2], check=False).returncode == -signal.SIGKILL
    told = check_files(root, references, tmp_path / "book")
    assert told.resumed_from is not None and told.trusted >= 2000
    assert (told.checked, told.missing, told.wrong) == (2560, 0, 0)


def test_a_stopped_check_of_another_folder_or_of_long_ago_is_begun_anew(
    root: Path, check: Callable[..., FileCheck], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of(root)
    for goes_on, spoil in (
        (True, lambda: None),
        (False, lambda: monkeypatch.setattr(check_book, "_GOOD_FOR", timedelta(0))),
        (False, lambda: (tmp_path / "book").write_bytes(b"not a database at all" * 100)),
    ):
        with pytest.raises(Stopped):
            check(rows, progress=stop_after(40))
        spoil()
        assert (check(rows).resumed_from is not None) == goes_on
        monkeypatch.undo()
    with pytest.raises(Stopped):
        check(rows, progress=stop_after(40))
    other = tmp_path / "other"
    root.rename(other)
    assert check_files(other, gathered(rows, tmp_path), tmp_path / "book").resumed_from is None


def test_a_folder_that_is_not_there_is_told_once(root: Path, check: Callable[..., FileCheck]) -> None:
    rows = rows_of(root)
    root.rename(root.with_name("away"))
    with pytest.raises(Unreachable, match="media cannot be read"):
        check(rows)


def test_however_many_rows_are_gathered_and_checked_in_bounded_memory(tmp_path: Path) -> None:
    """A quarter of a million, which are 60 MB where they are held; SQLite's own cache is made small beside that."""
    (tmp_path / "media").mkdir()
    program = (
        "import resource, sys; from pathlib import Path; from engine.media import references\n"
        "from engine.media.checking import check_files\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before, folder, references._CACHE = peak(), Path(sys.argv[1]), 1 << 10\n"
        "rows = ((f'{n * 7919 % 3650}/{n}.pdf', n, n.to_bytes(32, 'big')) for n in range(250_000))\n"
        "found = references.collect(rows, folder / 'references')\n"
        "assert sum(1 for each in found) == 250_000\n"
        "told = check_files(folder / 'media', found, folder / 'book')\n"
        "assert told.missing == 250_000\n"
        "print(peak() - before)"
    )
    told = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, check=True)
    assert int(told.stdout) < 24 << 10  # KiB
