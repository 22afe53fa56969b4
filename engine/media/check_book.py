"""What a check of files keeps on disk: its findings, and until it is done the hashes, so that it can go on."""

import os
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from engine.media.catalogue import key_of, path_of
from engine.media.hashing import Hashed
from engine.media.row_names import keep_again, named_rows
from engine.records.checking import FileFinding

_GOOD_FOR = timedelta(days=1)  # how long what a stopped check has read is trusted
_TOGETHER = 2000  # rows that are written in one transaction
_SECONDS = 2.0  # or what has come in so many

_FINDINGS = "CREATE TABLE finding (kind TEXT, key BLOB, why TEXT, rows INTEGER, size INTEGER, named TEXT);"
_CREATE = f"""
CREATE TABLE began (root BLOB, at TEXT);
CREATE TABLE hashed (
    key BLOB PRIMARY KEY, sha256 BLOB, size INTEGER, ino TEXT, mtime_ns INTEGER, ctime_ns INTEGER
) WITHOUT ROWID;
{_FINDINGS}
"""
_REMEMBER = "INSERT OR REPLACE INTO hashed VALUES (?, ?, ?, ?, ?, ?)"
_ADD = "INSERT INTO finding VALUES (?, ?, ?, ?, ?, ?)"


class Book:
    """The book of one check that is under way. Findings are always this check's own; hashes may be of one before."""

    def __init__(self, path: Path, root: Path) -> None:
        self.path = path
        self.counts: Counter[str] = Counter()
        self.orphan_bytes = 0
        self.resumed_from: datetime | None = None
        self._hashes: list[tuple[bytes, bytes, int, str, int, int]] = []
        self._findings: list[tuple[object, ...]] = []
        self._written_at = time.monotonic()
        self._connection = self._go_on(os.fsencode(root)) or self._begin(os.fsencode(root))

    def _go_on(self, root: bytes) -> sqlite3.Connection | None:
        """The book of a check that was stopped, where it is one of this folder and not too old."""
        if not self.path.exists():
            return None
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        try:
            row = connection.execute("SELECT root, at FROM began").fetchone()
            began = datetime.fromisoformat(row[1]) if row is not None and row[0] == root else None
            some = connection.execute("SELECT 1 FROM hashed LIMIT 1").fetchone()
            if began is not None and some and timedelta(0) <= datetime.now(UTC) - began < _GOOD_FOR:
                connection.executescript(f"DROP TABLE finding; {_FINDINGS}")
                self.resumed_from = began
                return connection
        except (sqlite3.Error, ValueError):
            pass  # damaged: begun anew
        connection.close()
        return None

    def _begin(self, root: bytes) -> sqlite3.Connection:
        for name in (self.path.name, f"{self.path.name}-wal", f"{self.path.name}-shm", f"{self.path.name}-journal"):
            self.path.with_name(name).unlink(missing_ok=True)
        self.path.touch(mode=0o600)  # a row's title may be nobody else's business; -wal and -shm follow it
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        connection.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; {_CREATE}")
        connection.execute("INSERT INTO began VALUES (?, ?)", (root, datetime.now(UTC).isoformat()))
        return connection

    def remembered(self, path: bytes, status: os.stat_result) -> str | None:
        """The hash that a file had, where by its status it is unchanged since."""
        row = self._connection.execute(
            "SELECT hex(sha256) FROM hashed WHERE key = ? AND size = ? AND ino = ? AND mtime_ns = ? AND ctime_ns = ?",
            (key_of(path), status.st_size, str(status.st_ino), status.st_mtime_ns, status.st_ctime_ns),
        ).fetchone()
        return row[0].lower() if row is not None else None

    def remember(self, found: Hashed) -> None:
        assert found.sha256 is not None
        assert found.status is not None
        status, digest = found.status, bytes.fromhex(found.sha256)
        key = key_of(found.path)
        self._hashes.append((key, digest, found.size, str(status.ino), status.mtime_ns, status.ctime_ns))
        self._write_now_and_then()

    def add(self, finding: FileFinding) -> None:
        self.counts[finding.kind] += 1
        if finding.kind == "orphan":
            self.orphan_bytes += finding.size or 0
        kind, path, why, rows, size, named = finding
        self._findings.append((kind, key_of(path), why, rows, size, keep_again(named)))
        self._write_now_and_then()

    def finish(self) -> None:
        """The check is done: the next one reads every file again."""
        self._hashes.clear()
        self._write()
        self._connection.execute("DELETE FROM began")
        self._connection.execute("DROP TABLE hashed")
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """What was read so far is kept."""
        self._write()
        self._connection.close()

    def _write_now_and_then(self) -> None:
        waiting = len(self._hashes) + len(self._findings)
        if waiting >= _TOGETHER or (not waiting % 16 and time.monotonic() - self._written_at > _SECONDS):
            self._write()

    def _write(self) -> None:
        if self._hashes or self._findings:
            self._connection.execute("BEGIN")
            self._connection.executemany(_REMEMBER, self._hashes)
            self._connection.executemany(_ADD, self._findings)
            self._connection.execute("COMMIT")
            self._hashes.clear()
            self._findings.clear()
        self._written_at = time.monotonic()


def read_findings(book: str, kind: str, limit: int = -1) -> Iterator[FileFinding]:
    """The findings of one kind of a check that is done, in a catalogue's order; ``limit`` -1: all."""
    with closing(sqlite3.connect(f"{Path(book).as_uri()}?mode=ro", uri=True)) as connection:
        query = "SELECT kind, key, why, rows, size, named FROM finding WHERE kind = ? ORDER BY key LIMIT ?"
        for found, key, why, rows, size, kept in connection.execute(query, (kind, limit)):
            yield FileFinding(found, path_of(key), why, rows, size, named_rows(kept))
