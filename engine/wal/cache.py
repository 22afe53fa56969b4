"""The index's SQLite file: its tables, its connections, and what happens when it is damaged.

``segment`` holds a row for each segment file that was read, ``packed`` its transaction ends (``border`` is the one in
a record that goes on in the next segment), ``told`` its other findings. ``node`` is a tree over the segments of each
timeline: level 0 is a segment, a node of level n sums up 64 of level n-1, so that questions about 100,000 segments
read a few hundred rows. The file is a cache: whatever is wrong with it, it is made anew from the archive.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from engine.records.errors import RepriseError

_APPLICATION_ID = 0x52507257
_SCHEMA_VERSION = 2
_CHECKED_SIZE = 8 << 20  # up to here a look at the whole file costs a few milliseconds

_SCHEMA = """
CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE history (timeline INTEGER PRIMARY KEY, text TEXT NOT NULL);
CREATE TABLE apart (path TEXT PRIMARY KEY, what TEXT NOT NULL, remedy TEXT) WITHOUT ROWID;
CREATE TABLE segment (
    timeline INTEGER NOT NULL, number INTEGER NOT NULL,
    path TEXT NOT NULL, size_bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, inode INTEGER NOT NULL,
    segment_size INTEGER NOT NULL, version INTEGER NOT NULL, system_identifier INTEGER NOT NULL,
    void INTEGER NOT NULL, damage TEXT, valid_to INTEGER NOT NULL,
    head_expected INTEGER NOT NULL, head_length INTEGER NOT NULL, overwrites INTEGER NOT NULL,
    all_head INTEGER NOT NULL, switched INTEGER NOT NULL,
    first_lsn INTEGER, first_previous INTEGER, last_lsn INTEGER, tail_lsn INTEGER,
    compressed_with INTEGER NOT NULL,
    linked INTEGER NOT NULL DEFAULT 0, trouble TEXT, starts INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (timeline, number)
) WITHOUT ROWID;
CREATE INDEX segment_starts ON segment (timeline, number) WHERE starts;
CREATE INDEX segment_trouble ON segment (timeline, number) WHERE damage IS NOT NULL OR trouble IS NOT NULL;
CREATE INDEX segment_compressed ON segment (timeline, number) WHERE compressed_with;
CREATE TABLE packed (
    timeline INTEGER NOT NULL, number INTEGER NOT NULL, ends BLOB NOT NULL, subtransactions BLOB NOT NULL,
    border BLOB,
    PRIMARY KEY (timeline, number)
);
CREATE TABLE told (
    kind TEXT NOT NULL, timeline INTEGER NOT NULL, lsn INTEGER NOT NULL, end_lsn INTEGER NOT NULL,
    number INTEGER NOT NULL, value INTEGER, text TEXT,
    PRIMARY KEY (kind, timeline, lsn)
) WITHOUT ROWID;
CREATE INDEX told_number ON told (timeline, number);
CREATE TABLE node (
    timeline INTEGER NOT NULL, level INTEGER NOT NULL, place INTEGER NOT NULL,
    bytes INTEGER NOT NULL, ends INTEGER NOT NULL, commits INTEGER NOT NULL,
    smallest_at INTEGER, largest_at INTEGER, smallest_commit_at INTEGER, largest_commit_at INTEGER,
    smallest_xid INTEGER, largest_xid INTEGER,
    PRIMARY KEY (timeline, level, place)
) WITHOUT ROWID;
"""


class Cache:
    """Connections to one index file: one for each thread. Those of threads that have ended are closed."""

    def __init__(self, path: Path) -> None:
        """Open the file, made anew where it is damaged, foreign or of another schema: ``note`` then says so. Raises
        RepriseError where the folder cannot be written."""
        self.path = path
        self.note: str | None = None
        self._local = threading.local()
        self._guard = threading.Lock()
        self._all: list[tuple[threading.Thread, sqlite3.Connection]] = []
        self._generation = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            trouble = _trouble(path)
            if trouble is not None:
                self.rebuild(trouble)
            self.connection()
        except (OSError, sqlite3.Error) as error:
            raise RepriseError(
                f"the WAL index {path} cannot be opened", cause=str(error), remedy="name a state folder with --state"
            ) from error

    def connection(self) -> sqlite3.Connection:
        """This thread's connection."""
        own = getattr(self._local, "own", None)
        if own is not None and own[0] == self._generation:
            found: sqlite3.Connection = own[1]
            return found
        connection = self._connect()
        with self._guard:
            ended = [each for each in self._all if not each[0].is_alive()]  # a screen asks from many short threads
            self._all = [each for each in self._all if each not in ended]
            self._all.append((threading.current_thread(), connection))
        for _, left in ended:
            with contextlib.suppress(sqlite3.Error):
                left.close()
        self._local.own = self._generation, connection
        return connection

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=30, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA cache_size = -2000")
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            with writing(connection):
                if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
                    for statement in _SCHEMA.split(";"):
                        connection.execute(statement)
                    connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                    connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
        return connection

    def rebuild(self, why: str) -> None:
        """Throw the file away. ``why`` becomes the note."""
        self.close()
        for suffix in ("", "-wal", "-shm", "-journal"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        self.note = f"the WAL index was rebuilt: {why}"

    def close(self) -> None:
        with self._guard:
            self._generation += 1
            for _, connection in self._all:
                with contextlib.suppress(sqlite3.Error):
                    connection.close()
            self._all.clear()


@contextlib.contextmanager
def writing(connection: sqlite3.Connection) -> Iterator[None]:
    """One transaction that writes."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _trouble(path: Path) -> str | None:
    """Why an existing file is no index of ours; None where it is one, or where there is none."""
    if not path.exists():
        return None
    connection = None
    try:
        connection = sqlite3.connect(path, timeout=30, isolation_level=None)
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if not tables and not version and not application:
            return None
        if application != _APPLICATION_ID:
            return "the file was something else"
        if version != _SCHEMA_VERSION:
            return "it was of another version of Reprise"
        if path.stat().st_size <= _CHECKED_SIZE:
            answer = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if answer != "ok":
                return "it was damaged"
        connection.execute("SELECT * FROM segment LIMIT 1").fetchall()
    except sqlite3.OperationalError as error:
        if "locked" in str(error) or "busy" in str(error):
            return None
        return "it was damaged"
    except sqlite3.DatabaseError:
        return "it was damaged"
    finally:
        if connection is not None:
            connection.close()
    return None


def timelines(connection: sqlite3.Connection) -> list[int]:
    """The timelines that have segments; one look-up for each, however many segments there are."""
    found: list[int] = []
    query = "SELECT min(timeline) FROM segment WHERE timeline > ?"
    while (row := connection.execute(query, (found[-1] if found else -1,)).fetchone())[0] is not None:
        found.append(row[0])
    return found


def path_of(connection: sqlite3.Connection, timeline: int, number: int) -> str | None:
    """The file of a segment; None where the index has none."""
    row = connection.execute(
        "SELECT path FROM segment WHERE timeline = ? AND number = ?", (timeline, number)
    ).fetchone()
    return str(row[0]) if row else None


def signed(value: int) -> int:
    """An unsigned 64-bit number as SQLite can store it."""
    return value - (1 << 64) if value >= 1 << 63 else value


def unsigned(value: int) -> int:
    return value + (1 << 64) if value < 0 else value
