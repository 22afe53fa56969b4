"""A snapshot of 50,000 files of which 1 % changed, against rsync -a --link-dest, and restic where it is installed.

    python -m tests.bench media_snapshot [--files=50000] [--rounds=5]

Each way has its own snapshot before, of the same files. All read from the page cache and end with the snapshot on disk
(sync -f), Reprise's also read back and verified; the order rotates; medians are compared. Each result must be the live
folder, file by file: what is in it, mode and time; and unchanged files must be shared with the snapshot before.
"""

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from engine.media.snapshot import take_snapshot
from engine.media.verifying import verify_snapshot
from tests.bench._files import fill, options_of, rotated, tell
from tests.bench._folders import folder_on_disk

GOALS = {"rsync": 1.0}
_CHANGED = 0.01
_SMALLEST, _LARGEST = 500, 8_000  # bytes


def main(arguments: list[str]) -> None:
    chosen = options_of("media_snapshot").parse_args(arguments)
    with folder_on_disk() as root:
        _measure(root, chosen.files, chosen.rounds)


def _measure(root: Path, files: int, rounds: int) -> None:
    dice, live = random.Random(1), root / "live"
    paths = [live / path for path in fill(live, files, dice, _SMALLEST, _LARGEST)]
    ways: dict[str, Callable[[Path, Path | None], None]] = {
        "reprise": lambda into, before: _reprise(live, into, before, verified=True),
        "reprise, not verified": lambda into, before: _reprise(live, into, before, verified=False),
        "rsync": lambda into, before: _rsync(live, into, before),
    }
    if shutil.which("restic"):
        _restic(root, "init")
        ways["restic"] = lambda into, before: _restic(root, "backup", str(live))
    names, times = list(ways), {name: list[float]() for name in ways}
    for name in names:
        (root / name).mkdir()
        ways[name](root / name / "0", None)
    for number in range(1, rounds + 1):
        changed = dice.sample(paths, int(files * _CHANGED))
        for path in changed:
            path.write_bytes(dice.randbytes(dice.randint(_SMALLEST, _LARGEST)))
        wanted = _listing(live)
        for name in rotated(names, number):
            before, into = root / name / str(number - 1), root / name / str(number)
            os.sync()
            started = time.perf_counter()
            ways[name](into, before)
            subprocess.run(["sync", "-f", str(root)], check=True)
            times[name].append(time.perf_counter() - started)
            if name == "restic":
                continue
            shared = sum((into / path).samefile(before / path) for path, _, _ in wanted)
            if _listing(into) != wanted or shared != files - len(changed):
                sys.exit(f"{name}: the result differs, or {shared} files are shared")
            shutil.rmtree(before)
    if "restic" in ways:
        _restic(root, "restore", "latest", "--target", str(root / "back"))
        if _listing(root / "back" / live.relative_to("/")) != _listing(live):
            sys.exit("restic: the result differs")
    tell(f"{files:,} files, {_CHANGED:.0%} changed, {rounds} rounds, medians:", times, GOALS)


def _listing(folder: Path) -> list[tuple[str, tuple[int, int, int], int]]:
    """Every file: its path, mode, time and size, and a hash of its content."""
    found = []
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            status = path.stat()
            told = (status.st_mode, status.st_mtime_ns, status.st_size)
            found.append((os.fspath(path.relative_to(folder)), told, hash(path.read_bytes())))
    return sorted(found)


def _reprise(live: Path, into: Path, before: Path | None, *, verified: bool) -> None:
    """As `take-media` and `verify-copy` do it."""
    take_snapshot(live, into, before)
    if verified and (wrong := verify_snapshot(into, shared_with=before)):
        sys.exit(f"the snapshot does not verify: {wrong[0]}")


def _rsync(live: Path, into: Path, before: Path | None) -> None:
    shared = [f"--link-dest={before}"] if before is not None else []
    subprocess.run(["rsync", "-a", *shared, f"{live}/", f"{into}/"], check=True)


def _restic(root: Path, *words: str) -> None:
    environment = {**os.environ, "RESTIC_PASSWORD": "bench", "RESTIC_CACHE_DIR": str(root / "restic-cache")}
    command = ["restic", "--quiet", "--repo", str(root / "restic-repository"), *words]
    subprocess.run(command, check=True, env=environment)


if __name__ == "__main__":
    main(sys.argv[1:])
