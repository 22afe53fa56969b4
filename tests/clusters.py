"""Real PostgreSQL clusters for tests: a server with an archive, base backups in several formats, a ledger workload.

All of it lies in one folder per cluster below TEST_ROOT, belongs to an ordinary user (PostgreSQL's programs refuse
root), and goes away with every process when the test ends. ``REPRISE_TEST_POSTGRES`` chooses the programs: ``machine``,
``embedded``, or a folder of programs (of any version from 13 to 18); unset: the machine's, else the embedded ones.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from crc32c import crc32c

from engine.postgres.connecting import Connection
from engine.postgres.programs import describe_folder, find_programs, programs_for
from engine.postgres.running import run
from engine.postgres.server import Server, free_port
from engine.records.lsn import Lsn, parse_lsn
from engine.records.survey import OsUser, Programs
from engine.system.users import everyday_user
from engine.system.users import give as own
from tests.initdb import initialise
from tests.ledger import TABLE, LedgerRow
from tests.recorded import test_root as test_root
from tests.waldump import Ended, transaction_ends

Format = Literal["plain", "tar", "tar.gz", "tar.lz4", "tar.zst"]
_COMPRESS = {"tar.gz": "gzip:1", "tar.lz4": "lz4", "tar.zst": "zstd:1"}

# Copied to a name of its own and renamed: a segment is either whole or not there. A different one is never replaced.
_ARCHIVE = """#!/bin/sh
set -e
if test -e "{archive}/$2"; then cmp -s "$1" "{archive}/$2"; exit; fi
cp "$1" "{archive}/.$2.tmp"
mv "{archive}/.$2.tmp" "{archive}/$2"
"""


def wanted_programs() -> list[Programs]:
    """Every PostgreSQL that REPRISE_TEST_POSTGRES allows, the preferred one first; at least one."""
    wanted = os.environ.get("REPRISE_TEST_POSTGRES", "")
    if wanted.startswith("/"):
        return [describe_folder(wanted)]
    found = [each for each in find_programs() if not wanted or each.embedded == (wanted == "embedded")]
    if not found:
        pytest.fail(f"no PostgreSQL for the tests (REPRISE_TEST_POSTGRES={wanted or 'unset'})")
    return found


def test_programs() -> Programs:
    """The PostgreSQL that this run of the tests is about, readable by the tests' user."""
    return programs_for(everyday_user(), wanted_programs()[0], test_root() / "programs")


test_programs.__test__ = False  # type: ignore[attr-defined]


@dataclass
class Cluster:
    """One cluster with its archive (``wal``) and its base backups (``base``)."""

    root: Path
    programs: Programs
    user: OsUser
    server: Server
    segment_size: int
    rows: list[LedgerRow] = field(default_factory=list)  # all that committed, over all timelines
    timeline: int = 1

    @property
    def data_dir(self) -> Path:
        return self.server.data_dir

    @property
    def archive(self) -> Path:
        return self.root / "wal"

    @property
    def backups(self) -> Path:
        return self.root / "base"

    @property
    def socket_dir(self) -> Path:
        return self.root / "s"

    @property
    def port(self) -> int:
        return self.server.port

    def run(self, program: str, *arguments: str | Path, timeout: float = 120) -> str:
        """One of PostgreSQL's programs, as the cluster's user."""
        return run(self.programs, program, *arguments, user=self.user, cwd=self.root, timeout=timeout)

    def start(self, settings: dict[str, str] | None = None) -> None:
        self.server.start(settings)
        self.server.wait_accepting()

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        self.server.stop(mode)

    def connect(self) -> Connection:
        return self.server.connect(statement_timeout=120)

    def sql(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run one statement in a connection of its own; its rows, if it has any."""
        with self.connect() as connection:
            cursor = connection.execute(query, values or None)
            return cursor.fetchall() if cursor.description else []

    def value(self, query: str, *values: Any) -> Any:
        """The first column of the first row."""
        return self.sql(query, *values)[0][0]

    def lsn(self) -> Lsn:
        """Where the next record will be written."""
        return parse_lsn(self.value("SELECT pg_current_wal_insert_lsn()::text"))

    def switch(self) -> str:
        """Close the current segment and wait until it is archived; its file name."""
        with self.connect() as connection:
            connection.execute("SELECT pg_logical_emit_message(false, 'tests', 'so that there is something to switch')")
            row = connection.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchone()
        assert row is not None
        name = str(row[0])
        wait_until(lambda: (self.archive / name).exists(), f"{name} was not archived")
        return name

    def catch_up_archive(self) -> None:
        """Wait until every full segment is archived; until then the archive may hold the draft of one."""
        status = self.data_dir / "pg_wal" / "archive_status"
        if self.server.pid() is not None:
            wait_until(lambda: not list(status.glob("*.ready")), "a segment was not archived")

    def restore_point(self, name: str) -> Lsn:
        """A named restore point; the LSN behind its record."""
        return parse_lsn(self.value("SELECT pg_create_restore_point(%s)::text", name))

    def base_backup(
        self,
        name: str,
        format: Format = "plain",
        *,
        parent: str | None = None,
        wal: str = "none",
        extra: tuple[str, ...] = (),
    ) -> Path:
        """A base backup below ``backups``, as pg_basebackup leaves it; with ``parent`` an incremental one. All WAL that
        it needs is archived."""
        folder = self.backups / name
        # With -X none the server waits for its archiver in whole seconds (do_pg_backup_stop in xlog.c); so the WAL is
        # streamed beside the backup, thrown away, and the archive waited for here.
        streamed = "stream" if wal == "none" else wal
        arguments = ["-D", str(folder), "-c", "fast", "-X", streamed, "--no-sync", "-l", name]
        arguments += ["-h", str(self.socket_dir), "-p", str(self.port), "-U", "postgres"]
        if format != "plain":
            arguments += ["-F", "tar"]
        if format in _COMPRESS:
            method = _COMPRESS[format]
            arguments += ["--compress", method if self.programs.version >= 15 else "1"]
        if parent is not None:
            arguments += [f"--incremental={self.backups / parent / 'backup_manifest'}"]
        self.run("pg_basebackup", *arguments, *extra)
        if wal == "none":
            for file in (*folder.glob("pg_wal/**/0*"), *folder.glob("pg_wal.tar*")):
                file.unlink()
        status = self.data_dir / "pg_wal" / "archive_status"
        wait_until(lambda: not any(status.glob("*.ready")), f"the WAL of {name} was not archived")
        return folder

    def can_compress(self, format: Format) -> bool:
        """Whether this build can write (and PostgreSQL read) such a backup."""
        if format in ("tar.lz4", "tar.zst"):
            option = "--with-lz4" if format == "tar.lz4" else "--with-zstd"
            return self.programs.version >= 15 and option in self.programs.configure
        return True

    @property
    def can_increment(self) -> bool:
        return self.programs.version >= 17

    @contextmanager
    def load(self, writers: int = 4, *, pause: float = 0.02, seed: int = 1) -> Iterator[None]:
        """Writers at work for as long as the block lasts; their rows are in ``rows`` afterwards."""
        self.sql(TABLE)
        before = self.value("SELECT coalesce(max(id), 0) FROM ledger")
        process = self._ledger(writers, None, pause, seed)
        try:
            wait_until(
                lambda: self.value("SELECT count(*) FROM ledger WHERE id > %s", before) > 5, "the writers did not write"
            )
            yield
        except BaseException:
            process.kill()
            process.communicate()
            raise
        self._collect(process)

    def write(self, transactions: int = 50, writers: int = 4, *, seed: int = 1) -> None:
        """As many transactions per writer, without pauses."""
        self._collect(self._ledger(writers, transactions, 0, seed))

    def _ledger(self, writers: int, transactions: int | None, pause: float, seed: int) -> subprocess.Popen[str]:
        self.sql(TABLE)
        first_id = 1 + max((row.id for row in self.rows), default=0)
        spec = {
            "host": str(self.socket_dir), "port": self.port, "user": self.user.name, "writers": writers, "seed": seed,
            "transactions": transactions, "pause": pause, "timeline": self.timeline,
            "first_id": (first_id // 1_000_000_000 + 1) * 1_000_000_000,
        }  # fmt: skip
        return subprocess.Popen(
            [sys.executable, "-m", "tests.ledger", json.dumps(spec)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            cwd=Path(__file__).parent.parent,
        )  # fmt: skip

    def _collect(self, process: subprocess.Popen[str]) -> None:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        self.rows += [LedgerRow(*row) for row in json.loads(out)]

    def accident(self, table: str = "ledger") -> Lsn:
        """A table is dropped by mistake; the LSN before it."""
        before = self.lsn()
        self.sql(f"DROP TABLE {table}")
        return before

    def promote_new_timeline(self, backup: str, settings: dict[str, str] | None = None) -> int:
        """Recover the plain ``backup`` to a target (``settings``: recovery_target_*; default: the archive's end) into
        a data directory of its own and promote it, with PostgreSQL's own means. It becomes this cluster's server and
        archives into the same archive; the old data directory stays as it was. Returns the new timeline."""
        self.stop()
        data_dir = self.root / f"data{self.timeline + 1}"
        shutil.copytree(self.backups / backup, data_dir, symlinks=True)
        data_dir.chmod(0o700)
        (data_dir / "pg_wal" / "archive_status").mkdir(parents=True, exist_ok=True)
        (data_dir / "recovery.signal").touch()
        own(data_dir, self.user)
        self.server = Server(self.programs, data_dir, self.user, self.socket_dir, self.port, self.server.log)
        target = {"recovery_target_action": "promote", "recovery_target_timeline": str(self.timeline)}
        self.start({"restore_command": f'cp "{self.archive}/%f" "%p"', **target, **(settings or {})})
        wait_until(lambda: not self.value("SELECT pg_is_in_recovery()"), "the recovery did not end")
        self.sql("CHECKPOINT")
        self.timeline = self.server.control().timeline
        name = f"{self.timeline:08X}.history"
        wait_until(lambda: (self.archive / name).exists(), f"{name} was not archived")
        return self.timeline

    def ends(self, timeline: int | None = None) -> list[Ended]:
        """All transaction ends in the archive, in WAL order, as pg_waldump tells them."""
        wanted = [name for name in self.segments() if timeline in (None, int(name[:8], 16))]
        return transaction_ends(self.programs, self.archive, wanted, self.segment_size)

    def segments(self) -> list[str]:
        """The archived segments' names, sorted."""
        return sorted(path.name for path in self.archive.iterdir() if re.fullmatch("[0-9A-F]{24}", path.name))

    def rows_before(self, gate: Lsn, timeline: int, fork: Lsn | None = None) -> set[int]:
        """The ids of the ledger's rows that a server which replayed all before ``gate`` on ``timeline`` holds. On a
        second timeline ``fork`` is where it left the first."""
        committed: set[tuple[int, int]] = set()
        while timeline >= 1:
            committed |= {
                (end.timeline, end.xid)
                for end in self._all_ends()
                if end.timeline == timeline and end.lsn < gate and end.kind in ("COMMIT", "COMMIT_PREPARED")
            }
            timeline, gate = timeline - 1, min(gate, fork if fork is not None else gate)
        return {row.id for row in self.rows if (row.timeline, row.xid) in committed}

    def _all_ends(self) -> list[Ended]:
        state = tuple(self.segments())
        cached: tuple[tuple[str, ...], list[Ended]] | None = self.__dict__.get("_ends")
        if cached is None or cached[0] != state:
            cached = self.__dict__["_ends"] = (state, self.ends())
        return cached[1]

    def destroy(self) -> None:
        """Every process and every file of this cluster, gone."""
        for data_dir in self.root.glob("data*"):
            kill_processes_below(data_dir)
        kill_processes_below(self.root)
        shutil.rmtree(self.root, ignore_errors=True)


def make_cluster(
    name: str = "c", *, programs: Programs | None = None, segment_mb: int = 1, settings: dict[str, str] | None = None
) -> Cluster:
    """A new cluster, running. Destroy it in the end; the fixtures of conftest.py do that."""
    programs = programs or test_programs()
    user = everyday_user()
    root = Path(tempfile.mkdtemp(prefix=f"{name[:12]}-", dir=test_root()))
    root.chmod(0o755)
    for folder in ("wal", "base", "s"):
        (root / folder).mkdir(mode=0o755)
    archive_command = root / "archive.sh"
    archive_command.write_text(_ARCHIVE.format(archive=root / "wal"))
    archive_command.chmod(0o755)
    own(root, user)
    data_dir = root / "data"
    initialise(data_dir, programs, user, segment_mb)
    values = {
        "listen_addresses": "''", "archive_mode": "on", "archive_command": f"""'{archive_command} "%p" "%f"'""",
        "wal_level": "replica", "max_prepared_transactions": "20", "shared_buffers": "16MB", "fsync": "off",
        "max_wal_size": "256MB", "checkpoint_timeout": "1h", "logging_collector": "off", "lc_messages": "C",
        "timezone": "UTC", "log_timezone": "UTC", "wal_keep_size": "0", **(settings or {}),
    }  # fmt: skip
    if programs.version >= 17:
        values.setdefault("summarize_wal", "on")
    with (data_dir / "postgresql.conf").open("a") as file:
        file.writelines(f"{key} = {value}\n" for key, value in values.items())
    (data_dir / "pg_hba.conf").write_text("local all all peer map=tests\nlocal replication all peer map=tests\n")
    (data_dir / "pg_ident.conf").write_text(f"tests {user.name} postgres\n")
    server = Server(programs, data_dir, user, root / "s", free_port(), root / "log")
    cluster = Cluster(root, programs, user, server, segment_mb << 20)
    try:
        cluster.start()
    except BaseException:
        cluster.destroy()
        raise
    return cluster


def of_another_cluster(control: bytes) -> bytes:
    """pg_control with another system identifier, its first eight bytes, and a right checksum behind its fields."""
    data, size = bytearray(control), 0
    while crc32c(bytes(data[:size])).to_bytes(4, "little") != data[size : size + 4]:
        size += 1
    data[0] ^= 1
    data[size : size + 4] = crc32c(bytes(data[:size])).to_bytes(4, "little")
    return bytes(data)


def wait_until(condition: Callable[[], bool], otherwise: str, timeout: float = 60) -> None:
    """Poll until ``condition`` holds; fail the test with ``otherwise`` after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"{otherwise} within {timeout:g} s")
        time.sleep(0.02)


def processes_below(folder: Path) -> list[int]:
    """Every process that works in this folder or below it."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                where = (entry / "cwd").readlink()
                if where == folder or folder in where.parents:
                    found.append(int(entry.name))
    return found


def end_engines(folder: Path) -> None:
    """Kill the engines of runs below a test's own folder that wait for an operator who will not come."""
    for process in Path("/proc").iterdir():
        with suppress(OSError):
            words = (process / "cmdline").read_bytes()
            if b"engine." in words and os.fsencode(folder) + b"/" in words:
                os.kill(int(process.name), signal.SIGKILL)


def kill_processes_below(folder: Path) -> None:
    """Kill what works below a test's own folder, and wait until it is gone."""
    for pid in processes_below(folder):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not processes_below(folder), f"processes below {folder} did not end", timeout=20)
