"""How the files of a snapshot are painted: the rows in sight, and the facts of the chosen one below or beside them."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, NamedTuple

from engine.records.copies import MediaSnapshot
from engine.records.printable import printable
from tui import words
from tui.painting.grid import Grid
from tui.widgets.frame import paint_rule, paint_wrapped

if TYPE_CHECKING:
    from engine.acts import Entry, Listed
    from tui.screens.files import FilesScreen

ABSENT = "not in this snapshot"  # a file that a row of the database refers to
_TOP = 5
WIDE = 120  # columns from which the facts stand beside the rows
_ROLES = {"added": ("+", "ok"), "removed": ("-", "bad"), "changed": ("~", "warn"), ABSENT: ("!", "warn")}


class Row(NamedTuple):
    """One row: its path, what is shown of it, the entry; of a difference, what differs; of a file that was found by
    its rows, which they are."""

    path: bytes
    shown: bytes
    entry: Listed | None
    how: str | None = None
    what: tuple[str, ...] = ()
    rows: str = ""  # of the database that refer to it, in words


class Looked(NamedTuple):
    """What was seen of a file elsewhere: the live one, and where its content stands in other snapshots (None: one that
    has no listing yet)."""

    path: bytes
    live: Entry | None
    others: list[tuple[str, list[bytes] | None]]


def paint_files(grid: Grid, screen: FilesScreen, snapshot: MediaSnapshot, zone: tzinfo) -> None:
    wide = grid.width >= WIDE
    stop = grid.width * 3 // 5 if wide else grid.width - 1
    began, ended = (each.replace(microsecond=0) for each in (snapshot.started_at, snapshot.stopped_at))
    taken = f"taken {words.second(began, zone)} to {words.clock(ended, zone)}"
    grid.put_cut(1, 2, screen.under_way or taken, "warn" if screen.under_way else "muted", grid.width - 1)
    where = screen.found_words if screen.found is not None else "/" + printable(screen.path)
    grid.put_cut(1, 3, where, "title!", stop)
    size_x, time_x = stop - 30, stop - 16
    if screen.found is None or any(row.entry for row in screen.found[:1]):
        grid.put(3, _TOP - 1, "name", "faint", stop)
        grid.put_right(time_x - 3, _TOP - 1, "size", "faint")
        grid.put(time_x, _TOP - 1, "changed", "faint", stop)
    if screen.total > screen.room:
        last = min(screen.first + screen.room, screen.total)
        more = f"{words.count(screen.first + 1)} to {words.count(last)} of {words.count(screen.total)}"
        grid.put_right(grid.width - 1, 2, more, "faint")
    rows = screen.rows_from(screen.first, screen.room)
    if not rows:
        grid.put(3, _TOP, "nothing here" if screen.found is None else "nothing; Esc goes back", "muted")
    for number, row in enumerate(rows):
        here = screen.first + number == screen.chosen
        y, main = _TOP + number, "accent!" if here else "text"
        grid.put(0, y, grid.glyphs.now if here else " ", "accent!")
        if row.how is not None:
            sign, role = _ROLES[row.how]
            grid.put(3, y, sign, role)
            end = grid.put_cut(5, y, printable(row.shown), main, stop - 24)
            grid.put_cut(max(end + 2, stop - 22), y, ", ".join(row.what) or row.how, "muted", stop)
            continue
        entry = row.entry
        assert entry is not None
        folder = entry.kind == "d"
        grid.put_cut(3, y, printable(row.shown) + ("/" if folder else ""), main, size_x - 1)
        grid.put_right(time_x - 3, y, words.size(entry.bytes if folder else entry.size), "muted")
        told = words.plural(entry.files, "file", "files") if folder else words.minute(_at(entry), zone)
        grid.put(time_x, y, told, "muted", stop)
    if (row_now := screen.row) is not None:
        if wide:
            for y in range(_TOP - 1, grid.height - 3):
                grid.put(stop + 1, y, grid.glyphs.wall, "faint")
            _paint_facts(grid, screen, row_now, stop + 3, _TOP, zone)
        else:
            paint_rule(grid, grid.height - 7)
            _paint_facts(grid, screen, row_now, 1, grid.height - 6, zone)


def _paint_facts(grid: Grid, screen: FilesScreen, row: Row, x: int, y: int, zone: tzinfo) -> None:
    stop, entry = grid.width - 1, row.entry
    wide = grid.width >= WIDE
    if wide:
        y = paint_wrapped(grid, x, y, printable(row.path), "text", stop, 4)
    else:
        grid.put_cut(x, y, printable(row.path), "text", stop)
        y += 1
    if row.rows:
        y = paint_wrapped(grid, x, y, row.rows, "text", stop, 3 if wide else 1)
    if entry is None:
        grid.put_cut(x, y, ", ".join(row.what) or row.how or "", "muted", stop)
        return
    if entry.kind == "d":
        files = words.plural(entry.files, "file", "files")
        grid.put_cut(
            x, y, f"{files}, {words.size(entry.bytes)}, {entry.mode:04o}, {entry.uid}:{entry.gid}", "muted", stop
        )
        return
    facts = f"{words.count(entry.size)} B  {words.second(_at(entry), zone)}  {entry.mode:04o}  {entry.uid}:{entry.gid}"
    grid.put_cut(x, y, facts, "muted", stop)
    y += 1
    if entry.kind == "l":
        grid.put_cut(x, y, f"a link to {printable(entry.target)}", "muted", stop)
        y += 1
    elif entry.sha256 is not None and wide:
        digest = entry.sha256.hex()
        grid.put(x, y, "sha256", "faint")
        grid.put(x + 8, y, digest[:32], "faint", stop)
        grid.put(x + 8, y + 1, digest[32:], "faint", stop)
        y += 3
    elif entry.sha256 is not None and not row.rows:
        grid.put_cut(x, y, f"sha256 {entry.sha256.hex()}", "faint", stop)
        y += 1
    looked = screen.looked.get(row.path)
    text, role = _against_live(looked, entry, wide)
    grid.put_cut(x, y, text, role, stop)
    if wide and looked is not None and entry.sha256 is not None:
        _paint_others(grid, looked, x, y + 2, stop)


def _paint_others(grid: Grid, looked: Looked, x: int, y: int, stop: int) -> None:
    """In which other snapshots this very content stands."""
    told = [(id, paths) for id, paths in looked.others if paths is not None]
    if told:
        grid.put(x, y, "the same content in other snapshots", "muted", stop)
        y += 1
    bottom = grid.height - 5
    for id, paths in told:
        if y >= bottom:
            break
        end = grid.put(x + 2, y, id, "text", stop)
        same = looked.path in paths
        more = len(paths) - 1
        also = f", and {words.plural(more, 'other place', 'other places')}" if more > 0 else ""
        where = "here too" if same else printable(paths[0]) if paths else "not in it"
        grid.put_cut(end + 2, y, where + also, "muted", stop)
        y += 1
    if unknown := len(looked.others) - len(told):
        which = words.plural(unknown, "snapshot was", "snapshots were")
        grid.put_cut(x, y, f"{which} not looked into yet; Tab and [ open them", "faint", stop)


def _against_live(looked: Looked | None, entry: Listed, wide: bool) -> tuple[str, str]:
    if looked is None:
        return "Enter looks at the live one" + (", and for its content in other snapshots" if wide else ""), "faint"
    live = looked.live
    if live is None:
        return "live: it is not there", "warn"
    if (live.kind, live.size, live.mtime_ns) == (entry.kind, entry.size, entry.mtime_ns):
        return "live: the same size and time (its content was not read)", "ok"
    return f"live: {words.size(live.size)}, another size or time", "warn"


def _at(entry: Listed) -> datetime:
    return datetime.fromtimestamp(min(max(entry.mtime_ns // 10**9, -62_000_000_000), 253_000_000_000), UTC)
