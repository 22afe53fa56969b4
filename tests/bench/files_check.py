"""50,000 files (1.2 GB) held against what the database refers to, against sha256sum -P8.

    python -m tests.bench files_check [--files=50000] [--rounds=5]

All read from the page cache; the order rotates; medians are compared. Ours begins with the rows as a server hands them
out, and finds what is missing, wrong and nobody's; sha256sum only hashes, as xargs shares the files out: a batch of its
own choice, and 64 at a time. Every hash must be the same, and one damaged file must be found.
"""

import hashlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from engine.media.checking import check_files, read_findings
from engine.media.references import collect
from tests.bench._files import fill, options_of, rotated, tell
from tests.bench._folders import folder_on_disk


def main(arguments: list[str]) -> None:
    chosen = options_of("files_check").parse_args(arguments)
    with folder_on_disk() as root:
        _measure(root, chosen.files, chosen.rounds)


def _measure(root: Path, files: int, rounds: int) -> None:
    dice, media = random.Random(1), root / "media"
    paths = fill(media, files, dice)
    rows = [(os.fspath(path), (media / path).stat().st_size, _digest(media / path)) for path in paths]
    total = sum(size for _, size, _ in rows)
    damaged = media / paths[files // 2]
    damaged.write_bytes(bytes(reversed(damaged.read_bytes())))
    wanted = {path: digest for path, _, digest in rows} | {os.fspath(paths[files // 2]): _digest(damaged)}
    ways: dict[str, Callable[[], None]] = {
        "reprise": lambda: _reprise(root, media, rows, os.fsencode(paths[files // 2])),
        "sha256sum -P8": lambda: _sha256sum(media, wanted),
        "sha256sum -P8 -n64": lambda: _sha256sum(media, wanted, "-n64"),
    }
    names, times = list(ways), {name: list[float]() for name in ways}
    for number in range(rounds + 1):
        for name in rotated(names, number):
            os.sync()
            started = time.perf_counter()
            ways[name]()
            if number:  # the first round warms up
                times[name].append(time.perf_counter() - started)
    title = f"{files:,} files, {total / 1e9:.2f} GB, {rounds} rounds, {os.cpu_count()} processors, medians:"
    tell(title, times, dict.fromkeys(names[1:], 1.0))


def _reprise(root: Path, media: Path, rows: list[tuple[str, int, str]], damaged: bytes) -> None:
    told = check_files(media, collect(iter(rows), root / "references"), root / "book")
    found = [each.path for each in read_findings(told.book, "wrong")]
    if (told.checked, told.missing, told.orphans, found) != (len(rows), 0, 0, [damaged]):
        sys.exit(f"reprise: the result differs: {told}")


def _sha256sum(media: Path, wanted: dict[str, str], *options: str) -> None:
    with subprocess.Popen(["find", ".", "-type", "f", "-print0"], cwd=media, stdout=subprocess.PIPE) as find:
        command = ["xargs", "-0", "-P8", *options, "sha256sum"]
        done = subprocess.run(command, cwd=media, stdin=find.stdout, stdout=subprocess.PIPE, check=True)
    lines = (line.split("  ", 1) for line in done.stdout.decode().splitlines())
    if {path.removeprefix("./"): digest for digest, path in lines} != wanted:
        sys.exit("sha256sum: the result differs")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main(sys.argv[1:])
