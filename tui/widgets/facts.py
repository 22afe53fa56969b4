"""Under the axis: what this moment means, or why it cannot be reached and where one can go instead."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import TYPE_CHECKING

from msgspec import Struct

from engine.records.history import TransactionEnd
from engine.records.lsn import format_lsn
from tui import words
from tui.axis.scene import Scene
from tui.painting.grid import Grid

if TYPE_CHECKING:
    from engine.acts import Moment
    from engine.records.target import RecoveryPoint


VALUE = 12  # the one left edge of plot and facts


class FactRows(Struct, frozen=True):
    """Where the facts stand; None: no room for this one."""

    verdict: int
    kept: int
    lost: int
    source: int | None
    replay: int | None
    files: int | None
    takes: int | None


def paint_facts(
    grid: Grid,
    rows: FactRows,
    stop: int,
    moment: Moment | None,
    at: datetime,
    scene: Scene,
    zone: tzinfo,
    *,
    stale: bool,
) -> None:
    """Paint the facts up to cell ``stop``. ``stale``: the index has not answered for this moment yet."""
    if moment is None or stale:
        _verdict(grid, rows.verdict, stop, ("muted", grid.glyphs.todo, "looking"), at, None, zone)
        return
    state = ("ok", grid.glyphs.ok, "REACHABLE") if moment.reachable else ("bad", grid.glyphs.bad, "NOT REACHABLE")
    _verdict(grid, rows.verdict, stop, state, at, moment.timeline, zone)
    if moment.reachable:
        _paint_reachable(grid, rows, stop, moment, at, zone)
    else:
        _paint_unreachable(grid, rows, stop, moment, at, scene, zone)


def _verdict(
    grid: Grid, y: int, stop: int, state: tuple[str, str, str], at: datetime, timeline: int | None, zone: tzinfo
) -> None:
    role, sign, word = state
    end = grid.parts(1, y, (sign, role), (word, role + "!"), gap=1, stop=stop) + 3
    full = words.moment(at, zone)
    if end + len(full) > stop:
        full = words.short_moment(at, zone)
    end = grid.put(end, y, full, "title!", stop)
    if timeline is not None and end + 14 < stop:
        end = grid.put(end + 3, y, f"timeline {timeline}", "text", stop)
    utc = at.utctimetuple()
    other = f"{utc.tm_hour:02d}:{utc.tm_min:02d}:{utc.tm_sec:02d} UTC"
    if words.offset(at, zone) != "UTC" and end + 2 + len(other) < stop:
        grid.put_right(stop, y, other, "muted")


def _label(grid: Grid, y: int, text: str) -> None:
    grid.put(1, y, text, "muted", VALUE)


def _end_parts(grid: Grid, y: int, stop: int, end: TransactionEnd, at: datetime, zone: tzinfo) -> int:
    local, here = end.at.astimezone(zone), at.astimezone(zone)
    time = words.clock(end.at, zone, fraction=True)
    if local.date() != here.date():
        time = f"{words.day(end.at, zone)} {time}"
    x = grid.put(VALUE, y, time, "text", stop)
    x = grid.put_whole(x + 2, y, f"xid {end.xid}", "muted", stop)
    x = grid.put_whole(x + 2, y, end.kind, "text", stop)
    return grid.put_whole(x + 2, y, f"at {format_lsn(end.lsn)}", "muted", stop)


def _paint_reachable(grid: Grid, rows: FactRows, stop: int, moment: Moment, at: datetime, zone: tzinfo) -> None:
    _label(grid, rows.kept, "last kept")
    if moment.kept is not None:
        _end_parts(grid, rows.kept, stop, moment.kept, at, zone)
    else:
        grid.put(VALUE, rows.kept, "the backup's own state; no transaction is replayed", "muted", stop)
    _label(grid, rows.lost, "first lost")
    point = moment.point
    if moment.lost is not None:
        x = _end_parts(grid, rows.lost, stop, moment.lost, at, zone)
        if point is not None:
            text = words.plural(point.lost_commits, "commit lost", "commits lost")
            if x + 2 + len(text) <= stop:
                grid.put(x + 2, rows.lost, text, "title!", stop)
            elif x + 2 + len(text) - 5 <= stop:
                grid.put(x + 2, rows.lost, text.removesuffix(" lost"), "title!", stop)
    else:
        x = grid.put(VALUE, rows.lost, "nothing that the archive holds", "text", stop)
        if x + 14 < stop:
            grid.put_whole(x + 3, rows.lost, f"ends at {format_lsn(moment.gate)}", "muted", stop)
    if point is None:
        return
    if rows.source is not None:
        _label(grid, rows.source, "from")
        x = grid.put_cut(VALUE, rows.source, _chain(point, zone), "text", stop)
        grid.put_whole(x + 3, rows.source, words.size(sum(backup.size_bytes for backup in point.chain)), "muted", stop)
    if rows.replay is not None:
        _label(grid, rows.replay, "replay")
        segments = words.plural(point.wal_segments, "WAL segment", "WAL segments")
        x = grid.put(VALUE, rows.replay, segments, "text", stop)
        grid.put_whole(x + 3, rows.replay, f"{words.size(point.wal_bytes)}, none missing", "muted", stop)
    if rows.files is not None:
        _label(grid, rows.files, "files")
        _paint_files(grid, rows.files, stop, point, at, zone)
    if rows.takes is not None:
        _label(grid, rows.takes, "takes")
        estimate = moment.estimate
        if estimate is None:
            grid.put(VALUE, rows.takes, "not known yet", "text", stop)
        else:
            x = grid.put(VALUE, rows.takes, f"about {words.duration(estimate.likely)}", "text", stop)
            grid.put_whole(x + 3, rows.takes, words.measured(estimate), "muted", stop)


def _chain(point: RecoveryPoint, zone: tzinfo) -> str:
    parts = []
    for backup in point.chain:
        kind = "incremental" if backup.incremental else "full"
        at = backup.started_at or backup.stopped_at
        parts.append(f"{kind} {words.minute(at, zone)}" if at else f"{kind} {backup.id}")
    if len(parts) > 3:
        return f"{parts[0]} + {len(parts) - 2} more + {parts[-1]}"
    return " + ".join(parts)


def _paint_files(grid: Grid, y: int, stop: int, point: RecoveryPoint, at: datetime, zone: tzinfo) -> None:
    if not point.media:
        grid.put(VALUE, y, "no snapshot from before this moment", "muted", stop)
        return
    begun = [each for each in point.media if each.started_at <= at]
    snapshot = begun[-1] if begun else point.media[0]
    brief = (snapshot.stopped_at - snapshot.started_at).total_seconds() < 120
    said = words.second if brief else words.minute
    end = f"{snapshot.stopped_at.astimezone(zone):{'%H:%M:%S' if brief else '%H:%M'}}"
    during = said(snapshot.started_at, zone)
    during += "" if during.endswith(end) else f"–{end}"
    x = grid.put(VALUE, y, f"snapshot {during}", "text", stop)
    seconds = (
        (at - snapshot.started_at).total_seconds()
        if at < snapshot.stopped_at
        else (at - snapshot.stopped_at).total_seconds()
    )
    side = "before" if seconds >= 0 else "after"
    x = grid.put_whole(x + 3, y, f"{words.duration(seconds)} {side} this moment", "muted", stop)
    if begun and snapshot is not point.media[-1]:
        grid.put_whole(x, y, ", and the next", "muted", stop)


def _paint_unreachable(
    grid: Grid, rows: FactRows, stop: int, moment: Moment, at: datetime, scene: Scene, zone: tzinfo
) -> None:
    _label(grid, rows.kept, "why")
    grid.put(VALUE, rows.kept, moment.why or "no base backup reaches this moment", "text", stop)
    grid.put(VALUE, rows.lost, moment.why_more or "", "muted", stop)
    for y, name, edge, key in (
        (rows.source, "before", moment.before, "b"),
        (rows.replay, "after", moment.after, "a"),
    ):
        if y is None:
            continue
        _label(grid, y, name)
        if edge is None:
            grid.put(VALUE, y, "nothing reachable", "muted", stop)
            continue
        x = grid.put(VALUE, y, words.second(edge.at, zone), "text", stop)
        away = words.duration((edge.at - at).total_seconds())
        grid.put_whole(x + 3, y, f"{away} {'earlier' if edge.at <= at else 'later'}", "muted", stop)
        start = grid.put_right(stop, y, "go there", "muted")
        grid.put(start - 2, y, key, "accent!")
    if rows.files is not None:
        _label(grid, rows.files, "else")
        x = grid.put(VALUE, rows.files, "no dump holds this moment", "text", stop)
        following = next((dump for dump in scene.dumps if dump.at > at), None)
        earlier = next((dump for dump in reversed(scene.dumps) if dump.at <= at), None)
        near = following or earlier
        if near is not None:
            word = "next" if near is following else "last"
            grid.put_whole(x + 3, rows.files, f"{word} dump {words.minute(near.at, zone)}", "muted", stop)
