"""What a snapshot holds, asked folder by folder and by name: an SQLite file made once from its entries.

``entry`` holds a row for each. Ids go in a catalogue's order, so that what lies below a folder is a range of ids
(``id`` to ``last``), and ``place`` numbers the entries of a folder from 0: any page of a folder is one look-up, however
many it has. A folder's ``files`` and ``bytes`` are those of all below it. ``name`` is a trigram index over the names.
The file is a cache: where it is damaged, or another snapshot stands there now, it is made anew.
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from engine.media.catalogue import Entry, Kind
from engine.media.putting import storable
from engine.records.errors import DamagedCopy

_APPLICATION_ID = 0x5250464C
_VERSION = 1
_KEPT = 8  # listings that stay in the folder
_BATCH = 5000  # rows written at once
_SIGN_OF_LIFE = 1_000_000  # SQLite's own steps, while the indexes are made
_SHORTEST = 3  # characters that the trigram index can answer
_FIELDS = "id, parent, place, name, kind, sha256, size, mtime_ns, mode, uid, gid, target, last, children, files, bytes"
_SCHEMA = f"""
CREATE TABLE entry (id INTEGER PRIMARY KEY, {_FIELDS.removeprefix("id, ")});
CREATE VIRTUAL TABLE name USING fts5(text, content='', detail=none, tokenize='trigram');
CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
_INDEXES = """
CREATE UNIQUE INDEX entry_place ON entry (parent, place);
CREATE INDEX entry_content ON entry (sha256) WHERE sha256 IS NOT NULL;
"""
_INSERT = f"INSERT INTO entry ({_FIELDS}) VALUES ({', '.join('?' * 16)})"

Progress = Callable[[int], None]


class Listed(NamedTuple):
    """One entry. ``last``, ``children``, ``files`` and ``bytes`` are a folder's: the last id below it, how many
    entries stand in it, and the files and bytes of all below it."""

    id: int
    parent: int
    place: int
    name: bytes
    kind: Kind
    sha256: bytes | None
    size: int
    mtime_ns: int
    mode: int
    uid: int
    gid: int
    target: bytes
    last: int
    children: int
    files: int
    bytes: int


class Listing:
    """The listing of one snapshot. Each thread opens its own; all methods raise DamagedCopy where the file is not
    whole (it is gone then, and the next opening makes it anew)."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._file, self._connection = path, connection

    @property
    def root(self) -> Listed:
        return self._rows("id = 0")[0]

    def folder(self, folder: int, first: int, count: int) -> list[Listed]:
        """Entries of a folder, from the one with place ``first``."""
        return self._rows("parent = ? AND place >= ? AND place < ? ORDER BY place", folder, first, first + count)

    def find(self, path: bytes) -> Listed | None:
        """The entry at this path; the empty path is the root."""
        here = self.root
        for part in path.split(b"/") if path else ():
            found = self._child(here, part)
            if found is None:
                return None
            here = found
        return here

    def _child(self, folder: Listed, name: bytes) -> Listed | None:
        low, high = 0, folder.children
        while low < high:
            middle = (low + high) // 2
            row = self.folder(folder.id, middle, 1)[0]
            if row.name == name:
                return row
            low, high = (middle + 1, high) if row.name < name else (low, middle)
        return None

    def path(self, entry: Listed) -> bytes:
        """Where an entry stands, from the media folder."""
        parts: list[bytes] = []
        while entry.id:
            parts.append(entry.name)
            entry = self._rows("id = ?", entry.parent)[0]
        return b"/".join(reversed(parts))

    def search(self, text: str, below: Listed, *, after: int = 0, count: int = 1000) -> list[Listed]:
        """The first ``count`` entries below a folder, behind the id ``after``, whose name has ``text`` in it, in any
        case; in a catalogue's order."""
        wanted = text.casefold()
        found: list[Listed] = []
        after = max(after, below.id)
        for row in self._candidates(wanted, after, below.last):
            if wanted in _text(row.name).casefold():
                found.append(row)
                if len(found) >= count:
                    break
        return found

    def _candidates(self, wanted: str, after: int, last: int) -> Iterator[Listed]:
        """Rows that may have it in their name: where the text is too short for the index, all."""
        # Only ASCII folds to as many letters in SQLite as here; the rest of a text is looked at in the rows themselves.
        runs = "".join(char if char.isascii() and char not in '"\0' else "\n" for char in wanted).split("\n")
        grams = {run[at : at + _SHORTEST] for run in runs for at in range(len(run) - _SHORTEST + 1)}
        values: list[object] = [after, last]
        if not grams:
            where = "id > ? AND id <= ?"
            if wanted.isascii():  # asked of SQLite, which lets the process's other threads work meanwhile
                where += " AND instr(lower(CAST(name AS TEXT)), ?)"
                values.append(wanted)
            yield from self._stream(f"SELECT {_FIELDS} FROM entry WHERE {where} ORDER BY id", *values)
            return
        match = " AND ".join(f'"{gram}"' for gram in sorted(grams))
        ids = "SELECT rowid FROM name WHERE name MATCH ? AND rowid > ? AND rowid <= ? ORDER BY rowid"
        for (id,) in self._stream_raw(ids, match, *values):
            yield self._rows("id = ?", id)[0]

    def holds(self, sha256: bytes) -> list[Listed]:
        """The files with this content, the first hundred."""
        return self._rows("sha256 = ? LIMIT 100", sha256)

    def entries(self, below: Listed) -> Iterator[tuple[bytes, Listed]]:
        """A folder's own entries with their names, as a stream."""
        for row in self._stream(f"SELECT {_FIELDS} FROM entry WHERE parent = ? ORDER BY place", below.id):
            yield row.name, row

    def interrupt(self) -> None:
        """End a search that another thread waits for; it raises DamagedCopy."""
        with contextlib.suppress(sqlite3.ProgrammingError):  # closed meanwhile
            self._connection.interrupt()

    def close(self) -> None:
        self._connection.close()

    def _rows(self, where: str, *values: object) -> list[Listed]:
        return list(self._stream(f"SELECT {_FIELDS} FROM entry WHERE {where}", *values))

    def _stream(self, query: str, *values: object) -> Iterator[Listed]:
        return map(Listed._make, self._stream_raw(query, *values))

    def _stream_raw(self, query: str, *values: object) -> Iterator[tuple[int, ...]]:
        try:
            yield from self._connection.execute(query, values)
        except sqlite3.OperationalError as error:
            raise DamagedCopy("the listing could not be asked", cause=str(error)) from error
        except sqlite3.DatabaseError as error:
            self._file.unlink(missing_ok=True)
            raise DamagedCopy("the listing is damaged", cause=str(error), remedy="ask again: it is made anew") from None


def open_listing(path: Path, identity: str) -> Listing | None:
    """The listing in this file; None where there is none of this snapshot (``identity``: what it was made from), or
    where it is damaged."""
    if not path.is_file():
        return None
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, check_same_thread=False)
    try:
        known = connection.execute("SELECT value FROM fact WHERE name = 'identity'").fetchone()
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        if (application, version) == (_APPLICATION_ID, _VERSION) and known == (identity,):
            os.utime(path)  # the least lately used ones go first
            return Listing(path, connection)
    except (sqlite3.DatabaseError, OSError):
        pass
    connection.close()
    return None


def build_listing(path: Path, identity: str, entries: Iterable[Entry], progress: Progress = lambda done: None) -> None:
    """Make the listing of a snapshot; it comes to stand there when it is whole. ``progress`` hears entries done. Raises
    OSError, sqlite3.Error, and what the entries raise."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".draft-{os.getpid()}-{path.name}")
    draft.unlink(missing_ok=True)
    connection = sqlite3.connect(draft, isolation_level=None, check_same_thread=False)
    try:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -32000"):
            connection.execute(f"PRAGMA {pragma}")
        connection.executescript(_SCHEMA)
        connection.execute("BEGIN")
        count = _Filling(connection, progress).fill(entries)
        connection.execute("INSERT INTO fact VALUES ('identity', ?)", (identity,))
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {_VERSION}")
        connection.execute("COMMIT")
        connection.set_progress_handler(lambda: progress(count), _SIGN_OF_LIFE)
        connection.executescript(_INDEXES)
        connection.close()
        draft.chmod(0o600)
        draft.replace(path)
    finally:
        connection.close()
        draft.unlink(missing_ok=True)
    _tidy(path.parent)


class _Folder:
    """A folder whose entries are still coming."""

    def __init__(self, id: int, path: tuple[bytes, ...], row: list[object]) -> None:
        self.id, self.path, self.row = id, path, row
        self.children = self.files = self.bytes = 0


class _Filling:
    def __init__(self, connection: sqlite3.Connection, progress: Progress) -> None:
        self.connection, self.progress = connection, progress
        self.rows: list[list[object]] = []
        self.names: list[tuple[int, str]] = []
        self.next = 0
        self.open: list[_Folder] = []

    def fill(self, entries: Iterable[Entry]) -> int:
        """Answers how many there are."""
        self._begin(None, (), b"")
        for entry in entries:
            parts = tuple(entry.path.split(b"/"))
            self._go_to(parts[:-1])
            if entry.kind == "d":
                self._begin(entry, parts, parts[-1])
            else:
                here = self.open[-1]
                if entry.kind == "f":
                    here.files += 1
                    here.bytes += entry.size
                self._add(self._row(entry, parts[-1]))
        while self.open:
            self._end()
        self._write()
        self.progress(self.next - 1)
        return self.next - 1

    def _go_to(self, folder: tuple[bytes, ...]) -> None:
        """End the folders that are over; begin those that the snapshot does not name by themselves."""
        while self.open[-1].path != folder[: len(self.open[-1].path)]:
            self._end()
        while len(self.open[-1].path) < len(folder):
            depth = len(self.open[-1].path) + 1
            self._begin(None, folder[:depth], folder[depth - 1])

    def _begin(self, entry: Entry | None, path: tuple[bytes, ...], name: bytes) -> None:
        row = self._row(entry or Entry("d", None, 0, 0, 0, 0, 0, b"/".join(path)), name)
        self.open.append(_Folder(self.next, path, row))
        if self.next:
            self.names.append((self.next, _text(name)))
        self.next += 1

    def _row(self, entry: Entry, name: bytes) -> list[object]:
        parent, place = 0, 0
        if self.open:
            here = self.open[-1]
            parent, place = here.id, here.children
            here.children += 1
        else:
            parent = -1
        digest = bytes.fromhex(entry.sha256) if entry.sha256 else None
        return [
            self.next, parent, place, name, entry.kind, digest, entry.size, storable(entry.mtime_ns), entry.mode,
            entry.uid, entry.gid, entry.target, self.next, 0, 0, 0,
        ]  # fmt: skip

    def _end(self) -> None:
        """Its row is written once all below it is known."""
        done = self.open.pop()
        done.row[12:] = [self.next - 1, done.children, done.files, done.bytes]
        if self.open:
            self.open[-1].files += done.files
            self.open[-1].bytes += done.bytes
        self.rows.append(done.row)

    def _add(self, row: list[object]) -> None:
        self.rows.append(row)
        self.names.append((self.next, _text(row[3])))  # type: ignore[arg-type]
        self.next += 1
        if len(self.rows) >= _BATCH:
            self._write()
            self.progress(self.next)

    def _write(self) -> None:
        self.connection.executemany(_INSERT, self.rows)
        self.connection.executemany("INSERT INTO name (rowid, text) VALUES (?, ?)", self.names)
        self.rows.clear()
        self.names.clear()


def _text(name: bytes) -> str:
    """A name as it is searched; what is not UTF-8 in it cannot be typed either."""
    return name.decode("utf-8", "replace")


def _tidy(folder: Path) -> None:
    """Let the listings go that were not asked for longest, and drafts of processes that are no more."""
    with contextlib.suppress(OSError):
        for draft in folder.glob(".draft-*"):
            if not Path(f"/proc/{draft.name.split('-')[1]}").exists():
                draft.unlink(missing_ok=True)
        kept = sorted(folder.glob("*.sqlite"), key=lambda each: each.stat().st_mtime_ns, reverse=True)
        for old in kept[_KEPT:]:
            old.unlink(missing_ok=True)
