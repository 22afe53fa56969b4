"""How long a plan will take, from what earlier runs took. What was never measured is unknown, not guessed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from engine.records.plan import Estimate, PlannedStep


@dataclass(frozen=True, slots=True)
class Measured:
    """One step of an earlier run: its kind, its bytes (None where bytes do not matter), how long it took."""

    kind: str
    bytes: int | None
    seconds: float


def estimate(steps: Iterable[PlannedStep], measured: Iterable[Measured]) -> Estimate | None:
    """Seconds for all steps: each step that has bytes at the rate of earlier ones of its kind, each other at their
    duration. None where a step that has bytes was never measured; a step without bytes then counts for nothing."""
    earlier: dict[str, list[Measured]] = {}
    for each in measured:
        earlier.setdefault(each.kind, []).append(each)
    low = likely = high = 0.0
    runs: int | None = None
    for step in steps:
        seconds = _seconds(step, earlier)
        if seconds is None:
            return None
        if not seconds:
            continue
        low, likely, high = low + min(seconds), likely + median(seconds), high + max(seconds)
        if step.bytes:
            runs = len(seconds) if runs is None else min(runs, len(seconds))
    return None if runs is None else Estimate(round(low, 1), round(likely, 1), round(high, 1), runs)


def _seconds(step: PlannedStep, earlier: Mapping[str, Sequence[Measured]]) -> list[float] | None:
    before = earlier.get(step.kind, ())
    if not step.bytes:
        return [each.seconds for each in before]
    rated = [step.bytes * each.seconds / each.bytes for each in before if each.bytes and each.seconds > 0]
    return rated or None
