"""The ledger workload: concurrent writers whose every committed row is known, with the transaction that wrote it.

Run as a process of its own (``python -m tests.ledger SPEC``), so that tests may start programs meanwhile: it writes
until its input closes or ``transactions`` are done, and then prints one JSON list of the rows that committed.
"""

import json
import random
import sys
import threading
from typing import Any, NamedTuple

from engine.postgres.connecting import Connection, connect
from engine.system.users import os_user


class LedgerRow(NamedTuple):
    """A committed row: its id, the top-level transaction that wrote it, and the timeline that it was written on."""

    id: int
    xid: int
    timeline: int


TABLE = """
CREATE TABLE IF NOT EXISTS ledger (
    id bigint PRIMARY KEY, writer integer NOT NULL, kind text NOT NULL, xid bigint NOT NULL, filler text
)
"""
_INSERT = (
    "INSERT INTO ledger SELECT %s, %s, %s, pg_current_xact_id()::text::bigint, repeat(md5(%s::text), %s) RETURNING xid"
)


class _Writer:
    """One connection's transactions: plain, aborted, with subtransactions, prepared."""

    def __init__(self, spec: dict[str, Any], number: int, rows: list[LedgerRow], stop: threading.Event) -> None:
        self.spec, self.number, self.rows, self.stop = spec, number, rows, stop
        self.random = random.Random(spec["seed"] * 1000 + number)
        self.next_id = spec["first_id"] + number * 10_000_000
        self.connection: Connection

    def work(self) -> None:
        self.connection = connect(
            host=self.spec["host"], port=self.spec["port"], user="postgres", as_user=os_user(self.spec["user"])
        )
        acts = [self.plain] * 12 + [self.aborted] * 2 + [self.subtransactions] * 3 + [self.prepared] * 2
        for done in range(sys.maxsize):
            limit = self.spec["transactions"]
            if self.stop.is_set() or (limit is not None and done >= limit):
                break
            written = self.random.choice(acts)()
            self.rows += [LedgerRow(id, xid, self.spec["timeline"]) for id, xid in written]
            self.stop.wait(self.random.random() * self.spec["pause"])
        self.connection.close()

    def insert(self, kind: str) -> tuple[int, int]:
        self.next_id += 1
        filler = self.random.choice((0, 1, 4, 40))
        row = self.connection.execute(_INSERT, (self.next_id, self.number, kind, self.next_id, filler)).fetchone()
        assert row is not None
        return self.next_id, int(row[0])

    def plain(self) -> list[tuple[int, int]]:
        self.connection.execute("BEGIN")
        written = [self.insert("plain") for _ in range(self.random.randint(1, 3))]
        self.connection.execute("COMMIT")
        return written

    def aborted(self) -> list[tuple[int, int]]:
        self.connection.execute("BEGIN")
        self.insert("aborted")
        self.connection.execute("ROLLBACK")
        return []

    def subtransactions(self) -> list[tuple[int, int]]:
        self.connection.execute("BEGIN")
        written = [self.insert("outer")]
        for _ in range(self.random.randint(1, 4)):
            self.connection.execute("SAVEPOINT here")
            inner = self.insert("inner")
            if self.random.random() < 0.5:
                self.connection.execute("ROLLBACK TO SAVEPOINT here")
            else:
                self.connection.execute("RELEASE SAVEPOINT here")
                written.append(inner)
        self.connection.execute("COMMIT")
        return written

    def prepared(self) -> list[tuple[int, int]]:
        name = f"ledger-{self.number}-{self.next_id}"
        self.connection.execute("BEGIN")
        written = [self.insert("prepared")]
        self.connection.execute(f"PREPARE TRANSACTION '{name}'")
        self.stop.wait(self.random.random() * self.spec["pause"])
        if self.random.random() < 0.3:
            self.connection.execute(f"ROLLBACK PREPARED '{name}'")
            return []
        self.connection.execute(f"COMMIT PREPARED '{name}'")
        return written


def main() -> int:
    spec = json.loads(sys.argv[1])
    stop = threading.Event()
    rows: list[LedgerRow] = []
    failures: list[BaseException] = []

    def writing(number: int) -> None:
        try:
            _Writer(spec, number, rows, stop).work()
        except BaseException as failure:
            failures.append(failure)
            stop.set()

    writers = [threading.Thread(target=writing, args=(number,)) for number in range(spec["writers"])]
    for writer in writers:
        writer.start()
    if spec["transactions"] is None:
        sys.stdin.read()
        stop.set()
    for writer in writers:
        writer.join()
    if failures:
        print(failures, file=sys.stderr)
        return 1
    json.dump(rows, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
