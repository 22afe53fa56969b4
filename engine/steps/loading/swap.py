"""`swap-database`: the present database is renamed aside, the fresh one gets its name. Undo gives both names back;
what was aside is dropped by `discard` alone."""

from engine.postgres.connecting import Connection
from engine.postgres.databases import allow_connections, database_exists, drop_database, rename_database
from engine.records.errors import RunFailed
from engine.records.loading import Loading
from engine.steps.loading.common import connection_to, loading_of
from engine.steps.protocol import RunningStep


def apply(step: RunningStep) -> None:
    """Applied again it goes on where it was: which databases there are says how far it came."""
    loading, name = _named(step)
    if not step.undo_records:
        step.before(database=name, aside=loading.aside, fresh=loading.fresh)
    with connection_to(step) as connection:
        _mend(connection, loading, name)
        if database_exists(connection, loading.fresh):
            if database_exists(connection, name):
                if loading.aside is None:
                    raise RunFailed(f"a database {name} has appeared since the plan was made", remedy="plan again")
                rename_database(connection, name, loading.aside)
            rename_database(connection, loading.fresh, name)
        elif not database_exists(connection, name):
            raise RunFailed(f"neither {loading.fresh} nor {name} is there", remedy="roll back")
    step.fact(set_aside=[f"database {loading.aside}"] if loading.aside else [])


def undo(step: RunningStep) -> None:
    loading, name = _named(step)
    with connection_to(step) as connection:
        _mend(connection, loading, name)
        aside = loading.aside is not None and database_exists(connection, loading.aside)
        swapped = aside or loading.aside is None
        if swapped and database_exists(connection, name) and not database_exists(connection, loading.fresh):
            rename_database(connection, name, loading.fresh)
        if aside and loading.aside is not None and not database_exists(connection, name):
            rename_database(connection, loading.aside, name)


def discard(step: RunningStep) -> None:
    """Drop what stepped aside; of a run that was rolled back, the database that was loaded."""
    loading, name = _named(step)
    with connection_to(step) as connection:
        for each in (loading.aside, loading.fresh):
            if each is not None and each != name and database_exists(connection, each):
                drop_database(connection, each)


def _named(step: RunningStep) -> tuple[Loading, str]:
    loading = loading_of(step)
    if loading.database is None:
        raise RunFailed("the plan names no database that the dump takes the place of", remedy="plan again")
    return loading, loading.database


def _mend(connection: Connection, loading: Loading, name: str) -> None:
    """An interrupted rename may have left a database closed to connections."""
    for each in (name, loading.fresh, loading.aside):
        if each is not None:
            allow_connections(connection, each)
