"""Beside a run, on a wide terminal: what was asked for, and what the checks found."""

from datetime import tzinfo

from engine.records.lsn import format_lsn
from engine.records.runs import RunState
from tui import words
from tui.painting.grid import Grid
from tui.widgets.frame import paint_wrapped
from tui.widgets.purpose import INTO, what_for


def paint_asked(grid: Grid, left: int, top: int, bottom: int, state: RunState, zone: tzinfo) -> None:
    """The pane from cell ``left`` on, rows ``top`` to ``bottom`` (exclusive)."""
    g, stop = grid.glyphs, grid.width - 1
    plan, point = state.plan, state.plan.point
    for y in range(top, bottom):
        grid.put(left, y, g.wall, "faint")
    x, y = left + 2, top
    grid.put(x, y, "what was asked for", "muted", stop)
    y += 2
    if point is None:
        grid.put_cut(x, y, what_for(plan), "text", stop)
        y += 1
        if plan.files is not None:
            grid.put(x, y, "from", "muted")
            grid.put_cut(x + 12, y, ", ".join(each.id for each in plan.files.snapshots), "text", stop)
            grid.put(x, y + 1, "only" if plan.files.only else "all of it", "muted")
            grid.put_cut(x + 12, y + 1, plan.files.only or "", "text", stop)
            y += 2
    else:
        for name, end in (("last kept", point.kept), ("first lost", point.lost)):
            if end is not None:
                grid.put(x, y, name, "muted")
                grid.put_cut(x + 12, y, f"{words.second(end.at, zone)}  xid {end.xid}", "text", stop)
                grid.put_cut(x + 12, y + 1, f"{end.kind} at {format_lsn(end.lsn)}", "muted", stop)
                y += 2
        grid.put(x, y, "loses", "muted")
        grid.put(x + 12, y, words.plural(point.lost_commits, "commit", "commits"), "text", stop)
        y += 1
        for number, backup in enumerate(point.chain):
            grid.put(x, y, "" if number else "from", "muted")
            kind = "incremental" if backup.incremental else "full"
            grid.put_cut(x + 12, y, f"{kind} {backup.id}", "text", stop)
            y += 1
        grid.put(x, y, "replay", "muted")
        segments = words.plural(point.wal_segments, "WAL segment", "WAL segments")
        grid.put_cut(x + 12, y, f"{segments}, {words.size(point.wal_bytes)}", "text", stop)
        y += 1
    grid.put(x, y, "into", "muted")
    where = f"{INTO[plan.destination.kind]} {plan.destination.path}"
    y = paint_wrapped(grid, x + 12, y, where, "text", stop, 2) + 1
    loud = [check for check in (*plan.checks, *state.checks) if check.ok is not True and check.level != "info"]
    grid.put(x, y, "checks that spoke up" if loud else "every check was well", "muted", stop)
    y += 2
    for check in loud:
        if y >= bottom - 2:
            return
        sign, role = (g.bad, "bad") if check.refuses else (g.warn, "warn")
        grid.put(x, y, sign, role)
        grid.put(x + 2, y, check.name, "text", stop)
        y = paint_wrapped(grid, x + 2, y + 1, check.finding, "muted", stop, min(3, bottom - y - 1))
