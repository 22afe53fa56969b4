"""WAL from a real server, with everything in it that is hard to read, and what pg_waldump says of it."""

import contextlib
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from engine.postgres.programs import programs_for
from engine.postgres.running import run
from engine.postgres.server import Server, free_port
from engine.records.copies import WalFile
from engine.records.lsn import Lsn, SegmentName, parse_lsn
from engine.records.survey import Programs
from engine.system.users import everyday_user, is_root

MB = 1 << 20
_SEGMENT = re.compile(r"([0-9A-F]{24})(?:\.(gz|lz4|zst))?\Z")
_COMPRESSION = {None: None, "gz": "gzip", "lz4": "lz4", "zst": "zstd"}

DENSE = """
DO $$ BEGIN
    FOR i IN 1..{rounds} LOOP
        INSERT INTO ledger (what) VALUES ('kept ' || i);
        BEGIN
            INSERT INTO ledger (what) VALUES ('inner');
            IF i % 5 = 0 THEN RAISE EXCEPTION 'undone'; END IF;
        EXCEPTION WHEN raise_exception THEN NULL;
        END;
        IF i % 7 = 0 THEN ROLLBACK; ELSE COMMIT; END IF;
    END LOOP;
END $$
"""
# So many subtransactions that the commit record alone is longer than a segment of 1 MB.
LONG_COMMIT = """
DO $$ BEGIN
    FOR i IN 1..270000 LOOP
        BEGIN INSERT INTO narrow VALUES (1); EXCEPTION WHEN raise_exception THEN NULL; END;
    END LOOP;
END $$
"""


@dataclass
class Told:
    """One transaction end as pg_waldump tells it."""

    lsn: Lsn
    xid: int
    at: datetime
    kind: str


@dataclass
class RealWal:
    """An archive with two timelines, and what was noted while it was made."""

    programs: Programs
    archive: Path
    segment_size: int
    system_identifier: int
    notes: dict[str, int] = field(default_factory=dict)

    def files(self) -> list[WalFile]:
        return list_files(self.archive, self.segment_size)

    def histories(self) -> dict[int, str]:
        return {int(path.name[:8], 16): path.read_text() for path in self.archive.glob("*.history")}

    def told(self, timeline: int) -> list[Told]:
        names = sorted(p.name for p in self.archive.iterdir() if re.fullmatch(rf"{timeline:08X}[0-9A-F]{{16}}", p.name))
        return waldump(self.programs, self.archive, names[0], names[-1])


def list_files(folder: Path, segment_size: int) -> list[WalFile]:
    """As a catalog lists an archive."""
    found = []
    per_id = (1 << 32) // segment_size
    for path in sorted(folder.iterdir()):
        if match := _SEGMENT.match(path.name):
            status = path.stat()
            number = int(path.name[8:16], 16) * per_id + int(path.name[16:24], 16)
            compression = _COMPRESSION[match[2]]
            found.append(
                WalFile(
                    str(path), int(path.name[:8], 16), number, compression, status.st_size, status.st_mtime_ns,
                    status.st_ino,
                )  # type: ignore[arg-type]
            )  # fmt: skip
    return found


_END = re.compile(r"tx:\s*(\d+), lsn: (\S+), prev \S+, desc: (COMMIT|ABORT|PREPARE)(_PREPARED)? (.*)")
_TIME = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) UTC")


def waldump(programs: Programs, folder: Path, first: str, last: str) -> list[Told]:
    """All transaction ends from one segment to another, by pg_waldump."""
    command = [f"{programs.bin_dir}/pg_waldump", "--rmgr=Transaction", "-p", str(folder), first, last]
    text = subprocess.run(command, capture_output=True, text=True, env={"TZ": "UTC", "LC_ALL": "C"}).stdout
    found = []
    for line in text.splitlines():
        if (match := _END.search(line)) is None:
            continue
        xid = int(match[1])
        if match[4]:  # "COMMIT_PREPARED 754: 2026-…"; the record's own xid is 0
            xid = int(match[5].split(":", 1)[0])
        time = _TIME.search(match[5])
        assert time is not None, line
        kind = match[3].lower() + (" prepared" if match[4] else "")
        found.append(Told(parse_lsn(match[2]), xid, datetime.fromisoformat(time[1]).replace(tzinfo=UTC), kind))
    return found


@contextlib.contextmanager
def running(server: Server, **settings: str) -> Iterator[Server]:
    fixed = {"logging_collector": "off", "listen_addresses": "", "fsync": "off"}
    server.start({**fixed, **settings})
    try:
        server.wait_accepting()
        yield server
    finally:
        server.stop("fast")


def make(programs: Programs, folder: Path) -> RealWal:
    """Make the archive below ``folder``, which the servers' user can reach."""
    user = everyday_user()
    programs = programs_for(user, programs, folder / "programs")
    archive, sockets, data = folder / "archive", folder / "s", folder / "data"
    for place in (archive, sockets):
        place.mkdir()
        if is_root():
            shutil.chown(place, user.uid, user.gid)
    if is_root():
        shutil.chown(folder, user.uid, user.gid)
    run(programs, "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--wal-segsize=1",
        "--no-sync", user=user)  # fmt: skip
    with (data / "postgresql.conf").open("a") as settings:
        settings.write(f"archive_mode = on\narchive_command = 'cp %p {archive}/%f'\nmax_prepared_transactions = 10\n")
        settings.write("max_wal_size = '4GB'\nautovacuum = off\n")
    primary = Server(programs, data, user, sockets, free_port(), folder / "log")
    notes: dict[str, int] = {}
    with running(primary):
        _first_life(primary, notes)
        backup = folder / "backup"
        run(programs, "pg_basebackup", "-h", sockets, "-p", primary.port, "-U", "postgres", "-D", backup,
            "-c", "fast", "-X", "none", "--no-sync", user=user)  # fmt: skip
        label = (backup / "backup_label").read_text()
        notes["backup start"] = parse_lsn(label.split("START WAL LOCATION: ")[1].split()[0])
        _dense(primary, 300)
        _value(primary, "SELECT pg_create_restore_point('fork')")
        _dense(primary, 1500)
        _value(primary, "SELECT pg_switch_wal()")
    with running(primary, max_connections="120"):
        _dense(primary, 100)
        _value(primary, "SELECT pg_switch_wal()")
    _crash_in_a_record(primary, notes)
    with (backup / "postgresql.conf").open("a") as settings:
        settings.write(f"restore_command = 'cp {archive}/%f %p'\nrecovery_target_name = 'fork'\n")
        settings.write("recovery_target_action = promote\n")
    (backup / "recovery.signal").touch()
    if is_root():
        shutil.chown(backup / "recovery.signal", user.uid, user.gid)
    second = Server(programs, backup, user, sockets, free_port(), folder / "log2")
    with running(second, max_connections="120"):
        second.wait(lambda: _value(second, "SELECT pg_is_in_recovery()") is False, 60, "not promoted")
        _dense(second, 800)
        _value(second, "SELECT pg_switch_wal()")
        system_identifier = int(_value(second, "SELECT system_identifier FROM pg_control_system()"))
    return RealWal(programs, archive, MB, system_identifier, notes)


def _first_life(server: Server, notes: dict[str, int]) -> None:
    _value(server, "CREATE TABLE ledger (id bigserial, what text)", "CREATE TABLE narrow (n int)")
    writers = [threading.Thread(target=_dense, args=(server, 4000)) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    with server.connect() as connection:
        for gid, end in (("a", "COMMIT"), ("b", "ROLLBACK"), ("c", "COMMIT"), ("d", None)):
            connection.execute("BEGIN")
            connection.execute("INSERT INTO ledger (what) VALUES ('prepared')")
            connection.execute("SAVEPOINT s")
            connection.execute("INSERT INTO ledger (what) VALUES ('prepared, inner')")
            connection.execute(f"CREATE TABLE made_{gid} (n int)")
            notes[f"prepared {gid}"] = connection.execute("SELECT txid_current()").fetchone()[0]  # type: ignore[index]
            connection.execute(f"PREPARE TRANSACTION '{gid}'")
            if end is not None:
                connection.execute(f"{end} PREPARED '{gid}'")
        connection.execute("SELECT pg_create_restore_point('first name')")
        connection.execute("SELECT pg_logical_emit_message(false, 'long', repeat('x', 3500000))")
        connection.execute("SELECT pg_logical_emit_message(true, 'long', repeat('x', 3500000))")
        connection.execute("BEGIN")
        notes["long commit"] = connection.execute("SELECT txid_current()").fetchone()[0]  # type: ignore[index]
        connection.execute("SAVEPOINT s")
        connection.execute("INSERT INTO narrow VALUES (2)")
        row = connection.execute("SELECT xmin::text::bigint FROM narrow WHERE n = 2").fetchone()
        notes["long commit's subtransaction"] = row[0]  # type: ignore[index]
        connection.execute("RELEASE s")
        connection.execute("SET statement_timeout = 0")
        connection.execute(LONG_COMMIT)
        connection.execute("COMMIT")
        connection.execute("CHECKPOINT")
        connection.execute("CREATE TABLE pages AS SELECT i, repeat('y', 500) FROM generate_series(1, 1500) i")
        connection.execute("SELECT pg_create_restore_point('naïve name')")
        connection.execute("SELECT pg_switch_wal()")


def _crash_in_a_record(server: Server, notes: dict[str, int]) -> None:
    """A crash that loses the second half of a long record: the server that comes after it gives that record up."""
    with running(server, max_connections="120") as _:
        _value(server, "SELECT pg_switch_wal()")
        row = _value(server, "SELECT pg_current_wal_insert_lsn()::text")
        lsn = notes["given up"] = parse_lsn(str(row))
        _value(server, "SELECT pg_logical_emit_message(true, 'long', repeat('z', 200000))")
        server.stop("immediate")
    page = (lsn + 100_000) // 8192 * 8192
    name = SegmentName(1, lsn // MB).text(MB)
    with (server.data_dir / "pg_wal" / name).open("r+b") as file:
        file.seek(page % MB)
        file.write(bytes(MB - page % MB))
    with running(server, max_connections="120"):
        _dense(server, 100)
        _value(server, "SELECT pg_switch_wal()")


def _dense(server: Server, rounds: int) -> None:
    with server.connect() as connection:
        connection.execute("SET statement_timeout = 0")
        connection.execute("SET synchronous_commit = off")
        connection.execute(DENSE.format(rounds=rounds))


def _value(server: Server, *statements: str) -> object:
    found = None
    with server.connect() as connection:
        for statement in statements:
            cursor = connection.execute(statement)
            row = cursor.fetchone() if cursor.description else None
            found = row[0] if row else None
    return found
