"""The document system's users: concurrent writers that commit all the time and write real attachment files.

A process of its own: it writes until its standard input closes, so it ends with whoever started it, whatever happens
to him. Its specification is one JSON argument.
"""

import json
import math
import random
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from engine.lab import system
from engine.postgres.connecting import Connection, connect
from engine.records.errors import RepriseError, Unreachable
from engine.records.survey import OsUser
from engine.system.ours import our_environment, our_program
from engine.system.users import os_user


class Workload:
    """A running workload process, as its starter sees it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def stop(self) -> None:
        """Let the writers finish their transactions, and wait for them. Raises RepriseError where they had failed."""
        _, said = self._process.communicate()
        if self._process.returncode != 0:
            raise RepriseError("the lab's writers failed", cause=said.decode(errors="replace").strip()[-500:] or None)

    def kill(self) -> None:
        """End it at once; nothing where it has ended."""
        self._process.kill()
        self._process.communicate()


def start_workload(
    host: Path, port: int, media: Path, user: OsUser, *, writers: int = 4, pause: float = 0.02, seed: int = 1
) -> Workload:
    """Start writers on the server behind this socket; returns when all are connected. ``pause`` is a writer's mean
    pause in seconds."""
    spec = {
        "host": str(host), "port": port, "media": str(media), "user": user.name,
        "writers": writers, "pause": pause, "seed": seed,
    }  # fmt: skip
    process = subprocess.Popen(
        our_program("engine.lab.workload", json.dumps(spec)),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        env=our_environment(),
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()  # nothing, where one could not connect: stop() says why
    return Workload(process)


class _Writer:
    """One user's session: what he does, until he is told to stop."""

    def __init__(self, spec: dict[str, Any], number: int, stop: threading.Event) -> None:
        self.dice = random.Random(spec["seed"] * 100 + number)
        self.owner = os_user(spec["user"])
        self.media = Path(spec["media"])
        self.stop, self.pause = stop, spec["pause"]
        self.connection: Connection = connect(
            host=spec["host"], port=spec["port"], user="postgres", as_user=self.owner, lock_timeout=30
        )

    def work(self) -> None:
        acts = [self.view] * 6 + [self.edit] * 5 + [self.create] * 2 + [self.attach] * 4 + [self.think_better]
        with self.connection:
            while not self.stop.wait(self._breath()):
                with suppress(psycopg.errors.DeadlockDetected):
                    self.dice.choice(acts)()

    def _breath(self) -> float:
        """A pause in seconds. The office has its busy and its quiet times, several a minute."""
        mood = 1 + 0.8 * math.sin(time.monotonic() * 2 * math.pi / 11)
        return min(1.0, self.dice.expovariate(1 / (self.pause * mood)))

    def view(self) -> None:
        self._audit("view", self._document())

    def edit(self) -> None:
        document = self._document()
        with self.connection.transaction():
            self.connection.execute(
                "UPDATE documents SET body = %s, version = version + 1, changed_at = now() WHERE id = %s",
                (system.text(self.dice), document),
            )
            with self.connection.transaction():  # a savepoint: a subtransaction
                self._audit("edit", document)

    def create(self) -> None:
        with self.connection.transaction():
            row = self.connection.execute(
                "INSERT INTO documents (owner, title, body) VALUES (%s, %s, %s) RETURNING id",
                (self._user(), system.title(self.dice), system.text(self.dice)),
            ).fetchone()
            assert row is not None
            self._audit("create", int(row[0]))

    def attach(self) -> None:
        """The file first, then its card: a card without a file is worse than a file without a card."""
        now = datetime.now(UTC)
        path, size, digest = system.add_file(self.media, self.owner, now, self.dice)
        with suppress(psycopg.errors.UndefinedTable):  # after the accident the application shrugs, and life goes on
            self.connection.execute(
                "INSERT INTO attachments (document, path, size, sha256) VALUES (%s, %s, %s, %s)",
                (self._document(), path, size, digest),
            )

    def think_better(self) -> None:
        """A transaction that is rolled back."""
        with self.connection.transaction() as transaction:
            self._audit("edit", self._document())
            raise psycopg.Rollback(transaction)

    def _audit(self, action: str, document: int) -> None:
        self.connection.execute(
            "INSERT INTO audit_trail (who, action, document) VALUES (%s, %s, %s)", (self._user(), action, document)
        )

    def _document(self) -> int:
        return self.dice.randint(1, system.DOCUMENTS)

    def _user(self) -> int:
        return self.dice.randint(1, system.USERS)


def main() -> int:
    spec = json.loads(sys.argv[1])
    stop = threading.Event()
    failures: list[Exception] = []
    at_work = threading.Barrier(spec["writers"] + 1)

    def working(number: int) -> None:
        try:
            writer = _Writer(spec, number, stop)
            with suppress(threading.BrokenBarrierError):
                at_work.wait()
            writer.work()
        except (psycopg.Error, RepriseError, Unreachable, OSError) as failure:
            failures.append(failure)
            stop.set()
            at_work.abort()

    writers = [threading.Thread(target=working, args=(number,)) for number in range(spec["writers"])]
    for writer in writers:
        writer.start()
    with suppress(threading.BrokenBarrierError):
        at_work.wait()
    print("all are at work" if not failures else "", flush=True)
    sys.stdin.read()
    stop.set()
    for writer in writers:
        writer.join()
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
