"""What steps took, kept beside the runs: a run that was discarded, or whose folder is gone, still counts for estimates.

A small JSON file for each run, ``measured/<run>.json`` below the state folder; the newest _KEPT of them.
"""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from engine.records.coding import from_json, to_json
from engine.records.runs import RunState
from engine.recovery.estimates import Measured, measured_in
from engine.transfer.durable import put_file

FOLDER = "measured"
_KEPT = 100


def keep_measured(state: Path, run: RunState) -> None:
    """Remember what a run's steps took; what they took before they were undone stays. Raises OSError."""
    found, folder = measured_in(run), state / FOLDER
    if len(found) <= len(_read(folder / f"{run.run}.json")):
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    put_file(folder / f"{run.run}.json", to_json(found))
    for old in sorted(folder.glob("*.json"), reverse=True)[_KEPT:]:
        old.unlink(missing_ok=True)


def all_measured(state: Path, runs: Iterable[RunState]) -> list[Measured]:
    """What all steps took, the newest run's first: those of ``runs``, and of runs that are no more."""
    found: dict[str, tuple[Measured, ...]] = {run.run: measured_in(run) for run in runs}
    for path in (state / FOLDER).glob("*.json"):
        kept = _read(path)
        if len(kept) > len(found.get(path.stem, ())):  # else the run tells as much itself
            found[path.stem] = kept
    return [each for run in sorted(found, reverse=True) for each in found[run]]


def _read(path: Path) -> tuple[Measured, ...]:
    with suppress(OSError, msgspec.DecodeError, ValueError):
        return from_json(path.read_bytes(), tuple[Measured, ...])
    return ()
