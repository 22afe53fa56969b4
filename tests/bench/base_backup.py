"""A base backup by the steps of a run, against pg_basebackup with the same compression.

    python -m tests.bench base_backup [--megabytes=1024] [--rounds=5] [--format=tar|plain]

All read from the page cache and end with the backup on disk under its name; the order rotates; medians are compared,
and every result is held against its manifest, byte for byte.
"""

import argparse
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from msgspec.structs import replace

from engine.backup.base import Asked, compression_for, plan_base
from engine.backup.planning import Place
from engine.site import Database, DatabaseRepository, Identity, Site
from engine.steps import step_module
from engine.transfer.verifying import verify_backup
from tests.bench._folders import folder_of_clusters
from tests.bench._tables import fill_tables
from tests.clusters import Cluster, make_cluster
from tests.steps.origin import Rehearsal

GOALS = {"reprise, not verified": 1.05, "reprise": 1.5}
_BARE = "pg_basebackup"
_TABLES = 8

Format = Literal["tar", "plain"]


def main(arguments: list[str]) -> None:
    options = argparse.ArgumentParser(prog="base_backup")
    options.add_argument("--megabytes", type=int, default=1024)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--format", choices=("tar", "plain"), default="tar")
    chosen = options.parse_args(arguments)
    with folder_of_clusters():
        cluster = make_cluster("bench", segment_mb=16, settings={"max_wal_size": "8GB", "archive_mode": "off"})
        try:
            fill_tables(cluster, chosen.megabytes, _TABLES)
            _measure(cluster, chosen.format, chosen.rounds)
        finally:
            cluster.destroy()


def _measure(cluster: Cluster, format: Format, rounds: int) -> None:
    ways: dict[str, Callable[[], Path]] = {
        _BARE: lambda: _pg_basebackup(cluster, format),
        "reprise, not verified": lambda: _reprise(cluster, format, ("take-base", "publish")),
        "reprise": lambda: _reprise(cluster, format, ("take-base", "verify-copy", "publish")),
    }
    names, times = list(ways), {name: list[float]() for name in ways}
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            cluster.sql("CHECKPOINT")
            os.sync()
            started = time.perf_counter()
            backup = ways[name]()
            times[name].append(time.perf_counter() - started)
            if not verify_backup(backup, format):
                sys.exit(f"{name}: the result has no checksums")
            size = sum(path.stat().st_size for path in backup.rglob("*") if path.is_file())
            shutil.rmtree(backup)
    compress = compression_for(cluster.programs) if format == "tar" else "none"
    print(f"{format}, compression {compress}, {size / 1e6:,.0f} MB, {rounds} rounds, medians:")
    medians = {name: statistics.median(measured) for name, measured in times.items()}
    for name, median in medians.items():
        told = " ".join(f"{seconds:.2f}" for seconds in times[name])
        ratio = f"{median / medians[_BARE]:.2f} of {_BARE} (goal {GOALS[name]})" if name in GOALS else ""
        print(f"  {name:22} {median:6.2f} s  {ratio}   [{told}]")


def _pg_basebackup(cluster: Cluster, format: Format) -> Path:
    into = cluster.backups / "bare"
    words = ["-D", into, "-h", cluster.socket_dir, "-p", str(cluster.port), "-U", "postgres"]
    words += ["--checkpoint=fast", "--wal-method=stream", "--manifest-checksums=SHA256", f"--format={format}"]
    words += [f"--compress={compression_for(cluster.programs)}"] if format == "tar" else []
    cluster.run("pg_basebackup", *words, timeout=600)
    return into


def _reprise(cluster: Cluster, format: Format, kinds: tuple[str, ...]) -> Path:
    """The named steps of the plan, as a run takes them, one after the other."""
    asked = Asked("bench", False, format, str(cluster.socket_dir), cluster.port, "postgres")
    place = Place(str(cluster.backups), None, exists=True, writable=True)

    plan = plan_base(asked, place, None, None, [], owner=cluster.user, programs=cluster.programs, now=datetime.now(UTC))
    site = Site(Identity("bench"), Database(str(cluster.data_dir), [DatabaseRepository("directory", "/-", "/-")]))
    run = Rehearsal(plan, site, cluster.root)
    for step in plan.steps:
        if step.kind in kinds:
            run = replace(run, args=step.args, undo_records=[])
            step_module(step.kind).apply(run)
    assert plan.copying is not None
    return Path(plan.copying.path)


if __name__ == "__main__":
    main(sys.argv[1:])
