"""A look into a run's server with psql, for the operator at the terminal."""

from pathlib import Path

from engine.acts.desk import Desk, writable
from engine.acts.following import run_state
from engine.postgres.connecting import connect
from engine.postgres.psql import Psql as Psql
from engine.postgres.psql import find_psql
from engine.postgres.psql import hold_psql as hold_psql
from engine.records.errors import Unreachable
from engine.run.folder import read_run_site


def prepare_psql(desk: Desk, run: str) -> Psql:
    """psql for the server of a run, which answered just now. Where this desk may only look, a server is looked into
    as long as it waits at its gate, where it takes no writes.

    Raises Unreachable where nothing can be connected to, RepriseError where psql is missing.
    """
    state = run_state(desk, run)
    if state.outcome != "paused":
        writable(desk)
    if (why := state.unreadable) is not None:
        raise Unreachable(why.finding, remedy=why.remedy)
    layout = state.plan.layout
    if layout is None or state.host is None or state.port is None:
        raise Unreachable("no server of this run answers now")
    database = read_run_site(Path(state.folder)).database
    connect(
        host=state.host, port=state.port, user=database.user, dbname=database.dbname, as_user=layout.run_as, timeout=5
    ).close()
    return find_psql(
        layout.programs,
        layout.run_as,
        host=state.host,
        port=state.port,
        user=database.user,
        dbname=database.dbname,
        read_only=desk.read_only,
    )
