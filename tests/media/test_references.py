"""What the database refers to: paths made one, in a catalogue's order, in bounded memory, rows that are of no use told
by name, and the rows of a file by what the query returns of them besides."""

import hashlib
import json
import sqlite3
import stat
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from engine.media.references import collect, open_references
from engine.records.errors import RepriseError

DIGEST = hashlib.sha256(b"").digest()


@pytest.fixture
def into(tmp_path: Path) -> Path:
    return tmp_path / "references"


@pytest.mark.parametrize(
    ("prefix", "path", "meant"),
    [
        (None, "2026/a.pdf", b"2026/a.pdf"),
        (None, "./2026//./a.pdf", b"2026/a.pdf"),
        (None, "/2026/a.pdf", b"2026/a.pdf"),
        (None, "2026/../2025/a.pdf", b"2025/a.pdf"),
        (None, b"\xff\n", b"\xff\n"),
        (None, memoryview(b"a/\xe9"), b"a/\xe9"),
        (None, "grün", "grün".encode()),
        ("/srv/media", "/srv/media/a", b"a"),
        ("/srv/media/", "/srv/media/a", b"a"),
        ("/srv/media/", "//srv/./media//a", b"a"),
        ("/srv/media", "a/b", b"a/b"),
        ("uploads", "/uploads/a", b"a"),
        ("/uploads/", "uploads/a", b"a"),
        ("uploads", "uploads2/a", b"uploads2/a"),
        ("https://files.example/m", "https://files.example/m/a", b"a"),
    ],
)
def test_a_path_is_made_relative_to_the_media_folder(
    into: Path, prefix: str | None, path: object, meant: bytes
) -> None:
    found = collect([(path,)], into, prefix)
    assert [(each.path, each.rows) for each in found] == [(meant, 1)]
    assert found.problems == []


@pytest.mark.parametrize(
    ("prefix", "path", "told"),
    [
        (None, "../etc/passwd", "a path leads out of the media folder: ../etc/passwd"),
        (None, "a/../../b\n", "a path leads out of the media folder: a/../../b\\n"),
        ("/srv/media", "/srv/media/../../../x", "a path leads out of the media folder: /srv/media/../../../x"),
        ("/srv/media", "/srv/media/../secret", "a path does not lie below strip_prefix: /srv/media/../secret"),
        ("/srv/media", "/etc/passwd", "a path does not lie below strip_prefix: /etc/passwd"),
        ("/srv/media", "/srv/media", "a path is the media folder itself: /srv/media"),
        (None, "", "a path is the media folder itself: "),
        (None, None, "rows have no path (NULL): 1"),
        (None, 17, "a path is neither text nor bytea: 17"),
        (None, b"a\0b", "a path has a zero byte in it: a\\x00b"),
    ],
)
def test_a_row_that_names_no_file_is_a_problem_by_name(into: Path, prefix: str | None, path: object, told: str) -> None:
    found = collect([(path, 1, DIGEST), ("fine",)], into, prefix)
    assert [each.path for each in found] == [b"fine"]
    assert found.problems == [told]


@pytest.mark.parametrize(
    "written",
    [DIGEST, memoryview(DIGEST), DIGEST.hex(), DIGEST.hex().upper(), "\\x" + DIGEST.hex(), DIGEST.hex().encode()],
)
def test_a_checksum_is_bytea_or_hexadecimal(into: Path, written: object) -> None:
    (found,) = collect([("a", Decimal(7), written)], into)
    assert (found.size, found.sha256) == (7, DIGEST.hex())


def test_a_size_or_checksum_that_is_none_is_told_and_not_believed(into: Path) -> None:
    rows = [("a", -1, DIGEST), ("b", "many", None), ("c", 1.5, "d41d8cd98f00b204e9800998ecf8427e"), ("d", "12", "zz")]
    found = collect(rows, into)
    assert [(each.size, each.sha256) for each in found] == [
        (None, DIGEST.hex()),
        (None, None),
        (None, None),
        (12, None),
    ]
    assert found.problems == [
        *(f"a size is not a number of bytes: {name}" for name in "abc"),
        *(f"a checksum is not a SHA-256: {name}" for name in "cd"),
    ]


def test_rows_of_one_file_are_one_reference_and_contradictions_are_told(into: Path) -> None:
    other = hashlib.sha256(b"x").digest()
    rows: list[tuple[object, ...]] = [("b",), ("a", 1, None), ("./a", None, DIGEST), ("a", 1, DIGEST)]
    rows += [("c", 1, DIGEST), ("c", 2, DIGEST), ("d", 1, DIGEST), ("d", 1, other), ("e", 3, other), ("e", 4, DIGEST)]
    found = collect(rows, into)
    assert [tuple(each)[:4] for each in found] == [
        (b"a", 1, DIGEST.hex(), 3),
        (b"b", None, None, 1),
        (b"c", None, DIGEST.hex(), 2),
        (b"d", 1, None, 2),
        (b"e", None, None, 2),
    ]
    assert found.count() == 5
    assert found.problems == [
        *(f"rows give one file two sizes: {name}" for name in "ce"),
        *(f"rows give one file two checksums: {name}" for name in "de"),
    ]


def test_the_order_is_a_catalogues_and_the_file_can_be_opened_again(into: Path) -> None:
    names = [b"a", b"a/z", b"a-b", b"a.b", b"a/b/c", b"b\xff", b"b"]
    collect([(name,) for name in names], into)
    assert [each.path for each in open_references(into)] == sorted(names, key=lambda name: name.split(b"/"))


def test_what_was_cut_off_is_no_references_and_an_earlier_one_stays(into: Path) -> None:
    def broken() -> object:
        yield ("b",)
        raise RuntimeError("the server went away")

    collect([("a",)], into)
    with pytest.raises(RuntimeError):
        collect(broken(), into)  # type: ignore[arg-type]
    assert [each.path for each in open_references(into)] == [b"a"]
    assert [each.name for each in into.parent.iterdir()] == [into.name]
    into.write_bytes(b"something else")
    with pytest.raises(RepriseError):
        open_references(into)


def test_many_problems_are_counted_and_only_the_first_named(into: Path) -> None:
    found = collect(((f"../{number}",) for number in range(100)), into)
    assert len(found.problems) == 21
    assert found.problems[-1] == "a path leads out of the media folder: 80 more"


NAMED = ("path", "size", "sha256", "id", "title")


def test_the_first_rows_of_a_file_are_known_by_the_further_columns(into: Path) -> None:
    rows = [("a" if number else "b", None, None, number, f"Contract {number}") for number in range(6)]
    found = collect(rows, into, None, NAMED)
    assert found.names_rows
    assert [(each.path, each.rows, each.named) for each in found] == [
        (b"a", 5, tuple({"id": number, "title": f"Contract {number}"} for number in (1, 2, 3))),
        (b"b", 1, ({"id": 0, "title": "Contract 0"},)),
    ]
    assert list(open_references(into).named([b"b", b"nowhere"])) == [({"id": 0, "title": "Contract 0"},), ()]


@pytest.mark.parametrize("columns", [(), NAMED[:3], NAMED[:1]])
def test_a_query_of_three_columns_names_no_row(into: Path, columns: tuple[str, ...]) -> None:
    found = collect([("a", 1, DIGEST, "not", "told"), ("a", 1, DIGEST)], into, None, columns)
    assert not found.names_rows
    assert [(each.size, each.sha256, each.rows, each.named) for each in found] == [(1, DIGEST.hex(), 2, ())]


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (17, 17),
        (True, True),
        (None, None),
        (1 << 70, str(1 << 70)),
        (0.5, 0.5),
        (float("nan"), "nan"),
        (Decimal("1.50"), "1.50"),
        ("\x1b[31m\n\u202e", "\x1b[31m\n\u202e"),
        ("\udcff", "\\udcff"),
        ("x" * 100, "x" * 79 + "…"),
        (b"caf\xc3\xa9", "café"),
        (memoryview(b"\x00\xff"), "\\x00ff"),
        (["a", 1], "['a', 1]"),
    ],
)
def test_whatever_a_further_column_holds_is_kept_as_json_and_cut(into: Path, value: object, kept: object) -> None:
    (found,) = collect([("a", None, None, value)], into, None, ("path", "size", "sha256", "id"))
    assert found.named == ({"id": kept},)
    json.dumps(found.named, allow_nan=False).encode()


def test_columns_of_one_name_are_told_apart_and_no_more_than_eight_are_kept(into: Path) -> None:
    columns = ("path", "size", "sha256", "id", "id", "?column?", *(f"c{number}" for number in range(9)))
    (found,) = collect([("a", None, None, *range(12))], into, None, columns)
    assert list(found.named[0].items()) == [
        *(("id", 0), ("id (2)", 1), ("?column?", 2)),
        *((f"c{number}", number + 3) for number in range(5)),
    ]


def test_the_rows_are_for_the_owner_of_the_file_alone(into: Path) -> None:
    collect([("a", None, None, 1, "Dismissal")], into, None, NAMED)
    assert stat.S_IMODE(into.stat().st_mode) == 0o600


def test_what_a_version_gathered_that_named_no_rows_is_still_read(into: Path) -> None:
    with closing(sqlite3.connect(into)) as connection:
        connection.executescript(
            "CREATE TABLE reference (key BLOB PRIMARY KEY, size INTEGER, sha256 BLOB, rows INTEGER NOT NULL, "
            "contradicted INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID; CREATE TABLE problem (told TEXT NOT NULL); "
            "CREATE TABLE whole (yes INTEGER); INSERT INTO reference VALUES (x'61', 1, NULL, 2, 0);"
        )
    found = open_references(into)
    assert [(each.path, each.size, each.rows, each.named) for each in found] == [(b"a", 1, 2, ())]
    assert not found.names_rows and list(found.named([b"a", b"b"])) == [(), ()]
