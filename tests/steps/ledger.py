"""The history that the tests of replay, gate, promotion and take-over recover from."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from engine.records.history import TransactionEnd
from engine.records.survey import Programs
from tests.clusters import wanted_programs
from tests.steps.origin import Origin, origin


@dataclass
class Ledger:
    """A stopped cluster whose archive holds ``ends`` over several segments of 1 MB; each commit adds one row to
    `ledger`, some abort, one is prepared."""

    origin: Origin
    ends: list[TransactionEnd]

    def gate_after(self, end: TransactionEnd) -> int:
        return end.end_lsn

    def rows_before(self, lsn: int) -> int:
        return sum(end.is_commit for end in self.ends if end.lsn < lsn)


once = pytest.mark.parametrize("ledger", ["first"], indirect=True)
"""For what does not depend on PostgreSQL's version."""


@contextmanager
def a_ledger(which: str, rows: int = 300) -> Iterator[Ledger]:
    """A ledger on the ``first`` PostgreSQL of this run, or on the ``last`` one (the embedded build)."""
    found = wanted_programs()
    programs = found[0] if which == "first" else found[-1]
    if which == "last" and len(found) == 1:
        pytest.skip("there is one PostgreSQL only, and it is tested as the first")
    with TemporaryDirectory(prefix="reprise-steps-", dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        with written_ledger(Path(folder) / "site", programs, rows) as written:
            yield written


@contextmanager
def written_ledger(root: Path, programs: Programs, rows: int = 300) -> Iterator[Ledger]:
    with origin(root, programs) as cluster:
        with cluster.server.connect(statement_timeout=120) as connection:
            for number in range(rows):
                if number % 50 == 49:
                    connection.execute("BEGIN")
                    connection.execute("INSERT INTO ledger SELECT -%s, 'taken back'", [number])
                    connection.execute("ROLLBACK")
                connection.execute(
                    "INSERT INTO ledger SELECT %s, string_agg(md5(random()::text), '') FROM generate_series(1, 400)",
                    [number],
                )
        cluster.archived("the ledger")
        assert cluster.backup is not None
        yield Ledger(cluster, cluster.ends())
