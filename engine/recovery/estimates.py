"""How long a plan will take, from what earlier runs took. What was never measured is unknown, not guessed."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from msgspec import Struct

from engine.records.plan import Estimate, Limits, PlannedStep
from engine.records.runs import RunState

NEWEST = 20  # measurements of each kind of step that count: the machine, and what is at work on it, change


class Measured(Struct, frozen=True):
    """One step of an earlier run: its kind, its bytes (None where bytes do not matter), how long it took; the run that
    it is of, and the limits that this kept to."""

    kind: str
    bytes: int | None
    seconds: float
    run: str = ""
    limits: Limits | None = None


def measured_in(state: RunState) -> tuple[Measured, ...]:
    """What a run's steps took, as far as each was done at a stretch. What an operator took at a gate is no measure."""
    return tuple(
        Measured(step.kind, step.bytes, step.seconds, state.run, state.plan.limits)
        for step in state.steps
        if step.outcome == "done" and step.seconds is not None and step.at_a_stretch and step.kind != "gate"
    )


def estimate(
    steps: Iterable[PlannedStep], measured: Iterable[Measured], limits: Limits | None = None
) -> Estimate | None:
    """Seconds for all steps: each step that has bytes at the rate of earlier ones of its kind, each other at their
    duration. Only runs that kept to the same limits count, the newest of them (``measured``: newest first); without
    limits, for what no such run has measured, those of proof drills whose limits only let others go first: it will
    take no longer than theirs. None where a step that has bytes was never measured; a step without bytes then counts
    for nothing."""
    earlier: dict[str, list[Measured]] = {}
    yielding: dict[str, list[Measured]] = {}
    for each in measured:
        if each.limits == limits:
            earlier.setdefault(each.kind, []).append(each)
        elif limits is None and each.limits is not None and each.limits.bytes_per_second is None:
            yielding.setdefault(each.kind, []).append(each)
    low = likely = high = 0.0
    runs: int | None = None
    limited = False
    for step in steps:
        taken = _taken(step, earlier)
        if not taken and (drilled := _taken(step, yielding)):
            taken, limited = drilled, True
        if taken is None:
            return None
        if not taken:
            continue
        seconds = [each for _, each in taken]
        low, likely, high = low + min(seconds), likely + median(seconds), high + max(seconds)
        if step.bytes:
            rests_on = len({run for run, _ in taken})
            runs = rests_on if runs is None else min(runs, rests_on)
    return None if runs is None else Estimate(round(low, 1), round(likely, 1), round(high, 1), runs, limited)


def _taken(step: PlannedStep, earlier: Mapping[str, Sequence[Measured]]) -> list[tuple[str, float]] | None:
    """What the step would have taken in each of the earlier runs."""
    before = earlier.get(step.kind, ())
    if not step.bytes:
        return [(each.run, each.seconds) for each in before[:NEWEST]]
    rated = [(each.run, step.bytes * each.seconds / each.bytes) for each in before if each.bytes and each.seconds > 0]
    return rated[:NEWEST] or None
