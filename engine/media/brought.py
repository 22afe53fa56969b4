"""What a run has brought, or left as it was right already: files that a snapshot has, whatever changed their status."""

import sqlite3
from contextlib import suppress
from pathlib import Path

from engine.media.catalogue import key_of
from engine.media.putting import storable

_SAME = (
    "SELECT EXISTS (SELECT 1 FROM wanted WHERE key = ? AND kind = 'f' AND size = ? AND mtime_ns = ? "
    "AND source BETWEEN 0 AND ?)"
)


class Brought:
    """By a run's choices; ``snapshots`` of their sources are some, what follows was only set aside. One that cannot be
    read, or is being written, says nothing."""

    def __init__(self, choices: Path, snapshots: int) -> None:
        self._last = snapshots - 1
        self._connection = sqlite3.connect(
            f"{choices.absolute().as_uri()}?mode=ro", uri=True, timeout=0, check_same_thread=False
        )

    def has(self, path: bytes, size: int, mtime_ns: int) -> bool:
        """Whether a snapshot has it with this size and time."""
        with suppress(sqlite3.Error):
            row = (key_of(path), size, storable(mtime_ns), self._last)
            return bool(self._connection.execute(_SAME, row).fetchone()[0])
        return False
