"""A verified restore of a base backup, against cp -a, cp -a + pg_verifybackup, and pgbackrest where it is installed.

    python -m tests.bench restore_copy [--megabytes=2048] [--rounds=5] [--keep=FOLDER]

All read from the page cache and end with the copy on disk (sync -f); the order rotates; medians are compared, and every
result is compared with the first one byte for byte. ``--keep`` leaves the backups and all times measured in a folder: a
later call with the same folder goes on with them, so that the rounds may be spread over several calls.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine.records.copies import BaseBackup
from engine.transfer.copying import copy_backup, release_control
from tests.bench._folders import folder_of_clusters
from tests.bench._tables import fill_tables
from tests.clusters import Cluster, make_cluster
from tests.transfer.backups import files_of

_TABLES = 16
_PROCESSES = "--process-max=2"
_SETTINGS = {"max_wal_size": "8GB", "archive_mode": "off", "autovacuum": "off"}

PLAIN, PACKED = "reprise, plain", "reprise, tar+zstd"
CP, VERIFIED = "cp -a", "cp -a + pg_verifybackup"
PGBACKREST, PGBACKREST_PACKED = "pgbackrest, plain", "pgbackrest, zstd"
GOALS = {
    PLAIN: {CP: 1.0, VERIFIED: 0.6, PGBACKREST: 1.0},
    PACKED: {CP: 1.0, VERIFIED: 0.6, PGBACKREST_PACKED: 1.0},
}
# Files that belong to the taking of each backup, or that a server writes when it stops
_OWN = frozenset(("backup_label", "backup_manifest", "tablespace_map", "global/pg_control", "pg_stat/pgstat.stat"))


def main(arguments: list[str]) -> None:
    options = argparse.ArgumentParser(prog="restore_copy")
    options.add_argument("--megabytes", type=int, default=2048)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--keep", type=Path)
    chosen = options.parse_args(arguments)
    with folder_of_clusters() as root:
        folder = chosen.keep or root / "kept"
        if not (folder / "times.json").exists():
            _take_backups(folder, chosen.megabytes)
        _measure(_Backups(folder), chosen.rounds)


@dataclass(frozen=True)
class _Backups:
    """What is measured, in one folder; ``into`` is where each copy goes."""

    folder: Path

    @property
    def plain(self) -> Path:
        return self.folder / "base/plain"

    @property
    def packed(self) -> Path:
        return self.folder / "base/tar.zst"

    @property
    def times(self) -> Path:
        return self.folder / "times.json"

    @property
    def into(self) -> Path:
        return self.folder / "into"

    @property
    def aside(self) -> Path:
        return self.folder / "aside"

    def stanza(self, compression: str) -> Path:
        """A repository of pgbackrest's with one backup."""
        return self.folder / f"pgbackrest-{compression}"


def _take_backups(folder: Path, megabytes: int) -> None:
    """The same cluster in every way, and the server's programs that check a copy."""
    cluster = make_cluster("bench", segment_mb=16, settings=_SETTINGS)
    try:
        fill_tables(cluster, megabytes, _TABLES)
        cluster.base_backup("plain")
        if cluster.can_compress("tar.zst"):
            cluster.base_backup("tar.zst", "tar.zst")
        cluster.stop()
        folder.mkdir(parents=True, exist_ok=True)
        cluster.backups.rename(folder / "base")
        backups = _Backups(folder)
        if shutil.which("pgbackrest"):
            _back_up_with_pgbackrest(cluster, backups.stanza("none"), "none")
            _back_up_with_pgbackrest(cluster, backups.stanza("zst"), "zst")
        backups.times.write_text(json.dumps({"bin_dir": cluster.programs.bin_dir, "times": {}}))
    finally:
        cluster.destroy()


def _back_up_with_pgbackrest(cluster: Cluster, repository: Path, compression: str) -> None:
    packing = [f"--compress-type={compression}", *(["--compress-level=1"] if compression == "zst" else [])]
    for command in (["stanza-create"], ["backup", "--type=full", "--repo1-retention-full=1", _PROCESSES, *packing]):
        done = _pgbackrest(repository, cluster.data_dir, command[0], "--no-online", *command[1:])
        if done.returncode != 0:
            print(f"pgbackrest is not compared: {done.stdout}{done.stderr}")
            shutil.rmtree(repository, ignore_errors=True)
            return


def _pgbackrest(repository: Path, data_dir: Path, command: str, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [
            "pgbackrest", "--stanza=bench", f"--repo1-path={repository}", f"--pg1-path={data_dir}", "--no-config",
            f"--lock-path={repository}-lock", "--log-level-file=off", *words, command,
        ],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip


def _measure(backups: _Backups, rounds: int) -> None:
    kept = json.loads(backups.times.read_text())
    times: dict[str, list[float]] = kept["times"]
    ways = _ways(backups, kept["bin_dir"])
    names = list(ways)
    for path in backups.folder.rglob("*"):
        if path.is_file():
            path.read_bytes()  # into the page cache
    wanted: dict[str, str] | None = None
    for _ in range(rounds):
        turn = len(times.get(names[-1], ())) % len(names)
        for name in names[turn:] + names[:turn]:
            os.sync()
            started = time.perf_counter()
            ways[name]()
            times.setdefault(name, []).append(time.perf_counter() - started)
            found = _result(backups.into)
            wanted = wanted or found
            if found != wanted:
                different = sorted(path for path in wanted.keys() | found.keys() if wanted.get(path) != found.get(path))
                sys.exit(f"{name}: the result differs, first in {different[0]}")
            _set_aside(backups)
        backups.times.write_text(json.dumps(kept))
    shutil.rmtree(backups.aside)
    size = sum(path.stat().st_size for path in backups.plain.rglob("*") if path.is_file())
    _tell(size, {name: times[name] for name in names})


def _set_aside(backups: _Backups) -> None:
    """Empty a copy, but leave its files: for minutes ext4 passes by the inodes that were deleted lately, one by one,
    and the next copy would pay for that (find_inode_bit in fs/ext4/ialloc.c)."""
    for path in backups.into.rglob("*"):
        if path.is_file() and not path.is_symlink():
            os.truncate(path, 0)
    backups.aside.mkdir(exist_ok=True)
    backups.into.rename(backups.aside / str(time.monotonic_ns()))


def _ways(backups: _Backups, bin_dir: str) -> dict[str, Callable[[], None]]:
    ways: dict[str, Callable[[], None]] = {
        CP: lambda: _cp(backups.plain, backups.into),
        VERIFIED: lambda: _cp_and_verify(bin_dir, backups.plain, backups.into),
        PLAIN: lambda: _reprise(backups.plain, "plain", backups.into),
    }
    if backups.packed.exists():
        ways[PACKED] = lambda: _reprise(backups.packed, "tar", backups.into)
    if backups.stanza("none").exists():
        ways[PGBACKREST] = lambda: _restore_with_pgbackrest(backups.stanza("none"), backups.into)
    if backups.stanza("zst").exists():
        ways[PGBACKREST_PACKED] = lambda: _restore_with_pgbackrest(backups.stanza("zst"), backups.into)
    return ways


def _tell(size: int, times: dict[str, list[float]]) -> None:
    print(f"{size / 1e6:,.0f} MB, medians:")
    medians = {name: statistics.median(measured) for name, measured in times.items()}
    for name, median in medians.items():
        ratios = "  ".join(
            f"{median / medians[base]:.2f} of {base} (goal {goal})"
            for base, goal in GOALS.get(name, {}).items()
            if base in medians
        )
        told = " ".join(f"{seconds:.2f}" for seconds in times[name])
        print(f"  {name:24} {median:6.2f} s  {size / median / 1e6:6.0f} MB/s  {ratios}   [{told}]")


def _cp(source: Path, into: Path) -> None:
    subprocess.run(["cp", "-a", str(source), str(into)], check=True)
    subprocess.run(["sync", "-f", str(into)], check=True)


def _cp_and_verify(bin_dir: str, source: Path, into: Path) -> None:
    _cp(source, into)
    subprocess.run([f"{bin_dir}/pg_verifybackup", "-n", "-q", str(into)], check=True)


def _restore_with_pgbackrest(repository: Path, into: Path) -> None:
    into.mkdir(0o700)
    done = _pgbackrest(repository, into, "restore", "--type=none", _PROCESSES)
    if done.returncode != 0:
        sys.exit(f"pgbackrest cannot restore: {done.stdout}{done.stderr}")
    subprocess.run(["sync", "-f", str(into)], check=True)


def _reprise(source: Path, format: str, into: Path) -> None:
    backup = BaseBackup(id="b", repository="r", path=source, format=format)  # type: ignore[arg-type]
    result = copy_backup(
        backup, into, tablespaces={}, owner=None, progress=lambda done, total: None, safe_point=lambda: None
    )
    release_control(into)
    assert result.verified


def _result(into: Path) -> dict[str, str]:
    """The files and their SHA-256."""
    return {name: what for name, what in files_of(into).items() if name not in _OWN and not name.startswith("pg_wal/")}
