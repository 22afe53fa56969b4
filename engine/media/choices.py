"""What is decided for each file that is brought back, kept on disk: an SQLite file, so that a million files need no
more memory than a thousand, and a run that was killed goes on where it was.

Its tables have as their key the path with ``/`` written as a zero byte: in that form the order of bytes is a
catalogue's order.

wanted   what shall stand there: its attributes, and where its content is (``source``: number of the snapshot, or LIVE)
live     what stands in the live folder, as it was last looked at, and the verdict on it
dressed  what stands in the live folder with another owner or mode than is wanted
lost     what the database refers to, or a snapshot should hold, and nobody has
tried    where a content was sought and another one stands: source, path there, and which file that is
sought   what of the lost was sought by its content wherever it could be
finding  what else the operator should know
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from engine.media.catalogue import Entry, key_of, path_of
from engine.media.putting import storable
from engine.transfer.naming import shown

LIVE = -1
_TOLD = 20  # findings of one sort that are told by name
_LONGEST = 1000  # paths that are told in a report
_TOGETHER = 2000  # rows that are written at once
_CACHE = "PRAGMA cache_size=-16000"  # KiB
_WANT = f"INSERT OR REPLACE INTO wanted VALUES ({', '.join('?' * 16)})"

_CREATE = """
CREATE TABLE IF NOT EXISTS wanted (
    key BLOB PRIMARY KEY, kind TEXT NOT NULL, sha256 TEXT, size INTEGER, mtime_ns INTEGER, mode INTEGER, uid INTEGER,
    gid INTEGER, target BLOB, source INTEGER NOT NULL, origin BLOB, sure INTEGER NOT NULL, needed INTEGER NOT NULL,
    inode INTEGER, shared INTEGER NOT NULL, rows INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS live (
    key BLOB PRIMARY KEY, kind TEXT NOT NULL, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, inode INTEGER,
    sha256 TEXT, verdict TEXT NOT NULL, look INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS lost (
    key BLOB PRIMARY KEY, sha256 TEXT, size INTEGER, rows INTEGER, why TEXT, mtime_ns INTEGER, mode INTEGER,
    uid INTEGER, gid INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tried (
    source INTEGER, origin BLOB, device INTEGER, inode INTEGER, PRIMARY KEY (source, origin)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sought (key BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS finding (sort TEXT, path BLOB, PRIMARY KEY (sort, path)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dressed (key BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS earlier (key BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
"""


class Wanted(NamedTuple):
    """One entry that shall stand there. ``source`` holds its content under the path ``origin``. ``sure``: it is what
    stood there at the moment that was asked for. ``needed`` False: a folder that only counts where something in it is
    wanted. ``inode``: of the copy, once it was made; ``shared``: with the live folder's file. ``rows``: of the
    database that refer to it, where it was asked."""

    entry: Entry
    source: int
    origin: bytes
    sure: bool = True
    needed: bool = True
    inode: int | None = None
    shared: bool = False
    rows: int = 0

    @property
    def path(self) -> bytes:
        return self.entry.path


class Lost(NamedTuple):
    """A file that nobody has. ``rows`` of the database refer to it, where it was asked. ``entry``: with the attributes
    that it should have had, where a snapshot tells them."""

    path: bytes
    sha256: str | None
    size: int | None
    rows: int
    why: str
    entry: Entry | None = None


class Choices:
    """The file of one run's decisions. Use one instance in one process; every change is on disk after ``commit``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = sqlite3.connect(path, isolation_level=None)
        os.chmod(path, 0o600)  # noqa: PTH101
        self._connection.executescript(f"PRAGMA journal_mode=DELETE; PRAGMA synchronous=FULL; {_CACHE}; {_CREATE}")
        self._connection.execute("BEGIN")
        self._wanted: list[tuple[object, ...]] = []  # to be written before anything is asked

    def _execute(self, query: str, arguments: Sequence[Any] = ()) -> sqlite3.Cursor:
        self._write_wanted()
        return self._connection.execute(query, arguments)

    def _write_wanted(self) -> None:
        if self._wanted:
            self._connection.executemany(_WANT, self._wanted)
            self._wanted.clear()

    def commit(self) -> None:
        self._execute("COMMIT")
        self._execute("BEGIN")

    def close(self) -> None:
        self._execute("COMMIT")
        self._connection.close()

    def __enter__(self) -> "Choices":
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    # Wanted

    def forget(self) -> None:
        """Everything that was chosen, to choose anew."""
        for table in ("wanted", "lost", "finding", "earlier", "tried", "sought", "fact"):
            self._execute(f"DELETE FROM {table}")  # names of ours

    def want(self, wanted: Wanted) -> None:
        (kind, sha256, size, mtime, mode, uid, gid, path, target), source, origin, *others = wanted
        key = path.replace(b"/", b"\0")
        row = (key, kind, sha256, size, storable(mtime), mode, uid, gid, target, source, origin, *others)
        self._wanted.append(row)
        if len(self._wanted) >= _TOGETHER:
            self._write_wanted()

    def unwant(self, path: bytes) -> None:
        self._execute("DELETE FROM wanted WHERE key = ?", (key_of(path),))

    def in_the_way(self, path: bytes) -> bool:
        """Whether something wanted stands above this path as a file, or below it."""
        parts = path.split(b"/")
        above = [b"/".join(parts[:count]) for count in range(1, len(parts))]
        query = "SELECT count(*) FROM wanted WHERE key = ? AND kind <> 'd'"
        return any(self.number(query, key_of(each)) for each in above) or self.has_wanted_below(path)

    def has_wanted_below(self, path: bytes) -> bool:
        key = key_of(path)
        query = "SELECT EXISTS (SELECT 1 FROM wanted WHERE needed AND key > ? AND key < ?)"
        return bool(self.number(query, key + b"\x00", key + b"\x01"))

    def all_wanted(self, where: str = "1 ORDER BY key", *arguments: Any) -> Iterator[Wanted]:
        """Those of a condition of ours; what is changed meanwhile may or may not be seen."""
        return map(_wanted, self._execute(f"SELECT * FROM wanted WHERE {where}", arguments))

    def folder(self, path: bytes) -> Wanted | None:
        row = self._execute("SELECT * FROM wanted WHERE key = ? AND kind = 'd'", (key_of(path),)).fetchone()
        return _wanted(row) if row is not None else None

    # Findings and what is lost

    def lose(self, lost: Lost) -> None:
        e = lost.entry
        attributes = (storable(e.mtime_ns), e.mode, e.uid, e.gid) if e is not None else (None,) * 4
        row = (key_of(lost.path), lost.sha256, lost.size, lost.rows, lost.why, *attributes)
        self._execute("INSERT OR REPLACE INTO lost VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    def found(self, path: bytes) -> None:
        """It is not lost."""
        self._execute("DELETE FROM lost WHERE key = ?", (key_of(path),))

    def all_lost(self, limit: int = -1, after: bytes = b"") -> Iterator[Lost]:
        """By their paths, from the key ``after`` on."""
        return self.lost("key > ? ORDER BY key LIMIT ?", after, limit)

    def lost(self, where: str, *arguments: Any) -> Iterator[Lost]:
        """Those of a condition of ours."""
        return map(_lost, self._execute(f"SELECT * FROM lost WHERE {where}", arguments))

    def find(self, sort: str, path: bytes = b"") -> None:
        """Told once, however often it is found."""
        self._execute("INSERT OR IGNORE INTO finding VALUES (?, ?)", (sort, path))

    def findings(self) -> list[str]:
        """Each sort of finding, with the first paths by name."""
        told: list[str] = []
        sorts = self._execute("SELECT sort, sum(path <> x'') FROM finding GROUP BY sort ORDER BY sort")
        for sort, count in sorts.fetchall():
            rows = self._execute("SELECT path FROM finding WHERE sort = ? LIMIT ?", (sort, _TOLD))
            names = ", ".join(shown(os.fsdecode(path)) for (path,) in rows)
            more = f" and {count - _TOLD} more" if count > _TOLD else ""
            told.append(f"files that {sort}: {names}{more}" if count else sort)
        return told

    # Facts

    def keep(self, name: str, value: str) -> None:
        self._execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, value))

    def kept(self, name: str) -> str | None:
        row = self._execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        return row[0] if row is not None else None

    def ask(self, query: str, *arguments: Any) -> Iterable[Any]:
        return self._execute(query, arguments)

    def change(self, query: str, rows: Iterable[Sequence[Any]]) -> None:
        """One statement for many rows."""
        self._write_wanted()
        self._connection.executemany(query, rows)

    def number(self, query: str, *arguments: Any) -> int:
        return int(self._execute(query, arguments).fetchone()[0] or 0)

    def paths(self, query: str, *arguments: Any, limit: int = _LONGEST) -> list[str]:
        """Paths for a report: the first column of the query is a key."""
        rows = self._execute(f"{query} LIMIT {limit}", arguments)
        return [shown(os.fsdecode(path_of(row[0]))) for row in rows]


def _lost(row: tuple[Any, ...]) -> Lost:
    key, sha256, size, count, why, mtime, mode, uid, gid = row
    path = path_of(key)
    entry = Entry("f", sha256, size, mtime, mode, uid, gid, path) if mode is not None else None
    return Lost(path, sha256, size, count, why, entry)


def _wanted(row: tuple[Any, ...]) -> Wanted:
    key, kind, sha256, size, mtime_ns, mode, uid, gid, target, source, origin, sure, needed, inode, shared, rows = row
    entry = Entry(kind, sha256, size, mtime_ns, mode, uid, gid, path_of(key), target or b"")
    return Wanted(entry, source, origin, bool(sure), bool(needed), inode, bool(shared), rows)
