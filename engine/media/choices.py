"""What is decided for each file that is brought back, kept on disk: an SQLite file, so that a million files need no
more memory than a thousand, and a run that was killed goes on where it was.

Its tables have as their key the path with ``/`` written as a zero byte: in that form the order of bytes is a
catalogue's order.

wanted   what shall stand there: its attributes, and where its content is (``source``: number of the snapshot, or LIVE)
live     what stands in the live folder, as it was last looked at, and the verdict on it
lost     what the database refers to and nobody has
finding  what else the operator should know
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from engine.media.catalogue import Entry
from engine.media.references import key_of, path_of
from engine.transfer.naming import shown

LIVE = -1
_TOLD = 20  # findings of one sort that are told by name
_LONGEST = 1000  # paths that are told in a report

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
CREATE TABLE IF NOT EXISTS lost (key BLOB PRIMARY KEY, sha256 TEXT, size INTEGER, rows INTEGER, why TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS finding (sort TEXT, path BLOB, PRIMARY KEY (sort, path)) WITHOUT ROWID;
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
    """A file that the database refers to, in ``rows`` rows, and nobody has."""

    path: bytes
    sha256: str | None
    size: int | None
    rows: int
    why: str


class Choices:
    """The file of one run's decisions. Use one instance in one process; every change is on disk after ``commit``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connection = sqlite3.connect(path, isolation_level=None)
        os.chmod(path, 0o600)  # noqa: PTH101
        self.connection.executescript(f"PRAGMA journal_mode=DELETE; PRAGMA synchronous=FULL; {_CREATE}")
        self.connection.execute("BEGIN")

    def commit(self) -> None:
        self.connection.execute("COMMIT")
        self.connection.execute("BEGIN")

    def close(self) -> None:
        self.connection.execute("COMMIT")
        self.connection.close()

    def __enter__(self) -> "Choices":
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    # Wanted

    def forget(self) -> None:
        """Everything that was chosen, to choose anew."""
        for table in ("wanted", "lost", "finding", "earlier"):
            self.connection.execute(f"DELETE FROM {table}")  # names of ours

    def want(self, wanted: Wanted) -> None:
        e = wanted.entry
        self.connection.execute(
            "INSERT OR REPLACE INTO wanted VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                key_of(e.path), e.kind, e.sha256, e.size, e.mtime_ns, e.mode, e.uid, e.gid, e.target,
                wanted.source, wanted.origin, wanted.sure, wanted.needed, wanted.inode,
                wanted.shared, wanted.rows,
            ),
        )  # fmt: skip

    def unwant(self, path: bytes) -> None:
        self.connection.execute("DELETE FROM wanted WHERE key = ?", (key_of(path),))

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
        return map(_wanted, self.connection.execute(f"SELECT * FROM wanted WHERE {where}", arguments))

    def folder(self, path: bytes) -> Wanted | None:
        row = self.connection.execute("SELECT * FROM wanted WHERE key = ? AND kind = 'd'", (key_of(path),)).fetchone()
        return _wanted(row) if row is not None else None

    # Findings and what is lost

    def lose(self, lost: Lost) -> None:
        row = (key_of(lost.path), lost.sha256, lost.size, lost.rows, lost.why)
        self.connection.execute("INSERT OR REPLACE INTO lost VALUES (?, ?, ?, ?, ?)", row)

    def all_lost(self, limit: int = -1, after: bytes = b"") -> Iterator[Lost]:
        """By their paths, from the key ``after`` on."""
        rows = self.connection.execute("SELECT * FROM lost WHERE key > ? ORDER BY key LIMIT ?", (after, limit))
        return (Lost(path_of(key), sha256, size, count, why) for key, sha256, size, count, why in rows)

    def find(self, sort: str, path: bytes = b"") -> None:
        """Told once, however often it is found."""
        self.connection.execute("INSERT OR IGNORE INTO finding VALUES (?, ?)", (sort, path))

    def findings(self) -> list[str]:
        """Each sort of finding, with the first paths by name."""
        told: list[str] = []
        sorts = self.connection.execute("SELECT sort, sum(path <> x'') FROM finding GROUP BY sort ORDER BY sort")
        for sort, count in sorts.fetchall():
            rows = self.connection.execute("SELECT path FROM finding WHERE sort = ? LIMIT ?", (sort, _TOLD))
            names = ", ".join(shown(os.fsdecode(path)) for (path,) in rows)
            more = f" and {count - _TOLD} more" if count > _TOLD else ""
            told.append(f"files that {sort}: {names}{more}" if count else sort)
        return told

    # Facts

    def keep(self, name: str, value: str) -> None:
        self.connection.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, value))

    def kept(self, name: str) -> str | None:
        row = self.connection.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        return row[0] if row is not None else None

    def ask(self, query: str, *arguments: Any) -> Iterable[Any]:
        return self.connection.execute(query, arguments)

    def number(self, query: str, *arguments: Any) -> int:
        return int(self.connection.execute(query, arguments).fetchone()[0] or 0)

    def paths(self, query: str, *arguments: Any, limit: int = _LONGEST) -> list[str]:
        """Paths for a report: the first column of the query is a key."""
        rows = self.connection.execute(f"{query} LIMIT {limit}", arguments)
        return [shown(os.fsdecode(path_of(row[0]))) for row in rows]


def _wanted(row: tuple[Any, ...]) -> Wanted:
    key, kind, sha256, size, mtime_ns, mode, uid, gid, target, source, origin, sure, needed, inode, shared, rows = row
    entry = Entry(kind, sha256, size, mtime_ns, mode, uid, gid, path_of(key), target or b"")
    return Wanted(entry, source, origin, bool(sure), bool(needed), inode, bool(shared), rows)
