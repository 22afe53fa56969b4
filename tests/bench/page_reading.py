"""Every page of a stopped cluster held against its checksum, by `inspect`'s reader and by pg_checksums --check.

    python -m tests.bench page_reading [--megabytes=1024] [--rounds=5]

Both read from the page cache, the order alternates, medians are compared; both must count the same pages, and after the
last round name the same flipped ones.
"""

import argparse
import re
import statistics
import sys
import time
from contextlib import suppress
from typing import Any, cast

from engine.postgres.running import run
from engine.records.errors import RepriseError
from engine.steps.shared.page_reading import read_pages, relation_files
from tests.bench._folders import folder_of_clusters
from tests.clusters import Cluster, make_cluster


def main(arguments: list[str]) -> None:
    options = argparse.ArgumentParser(prog="page_reading")
    options.add_argument("--megabytes", type=int, default=1024)
    options.add_argument("--rounds", type=int, default=5)
    chosen = options.parse_args(arguments)
    with folder_of_clusters():
        cluster = make_cluster("bench", segment_mb=16, settings={"max_wal_size": "8GB", "archive_mode": "off"})
        try:
            rows = chosen.megabytes * (1 << 20) // 330
            cluster.sql(
                "CREATE TABLE documents AS SELECT g AS id, repeat(md5(g::text), 9) AS text"
                f" FROM generate_series(1, {rows}) g"
            )
            cluster.stop()
            _measure(cluster, chosen.rounds)
        finally:
            cluster.destroy()


class _Step:
    """What the reader needs of a step."""

    def progress(self, *told: Any) -> None: ...
    def waiting(self, detail: str) -> None: ...
    def safe_point(self) -> None: ...


def _ours(cluster: Cluster) -> tuple[int, int]:
    reading = read_pages(cast(Any, _Step()), cluster.data_dir, lambda: False)
    return reading.pages, reading.wrong_count


def _theirs(cluster: Cluster) -> tuple[int, int]:
    lines: list[str] = []
    with suppress(RepriseError):
        run(cluster.programs, "pg_checksums", "-c", "-D", cluster.data_dir, user=cluster.user, on_line=lines.append)
    told = dict(re.findall(r"(Blocks scanned|Bad checksums): +(\d+)", "\n".join(lines)))
    return int(told["Blocks scanned"]), int(told["Bad checksums"])


def _measure(cluster: Cluster, rounds: int) -> None:
    ways = {"pg_checksums": _theirs, "reprise": _ours}
    times: dict[str, list[float]] = {name: [] for name in ways}
    found = {name: way(cluster) for name, way in ways.items()}  # and all is in the page cache
    for number in range(rounds):
        for name in sorted(ways, reverse=bool(number % 2)):
            started = time.perf_counter()
            found[name] = ways[name](cluster)
            times[name].append(time.perf_counter() - started)
    _agree(found)
    medians = {name: statistics.median(measured) for name, measured in times.items()}
    size = found["reprise"][0] * 8192
    ratio = medians["reprise"] / medians["pg_checksums"]
    print(f"{size / 1e6:,.0f} MB, {rounds} rounds, medians; reprise takes {ratio:.2f} of pg_checksums:")
    for name, median in medians.items():
        told = " ".join(f"{seconds:.2f}" for seconds in times[name])
        print(f"  {name:14} {median:6.2f} s  {size / median / 1e6:6.0f} MB/s   [{told}]")
    for name, _ in sorted(relation_files(cluster.data_dir), key=lambda each: -each[1])[:3]:
        with (cluster.data_dir / name).open("r+b") as file:
            file.seek(8192 + 4000)
            file.write(b"flipped")
    _agree({name: way(cluster) for name, way in ways.items()})


def _agree(found: dict[str, tuple[int, int]]) -> None:
    if found["reprise"] != found["pg_checksums"]:
        sys.exit(f"the results differ: {found}")


if __name__ == "__main__":
    main(sys.argv[1:])
