"""The history that the tests of replay, gate, promotion and take-over recover from."""

import pytest
from msgspec import Struct

from engine.postgres.programs import programs_for
from engine.records.history import TransactionEnd
from engine.system.users import everyday_user
from tests.clusters import make_cluster, test_root, wanted_programs
from tests.steps.origin import Origin, origin_of

QUIET = {"autovacuum": "off"}
"""Settings of a cluster whose transactions are a test's own; autovacuum's commits would count as the ledger's."""

TABLE = "CREATE TABLE ledger (id int PRIMARY KEY, filler text)"


class Ledger(Struct, frozen=True):
    """A stopped cluster whose archive holds ``ends`` over several segments of 1 MB; each commit adds one row to
    `ledger`, some abort."""

    origin: Origin
    ends: list[TransactionEnd]

    def rows_before(self, lsn: int) -> int:
        return sum(end.is_commit for end in self.ends if end.lsn < lsn)


once = pytest.mark.parametrize("ledger", ["first"], indirect=True)
"""For what does not depend on PostgreSQL's version."""


def record_ledger(which: str) -> Ledger:
    """A ledger on the ``first`` PostgreSQL of this run, or on the ``last`` one (the embedded build)."""
    found = wanted_programs()
    if which == "last" and len(found) == 1:
        pytest.skip("there is one PostgreSQL only, and it is tested as the first")
    programs = programs_for(everyday_user(), found[0 if which == "first" else -1], test_root() / "programs")
    cluster = make_cluster("ledger", programs=programs, settings=QUIET)
    cluster.sql(TABLE)
    cluster.base_backup("b1")
    with cluster.connect() as connection:
        for number in range(300):
            if number % 50 == 49:
                connection.execute("BEGIN")
                connection.execute("INSERT INTO ledger SELECT -%s, 'taken back'", [number])
                connection.execute("ROLLBACK")
            connection.execute(
                "INSERT INTO ledger SELECT %s, string_agg(md5(random()::text), '') FROM generate_series(1, 400)",
                [number],
            )
    cluster.switch()
    cluster.stop()
    origin = origin_of(cluster, "b1")
    return Ledger(origin, origin.ends())
