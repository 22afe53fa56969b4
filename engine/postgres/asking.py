"""A query of the operator's own, whatever number of rows it has."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.types.string import TextLoader

from engine.postgres.connecting import Connection
from engine.records.errors import RepriseError, Unreachable

_AT_ONCE = 5000  # rows that are fetched at a time
# Types of PostgreSQL's that hold what Python's have no room for, as infinity: they come as text.
_AS_TEXT = ("date", "time", "timetz", "timestamp", "timestamptz", "interval", "json", "jsonb")

_Cursor = psycopg.Cursor[tuple[Any, ...]] | psycopg.ServerCursor[tuple[Any, ...]]


@contextmanager
def asked(connection: Connection, query: str, name: str) -> Iterator[tuple[tuple[str, ...], Iterator[tuple[Any, ...]]]]:
    """The names of the columns, and the rows as a stream: a cursor on the server, in a READ ONLY transaction, without
    a statement timeout. ``name`` is what the query is called in the site file, for errors.

    Raises Unreachable where a table that it reads stays locked for the connection's lock timeout: at a gate a table
    that the next transaction drops is locked already, and stays so until the server is promoted. Raises RepriseError
    where the server refuses the query or goes away in the midst of it.
    """
    text = query.strip().rstrip(";").encode()
    with _told(name), connection.transaction():
        connection.execute("SET TRANSACTION READ ONLY")
        connection.execute("SET LOCAL statement_timeout = 0")
        with connection.cursor(name="reprise") as cursor:
            cursor.itersize = _AT_ONCE
            _take_as_text(cursor)
            cursor.execute(text)
            yield _columns(cursor), iter(cursor)


def rows_with(
    connection: Connection, query: str, words: Sequence[str], name: str, *, most: int, seconds: float
) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """The names of the columns, and the first ``most`` rows of a query in whose text all these words stand, in any
    case; READ ONLY. Raises what ``asked`` raises, and Unreachable where the server takes longer than ``seconds``."""
    inner = query.strip().rstrip(";").replace("%", "%%")
    text = f"SELECT * FROM (\n{inner}\n) r WHERE r::text ILIKE ALL (%s) LIMIT %s".encode()
    patterns = ["%" + re.sub(r"([\\%_])", r"\\\1", word) + "%" for word in words]
    with _told(name), connection.transaction():
        connection.execute("SET TRANSACTION READ ONLY")
        connection.execute(f"SET LOCAL statement_timeout = {seconds * 1000:.0f}".encode())
        with connection.cursor() as cursor:
            _take_as_text(cursor)
            cursor.execute(text, (patterns, most))
            return _columns(cursor), cursor.fetchall()


def _take_as_text(cursor: _Cursor) -> None:
    for kind in _AS_TEXT:
        cursor.adapters.register_loader(kind, TextLoader)


def _columns(cursor: _Cursor) -> tuple[str, ...]:
    return tuple(each.name for each in cursor.description or ())


@contextmanager
def _told(name: str) -> Iterator[None]:
    """What the server says against the query ``name``, as errors of ours."""
    try:
        yield
    except psycopg.errors.LockNotAvailable:
        raise Unreachable(
            f"a table that the query {name} reads is locked",
            cause="a transaction that had not ended at this moment holds it (it drops or alters the table)",
            remedy="at a gate: ask again after reprise finish; else when that transaction has ended",
        ) from None
    except psycopg.errors.QueryCanceled:
        raise Unreachable(
            f"the query {name} took too long", cause="it was ended by its time limit", remedy="ask for less"
        ) from None
    except psycopg.Error as failure:
        said = str(failure).strip().splitlines()
        raise RepriseError(
            f"the query {name} of the site file failed",
            cause=said[0] if said else type(failure).__name__,
            remedy=f"is the table there at this moment of the database? else try it in psql, then mend {name}",
        ) from None
    except UnicodeDecodeError as failure:
        raise RepriseError(
            f"the query {name} of the site file returned text that is not in the database's encoding",
            cause=str(failure),
            remedy="let it return the path as bytea: convert_to(path, 'SQL_ASCII')",
        ) from None
