"""A connection over a Unix socket, also as root where the server wants peer authentication.

The server asks the kernel who stands at the other end, and the kernel answers with the effective uid that the thread
had when it connected (unix(7), SO_PEERCRED). So for the moment of connecting, the calling thread alone becomes
`run_as`: the raw system call changes one thread, where os.seteuid would change all of them.
"""

import ctypes
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import psycopg.sql

from engine.records.errors import Unreachable
from engine.records.survey import OsUser
from engine.system.users import is_root

Connection = psycopg.Connection[tuple[Any, ...]]
QueryFailed = psycopg.Error  # a query that failed, or a connection that broke; other rooms need not know psycopg

_SETRESUID = {"x86_64": 117, "aarch64": 147}  # Linux, per architecture: arch/*/entry/syscalls


def connect(
    *,
    host: str,
    port: int,
    user: str,
    dbname: str = "postgres",
    as_user: OsUser | None = None,
    timeout: float = 10,
    statement_timeout: float = 30,
    lock_timeout: float = 3,
) -> Connection:
    """Connect (autocommit). ``host`` is a socket folder or a host name; a password comes from ~/.pgpass, if at all.
    ``as_user`` is who a Unix socket's peer shall be, where we are root. Timeouts are in seconds; at a gate a query
    on a table that is being dropped would hang for ever without them.

    Raises Unreachable.
    """
    options = f"-c statement_timeout={statement_timeout * 1000:.0f} -c lock_timeout={lock_timeout * 1000:.0f}"

    def attempt() -> Connection:
        return psycopg.connect(
            host=host,
            port=port,
            user=user,
            dbname=dbname,
            connect_timeout=max(2, round(timeout)),  # libpq: 1 means 2
            application_name="reprise",
            options=options,
            autocommit=True,
        )

    changes = as_user is not None and as_user.uid != 0 and is_root() and host.startswith(("/", "@"))
    try:
        if not changes or as_user is None:
            return attempt()
        try:
            with connecting_as(as_user):
                return attempt()
        except psycopg.OperationalError as refusal:
            if "authentication failed" not in str(refusal) and "password" not in str(refusal):
                raise
            return attempt()  # a server whose pg_ident.conf lets root in, and run_as not
    except psycopg.Error as failure:
        said = [line.strip() for line in str(failure).splitlines() if line.strip()]
        where = f"{host}/.s.PGSQL.{port}" if host.startswith("/") else f"{host}:{port}"
        raise Unreachable(
            f"no connection to PostgreSQL at {where} as {user}",
            cause=said[-1] if said else type(failure).__name__,
            remedy="see that the server runs and that pg_hba.conf lets this user in over this socket or address",
        ) from None


def set_for_all(connection: Connection, setting: str, value: str) -> None:
    """ALTER SYSTEM SET. A reload, or a restart, makes it hold."""
    command = psycopg.sql.SQL("ALTER SYSTEM SET {} = {}")
    connection.execute(command.format(psycopg.sql.Identifier(setting), psycopg.sql.Literal(value)))


@contextmanager
def connecting_as(user: OsUser) -> Iterator[None]:
    """The calling thread's effective user is ``user`` inside, root's again outside. Files are still opened as root
    (fsuid): Python may have to load a module, and libpq reads our ~/.pgpass, not his. Only for root, only on Linux;
    elsewhere it changes nothing."""
    number = _SETRESUID.get(platform.machine())
    if not is_root() or number is None or not sys.platform.startswith("linux"):
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    _set_effective(libc, number, user.uid)
    libc.setfsuid(0)
    try:
        yield
    finally:
        _set_effective(libc, number, 0)


def _set_effective(libc: ctypes.CDLL, number: int, uid: int) -> None:
    keep = ctypes.c_long(-1)
    if libc.syscall(ctypes.c_long(number), keep, ctypes.c_long(uid), keep) != 0:
        raise OSError(ctypes.get_errno(), "setresuid")
