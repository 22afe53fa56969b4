"""What the benchmarks of users' files share: made-up files, and tables of measured times."""

import argparse
import random
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

FOLDERS = 365  # one a day
SMALLEST, LARGEST = 2_000, 46_000  # bytes: 50,000 files are 1.2 GB


def options_of(name: str) -> argparse.ArgumentParser:
    """How many files, and how often."""
    options = argparse.ArgumentParser(prog=name)
    options.add_argument("--files", type=int, default=50_000)
    options.add_argument("--rounds", type=int, default=5)
    return options


def fill(root: Path, files: int, dice: random.Random, smallest: int = SMALLEST, largest: int = LARGEST) -> list[Path]:
    """Files of random bytes in folders of years, months and days; their paths below ``root``."""
    paths = []
    for number in range(files):
        day = number % FOLDERS
        path = Path(f"{2026 + number % 3}", f"{day // 31 + 1:02}", f"{day % 31 + 1:02}", f"scan-{number}.pdf")
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(dice.randbytes(dice.randint(smallest, largest)))
        paths.append(path)
    return paths


def rotated(names: Sequence[str], number: int) -> list[str]:
    return [*names[number % len(names) :], *names[: number % len(names)]]


def tell(title: str, times: Mapping[str, Sequence[float]], goals: Mapping[str, float], ours: str = "reprise") -> None:
    """Medians, and what ours takes of each other's."""
    print(title)
    medians = {name: statistics.median(measured) for name, measured in times.items()}
    for name, median in medians.items():
        ratio = f"{ours} takes {medians[ours] / median:.2f}" if name != ours else ""
        goal = f"(goal {goals[name]})" if name in goals else ""
        told = " ".join(f"{seconds:.2f}" for seconds in times[name])
        print(f"  {name:22} {median:6.2f} s  {ratio} {goal}   [{told}]", flush=True)
