"""The line above every screen of a drill: which one it is, its running clock, its own keys."""

from collections.abc import Mapping
from datetime import datetime

from engine.records.drills import DrillState
from tui import keys, words
from tui.painting.grid import Grid, Link

HIDDEN = "which one is told at the end"


def drill_title(drill: DrillState) -> str:
    """What a drill is called; while that is not to be said, how it was begun."""
    return drill.title or HIDDEN


def elapsed(drill: DrillState, now: datetime) -> float:
    """Seconds since the call, until it was solved or has ended."""
    if drill.called_at is None or drill.outcome != "open":
        return drill.seconds
    return max(0.0, (now - drill.called_at).total_seconds())


def paint_drill_line(grid: Grid, drill: DrillState, now: datetime, remapped: Mapping[str, str]) -> None:
    """Row 0."""
    x = grid.width - 1
    for id, label in (("drill-end", "end"), ("drill-check", "check"), ("drill-hint", "hint")):
        key = keys.shown(id, remapped)
        start = x - len(key) - 1 - len(label)
        grid.put(grid.put(start, 0, key, "accent!") + 1, 0, label, "muted")
        grid.links.append(Link(0, start, x, f"app.{id.replace('-', '_')}"))
        x = start - 2
    seconds = elapsed(drill, now)
    late = drill.outcome == "open" and seconds > drill.limit_seconds
    x = grid.put_right(x - 1, 0, f" / {words.duration(drill.limit_seconds)}", "muted")
    solved = drill.outcome == "solved"
    clock = f"solved in {words.stopwatch(seconds)}" if solved else words.stopwatch(seconds)
    x = grid.put_right(x, 0, clock, "ok!" if solved else "warn!" if late else "title!")
    grid.put_cut(1, 0, drill_title(drill), "accent", x - 2)
