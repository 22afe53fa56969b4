"""Every table and B-tree index of the recovered cluster read through by pg_amcheck, as far as the time allows.

Nothing is installed for it in a cluster that somebody keeps: the program and its extension are the origin's own
(PostgreSQL manual, "pg_amcheck")."""

from typing import NamedTuple

from engine.postgres.running import run
from engine.postgres.server import Server
from engine.records.errors import RepriseError, Unreachable
from engine.steps.protocol import RunningStep
from engine.steps.shared.children import carried

TIME_LIMIT = 120.0  # seconds: nobody should wait for the system any longer because of it

_PROGRAM = "pg_amcheck"
_CORRUPT = f"{_PROGRAM} failed with exit code 2"  # pg_amcheck.c: 1 is an error of its own, 2 what it looks for


class Reading(NamedTuple):
    """``ok`` None: not, or not wholly, read."""

    ok: bool | None
    finding: str


def read_through(step: RunningStep, server: Server, databases: list[str], install: bool = False) -> Reading:
    """Read the databases, which have the extension ``amcheck``; or get it (``install``), and then all the time that it
    takes, for nobody waits for a copy that is thrown away. Such a copy shall prove something: there even a program that
    fails says no. Raises Stopped where the operator cancels."""
    if not databases:
        return Reading(None, f"{_PROGRAM} was not asked: no database has the extension amcheck")
    address = ["-h", str(server.socket_dir), "-p", str(server.port), "-U", server.database_user, "--no-password"]
    for name in databases:
        address += ["--database", '"' + name.replace('"', '""') + '"']  # a pattern; quoted it means itself alone
    address += ["--install-missing"] if install else []
    limit = None if install else TIME_LIMIT
    told = f"{_PROGRAM} of {', '.join(databases)}"
    try:
        carried(step, lambda say: run(server.programs, _PROGRAM, *address, user=server.user, timeout=limit))
    except Unreachable:
        return Reading(None, f"{told} was stopped after {TIME_LIMIT:g} s")
    except RepriseError as problem:
        why = " ".join((problem.cause or "").split())
        if problem.message == _CORRUPT:
            return Reading(False, f"{told} found: {why}")
        return Reading(False if install else None, f"{told}: {problem.message}: {why}")
    return Reading(True, f"{told} found no damage")
