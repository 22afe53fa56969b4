"""What the database refers to: rows of path, size and SHA-256, sorted and counted on disk.

The rows come in any order and any number; they are gathered in an SQLite file, so that a million of them need no more
memory than a thousand. Its table ``reference`` (key, size, sha256, rows, named) is in a catalogue's order. Size and
checksum are NULL where no row says them, and where rows contradict each other, which is a problem of its own. Columns
behind these three name the row (``named``: the first ones that refer to a file).
"""

import itertools
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from engine.media.catalogue import key_of, path_of
from engine.media.row_names import KEPT, RowNames, named_rows
from engine.records.errors import RepriseError
from engine.records.rows import NamedRow
from engine.transfer.naming import shown

_BATCH = 10_000  # rows
_CACHE = 32 << 10  # KiB of SQLite's page cache while rows are gathered
_NAMED = 20  # problems of one sort that are told by name
_LARGEST = (1 << 63) - 1

_CREATE = """
CREATE TABLE reference (
    key BLOB PRIMARY KEY, size INTEGER, sha256 BLOB, rows INTEGER NOT NULL, contradicted INTEGER NOT NULL DEFAULT 0,
    named TEXT
) WITHOUT ROWID;
CREATE TABLE problem (told TEXT NOT NULL);
CREATE TABLE whole (names_rows INTEGER NOT NULL);
"""
_ADD = """
INSERT INTO reference (key, size, sha256, rows) VALUES (?, ?, ?, 1)
ON CONFLICT (key) DO UPDATE SET
    rows = rows + 1,
    contradicted = contradicted
        | ((size <> excluded.size) IS TRUE)
        | (2 * ((sha256 <> excluded.sha256) IS TRUE)),
    size = coalesce(size, excluded.size),
    sha256 = coalesce(sha256, excluded.sha256)
"""
_ADD_NAMED = f"""
{_ADD.replace("rows)", "rows, named)").replace("1)", "1, ?)")},
    named = iif(rows < {KEPT}, named || ',' || excluded.named, named)
"""


class Reference(NamedTuple):
    """One file that the database refers to: its path below the media folder, its size in bytes and its SHA-256 in
    hexadecimal (None: no row says it), and how many rows refer to it. ``kept``: the first of them, as they are kept."""

    path: bytes
    size: int | None
    sha256: str | None
    rows: int
    kept: str | None = None

    @property
    def named(self) -> tuple[NamedRow, ...]:
        """The first rows that refer to it, where the query names rows."""
        return named_rows(self.kept)


class References:
    """References in a catalogue's order, from the file ``path``; every iteration reads it anew."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __iter__(self) -> Iterator[Reference]:
        with closing(_open(self.path)) as connection:
            for key, size, digest, rows, kept in connection.execute(
                f"SELECT key, size, lower(hex(sha256)), rows, {named_column(connection)} FROM reference ORDER BY key"
            ):
                yield Reference(path_of(key), size, digest or None, rows, kept)

    def count(self) -> int:
        """Files that are referred to."""
        with closing(_open(self.path)) as connection:
            return int(connection.execute("SELECT count(*) FROM reference").fetchone()[0])

    @property
    def names_rows(self) -> bool:
        """Whether the query has columns that name a row."""
        with closing(_open(self.path)) as connection:
            if named_column(connection) == "NULL":
                return False
            return bool(connection.execute("SELECT names_rows FROM whole").fetchone()[0])

    def named(self, paths: Iterable[bytes]) -> Iterator[tuple[NamedRow, ...]]:
        """For each path the first rows that refer to it, where the query names rows."""
        with closing(_open(self.path)) as connection:
            query = f"SELECT {named_column(connection)} FROM reference WHERE key = ?"
            for path in paths:
                found = connection.execute(query, (key_of(path),)).fetchone()
                yield named_rows(found[0] if found is not None else None)

    @property
    def problems(self) -> Sequence[str]:
        """Rows that cannot be used, and rows that contradict each other: the first of each sort by name, the others as
        a number."""
        with closing(_open(self.path)) as connection:
            return [told for (told,) in connection.execute("SELECT told FROM problem ORDER BY rowid")]


def open_references(path: Path) -> References:
    """What ``collect`` has gathered. Raises RepriseError where the file is none of that."""
    try:
        with closing(_open(path)) as connection:
            connection.execute("SELECT count(*) FROM whole")
    except sqlite3.Error as problem:
        raise RepriseError(f"{shown(path)} does not hold references", cause=str(problem)) from None
    return References(path)


def named_column(connection: sqlite3.Connection, schema: str = "main") -> str:
    """Where the first rows of each file stand: NULL in what a version gathered that named none."""
    query = "SELECT EXISTS (SELECT 1 FROM pragma_table_info('reference', ?) WHERE name = 'named')"
    return "named" if connection.execute(query, (schema,)).fetchone()[0] else "NULL"


def collect(
    rows: Iterable[Sequence[Any]], into: Path, strip_prefix: str | None = None, columns: Sequence[str] = ()
) -> References:
    """Gather rows of path, size and SHA-256 (the last two may be missing) in the file ``into``, which appears when it
    is whole, for its owner alone; one before is replaced. A path is text or bytea, a checksum hexadecimal text or
    bytea. ``strip_prefix`` is taken off each path. ``columns`` are the names of all: those behind the first three name
    the row. What ``rows`` raises is passed on; RepriseError where the file cannot be written."""
    draft = into.with_name(f"{into.name}.draft")
    draft.unlink(missing_ok=True)
    problems = _Problems()
    try:
        draft.touch(mode=0o600, exist_ok=False)
        with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
            connection.executescript(
                f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-{_CACHE};{_CREATE}"
            )
            names = RowNames(columns)
            connection.execute("INSERT INTO whole VALUES (?)", (bool(names),))
            _gather(connection, rows, _Strip(strip_prefix), names, problems)
            _settle_contradictions(connection, problems)
            connection.executemany("INSERT INTO problem VALUES (?)", ((told,) for told in problems.told()))
        draft.replace(into)
    except (sqlite3.Error, OSError) as problem:
        raise RepriseError(f"{shown(into)} cannot be written", cause=str(problem)) from None
    finally:
        draft.unlink(missing_ok=True)
    return References(into)


def _gather(
    connection: sqlite3.Connection,
    rows: Iterable[Sequence[Any]],
    strip: "_Strip",
    names: RowNames,
    problems: "_Problems",
) -> None:
    add = _ADD_NAMED if names else _ADD
    source = iter(rows)
    while batch := list(itertools.islice(source, _BATCH)):
        usable: list[tuple[Any, ...]] = []
        for row in batch:
            if (found := _read(row, strip, problems)) is not None:
                usable.append((*found, names.kept(row)) if names else found)
        usable.sort(key=itemgetter(0))  # neighbours share SQLite's pages
        connection.execute("BEGIN")
        connection.executemany(add, usable)
        connection.execute("COMMIT")


def _settle_contradictions(connection: sqlite3.Connection, problems: "_Problems") -> None:
    """Where two rows give one file two sizes or two checksums, neither is believed."""
    for bit, column, what in ((1, "size", "two sizes"), (2, "sha256", "two checksums")):
        for (key,) in connection.execute(f"SELECT key FROM reference WHERE contradicted & {bit} ORDER BY key"):
            problems.add(f"rows give one file {what}", path_of(key))
        connection.execute(f"UPDATE reference SET {column} = NULL WHERE contradicted & {bit}")


class _Problems:
    """Sorts of problems, with the first names of each."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._names: dict[str, list[str]] = {}

    def add(self, what: str, name: bytes | None = None) -> None:
        self._counts[what] += 1
        names = self._names.setdefault(what, [])
        if name is not None and len(names) < _NAMED:
            names.append(shown(name.decode("utf-8", "surrogateescape")))

    def told(self) -> Iterator[str]:
        for what, count in self._counts.items():
            names = self._names[what]
            yield from (f"{what}: {name}" for name in names)
            if count > len(names):
                yield f"{what}: {count - len(names)} more" if names else f"{what}: {count}"


class _Strip:
    """The prefix that is taken off, component by component."""

    def __init__(self, prefix: str | None) -> None:
        encoded = (prefix or "").encode("utf-8", "surrogateescape")
        self.absolute = encoded.startswith(b"/")
        self.parts = _parts(encoded) or []

    def off(self, path: bytes) -> tuple[list[bytes] | None, str]:
        """The path's components without the prefix; or None, and what is wrong with it."""
        parts = _parts(path)
        if parts is None:
            return None, "a path leads out of the media folder"
        length = len(self.parts)
        if length and parts[:length] == self.parts:
            parts = parts[length:]
        elif length and self.absolute and path.startswith(b"/"):
            return None, "a path does not lie below strip_prefix"
        return (parts, "") if parts else (None, "a path is the media folder itself")


def _parts(path: bytes) -> list[bytes] | None:
    """A path's components, ``.``, ``//`` and ``..`` resolved by their text; None where it leads above its beginning."""
    parts: list[bytes] = []
    for part in path.split(b"/"):
        if part == b"..":
            if not parts:
                return None
            parts.pop()
        elif part not in (b"", b"."):
            parts.append(part)
    return parts


def _read(row: Sequence[Any], strip: _Strip, problems: _Problems) -> tuple[bytes, int | None, bytes | None] | None:
    path, size, digest = (*row[:3], None, None)[:3]
    if path is None:
        problems.add("rows have no path (NULL)")
        return None
    if isinstance(path, str):
        name = path.encode("utf-8", "surrogateescape")
    elif isinstance(path, bytes | bytearray | memoryview):
        name = bytes(path)
    else:
        problems.add("a path is neither text nor bytea", str(path).encode())
        return None
    if b"\0" in name:
        problems.add("a path has a zero byte in it", name)
        return None
    parts, wrong = strip.off(name)
    if parts is None:
        problems.add(wrong, name)
        return None
    return b"\0".join(parts), _size(size, name, problems), _digest(digest, name, problems)


def _size(size: Any, name: bytes, problems: _Problems) -> int | None:
    if size is None:
        return None
    try:
        number = int(size)
        if (number == size or str(number) == size) and 0 <= number <= _LARGEST:
            return number
    except (TypeError, ValueError, OverflowError):
        pass
    problems.add("a size is not a number of bytes", name)
    return None


def _digest(digest: Any, name: bytes, problems: _Problems) -> bytes | None:
    """32 bytes. Text may begin with ``\\x``, as PostgreSQL writes bytea."""
    if digest is None:
        return None
    try:
        if isinstance(digest, str):
            found = bytes.fromhex(digest.strip().removeprefix("\\x"))
        else:
            found = bytes(memoryview(digest))
            found = bytes.fromhex(found.decode("ascii")) if len(found) == 64 else found
        if len(found) == 32:
            return found
    except (TypeError, ValueError):
        pass
    problems.add("a checksum is not a SHA-256", name)
    return None


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)
