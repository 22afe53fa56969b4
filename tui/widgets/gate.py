"""The gate: the only box. What the waiting server holds, where to look at it, what can be done next."""

import shlex
from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import Any

from engine.records.history import TransactionEnd
from engine.records.lsn import format_lsn
from engine.records.rows import told_rows
from engine.records.runs import RunState
from engine.site import Site
from tui import words
from tui.painting.grid import Grid
from tui.widgets.frame import paint_wrapped, wrapped
from tui.widgets.question import TypedLine, paint_typed
from tui.widgets.steps import WIDEST

_ROWS = 13
KEYS = 15  # where the words after the keys begin, inside the box
VALUE = 20


def psql_line(state: RunState, site: Site) -> str:
    """The command that shows the recovered server."""
    database = site.database
    return shlex.join(["psql", "-h", f"{state.host}", "-p", f"{state.port}", "-U", database.user, database.dbname])


def paint_psql(grid: Grid, x: int, y: int, line: str, stop: int) -> int:
    """The command over at most two rows, all of it: one that would need more is broken within a word, for a path to a
    socket is at most 107 bytes long, and what lacks its port is of no use. Answers the next free row."""
    room = max(1, stop - x)
    if len(wrapped(line, room)) > 2 or max(map(len, line.split())) > room:
        for start in range(0, min(len(line), 2 * room), room):
            grid.put(x, y, line[start : start + room], "title!", stop)
            y += 1
        return y
    return paint_wrapped(grid, x, y, line, "title!", stop, 2)


def height(state: RunState) -> int:
    """How many rows the box takes: one more where users' files come back too, and one where some are lost."""
    return _ROWS + (state.files is not None) + bool(_lost(state))


def _lost(state: RunState) -> Sequence[Mapping[str, Any]]:
    """The first files that nobody has."""
    return state.files.get("unrecoverable_sample", ()) if state.files is not None else ()


def paint_gate(grid: Grid, top: int, state: RunState, site: Site, zone: tzinfo, typed: TypedLine | None) -> None:
    """As many rows as its ``height``, from ``top`` on."""
    rows = height(state)
    g = grid.glyphs
    left, right = 1, min(grid.width, WIDEST + 1) - 2
    grid.put(left, top, g.corners[0] + g.rule + " ", "warn")
    proven = state.reached is None or state.reached.proven
    verdict = (f"{g.warn} PAUSED AT THE TARGET ", "warn!") if proven else (f"{g.bad} PAUSED, BUT NOT PROVEN ", "bad!")
    end = grid.put(left + 3, top, *verdict)
    grid.fill(end, top, right - end, g.rule, "warn")
    grid.put(right, top, g.corners[1], "warn")
    for y in range(top + 1, top + rows - 1):
        grid.put(left, y, g.wall, "warn")
        grid.put(right, y, g.wall, "warn")
    bottom = top + rows - 1
    grid.put(left, bottom, g.corners[2] + g.rule * (right - left - 1) + g.corners[3], "warn")
    point, x, stop = state.plan.point, left + 3, right - 1
    y = top + 1
    reached = state.reached
    at_plan = point is not None and (reached is None or reached.lsn == point.gate)  # not advanced since
    grid.put(x, y, "last commit in", "muted")
    grid.put(x, y + 1, "not replayed", "muted")
    if point is not None and at_plan:
        _end(grid, x + VALUE - 4, y, stop, point.kept, zone, "none: the backup's own state")
        _end(grid, x + VALUE - 4, y + 1, stop, point.lost, zone, "nothing that the archive holds")
    elif reached is not None and reached.last_commit_at is not None:
        last = words.clock(reached.last_commit_at, zone, fraction=True)
        end = grid.put(x + VALUE - 4, y, last, "title!", stop)
        grid.put(end + 2, y, f"xid {reached.last_commit_xid}", "text", stop)
        grid.put(x + VALUE - 4, y + 1, f"what starts at {format_lsn(reached.lsn)} or later", "text", stop)
    else:
        grid.put(x + VALUE - 4, y, "not known", "text", stop)
        grid.put(x + VALUE - 4, y + 1, "not known", "text", stop)
    if reached is not None and not reached.proven:
        grid.put(x, y + 2, f"{g.bad} not proven: {reached.finding}", "bad", stop)
    elif reached is not None:
        grid.put(x, y + 2, f"{g.ok} proven", "ok")
        grid.put(
            x + VALUE - 4,
            y + 2,
            f"replay stands at {format_lsn(reached.lsn)}, timeline {reached.timeline}",
            "muted",
            stop,
        )
    if state.files is not None:
        _files(grid, x, y + 3, stop, state.files)
        y += 1
    if lost := _lost(state):
        told = told_rows(lost[0].get("row_samples", ()), lost[0]["rows"])
        end = _key(grid, x, y + 3, "Enter", "lists", "", stop)
        grid.put_cut(end, y + 3, "; ".join(filter(None, (lost[0]["path"], told))), "bad", stop)
        y += 1
    if state.unreadable is not None or state.host is None:
        why = state.unreadable.finding if state.unreadable else "the server takes no connections"
        paint_wrapped(grid, x, y + 3, f"Nothing can be looked at here: {why}", "text", stop, 3)
    else:
        _key(grid, x, y + 3, "o", "look first", "psql here, read-only; or in another terminal:", stop)
        paint_psql(grid, x, y + 4, psql_line(state, site), stop)
    in_place = state.plan.destination.kind == "in-place"
    finish = "takes production's place" if in_place else "opens the copy for writes"
    entries = (
        ("f", "forward", "replay on to a later moment; going back means anew", ""),
        ("k", "keep waiting", "leave this screen, the server waits", ""),
        ("P", "finish", finish + "; ", "that one is set aside" if in_place else "no way back")
        if proven
        else ("P", "finish", "not before where replay stands is proven; x stops", ""),
    )
    for number, (key, name, text, loud) in enumerate(entries):
        end = _key(grid, x, y + 6 + number, key, name, text, stop)
        grid.put(end, y + 6 + number, loud, "warn!", stop)
    if typed is not None:
        end = grid.put(x, y + 10, "to finish in place, type the site's name: ", "muted")
        paint_typed(grid, end, y + 10, typed, stop)


def _files(grid: Grid, x: int, y: int, stop: int, files: Mapping[str, Any]) -> None:
    """What will be copied for the rows that stand here, and what nobody has."""
    grid.put(x, y, "their files", "muted")
    copied = f"{words.count(files['copied'])} come back, {words.size(files['bytes'])}"
    end = grid.put(x + VALUE - 4, y, copied, "text", stop)
    if files["unrecoverable"]:
        lost = words.plural(files["unrecoverable"], "is lost", "are lost")
        rows = words.plural(files["unrecoverable_rows"], "row", "rows")
        end = grid.put(end + 2, y, f"{grid.glyphs.bad} {lost}, in {rows}", "bad", stop)
    else:
        end = grid.put_whole(end + 2, y, f"{words.count(files['kept'])} are right, none is lost", "muted", stop)
    if files.get("out"):
        text = f"{words.count(files['out'])} go out, {words.size(files.get('out_bytes', 0))}"
        grid.put_whole(end + 2, y, text, "muted", stop)


def _key(grid: Grid, x: int, y: int, key: str, name: str, text: str, stop: int) -> int:
    end = grid.put(x, y, key, "accent!")
    grid.put(end + 1, y, name, "text")
    return grid.put(x + VALUE - 4, y, text, "text", stop)


def _end(grid: Grid, x: int, y: int, stop: int, end: TransactionEnd | None, zone: tzinfo, none: str) -> None:
    if end is None:
        grid.put(x, y, none, "text", stop)
        return
    x = grid.put(x, y, words.clock(end.at, zone, fraction=True), "title!", stop)
    grid.put(x + 2, y, f"xid {end.xid}  {end.kind}  at {format_lsn(end.lsn)}", "text", stop)
