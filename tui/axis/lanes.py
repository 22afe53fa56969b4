"""The lanes under the ruler: commits, two timelines, backups, files, dumps, restore points; the cursor over them."""

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from itertools import pairwise

from msgspec import Struct

from engine.records.history import TransactionEnd
from tui import words
from tui.axis.scale import COMMITS, Columns
from tui.axis.scene import Mark, Scene, TimelineLane
from tui.painting.grid import Grid


class AxisRows(Struct, frozen=True):
    """The screen rows of the axis; None where the terminal is too low for a row."""

    labels: int | None
    ticks: int
    density: tuple[int, ...]  # from the top
    parent: int
    live: int
    backups: int
    media: int | None
    dumps: int | None
    points: int | None
    rule: int


class Cursor(Struct, frozen=True):
    """Where the cursor stands: its cell, its timeline, and what the moment needs (ids)."""

    x: int
    timeline: int
    chain: tuple[str, ...] = ()
    media: tuple[str, ...] = ()


class Axis(Struct, frozen=True):
    """All that the painters of the lanes need."""

    grid: Grid
    scene: Scene
    columns: Columns
    left: int  # the plot's first cell
    right: int  # one behind its last
    rows: AxisRows
    zone: tzinfo
    cursor: Cursor
    counts: Sequence[int]  # commits (at the last level: bytes of WAL) per column

    def cell(self, at: datetime) -> int:
        return self.left + self.columns.x(at)

    def on_screen(self, cell: int) -> bool:
        return self.left + self.columns.offset <= cell < self.left + self.columns.offset + self.columns.count


def paint_axis(axis: Axis) -> None:
    """Paint labels, lanes and cursor."""
    if not axis.columns.edges:
        return
    _paint_density(axis)
    _paint_timelines(axis)
    _paint_marks(axis, axis.rows.backups, axis.scene.backups, axis.cursor.chain)
    if axis.rows.media is not None:
        _paint_marks(axis, axis.rows.media, axis.scene.media, axis.cursor.media)
    if axis.rows.dumps is not None:
        _paint_marks(axis, axis.rows.dumps, axis.scene.dumps, ())
    if axis.rows.points is not None:
        _paint_points(axis, axis.rows.points)
    paint_cursor(axis)


def _paint_density(axis: Axis) -> None:
    grid, rows, counts = axis.grid, axis.rows.density, axis.counts
    commits = axis.columns.level == COMMITS
    bars = rows[:-1] if commits and len(rows) > 1 else rows
    most = max(counts, default=0)
    if commits:
        grid.put(1, rows[0], "WAL", "muted", axis.left - 1)
        grid.put(1, rows[-1], "kind", "muted", axis.left - 1)
    else:
        grid.put(1, rows[0], "commits", "muted", axis.left - 1)
        if len(rows) > 1:
            grid.put(1, rows[-1], f"max {words.short_count(most)}", "faint", axis.left - 1)
    steps = len(grid.glyphs.density) - 1
    for i in range(axis.columns.count):
        x = axis.left + axis.columns.offset + i
        if not axis.left <= x < axis.right:
            continue
        role = "density" if x < axis.cursor.x else "accent" if x == axis.cursor.x else "lost"
        value = counts[i] if i < len(counts) else 0
        height = 0 if not most or not value else max(1, round(value / most * steps * len(bars)))
        for number, y in enumerate(reversed(bars)):
            part = min(steps, max(0, height - number * steps))
            if part:
                grid.put(x, y, grid.glyphs.density[part], role)
        if commits:
            end = axis.columns.ends[i]
            grid.put(x, rows[-1], kind_letter(end), _kind_role(axis, x))


def kind_letter(end: TransactionEnd) -> str:
    """C commit, a abort, p prepare, P prepared commit."""
    return {"commit": "C", "abort": "a", "prepare": "p", "commit prepared": "P", "abort prepared": "a"}[end.kind]


def _kind_role(axis: Axis, x: int) -> str:
    if x == axis.cursor.x:
        return "accent!"
    return "title!" if x == axis.cursor.x + 1 else "muted"


_REACH = {"missing": 4, "reachable": 3, "left behind": 2, "no backup": 1}


def _paint_timelines(axis: Axis) -> None:
    (parent, live), more = axis.scene.two_lanes(axis.cursor.timeline)
    grid, lanes = axis.grid, axis.scene.lanes
    if parent is None:
        grid.put(1, axis.rows.parent, "branches", "muted", axis.left - 1)
        grid.put(axis.left, axis.rows.parent, "none: the cluster has one timeline", "faint", axis.right)
    elif parent in lanes:
        grid.put(1, axis.rows.parent, f"timeline {parent}", "muted", axis.left)
        _paint_timeline(axis, axis.rows.parent, lanes[parent])
        lane = lanes[parent]
        if not lane.stretches and lane.fork_at:  # it was begun, and given up before anything was committed on it
            when = words.minute(lane.fork_at, axis.zone)
            text = f"no commits; it leaves timeline {lane.parent} {when}"
            grid.put(axis.left, axis.rows.parent, text, "faint", axis.right)
    grid.put(1, axis.rows.live, f"timeline {live}", "muted", axis.left)
    if live in lanes:
        _paint_timeline(axis, axis.rows.live, lanes[live])
        _paint_now(axis)
    child = lanes.get(live)
    if parent is not None and child and child.parent == parent and child.fork_at:
        _paint_fork(axis, child)
    if more:
        text = f" +{more}"
        start = axis.right - len(text)
        if all(grid.char(x, axis.rows.parent) == " " for x in range(start, axis.right)):
            grid.put(start, axis.rows.parent, text, "muted")


def _paint_timeline(axis: Axis, y: int, lane: TimelineLane) -> None:
    grid, g = axis.grid, axis.grid.glyphs
    best: dict[int, str] = {}
    low, high = axis.left + axis.columns.offset, axis.left + axis.columns.offset + axis.columns.count - 1
    for stretch in lane.stretches:
        start, stop = axis.cell(stretch.start), axis.cell(stretch.stop)
        if stop < low or start > high:
            continue
        for x in range(max(start, low), min(stop, high) + 1):
            if x < axis.right and _REACH[stretch.state] > _REACH.get(best.get(x, ""), 0):
                best[x] = stretch.state
    look = {
        "reachable": (g.reachable, "text"),
        "left behind": (g.left, "muted"),
        "no backup": (g.no_backup, "warn"),
        "missing": (g.missing, "bad"),
    }
    for x, state in best.items():
        grid.put(x, y, *look[state])
    if best or not lane.stretches:
        return
    first, last = lane.stretches[0].start, max(stretch.stop for stretch in lane.stretches)
    if axis.cell(last) < low:
        when, what = (lane.left_at, "left behind") if lane.left_at else (last, "ends")
        grid.put(axis.left, y, f"{g.earlier} {what} {words.minute(when, axis.zone)}", "faint", axis.right)
    elif axis.cell(first) > high:
        grid.put_right(axis.right, y, f"begins {words.minute(first, axis.zone)} {g.later}", "faint")


def _paint_now(axis: Axis) -> None:
    x = axis.cell(axis.scene.now)
    if axis.columns.level == COMMITS or not axis.on_screen(x) or x >= axis.right:
        return
    role = "accent" if x == axis.cursor.x else "text"
    axis.grid.put(x, axis.rows.live, axis.grid.glyphs.now, role)
    if x + 5 <= axis.right:
        axis.grid.put(x + 2, axis.rows.live, "now", "muted", axis.right)


def _paint_fork(axis: Axis, child: TimelineLane) -> None:
    grid, g = axis.grid, axis.grid.glyphs
    if child.fork_at is None:
        return
    x = axis.cell(child.fork_at)
    if axis.on_screen(x) and x < axis.right:
        grid.put(x, axis.rows.parent, g.fork, "muted")
        grid.put(x, axis.rows.live, g.fork_child, "muted")
    first = axis.cell(child.first_at or axis.scene.now)
    for cell in range(max(x + 1, axis.left), min(first, axis.right)):
        if grid.char(cell, axis.rows.live) == " ":
            grid.put(cell, axis.rows.live, g.fork_wait, "muted")


def _paint_marks(axis: Axis, y: int, marks: Sequence[Mark], chosen: Sequence[str]) -> None:
    """A lane of marks; the chosen ones are joined to the cursor. An empty lane names the nearest mark off-screen."""
    grid, g = axis.grid, axis.grid.glyphs
    look = {
        "full": (g.full, "text"),
        "incremental": (g.incremental, "muted"),
        "damaged": (g.missing, "bad"),
        "media": (g.media, "muted"),
        "dump": (g.dump, "muted"),
        "point": (g.point, "text"),
    }
    grid.put(1, y, {"full": "backups", "incremental": "backups", "damaged": "backups", "media": "files"}.get(
        marks[0].kind, "dumps") if marks else _lane_name(axis, y), "muted", axis.left - 1)  # fmt: skip
    joined: list[int] = []
    early: Mark | None = None
    shown = False
    for mark in marks:
        x, to = axis.cell(mark.at), axis.cell(mark.until)
        glyph, role = look[mark.kind]
        if mark.id in chosen:
            role = "accent"
            if x >= axis.left:
                joined.append(min(to if mark.kind == "media" else x, axis.right - 1))
            else:
                early = mark
        x_on, to_on = axis.on_screen(x) and x < axis.right, axis.on_screen(to) and to < axis.right
        if mark.kind == "media" and to - x >= 3 and (x_on or to_on):
            for cell in range(max(x, axis.left), min(to, axis.right - 1) + 1):
                grid.put(cell, y, g.media_from if cell == x else g.media_to if cell == to else g.media_line, role)
            shown = True
        elif x_on and (shown_role := grid.role(x, y)) not in ("accent", "bad"):
            grid.put(x, y, glyph, role)
            shown = bool(shown_role)
    if early is not None:
        text = f"{g.earlier} {early.name} {_when(axis, early.at)}"
        stop = min([*joined, axis.cursor.x - 1])
        if len(text) <= stop - axis.left:
            joined.insert(0, grid.put(axis.left, y, text, "accent", stop))
        else:
            grid.put(axis.left, y, g.earlier, "accent")
            joined.insert(0, axis.left)
        shown = True
    joined = [x for x in joined if x < axis.cursor.x]  # the snapshot from after the moment stands for itself
    for a, b in pairwise([*sorted(joined), axis.cursor.x] if joined else []):
        for cell in range(a + 1, b):
            if grid.char(cell, y) == " " or grid.role(cell, y) != "accent":
                grid.put(cell, y, g.path, "accent")
    if not shown:
        _paint_absent(axis, y, marks)


def _lane_name(axis: Axis, y: int) -> str:
    names = {
        axis.rows.backups: "backups",
        axis.rows.media: "files",
        axis.rows.dumps: "dumps",
        axis.rows.points: "points",
    }
    return names.get(y, "")


def _paint_absent(axis: Axis, y: int, marks: Sequence[Mark]) -> None:
    """An empty lane speaks: what is nearest off-screen, or that there is nothing at all."""
    grid, g = axis.grid, axis.grid.glyphs
    earlier = [mark for mark in marks if axis.cell(mark.at) < axis.left + axis.columns.offset]
    later = [mark for mark in marks if axis.cell(mark.at) >= axis.left + axis.columns.offset + axis.columns.count]
    if earlier:
        mark = earlier[-1]
        when = _when(axis, mark.at)
        grid.put(axis.left, y, f"{g.earlier} {mark.name} {when}", "faint", axis.right)
    if later:
        text = f"{later[0].name} {_when(axis, later[0].at)} {g.later}"
        if not earlier or len(text) < (axis.right - axis.left) // 2:
            grid.put_right(axis.right, y, text, "faint")
    if not marks:
        grid.put(axis.left, y, "none", "faint", axis.right)


def _when(axis: Axis, at: datetime) -> str:
    """A time, with its day where the window does not lie within that day."""
    near = timedelta(days=1)
    start, stop = axis.columns.start, axis.columns.stop
    same = at.astimezone(axis.zone).date() == start.astimezone(axis.zone).date() and stop - start < near
    return f"{at.astimezone(axis.zone):%H:%M}" if same else words.minute(at, axis.zone)


def _paint_points(axis: Axis, y: int) -> None:
    """Restore points with their names where there is room: left of the sign, else right of it."""
    grid, g = axis.grid, axis.grid.glyphs
    marks = axis.scene.points
    grid.put(1, y, "points", "muted", axis.left - 1)
    cells: list[tuple[int, Mark]] = []
    for mark in marks:
        x = None
        if axis.columns.ends and mark.lsn is not None and mark.timeline is not None:
            x = axis.columns.x_of_lsn(mark.timeline, mark.lsn)
        x = axis.left + x if x is not None else axis.cell(mark.at)
        if axis.on_screen(x) and x < axis.right:
            grid.put(x, y, g.point, "text")
            cells.append((x, mark))
    if not cells:
        _paint_absent(axis, y, marks)
        return
    cursor = axis.cursor.x
    for x, mark in sorted(cells, key=lambda cell: (cell[0] != cursor, -cell[0])):  # the cursor's own is named first
        size = len(mark.name)

        def free(start: int, stop: int, x: int = x) -> bool:
            inside = axis.left <= start and stop <= axis.right
            beside = cursor == x or not start - 1 <= cursor <= stop
            return inside and beside and all(grid.char(cell, y) == " " for cell in range(max(start, 0), stop))

        if (free(x - size - 2, x) and axis.left <= x - size - 1) or (x - size - 1 == axis.left and free(axis.left, x)):
            grid.put(x - size - 1, y, mark.name, "muted")
        elif free(x + 1, x + size + 3) or (x + size + 2 == axis.right and free(x + 1, axis.right)):
            grid.put(x + 2, y, mark.name, "muted")


def paint_cursor(axis: Axis) -> None:
    """The thin cursor: head, line through empty cells, joins where the restore path arrives, foot on the rule."""
    grid, g, x = axis.grid, axis.grid.glyphs, axis.cursor.x
    if not axis.left <= x < axis.right:
        return
    grid.put(x, axis.rows.ticks, g.head, "accent")
    for y in range(axis.rows.ticks + 1, axis.rows.rule):
        here = grid.char(x, y)
        if here == " ":
            arrives = x > axis.left and grid.role(x - 1, y) == "accent"
            grid.put(x, y, g.join if arrives else g.line, "accent")
        elif y in (axis.rows.parent, axis.rows.live) and grid.role(x, y) in ("text", "muted"):
            on_it = _timeline_row(axis) == y
            grid.put(x, y, here, "accent~" if on_it and g.plain else "accent")
        elif y in axis.rows.density and g.plain:
            grid.put(x, y, here, "accent~")
        elif grid.role(x, y) in ("faint", "muted"):
            grid.put(x, y, g.line, "accent")
        elif grid.role(x, y) == "text":
            grid.put(x, y, here, "accent")
    grid.put(x, axis.rows.rule, g.foot, "accent")


def _timeline_row(axis: Axis) -> int:
    (parent, _), _ = axis.scene.two_lanes(axis.cursor.timeline)
    return axis.rows.parent if axis.cursor.timeline == parent else axis.rows.live
