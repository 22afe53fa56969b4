"""A recovery with PostgreSQL's own means and nothing of the engine's: the backup unpacked by tar, zstd, lz4
and pg_combinebackup, stopped by ``recovery_target_*``, promoted there."""

import importlib
import shutil
import sys
import tarfile
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

from engine.postgres.connecting import Connection
from engine.postgres.server import Server, free_port
from engine.records.lsn import Lsn, format_lsn, parse_lsn
from engine.records.target import RecoveryTarget
from tests.clusters import own, wait_until
from tests.histories import History


@dataclass(frozen=True)
class Contents:
    """What a recovered database holds: every byte of the ledger, and the transactions that are prepared in it."""

    rows: tuple[tuple[object, ...], ...]
    prepared: tuple[tuple[object, ...], ...]


def contents(connection: Connection) -> Contents:
    rows = connection.execute("SELECT * FROM ledger ORDER BY id").fetchall()
    prepared = connection.execute("SELECT transaction::text, gid FROM pg_prepared_xacts ORDER BY gid").fetchall()
    return Contents(tuple(rows), tuple(prepared))


def recover(history: History, kind: str, target: RecoveryTarget, home: Path) -> tuple[Lsn, Contents]:
    """Recover a backup of the history below ``home`` to a target on a named timeline: where PostgreSQL forked off, and
    what was in the database."""
    cluster = history.cluster
    data_dir = home / "postgres-own"
    _unpack(history, kind, data_dir)
    (data_dir / "recovery.signal").touch()
    data_dir.chmod(0o700)
    own(data_dir, cluster.user)
    server = Server(cluster.programs, data_dir, cluster.user, home, free_port(), home / "postgres-own.log")
    server.start({"restore_command": f'cp "{cluster.archive}/%f" "%p"', "archive_mode": "off", **_settings(target)})
    try:
        server.wait_accepting()
        with server.connect() as connection:
            wait_until(lambda: not _value(connection, "SELECT pg_is_in_recovery()"), "the recovery did not end")
            held = contents(connection)
            newest = max((data_dir / "pg_wal").glob("*.history"))
            return parse_lsn(newest.read_text().split("\t")[-2]), held
    finally:
        server.stop("immediate")


def _value(connection: Connection, query: str) -> object:
    row = connection.execute(query).fetchone()
    return row[0] if row else None


def _settings(target: RecoveryTarget) -> dict[str, str]:
    settings = {"recovery_target_action": "promote", "recovery_target_timeline": str(target.timeline)}
    if target.kind == "immediate":
        settings["recovery_target"] = "immediate"
    if target.time is not None:
        settings["recovery_target_time"] = f"{target.time.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f+00}"
    if target.lsn is not None:
        settings["recovery_target_lsn"] = format_lsn(target.lsn)
    if target.xid is not None:
        settings["recovery_target_xid"] = str(target.xid)
    if target.name is not None:
        settings["recovery_target_name"] = target.name
    return settings | {"recovery_target_inclusive": "off" if target.exclusive else "on"}


def _unpack(history: History, kind: str, into: Path) -> None:
    cluster = history.cluster
    source = cluster.backups / history.backups[kind]
    if kind == "incremental":
        cluster.run("pg_combinebackup", cluster.backups / history.backups["plain"], source, "-o", into, "--no-sync")
    elif (source / "PG_VERSION").exists():
        shutil.copytree(source, into, symlinks=True)
    else:
        for archive in sorted(source.glob("*.tar*")):
            place = into / "pg_wal" if archive.name.startswith("pg_wal.") else into
            place.mkdir(mode=0o700, exist_ok=True)
            _extract(archive, place)


def _extract(archive: Path, into: Path) -> None:
    if archive.suffix in (".zst", ".lz4"):
        zstd = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
        packing = importlib.import_module(zstd if archive.suffix == ".zst" else "lz4.frame")
        with packing.open(archive) as plain, tarfile.open(fileobj=plain, mode="r|") as members:
            members.extractall(into, filter="tar")
    else:
        with tarfile.open(archive) as members:
            members.extractall(into, filter="tar")
