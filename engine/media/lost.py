"""What nobody has, read out of a run's decisions by others than the run, with the rows that refer to it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from engine.media.catalogue import path_of
from engine.media.references import named_column
from engine.media.row_names import named_rows
from engine.media.trying import LEFT, where_left
from engine.records.checking import FileFinding
from engine.records.errors import RepriseError
from engine.transfer.naming import shown

_PAGE = 2000  # files; none is read while the caller has one: the run could not write
_QUERY = """
SELECT key, why, lost.rows, lost.size, {named}
FROM (SELECT * FROM lost WHERE key > ? AND NOT ({sought}) ORDER BY key LIMIT ?) lost {names} ORDER BY key
"""


def read_lost(choices: Path, references: Path) -> Iterator[FileFinding]:
    """In a catalogue's order, from the file ``choices`` (absolute), without what is still sought while files are
    copied; ``references``, where it is there, names the rows.
    Raises RepriseError where they cannot be read, or the run is writing them for long."""
    last = b""
    try:
        while page := _page(choices, references, last):
            last = page[-1][0]
            for key, why, rows, size, kept in page:
                yield FileFinding("lost", path_of(key), why, rows, size, named_rows(kept) if rows else ())
    except sqlite3.Error as problem:
        raise RepriseError(
            f"{shown(choices)} cannot be read",
            cause=str(problem),
            remedy="while the run goes on: try again; one that was killed: reprise resume it first",
        ) from None


def _page(choices: Path, references: Path, after: bytes) -> list[tuple[bytes, str, int, int | None, str | None]]:
    with closing(sqlite3.connect(f"{choices.as_uri()}?mode=ro", uri=True)) as connection:
        left = connection.execute("SELECT value FROM fact WHERE name = ?", (LEFT,)).fetchone()
        sought = where_left(left[0] if left is not None else None)
        query = _QUERY.format(sought=sought, named="NULL", names="")
        if references.exists():
            connection.execute("ATTACH ? AS asked", (f"{references.as_uri()}?mode=ro",))
            named = named_column(connection, "asked")
            query = _QUERY.format(sought=sought, named=named, names="LEFT JOIN asked.reference USING (key)")
        return connection.execute(query, (after, _PAGE)).fetchall()
