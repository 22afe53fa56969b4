"""The history that the tests of replay, gate, promotion and take-over recover from."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine.records.history import TransactionEnd
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


@contextmanager
def written_ledger(root: Path, major: int | None, rows: int = 300) -> Iterator[Ledger]:
    with origin(root, major) as cluster:
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
