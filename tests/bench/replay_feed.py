"""Replay through the feed, against all WAL already in pg_wal, and against cp as restore_command.

    python -m tests.bench replay_feed [--megabytes=1024] [--rounds=5]

Every way replays the same base backup to the same LSN, with fsync, from the page cache; the order rotates; medians are
compared, and rows and replay LSN must be equal.
"""

import argparse
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable

from msgspec.structs import replace

from engine.feed.orders import cut_of
from engine.postgres.server import replay_lsn
from engine.records.errors import Unreachable
from engine.records.lsn import SegmentName, format_lsn, segment_of
from engine.records.target import RecoveryPoint
from engine.steps import replay, settings
from engine.steps.shared.points import gate_of
from tests.bench._folders import folder_of_clusters
from tests.clusters import make_cluster, own
from tests.steps.ledger import QUIET
from tests.steps.origin import Origin, origin_of
from tests.steps.rehearsal import Rehearsal

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

GOALS = {"feed": 1.05, "feed zstd": 1.15}
_SIZE = 16 << 20


def main(arguments: list[str]) -> None:
    options = argparse.ArgumentParser(prog="replay_feed")
    options.add_argument("--megabytes", type=int, default=1024)
    options.add_argument("--rounds", type=int, default=5)
    chosen = options.parse_args(arguments)
    with folder_of_clusters():
        cluster = make_cluster("bench", segment_mb=16, settings={"max_wal_size": "8GB", **QUIET})
        try:
            cluster.base_backup("b1")
            origin = origin_of(cluster, "b1")
            point = write_wal(origin, chosen.megabytes)
            prepare(origin, point)
            compare(origin, point, chosen.rounds)
        finally:
            cluster.destroy()


def write_wal(origin: Origin, megabytes: int) -> RecoveryPoint:
    """Inserts and updates, checkpoints in between for page images; the gate is the last commit."""
    cluster = origin.cluster
    cluster.sql("CREATE TABLE filled (id int PRIMARY KEY, much text, changes int DEFAULT 0) WITH (fillfactor = 70)")
    written, number = 0, 0
    start = cluster.lsn()
    while written < megabytes << 20:
        cluster.sql(
            f"INSERT INTO filled SELECT g, repeat(md5(g::text), 20) FROM generate_series({number}, {number + 9999}) g"
        )
        cluster.sql(f"UPDATE filled SET changes = changes + 1 WHERE id % 7 = {number // 10000 % 7}")
        number += 10000
        if number % 100000 == 0:
            cluster.sql("CHECKPOINT")
        written = cluster.lsn() - start
    cluster.switch()
    ends = [end for end in origin.ends() if end.is_commit]
    return origin.point(ends[-1].lsn)


def prepare(origin: Origin, point: RecoveryPoint) -> None:
    """The same WAL cut at the gate for PostgreSQL's own ways, and zstd-compressed for the feed."""
    root = origin.cluster.root
    gate = gate_of(point)
    for name in ("cut", "zstd"):
        (root / name).mkdir()
    for number in range(segment_of(point.pieces[0].low, _SIZE), segment_of(gate.lsn, _SIZE) + 1):
        name = SegmentName(1, number)
        data = (origin.archive / name.text(_SIZE)).read_bytes()
        cut = cut_of(gate, name, _SIZE)
        (root / "cut" / name.text(_SIZE)).write_bytes(data[:cut] + bytes(_SIZE - cut))
        (root / "zstd" / f"{name.text(_SIZE)}.zst").write_bytes(zstd.compress(data, 1))
    own(root / "cut", origin.cluster.user)
    (root / "cut").chmod(0o755)


def compare(origin: Origin, point: RecoveryPoint, rounds: int) -> None:
    root = origin.cluster.root
    ways: dict[str, Callable[[Rehearsal], None]] = {
        "all in pg_wal": lambda step: by_postgresql(step, point, "false"),
        "cp": lambda step: by_postgresql(step, point, f"cp {root}/cut/%f %p"),
        "feed": replay.apply,
        "feed zstd": replay.apply,
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    results = set()
    names = list(ways)
    for round in range(rounds):
        for name in names[round % len(names) :] + names[: round % len(names)]:
            source = origin if name != "feed zstd" else replace(origin, archive=root / "zstd")
            step = source.rehearse(point, root / f"copy-{round}-{names.index(name)}")
            settings.apply(step)
            if name == "all in pg_wal":
                shutil.copytree(root / "cut", step.copy.data_dir / "pg_wal", dirs_exist_ok=True)
                own(step.copy.data_dir / "pg_wal", origin.cluster.user)
            os.sync()
            begin = time.perf_counter()
            ways[name](step)
            times[name].append(time.perf_counter() - begin)
            results.add(what_it_holds(step))
            step.end()
            shutil.rmtree(step.plan.layout.container)  # type: ignore[union-attr]
    assert len(results) == 1, f"the results differ: {results}"
    base = statistics.median(times["all in pg_wal"])
    size = (point.gate - point.pieces[0].low) / 1e6
    for name, measured in times.items():
        median = statistics.median(measured)
        goal = f"  goal {GOALS[name]:.2f}" if name in GOALS else ""
        print(f"{name:14} {median:7.2f} s  {size / median:6.0f} MB/s  ratio {median / base:5.2f}{goal}")


def by_postgresql(step: Rehearsal, point: RecoveryPoint, command: str) -> None:
    """The same server, settings and end, another restore_command."""
    server = step.copy
    server.start({"restore_command": command})
    connection = None
    while True:
        try:
            connection = connection or server.connect(timeout=3)
            if (replay_lsn(connection) or 0) >= point.gate:
                connection.close()
                return
        except Unreachable:
            time.sleep(0.3)
        time.sleep(0.1)


def what_it_holds(step: Rehearsal) -> tuple[object, ...]:
    with step.copy.connect(statement_timeout=600) as connection:
        row = connection.execute("SELECT count(*), sum(id), sum(changes), sum(hashtext(much)) FROM filled").fetchone()
        return (*(row or ()), format_lsn(replay_lsn(connection) or 0))
