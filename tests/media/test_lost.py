"""What nobody has, read out of a run's decisions while the run may go on with them."""

import sqlite3
from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest

from engine.media import lost
from engine.media.choices import Choices, Lost
from engine.media.lost import read_lost
from engine.media.references import collect
from engine.media.trying import LEFT
from engine.records.errors import RepriseError

COLUMNS = ("path", "size", "sha256", "id")


@pytest.fixture
def choices(tmp_path: Path) -> Path:
    """The second of five is referred to by nobody: a snapshot alone should have had it."""
    path = tmp_path / "files.sqlite"
    with Choices(path) as choices:
        for number in range(5):
            choices.lose(Lost(f"{number}".encode(), None, number, number != 1, "no snapshot has it"))
    return path


def test_all_of_it_is_listed_page_by_page_with_its_rows(choices: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lost, "_PAGE", 2)
    references = choices.with_name("references.sqlite")
    collect([(f"{number}", None, None, number * 10) for number in range(9)], references, None, COLUMNS)
    found = [(each.path, each.rows, each.size, each.named) for each in read_lost(choices, references)]
    assert found == [
        (b"0", 1, 0, ({"id": 0},)),
        (b"1", 0, 1, ()),
        *((f"{number}".encode(), 1, number, ({"id": number * 10},)) for number in (2, 3, 4)),
    ]


def test_what_is_still_sought_by_its_content_is_not_listed(choices: Path) -> None:
    with Choices(choices) as writing:
        for number in (5, 6):
            writing.lose(Lost(f"{number}".encode(), "ab" * 32, None, 1, "no snapshot has it"))
        writing.ask("INSERT INTO sought VALUES (?)", b"6")
        for left, told in (("all", b"6"), ("unsized", b"6"), ("none", b"5")):
            writing.keep(LEFT, left)
            writing.commit()
            references = choices.with_name("references.sqlite")
            collect([(f"{number}", 1, None, number) for number in range(9)], references, None, COLUMNS)
            assert [each.path for each in read_lost(choices, references)][5] == told


def test_without_references_the_files_are_listed_all_the_same(choices: Path) -> None:
    found = [(each.path, each.named) for each in read_lost(choices, choices.with_name("absent"))]
    assert found == [(f"{number}".encode(), ()) for number in range(5)]


def test_beside_references_of_a_version_that_named_no_rows_the_files_are_listed_all_the_same(choices: Path) -> None:
    references = choices.with_name("references.sqlite")
    with closing(sqlite3.connect(references)) as connection:
        connection.execute("CREATE TABLE reference (key BLOB PRIMARY KEY, rows INTEGER) WITHOUT ROWID")
    found = [(each.path, each.named) for each in read_lost(choices, references)]
    assert found == [(f"{number}".encode(), ()) for number in range(5)]


def test_a_reader_that_takes_its_time_never_keeps_the_run_from_writing(
    choices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lost, "_PAGE", 2)
    reading = read_lost(choices, choices.with_name("absent"))
    assert [each.path for each in islice(reading, 1)] == [b"0"]
    with Choices(choices) as writing:
        writing.ask("PRAGMA busy_timeout = 0")
        writing.found(b"3")
        writing.commit()
    assert [each.path for each in reading] == [b"1", b"2", b"4"]


def test_what_is_no_run_s_decisions_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "files.sqlite").write_bytes(b"something else" * 100)
    with pytest.raises(RepriseError, match="cannot be read"):
        list(read_lost(tmp_path / "files.sqlite", tmp_path / "absent"))
