"""Users' files brought back, 50,000 of 1.2 GB: a live folder with 2 % of them damaged, and an empty folder filled.

    python -m tests.bench files_restore [--files=50000] [--rounds=5] [--only=delta|full]

``delta``: one in ten of the damaged files keeps its size and time, and a few files came since; exact delta against
rsync -a --checksum --delete and restic restore --overwrite always --delete (restic 0.17 and newer; an older one knows
neither, writes every file again and leaves what came since: it is told so). ``full``: into an empty folder, against
tar x, cp -a, restic restore. All read from the page cache and end on disk (sync -f); each way has its own live folder,
damaged alike; the order rotates; medians are compared. Each result must be the files of the snapshot: content, mode and
time, and nothing else.
"""

import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from engine.media.bringing import Bringer, take_anew
from engine.media.catalogue import catalogue_of, open_catalogue
from engine.media.choices import Choices
from engine.media.choosing import choose
from engine.media.looking import look_at_live
from engine.media.snapshot import take_snapshot
from engine.media.sources import Held, open_snapshot
from engine.media.swapping import Swap, plan_moves
from engine.records.copies import MediaSnapshot
from engine.site import MediaRepository
from tests.bench._files import LARGEST, SMALLEST, fill, options_of, rotated, tell
from tests.bench._folders import folder_on_disk

_DAMAGED, _UNSEEN = 0.02, 0.1
_GOALS = {
    "delta": {"rsync": 0.4, "restic": 0.4},
    "full": {"tar x": 1.0, "cp -a": 1.0, "restic": 1.0},
}
_PASSWORD = {"RESTIC_PASSWORD": "bench"}

Way = Callable[[Path], None]


def main(arguments: list[str]) -> None:
    options = options_of("files_restore")
    options.add_argument("--only", choices=["delta", "full"])
    chosen = options.parse_args(arguments)
    with folder_on_disk() as root:
        source = root / "source"
        paths = fill(source, chosen.files, random.Random(1))
        take_snapshot(source, root / "snapshot", None)
        restic = _prepare_restic(root, source)
        if chosen.only != "full":
            _measure_delta(root, paths, chosen.rounds, restic)
        if chosen.only != "delta":
            _measure_full(root, chosen.files, chosen.rounds, restic)


def _measure_delta(root: Path, paths: list[Path], rounds: int, restic: tuple[int, int] | None) -> None:
    snapshot, source = root / "snapshot", root / "source"
    whole = restic is not None and restic >= (0, 17)
    ways: dict[str, Way] = {
        **_ours(root, "delta"),
        "rsync": lambda live: _run("rsync", "-a", "--checksum", "--delete", f"{snapshot}/", f"{live}/"),
    }
    if restic is not None:
        options = ["--overwrite", "always", "--delete"] if whole else []
        ways["restic"] = lambda live: _restore_by_restic(root, live, *options)
        if not whole:
            print(f"restic {restic[0]}.{restic[1]} has no --delete (0.17 has): what came since stays there")
    names, times = list(ways), {name: list[float]() for name in ways}
    wanted = _listing(source)
    for name in names:
        _run("cp", "-a", f"{source}", f"{root / name}")
    for number in range(rounds + 1):
        for name in rotated(names, number):
            live = root / name
            _damage(live, paths, random.Random(number))
            seconds = _timed(lambda name=name, live=live: ways[name](live), root)  # type: ignore[misc]
            if number:  # the first round warms up
                times[name].append(seconds)
            found = _listing(live)
            if name == "restic" and not whole:
                found = {path: told for path, told in found.items() if path in wanted}
            if found != wanted:
                sys.exit(f"{name}: the result differs in {len(set(found.items()) ^ set(wanted.items()))} entries")
    _tell(f"delta, {len(paths):,} files, {_DAMAGED:.0%} damaged, {rounds} rounds, medians:", times, "delta")
    for name in names:
        shutil.rmtree(root / name)


def _measure_full(root: Path, files: int, rounds: int, restic: tuple[int, int] | None) -> None:
    source, snapshot, archive = root / "source", root / "snapshot", root / "files.tar"
    _run("tar", "--format=posix", "-C", f"{source}", "-cf", f"{archive}", ".")

    def untar(into: Path) -> None:
        into.mkdir()
        _run("tar", "-C", f"{into}", "-xpf", f"{archive}")

    ways: dict[str, Way] = {
        **_ours(root, "into"),
        "tar x": untar,
        "cp -a": lambda into: _run("cp", "-a", f"{snapshot}", f"{into}"),
    }
    if restic is not None:
        ways["restic"] = lambda into: _restore_by_restic(root, into)
    names, times = list(ways), {name: list[float]() for name in ways}
    wanted = _listing(source)
    for number in range(rounds + 1):
        for name in rotated(names, number):
            into = root / f"full-{number}"
            seconds = _timed(lambda name=name, into=into: ways[name](into), root)  # type: ignore[misc]
            if number:
                times[name].append(seconds)
            if _listing(into) != wanted:
                sys.exit(f"{name}: the result differs")
            shutil.rmtree(into)
    _tell(f"full, {files:,} files, {rounds} rounds, medians:", times, "full")


def _ours(root: Path, place: str) -> dict[str, Way]:
    with open_catalogue(catalogue_of(root / "snapshot")) as catalogue:
        for _ in catalogue:
            pass
        assert catalogue.interval is not None
        began = catalogue.interval[0]
    return {"reprise": lambda live: _bring(root / "snapshot", began, live, place, Path(tempfile.mkdtemp(dir=root)))}


def _bring(path: Path, started: datetime, live: Path, place: str, work: Path) -> None:
    """What the steps choose-files, copy-files and swap-files do, one after the other (swap-files looks again)."""
    stopped = started + timedelta(minutes=1)
    snapshot = MediaSnapshot(path.name, os.fspath(path.parent), path, started, stopped, has_catalogue=True, dated=True)
    held = [Held(snapshot, open_snapshot(snapshot, MediaRepository("directory", os.fspath(path.parent)), ""))]
    building = work / "building" if place == "delta" else live
    building.mkdir()
    with Choices(work / "choices") as choices:
        choose(choices, held, started, None)
        if place == "delta":
            look_at_live(choices, os.fsencode(live), held, started)
        bringer = Bringer(
            choices, held, live, building, whole=place == "into", share=False, say=lambda files, bytes: None
        )
        bringer.bring()
        if place == "delta":
            look_at_live(choices, os.fsencode(live), held, started)
            take_anew(choices)
            bringer.bring()
            aside = work / "aside"
            plan_moves(choices)
            with Swap(
                choices, os.fsencode(live), os.fsencode(building), os.fsencode(aside), lambda count: None
            ) as swap:
                swap.apply()


def _tell(title: str, times: dict[str, list[float]], what: str) -> None:
    tell(title, times, _GOALS[what], "reprise")


def _timed(work: Callable[[], None], root: Path) -> float:
    os.sync()
    started = time.perf_counter()
    work()
    _run("sync", "-f", f"{root}")
    return time.perf_counter() - started


def _damage(live: Path, paths: list[Path], dice: random.Random) -> None:
    chosen = dice.sample(paths, max(10, int(len(paths) * _DAMAGED)))
    for number, path in enumerate(chosen):
        place = live / path
        status = place.stat()
        if number < len(chosen) * _UNSEEN:
            place.write_bytes(dice.randbytes(status.st_size))
            os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns))
        elif number % 3:
            place.write_bytes(dice.randbytes(dice.randint(SMALLEST, LARGEST)))
        else:
            place.unlink()
    for number in range(max(1, len(paths) // 1000)):
        (live / chosen[0].parent / f"since-{number}").write_bytes(dice.randbytes(SMALLEST))


def _listing(folder: Path) -> dict[str, tuple[int, int, int, int]]:
    """Every file: mode, time, size, and a hash of its content."""
    found = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            status = path.stat()
            told = (status.st_mode, status.st_mtime_ns, status.st_size, hash(path.read_bytes()))
            found[os.fspath(path.relative_to(folder))] = told
    return found


def _prepare_restic(root: Path, source: Path) -> tuple[int, int] | None:
    """A repository with one snapshot of the files; restic's version, None where it is not installed."""
    if not shutil.which("restic"):
        print("restic is not installed: left out")
        return None
    said = subprocess.run(["restic", "version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"restic (\d+)\.(\d+)", said)
    assert found is not None
    _restic(root, "init")
    _restic(root, "backup", ".", cwd=source)
    return int(found[1]), int(found[2])


def _restore_by_restic(root: Path, into: Path, *options: str) -> None:
    _restic(root, "restore", "latest", "--target", f"{into}", *options)


def _restic(root: Path, *words: str, cwd: Path | None = None) -> None:
    environment = {**os.environ, **_PASSWORD, "RESTIC_CACHE_DIR": str(root / "restic-cache")}
    _run("restic", "--quiet", "--repo", f"{root / 'restic-repository'}", *words, env=environment, cwd=cwd)


def _run(*command: str, env: dict[str, str] | None = None, cwd: Path | None = None) -> None:
    subprocess.run(command, check=True, env=env, cwd=cwd)


if __name__ == "__main__":
    main(sys.argv[1:])
