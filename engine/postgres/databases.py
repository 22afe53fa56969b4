"""Databases and roles of a live server: made, renamed, dropped. Names are quoted here and nowhere else."""

from collections.abc import Iterable, Sequence
from contextlib import suppress

from psycopg.sql import SQL, Identifier, Literal

from engine.postgres.connecting import Connection, QueryFailed
from engine.records.errors import RepriseError


def as_connection_string(database: str) -> str:
    """How PostgreSQL's programs are told a database: a name that looks like a connection string, or only holds an
    equals sign, would be taken for one (libpq, "Connection Strings")."""
    escaped = database.replace("\\", "\\\\").replace("'", "\\'")
    return f"dbname='{escaped}'"


def database_exists(connection: Connection, name: str) -> bool:
    row = connection.execute("SELECT count(*) FROM pg_database WHERE datname = %s", [name]).fetchone()
    return row is not None and row[0] > 0


def database_oid(connection: Connection, name: str) -> int | None:
    """What stays the same however it is renamed; None where there is none of this name."""
    row = connection.execute("SELECT oid::bigint FROM pg_database WHERE datname = %s", [name]).fetchone()
    return row[0] if row is not None else None


def create_database(connection: Connection, name: str, options: str) -> None:
    """``options``: the rest of CREATE DATABASE, as a dump has it. Raises RepriseError."""
    command = SQL("CREATE DATABASE {} ").format(Identifier(name)) + SQL(options)
    try:
        connection.execute(command)
    except QueryFailed as failure:
        raise RepriseError(f"the database {name} cannot be created", cause=str(failure).strip()) from None


def drop_database(connection: Connection, name: str) -> None:
    """Drop it with whoever is connected to it; nothing where there is none. Raises RepriseError."""
    try:
        if database_exists(connection, name):
            connection.execute(SQL("ALTER DATABASE {} IS_TEMPLATE false").format(Identifier(name)))
        end_sessions(connection, name)
        connection.execute(SQL("DROP DATABASE IF EXISTS {}").format(Identifier(name)))
    except QueryFailed as failure:
        raise RepriseError(f"the database {name} cannot be dropped", cause=str(failure).strip()) from None


def rename_database(connection: Connection, old: str, new: str) -> None:
    """Rename it, ending the sessions that are in it: they would hold it. Raises RepriseError; it takes connections
    again then, under its old name."""
    try:
        connection.execute(SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(Identifier(old)))
        end_sessions(connection, old)
        connection.execute(SQL("ALTER DATABASE {} RENAME TO {}").format(Identifier(old), Identifier(new)))
        connection.execute(SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(Identifier(new)))
    except QueryFailed as failure:
        with suppress(QueryFailed):  # a prepared transaction in it, or a database of the new name
            allow_connections(connection, old)
        raise RepriseError(f"the database {old} cannot be renamed to {new}", cause=str(failure).strip()) from None


def allow_connections(connection: Connection, name: str) -> None:
    """What a rename that was interrupted may have left behind."""
    if database_exists(connection, name):
        connection.execute(SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(Identifier(name)))


def end_sessions(connection: Connection, database: str) -> None:
    """End every session in a database, and wait until they are gone (pg_terminate_backend's timeout, 14 on; before, the
    server's own DROP and RENAME wait five seconds)."""
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
        [database],
    )


def missing_roles(connection: Connection, names: Iterable[str]) -> set[str]:
    """Which of these roles the cluster lacks."""
    wanted = list(names)
    rows = connection.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", [wanted]).fetchall()
    return set(wanted) - {name for (name,) in rows}


def drop_role(connection: Connection, name: str) -> None:
    """Raises RepriseError where something still belongs to it."""
    try:
        connection.execute(SQL("DROP ROLE IF EXISTS {}").format(Identifier(name)))
    except QueryFailed as failure:
        raise RepriseError(f"the role {name} cannot be dropped", cause=str(failure).strip()) from None


def run_statement(connection: Connection, statement: str) -> None:
    """One statement out of a dump. Raises RepriseError."""
    try:
        connection.execute(statement)
    except QueryFailed as failure:
        what = " ".join(statement.split()[:3])
        raise RepriseError(
            f"the server refuses a statement of the dump: {what} …", cause=str(failure).strip()
        ) from None


def run_setting(connection: Connection, statement: str) -> str | None:
    """One statement that sets a parameter for a database or a role. Where the server refuses it (another version's
    parameter, an extension's), nothing is lost that cannot be set later: what it said is returned. Raises RepriseError
    where the connection broke."""
    try:
        with connection.transaction():
            connection.execute(statement)
    except QueryFailed as failure:
        told = str(failure).strip().partition("\n")[0]
        if connection.closed:
            raise RepriseError("the server has gone", cause=told) from None
        return told
    return None


def unknown_settings(connection: Connection, names: Iterable[str]) -> set[str]:
    """Which of these parameters this server has not."""
    rows = connection.execute(
        "SELECT name FROM unnest(%s::text[]) AS name WHERE current_setting(name, true) IS NULL", [list(names)]
    ).fetchall()
    return {name for (name,) in rows}


def describe_database(connection: Connection, statements: Sequence[Sequence[str]], encoding: str) -> list[str]:
    """Apply what a dump says of its database (dumps.contents.Original) to the one connected to. From inside it, as
    pg_restore does: bytes in shared catalogs have no encoding but the reading database's. Settings that the server
    refuses are returned, as it says. Raises RepriseError."""
    refused = []
    if encoding != "SQL_ASCII":
        connection.execute("SELECT set_config('client_encoding', %s, false)", [encoding])
    codec = connection.info.encoding
    row = connection.execute("SELECT current_database()::text").fetchone()
    quoted = Identifier(row[0] if row else "").as_string(connection)
    for pieces in statements:
        text = [piece.encode("utf-8", "surrogateescape").decode(codec, "replace") for piece in pieces]
        if not text[-1].startswith(" SET "):
            run_statement(connection, quoted.join(text))
        elif told := run_setting(connection, quoted.join(text)):
            refused.append(told)
    return refused


def stays_in(database: str) -> bytes:
    """The end of a script for psql: an error where it has come to another database than this one."""
    astray = "the script of the dump has left its database for "
    query = SQL(
        "\nSET client_encoding = 'UTF8';\nSELECT CASE WHEN pg_catalog.current_database() = {} THEN 0"
        " ELSE CAST({} || pg_catalog.current_database() AS integer) END;\n"
    )
    return query.format(Literal(database), Literal(astray)).as_bytes()
