"""What a larger terminal shows besides: the commits around the cursor, the recovery windows, the events near it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, NamedTuple

from engine.records.history import TransactionEnd
from engine.records.lsn import format_lsn
from tui import words
from tui.axis.scene import Scene
from tui.painting.grid import Grid

if TYPE_CHECKING:
    from engine.records.target import RecoveryWindow


def paint_commits(
    grid: Grid,
    left: int,
    top: int,
    bottom: int,
    kept: Sequence[TransactionEnd],
    lost: Sequence[TransactionEnd],
    at: datetime,
    zone: tzinfo,
) -> None:
    """The pane right of the axis, rows ``top`` to ``bottom`` (exclusive): kept above, lost below."""
    g, stop = grid.glyphs, grid.width - 1
    grid.put(left, top, "commits around the cursor", "muted", stop)
    columns = ((0, "time"), (14, "xid"), (25, "kind"), (36, "lsn"))
    for x, name in columns:
        grid.put(left + x, top + 1, name, "faint", stop)
    first = top + 3
    rows = bottom - first
    if rows < 3:
        return
    above = rows // 2
    shown = kept[max(0, len(kept) - above) :]
    middle = first + above
    y = middle - len(shown)
    for end in shown:
        _paint_end(grid, left, y, end, zone, "text")
        y += 1
    label = f" cursor {words.clock(at, zone)} "
    start = grid.put(left, middle, f"{g.kept} kept ", "accent!", stop)
    finish = grid.put_right(stop, middle, f" lost {g.lost}", "accent!")
    grid.fill(start, middle, finish - start, g.path, "accent", stop)
    grid.put(start + max(0, (finish - start - len(label)) // 2), middle, label, "accent!", finish)
    if not lost:
        grid.put(left, middle + 1, "the archive ends here", "faint", stop)
    for number, end in enumerate(lost[: bottom - middle - 1]):
        _paint_end(grid, left, middle + 1 + number, end, zone, "muted" if number else "title!")


def _paint_end(grid: Grid, left: int, y: int, end: TransactionEnd, zone: tzinfo, role: str) -> None:
    stop = grid.width - 1
    grid.put(left, y, words.clock(end.at, zone, fraction=True), role, stop)
    grid.put(left + 14, y, str(end.xid), "faint" if role == "muted" else "muted", stop)
    grid.put(left + 25, y, end.kind, "warn" if "abort" in end.kind else role, stop)
    grid.put(
        left + 36 if len(end.kind) < 11 else left + 42,
        y,
        format_lsn(end.lsn),
        "faint" if role == "muted" else "muted",
        stop,
    )


class WindowRow(NamedTuple):
    """Windows of one timeline that overlap, as one."""

    timeline: int
    start: datetime
    stop: datetime
    backups: int
    ended_by: str | None


def merge_windows(windows: Sequence[RecoveryWindow]) -> list[WindowRow]:
    """Overlapping windows of a timeline joined; the newest first."""
    rows: list[tuple[WindowRow, int]] = []
    for window in sorted(windows, key=lambda w: (w.timeline, w.from_lsn)):
        if window.from_at is None or window.to_at is None:
            continue
        if rows and rows[-1][0].timeline == window.timeline and window.from_lsn <= rows[-1][1]:
            last, to_lsn = rows[-1]
            later = window.to_lsn > to_lsn
            rows[-1] = (
                last._replace(
                    stop=max(last.stop, window.to_at),
                    backups=last.backups + 1,
                    ended_by=window.ended_by if later else last.ended_by,
                ),
                max(to_lsn, window.to_lsn),
            )
        else:
            start, stop = min(window.from_at, window.to_at), max(window.from_at, window.to_at)
            rows.append((WindowRow(window.timeline, start, stop, 1, window.ended_by), window.to_lsn))
    return [row for row, _ in sorted(rows, key=lambda item: item[0].stop, reverse=True)]


def paint_windows(
    grid: Grid, ys: Sequence[int], stop: int, rows: Sequence[WindowRow], scene: Scene, zone: tzinfo
) -> None:
    """A heading and one row a window."""
    if not ys:
        return
    grid.put(1, ys[0], "recovery windows", "muted", stop)
    room = len(ys) - 1
    for number, (y, row) in enumerate(zip(ys[1:], rows, strict=False)):
        if number == room - 1 and len(rows) > room:
            grid.put(3, y, f"and {len(rows) - room + 1} more", "faint", stop)
            return
        live = row.timeline == scene.live
        x = grid.put(3, y, f"timeline {row.timeline}", "text", stop)
        lane = scene.lanes.get(row.timeline)
        begins = max(row.start, lane.fork_at) if lane and lane.fork_at and lane.fork_at < row.stop else row.start
        said = words.second if row.stop - begins < timedelta(hours=2) else words.minute
        end = "now" if live and row.stop >= scene.stop else said(row.stop, zone)
        start = said(begins, zone)
        grid.put(x + 3, y, f"{start:>12} – {end}", "text", stop)
        grid.put_right(55, y, words.duration((row.stop - begins).total_seconds()), "muted")
        why = row.ended_by or ("live" if live else "")
        if not why and lane and lane.left_at:
            why = f"left behind since {words.minute(lane.left_at, zone)}"
        backups = words.plural(row.backups, "backup", "backups")
        grid.put(58, y, f"{why}; {backups}" if why else backups, "muted", stop)
    if not rows:
        grid.put(3, ys[1], "none: no usable base backup with unbroken WAL behind it", "muted", stop)


def paint_events(
    grid: Grid, ys: Sequence[int], stop: int, scene: Scene, at: datetime, lost_commits: int | None, zone: tzinfo
) -> None:
    """A heading, and what happened near the cursor."""
    if not ys:
        return
    names = {"full": "full backup", "incremental": "incremental backup", "damaged": "unusable backup",
             "media": "files snapshot", "dump": "dump", "point": "restore point"}  # fmt: skip
    events: list[tuple[datetime, str, str]] = []
    for mark in scene.marks:
        took = (mark.until - mark.at).total_seconds()
        detail = mark.detail or (mark.name if mark.kind == "point" else f"took {words.duration(took)}" if took else "")
        events.append((mark.at, names[mark.kind], detail))
    for lane in scene.lanes.values():
        if lane.fork_at:
            events.append((lane.fork_at, f"timeline {lane.id} begins", f"leaves timeline {lane.parent}"))
    behind = (scene.now - scene.stop).total_seconds()
    events.append((scene.stop, "WAL archived to here", f"{words.duration(behind)} before now" if behind >= 1 else ""))
    events.append((scene.now, "now", ""))
    follow = "" if not lost_commits else f"{words.plural(lost_commits, 'commit follows', 'commits follow')} it"
    cursor = (at, "cursor", follow)
    events = sorted([*events, cursor], key=lambda event: (event[0], event[1] != "cursor"))
    place = events.index(cursor)
    room = len(ys) - 1
    start = max(0, min(place - room // 2, len(events) - room))
    near = events[start : start + room]
    close = near[-1][0] - near[0][0] < timedelta(hours=2)  # then minutes do not tell them apart
    said, name_at = (words.second, 20) if close else (words.minute, 18)
    grid.put(1, ys[0], "events near the cursor", "muted", stop)
    for y, event in zip(ys[1:], near, strict=False):
        here = event is cursor
        if here:
            grid.put(1, y, grid.glyphs.now, "accent!")
        grid.put(3, y, said(event[0], zone).rjust(name_at - 6), "accent!" if here else "muted", stop)
        grid.put(name_at, y, event[1], "accent!" if here else "text", stop)
        grid.put(name_at + 23, y, event[2], "muted", stop)
