"""A verified restore of a base backup, against cp -a, cp -a + pg_verifybackup, and pgbackrest where it is installed.

    python -m tests.bench restore_copy [--megabytes=2048] [--rounds=5]

All read from the page cache and end with the copy on disk (sync -f); the order rotates; medians are compared, and every
result is compared with the first one byte for byte.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from engine.records.copies import BaseBackup
from engine.transfer.copying import copy_backup, release_control
from tests.clusters import Cluster, make_cluster
from tests.transfer.backups import files_of

_TABLES = 16
_ROW = 330  # bytes, about
GOALS = {"cp -a": 1.0, "cp -a + pg_verifybackup": 0.6}


def main(arguments: list[str]) -> None:
    options = argparse.ArgumentParser(prog="restore_copy")
    options.add_argument("--megabytes", type=int, default=2048)
    options.add_argument("--rounds", type=int, default=5)
    chosen = options.parse_args(arguments)
    root = Path(tempfile.mkdtemp(prefix="reprise-bench-", dir="/var/tmp"))
    root.chmod(0o755)
    os.environ["REPRISE_TEST_ROOT"] = str(root)
    try:
        cluster = make_cluster("bench", segment_mb=16, settings={"max_wal_size": "8GB", "archive_mode": "off"})
        try:
            _fill(cluster, chosen.megabytes)
            _measure(cluster, chosen.rounds)
        finally:
            cluster.destroy()
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _fill(cluster: Cluster, megabytes: int) -> None:
    rows = megabytes * (1 << 20) // _ROW // _TABLES
    for number in range(_TABLES):
        cluster.sql(
            f"CREATE TABLE documents_{number} AS SELECT g AS id, md5(g::text) AS digest,"
            f" repeat('page ' || g % 977 || ' of the minutes ', 11) AS text, random() AS weight"
            f" FROM generate_series(1, {rows}) g"
        )
    cluster.sql("CHECKPOINT")
    cluster.base_backup("plain")
    if cluster.can_compress("tar.zst"):
        cluster.base_backup("tar.zst", "tar.zst")
    cluster.stop("immediate")
    shutil.rmtree(cluster.data_dir)


def _measure(cluster: Cluster, rounds: int) -> None:
    plain, into = cluster.backups / "plain", cluster.backups / "into"
    ways: dict[str, Callable[[], None]] = {
        "cp -a": lambda: _cp(plain, into),
        "cp -a + pg_verifybackup": lambda: _cp_and_verify(cluster, plain, into),
        "reprise, plain": lambda: _reprise(plain, "plain", into),
    }
    if (cluster.backups / "tar.zst").exists():
        ways["reprise, tar+zstd"] = lambda: _reprise(cluster.backups / "tar.zst", "tar", into)
    if shutil.which("pgbackrest"):
        print("pgbackrest is installed, but this benchmark does not know it yet")
    wanted: dict[str, str] | None = None
    times: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for path in cluster.backups.rglob("*"):
        if path.is_file():
            path.read_bytes()  # into the page cache
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            os.sync()
            started = time.perf_counter()
            ways[name]()
            times[name].append(time.perf_counter() - started)
            found = _result(into)
            wanted = wanted or found
            if found.keys() != wanted.keys() or any(found[path] != wanted[path] for path in found):
                sys.exit(f"{name}: the result differs")
            shutil.rmtree(into)
    size = sum(path.stat().st_size for path in plain.rglob("*") if path.is_file())
    print(f"{size / 1e6:,.0f} MB, {rounds} rounds, medians:")
    medians = {name: statistics.median(measured) for name, measured in times.items()}
    for name, median in medians.items():
        ratios = "  ".join(
            f"{median / medians[base]:.2f} of {base} (goal {goal})" for base, goal in GOALS.items() if "reprise" in name
        )
        told = " ".join(f"{seconds:.2f}" for seconds in times[name])
        print(f"  {name:24} {median:6.2f} s  {size / median / 1e6:6.0f} MB/s  {ratios}   [{told}]")


def _cp(source: Path, into: Path) -> None:
    subprocess.run(["cp", "-a", str(source), str(into)], check=True)
    subprocess.run(["sync", "-f", str(into)], check=True)


def _cp_and_verify(cluster: Cluster, source: Path, into: Path) -> None:
    _cp(source, into)
    verify = f"{cluster.programs.bin_dir}/pg_verifybackup"
    subprocess.run([verify, "-n", "-q", str(into)], check=True)


def _reprise(source: Path, format: str, into: Path) -> None:
    backup = BaseBackup(id="b", repository="r", path=source, format=format)  # type: ignore[arg-type]
    result = copy_backup(
        backup, into, tablespaces={}, owner=None, progress=lambda done, total: None, safe_point=lambda: None
    )
    release_control(into)
    assert result.verified


def _result(into: Path) -> dict[str, str]:
    """The files and their SHA-256, but those that belong to the taking of each backup."""
    own = ("backup_label", "backup_manifest", "tablespace_map", "global/pg_control")
    return {name: what for name, what in files_of(into).items() if name not in own and not name.startswith("pg_wal/")}
