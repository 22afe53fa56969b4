"""The recovery point that a run stands at: the plan's, until the gate was raised or the salvage found more WAL."""

from collections.abc import Mapping
from typing import Any

from engine.feed.orders import Gate
from engine.records.coding import from_json, to_builtins, to_json
from engine.records.errors import RunFailed
from engine.records.lsn import Lsn, skip_page_header
from engine.records.target import RecoveryPoint
from engine.steps import POINT
from engine.steps.protocol import RunningStep


def current_point(step: RunningStep) -> RecoveryPoint:
    """Raises RunFailed where the plan has none."""
    told = step.facts.get(POINT)
    point = read_point(told) if told is not None else step.plan.point
    if point is None or not point.pieces:
        raise RunFailed("the plan has no recovery point", remedy="plan again with a target that can be reached")
    return point


def tell_point(step: RunningStep, point: RecoveryPoint) -> None:
    """From now on the run goes to this point."""
    step.fact(**{POINT: to_builtins(point)})


def read_point(told: Mapping[str, Any]) -> RecoveryPoint:
    return from_json(to_json(told), RecoveryPoint)


def gate_lsn(point: RecoveryPoint) -> Lsn:
    """The gate as a record's start: behind the page header where the LSN names a page's begin."""
    return skip_page_header(point.gate, point.segment_size)


def gate_of(point: RecoveryPoint) -> Gate:
    return Gate(gate_lsn(point), point.pieces)
