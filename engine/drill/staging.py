"""A scenario's steps carried out on the lab. What really happened is noted, and told to nobody."""

import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.drill import damage
from engine.drill import scenario as words
from engine.drill.facts import Facts, as_query, fill_in, read_fingerprint
from engine.drill.hands import Hands
from engine.lab.lab import DATABASE_USER, Lab
from engine.lab.living import archive_rest
from engine.lab.workload import Workload
from engine.postgres.connecting import Connection, QueryFailed, connect
from engine.records.errors import RepriseError, RunFailed
from engine.records.lsn import parse_lsn
from engine.system.births import birth_of

_TRIES = 5  # a deadlock with the users is tried again


def execute(lab: Lab, statement: str, facts: Facts) -> None:
    """One statement, as somebody at the lab's psql would. Raises RepriseError."""
    try:
        with lab.server.connect() as connection:
            connection.execute(*as_query(statement, facts))
    except QueryFailed as failure:
        raise RepriseError("the statement failed", cause=str(failure).strip()) from None


def bring_table(lab: Lab, table: str, host: str, port: int) -> None:
    """The rows of a table that the lab's server lacks, from a server that has them: as somebody at two psqls would.
    Raises RepriseError."""
    name = f'"{read_fingerprint(table).table}"'
    try:
        with (
            connect(host=host, port=port, user=DATABASE_USER, as_user=lab.user) as source,
            lab.server.connect() as target,
            target.transaction(),
        ):
            target.execute(f"CREATE TEMPORARY TABLE brought (LIKE {name}) ON COMMIT DROP")
            with (
                source.cursor().copy(f"COPY {name} TO STDOUT") as reading,
                target.cursor().copy("COPY brought FROM STDIN") as writing,
            ):
                for data in reading:
                    writing.write(data)
            target.execute(f"INSERT INTO {name} OVERRIDING SYSTEM VALUE SELECT * FROM brought ON CONFLICT DO NOTHING")
    except (QueryFailed, ValueError) as failure:
        raise RepriseError(f"the rows of {table} could not be brought", cause=str(failure).strip()) from None


class Stage:
    """The lab while a scenario is set up in it; ``facts`` and ``files`` are what was noted."""

    def __init__(self, lab: Lab, hands: Hands) -> None:
        self.lab = lab
        self.facts: dict[str, Any] = {}
        self.files: dict[str, dict[str, str]] = {}
        self._hands = hands
        self._workload: Workload | None = None
        self._dice = random.Random()

    def play(self, steps: Sequence[words.AnyStep], progress: Callable[[], None]) -> None:
        """Carry out steps; ``progress`` before each. Raises RepriseError."""
        for step in steps:
            progress()
            try:
                self._play(step)
            except QueryFailed as failure:
                raise RepriseError("a statement of the scenario failed", cause=str(failure).strip()) from None

    def rest(self) -> None:
        """The users finish, and go home."""
        if self._workload is not None:
            workload, self._workload = self._workload, None
            workload.stop()

    def end(self) -> None:
        """Nobody works on, whatever happened."""
        if self._workload is not None:
            self._workload.kill()
            self._workload = None

    def _play(self, step: words.AnyStep) -> None:
        match step:
            case words.Work():
                if self._workload is None:
                    self._workload = self.lab.start_workload(pause=step.pause, seed=self._dice.randrange(1 << 20))
                time.sleep(step.seconds)
            case words.Rest():
                self.rest()
            case words.Sql():
                self._transaction(step)
            case words.RestorePoint():
                with self.lab.server.connect() as connection:
                    connection.execute("SELECT pg_create_restore_point(%s)", (step.name,))
            case words.Copy():
                self._hands.take(self.lab.site_file, step.what)
            case words.NoteFiles():
                self.files[step.name] = damage.hashes(self.lab.media)
            case words.ArchiveRest():
                archive_rest(self.lab)
            case words.Stop():
                self._stop(step.mode == "immediate")
            case words.DeleteData():
                damage.delete_data(self.lab, step.keep, new_disk=step.new_disk)
            case words.DeleteSegment():
                lsn = parse_lsn(self.facts[f"{step.holds}.lsn"]) if step.holds is not None else None
                self.facts[f"{step.name}.segment"] = damage.delete_segment(self.lab, lsn)
            case words.FlipBit():
                found = damage.flip_bit(self.lab, self._dice)
                self.facts |= {f"{step.name}.backup": found[0], f"{step.name}.file": found[1]}
            case words.DeleteFiles():
                self.facts[f"{step.name}.count"] = damage.delete_files(self.lab, step.share, self._dice)
            case words.Reprise():
                line = fill_in(step.words, self.facts)
                code, said = self._hands.call(line)
                if code not in (0, 4):
                    raise RunFailed(f"reprise {' '.join(line)} ended with exit code {code}", cause=said or None)

    def _stop(self, crash: bool) -> None:
        """A crash takes the users' connections with it: that their writers fail then is no failure of the drill."""
        if not crash:
            self.rest()
            self.lab.server.stop("fast")
            return
        self.lab.server.stop("immediate")
        with suppress(RepriseError):
            self.rest()

    def _transaction(self, step: words.Sql) -> None:
        for attempt in range(1, _TRIES + 1):
            try:
                with self.lab.server.connect() as connection:
                    noted = _in_one_transaction(connection, step, self.facts)
                break
            except QueryFailed as failure:
                if getattr(failure, "sqlstate", None) not in ("40P01", "55P03") or attempt == _TRIES:
                    raise
        self.facts |= {f"{step.name}.{name}": value for name, value in noted.items()}


def _in_one_transaction(connection: Connection, step: words.Sql, facts: Facts) -> dict[str, Any]:
    noted: dict[str, Any] = {"at": None}
    with connection.transaction():
        for text in step.fingerprint:
            connection.execute(f'LOCK TABLE "{read_fingerprint(text).table}" IN SHARE ROW EXCLUSIVE MODE')
        for text in step.fingerprint:
            noted |= {f"{text}.{name}": value for name, value in fingerprint(connection, text).items()}
        row = connection.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None
        noted["at"] = time_text(row[0])
        for statement in step.statements:
            cursor = connection.execute(*as_query(statement, facts))
            found = cursor.fetchone() if cursor.description else None
            if found is not None and cursor.description:
                columns = [column.name for column in cursor.description]
                noted |= {name: plain(value) for name, value in zip(columns, found, strict=True)}
        row = connection.execute(
            "SELECT pg_current_xact_id_if_assigned()::text, pg_current_wal_insert_lsn()::text"
        ).fetchone()
        assert row is not None
        noted |= {"xid": int(row[0]) if row[0] is not None else None, "lsn": row[1]}
    return noted


def fingerprint(connection: Connection, text: str, last: int | None = None) -> dict[str, Any]:
    """How a table stands, up to its row ``last`` (None: all of it). Of audit_trail also until when it tells."""
    asked = read_fingerprint(text)
    row = connection.execute(asked.query, (last,)).fetchone()
    assert row is not None
    noted = {"rows": row[0], "last": row[1], "digest": row[2]}
    if asked.table == "audit_trail":
        row = connection.execute("SELECT max(at) FROM audit_trail WHERE id <= coalesce(%s, id)", (last,)).fetchone()
        noted["until"] = time_text(row[0]) if row is not None and row[0] is not None else None
    return noted


def time_text(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def plain(value: Any) -> Any:
    """A value that a fact may have."""
    if isinstance(value, datetime):
        return time_text(value)
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)


def standing(lab: Lab) -> dict[str, Any]:
    """What stands there at the call, so that it can be told whether it was destroyed: folders by their inode and when
    they were made (ext4 gives a new folder the inode of one just removed), copies by path and size."""
    copies = {}
    for path in (lab.directory / "backup").rglob("*"):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(lab.directory).parts):
            copies[str(path.relative_to(lab.directory))] = path.stat().st_size
    folders = {"data": lab.data_dir, "media": lab.media}
    births = {name: birth_of(folder) for name, folder in folders.items()}
    return {name: _inode(folder) for name, folder in folders.items()} | {"births": births, "copies": copies}


def _inode(folder: Path) -> int | None:
    return folder.stat().st_ino if folder.is_dir() else None
