"""Between the steps and the log: how far the running step is, how fast, when it will be there; or why a run ended."""

from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo
from typing import Any

from engine.records.files import not_right
from engine.records.lsn import format_lsn
from engine.records.runs import RunState, StepState
from tui import words
from tui.painting.grid import Grid
from tui.widgets.frame import paint_wrapped
from tui.widgets.steps import WIDEST

VALUE = 13
_HELD = "held: it goes on when you say so"


def paint_progress(grid: Grid, top: int, state: RunState, step: StepState | None, now: datetime, zone: tzinfo) -> int:
    """Three rows about the running step. Answers the next free row."""
    stop = min(grid.width - 1, WIDEST)
    if step is None or step.progress is None:
        grid.put(1, top, step.title if step else "between two steps", "text", stop)
        waits = "nothing measured yet" if step and step.bytes else "this step has no measure; it says when it is done"
        grid.put(1, top + 1, waits if step else "", "muted", stop)
        if state.held:
            grid.put(1, top + 2, _HELD, "warn", stop)
        return top + 3
    progress = step.progress
    count = words.count if progress.unit == "files" else words.size
    if progress.unit == "lsn" and state.plan.point is not None and progress.total:
        grid.put(1, top, "replayed to", "muted")
        gate = state.plan.point.gate
        end = grid.put(VALUE, top, format_lsn(max(0, gate - progress.total + progress.done)), "title!", stop)
        end = grid.put(end + 3, top, f"of {format_lsn(gate)}", "muted", stop)
    else:
        grid.put(1, top, "done", "muted")
        end = grid.put(VALUE, top, count(progress.done), "title!", stop)
        if progress.total:
            end = grid.put(end + 3, top, f"of {count(progress.total)}", "muted", stop)
    grid.put_cut(end + 3, top, progress.detail, "muted", stop)
    grid.put(1, top + 1, "speed", "muted")
    if progress.rate:
        per = (
            f"{words.count(int(progress.rate))} files/s"
            if progress.unit == "files"
            else f"{words.size(progress.rate)}/s"
        )
        end = grid.put(VALUE, top + 1, per, "text", stop)
        grid.put(max(end + 3, VALUE + 16), top + 1, "measured over the last while", "muted", stop)
    else:
        grid.put(VALUE, top + 1, "not measured yet", "muted", stop)
    grid.put(1, top + 2, "there at", "muted")
    left = progress.seconds_left
    if state.held:
        grid.put(VALUE, top + 2, _HELD, "warn", stop)
    elif left is None:
        grid.put(VALUE, top + 2, "not known", "muted", stop)
    else:
        there = (progress.at or now) + timedelta(seconds=left)
        text = f"{there.astimezone(zone):%H:%M:%S}" if left < 600 else f"{there.astimezone(zone):%H:%M}"
        end = grid.put(VALUE, top + 2, f"{text} {words.zone_name(there, zone)}", "title!", stop)
        end = grid.put(max(end + 3, VALUE + 16), top + 2, f"in about {words.duration(left)}", "text", stop)
        if state.plan.estimate is not None:
            said = state.started_at + timedelta(seconds=state.plan.estimate.likely)
            grid.put(end + 3, top + 2, f"plan said all by {said.astimezone(zone):%H:%M}", "muted", stop)
    return top + 3


def paint_ending(grid: Grid, top: int, state: RunState, rows: int, zone: tzinfo) -> int:
    """How a run ended: the verdict, what was reached, where it answers; or why it did not get there."""
    g, stop = grid.glyphs, grid.width - 1
    sign, role, word = {
        "completed": (g.ok, "ok", "COMPLETED"),
        "failed": (g.bad, "bad", "FAILED"),
        "interrupted": (g.warn, "warn", "INTERRUPTED"),
        "rolled-back": (g.left, "muted", "ROLLED BACK"),
        "discarded": (g.left, "muted", "DISCARDED"),
    }.get(state.outcome, (g.now, "accent", state.outcome.upper()))
    end = grid.parts(1, top, (sign, role), (word, role + "!"), gap=1)
    if state.finished_at is not None:
        took = words.duration((state.finished_at - state.started_at).total_seconds())
        grid.put(end + 3, top, f"{words.second(state.finished_at, zone)}, took {took}", "muted", stop)
    y = top + 1
    if state.outcome == "interrupted" and state.error is None:
        why = "it was stopped; all is left as it is" if state.finished_at is not None else "its engine died"
        y = paint_wrapped(
            grid, 3, y, f"{why}: resume goes on there, roll back leads to the state before", "text", stop, 2
        )
    if state.error is not None:
        y = paint_wrapped(grid, 3, y, state.error.message, "text", stop, 2)
        if state.error.cause:
            y = paint_wrapped(grid, 3, y, state.error.cause, "muted", stop, 3)
        if state.error.remedy:
            y = paint_wrapped(grid, 3, y, state.error.remedy, "text", stop, 2)
    if state.taken is not None:
        grid.put(1, y, "copy", "muted")
        size = f", {words.size(state.taken.size_bytes)}" if state.taken.size_bytes is not None else ""
        y = paint_wrapped(grid, VALUE, y, state.taken.path + size, "title!", stop, 2)
    reached = state.reached
    if reached is not None:
        grid.put(1, y, "reached", "muted")
        last = "no transaction"
        if reached.last_commit_at is not None:
            last = (
                f"last commit {words.clock(reached.last_commit_at, zone, fraction=True)} xid {reached.last_commit_xid}"
            )
        x = grid.put(VALUE, y, last, "title!", stop)
        x = grid.put(x + 2, y, f"at {format_lsn(reached.lsn)}", "muted", stop)
        proof = ("proven", "ok") if reached.proven else ("NOT PROVEN", "bad!")
        grid.put(x + 2, y, *proof, stop)
        y += 1
        if reached.new_timeline:
            grid.put(1, y, "timeline", "muted")
            grid.put(VALUE, y, f"{reached.new_timeline}, from {reached.timeline}", "text", stop)
            y += 1
    if state.outcome == "completed" and state.files is not None and "copied" in state.files:
        _paint_files(grid, y, state.files, stop)
        y += 1
    if state.outcome == "completed" and state.data_dir:
        grid.put(1, y, "stands in", "muted")
        grid.put(VALUE, y, state.data_dir, "text", stop)
        y += 1
    return y


def _paint_files(grid: Grid, y: int, files: Mapping[str, Any], stop: int) -> None:
    """What came back of the users' files, and what nobody has; the report tells it all."""
    grid.put(1, y, "files", "muted")
    copied = words.plural(files["copied"], "file came back", "files came back")
    end = grid.put(VALUE, y, f"{copied}, {words.size(files['bytes'])}", "title!", stop)
    bad = []
    if amiss := not_right(files):
        bad.append(f"{words.plural(amiss, 'is', 'are')} WRONG or MISSING")
    if lost := files["unrecoverable"]:
        rows = words.plural(files["unrecoverable_rows"], "row refers", "rows refer")
        bad.append(f"{words.plural(lost, 'is', 'are')} LOST, {rows} to them")
    if bad:
        grid.put_cut(end + 2, y, f"{grid.glyphs.bad} {'; '.join(bad)}", "bad!", stop)
    elif files["findings"]:
        more = words.plural(len(files["findings"]), "thing", "things")
        grid.put_cut(end + 2, y, f"{grid.glyphs.warn} {more} to know, in the report", "warn", stop)
    else:
        grid.put_whole(end + 2, y, f"{words.count(files['kept'])} were right, none is lost", "muted", stop)
