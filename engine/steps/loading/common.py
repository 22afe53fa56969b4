"""What the steps that restore a dump share."""

from engine.postgres.connecting import Connection, connect
from engine.records.errors import RunFailed
from engine.records.loading import Loading
from engine.steps.protocol import RunningStep

_MAINTENANCE = ("postgres", "template1")  # a database that is none of those which are renamed


def loading_of(step: RunningStep) -> Loading:
    """The dump that the run restores. Raises RunFailed where its plan is another's."""
    if step.plan.loading is None:
        raise RunFailed("the plan restores no dump", remedy="plan again")
    return step.plan.loading


def connection_to(step: RunningStep, dbname: str | None = None) -> Connection:
    """A connection to a database, or (None) to one that the run does not touch. Raises Unreachable."""
    loading = loading_of(step)
    touched = (loading.database, loading.fresh, loading.aside)
    dbname = dbname or next(name for name in _MAINTENANCE if name not in touched)
    return connect(
        host=loading.host, port=loading.port, user=loading.user, dbname=dbname, as_user=loading.run_as,
        statement_timeout=600, lock_timeout=30,
    )  # fmt: skip
