"""What every question to the index stands on: its connection, its segment size, its errors."""

import sqlite3

from engine.records.errors import DamagedCopy
from engine.records.history import Piece
from engine.records.lsn import segment_of
from engine.wal.cache import Cache, unsigned

HIGHEST = 1 << 62  # an LSN or segment number above all that SQLite can hold

_DEFAULT_SEGMENT_SIZE = 16 << 20  # initdb's own; only an empty index says it


class Asking:
    """The index of one archive, as what is asked of it sees it. May be used from several threads."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    @property
    def segment_size(self) -> int:
        row = self._ask("SELECT value FROM fact WHERE name = 'home'").fetchone()
        size = int(row[0].split()[1]) if row else 0
        return size or _DEFAULT_SEGMENT_SIZE

    @property
    def system_identifier(self) -> int | None:
        """Whose WAL the archive's is; None where nothing was read yet. Single segments may be another's."""
        row = self._ask("SELECT value FROM fact WHERE name = 'home'").fetchone()
        return unsigned(int(row[0].split()[0])) if row else None

    def _connection(self) -> sqlite3.Connection:
        return self._cache.connection()

    def _ask(self, query: str, *values: object) -> sqlite3.Cursor:
        try:
            return self._connection().execute(query, values)
        except sqlite3.DatabaseError as error:
            raise DamagedCopy(
                f"the WAL index {self._cache.path} cannot be read",
                cause=str(error),
                remedy="remove this file: it is made anew from the archive",
            ) from error

    def _segments(self, piece: Piece) -> tuple[int, int]:
        """The first and last segment that the piece touches."""
        size = self.segment_size
        return segment_of(min(piece.low, HIGHEST), size), segment_of(min(piece.high, HIGHEST) - 1, size)
