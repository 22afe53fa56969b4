"""What a recovery took and lost, in words, held against the objectives."""

from collections.abc import Sequence
from datetime import timedelta

from humanize import precisedelta

from engine.paper.blocks import Block, Heading, Line, Paragraph, Picture, Strong, Table
from engine.paper.chart import bars
from engine.records.recoveries import Objectives, Recovery
from engine.records.runs import RunState
from engine.recovery.recoveries import data_loss, recovery_seconds

CHARTED = 40
"""Recoveries that a chart shows at the most."""


def lasting(seconds: float | None) -> str:
    """``12 minutes and 3 seconds``, ``0.4 seconds``"""
    if seconds is None:
        return "not known"
    if seconds < 10:
        return f"{seconds:.1f} seconds" if seconds else "0 seconds"
    return precisedelta(timedelta(seconds=round(seconds)), minimum_unit="seconds", format="%d")


def verdict(seconds: float | None, objective: float | None) -> Line:
    """Whether an objective is met."""
    if objective is None:
        return ""
    if seconds is None:
        return "not known"
    return "met" if seconds <= objective else Strong("missed")


def measured(state: RunState, objectives: Objectives) -> list[Block]:
    """The table of RTO and RPO, and what they rest on."""
    loss, took = data_loss(state), recovery_seconds(state)
    rows = [
        _row("recovery time (RTO)", took, objectives.rto_seconds),
        _row("data loss (RPO)", loss.seconds, objectives.rpo_seconds),
    ]
    told = "Recovery time: from the beginning of the run to its end, without the time in which it waited for answers"
    waited = f" ({lasting(state.waited)})." if state.waited else "."
    lost = "" if loss.commits is None else f" Commits lost in the archive: {loss.commits}."
    return [
        Heading("Recovery time and data loss"),
        Table(("what", "measured", "objective", ""), rows),
        Paragraph(f"{told}{waited} Data loss: {loss.why}.{lost}{_of_a_copy(state)}"),
    ]


def _of_a_copy(state: RunState) -> str:
    beside = state.plan.destination.kind == "side-copy"
    return " Nothing in production was replaced: it is what the copy lacks." if beside else ""


def _row(name: str, seconds: float | None, objective: float | None) -> tuple[Line, ...]:
    return (
        name,
        lasting(seconds),
        lasting(objective) if objective is not None else "none set",
        verdict(seconds, objective),
    )


def past(recoveries: Sequence[Recovery], objectives: Objectives) -> list[Block]:
    """Recovery time and data loss of the last recoveries; nothing where this is the first."""
    shown = recoveries[-CHARTED:]
    if len(shown) < 2:
        return []
    blocks: list[Block] = [Heading("Over time")]
    for name, seconds, objective in (
        ("Recovery time", [each.rto_seconds for each in shown], objectives.rto_seconds),
        ("Data loss", [each.rpo_seconds for each in shown], objectives.rpo_seconds),
    ):
        known = [each for each in seconds if each is not None]
        if not known:
            continue
        within = sum(each <= objective for each in known) if objective is not None else None
        told = f"{name} of the last {len(shown)} recoveries, {lasting(min(known))} to {lasting(max(known))}"
        told += f"; {within} of {len(known)} within {lasting(objective)}" if within is not None else ""
        told += f"; not known of {len(shown) - len(known)}" if len(known) < len(shown) else ""
        spoken = [(each.at, value, each.ok) for each, value in zip(shown, seconds, strict=True)]
        blocks.append(Picture(bars(spoken, objective, lasting), f"{told}."))
    return blocks
