"""The ruler above the lanes: labels, ticks, the dotted part right of now."""

from datetime import datetime, timedelta, tzinfo

from msgspec.structs import replace

from tui import words
from tui.axis.scale import COMMITS, LEVELS, Columns
from tui.painting.grid import Grid

_BRIEF = timedelta(seconds=2)  # single commits so close together: ticks where the tenth of a second changes


def paint_ruler(
    grid: Grid, columns: Columns, plot: tuple[int, int], rows: tuple[int | None, int], zone: tzinfo, now: datetime
) -> None:
    """Labels in row ``rows[0]`` (None: no room), ticks in ``rows[1]``, from cell ``plot[0]`` to ``plot[1]``."""
    g, (left, right) = grid.glyphs, plot
    level = LEVELS[columns.level]
    if columns.level == COMMITS and columns.stop - columns.start < _BRIEF:
        level = replace(level, tick=_tenth, labelled=None, label=lambda at: f"{at:%H:%M:%S}.{_tenth(at)[1]}")
    labels, ticks = rows
    locals_ = [edge.astimezone(zone) for edge in columns.edges]
    free = left  # labels never touch
    for i in range(columns.count):
        x = left + columns.offset + i
        if not left <= x < right:
            continue
        ahead = columns.edges[i] > now and columns.level != COMMITS
        grid.put(x, ticks, g.future if ahead else g.axis, "faint")
        here = locals_[i]
        before = locals_[i - 1] if i else _previous(columns, zone)
        if before is None or level.tick(here) == level.tick(before):
            continue
        room = x >= free and _labelled(level.labelled or level.tick, here, before)
        major = level.major(here) != level.major(before) if columns.level != COMMITS else room and labels is not None
        if not ahead:
            grid.put(x, ticks, g.major if major else g.tick, "faint")
        if labels is not None and room:
            text = level.label(here)
            if x + len(text) <= right:
                weekend = columns.level == 3 and here.weekday() >= 5
                free = grid.put(x, labels, text, "faint" if weekend else "muted") + 1


def _tenth(at: datetime) -> tuple[int, int]:
    return at.second, at.microsecond // 100_000


def _labelled(key: object, here: datetime, before: datetime) -> bool:
    return callable(key) and key(here) != key(before)


def _previous(columns: Columns, zone: tzinfo) -> datetime | None:
    """The local time of the column before the first one: a window may begin right on a tick."""
    if columns.level == COMMITS or columns.count < 2:
        return None
    return (columns.edges[0] - (columns.edges[1] - columns.edges[0])).astimezone(zone)


def window_title(columns: Columns, zone: tzinfo, width: int) -> str:
    """``Mon 9 Nov – Wed 25 Nov 2026``, or with times where the window is shorter than a few days."""
    if not columns.edges:
        return ""
    start, stop = columns.start, columns.edges[-2] if columns.level < COMMITS else columns.edges[-1]
    first, last = start.astimezone(zone), stop.astimezone(zone)
    if columns.level < 4:
        year = "" if first.year == last.year else f" {first.year}"
        text = f"{words.long_day(start, zone, year=False)}{year} – {words.long_day(stop, zone)}"
        return text if len(text) <= width else f"{words.day(start, zone)}{year} – {words.day(stop, zone)} {last.year}"
    stop = columns.stop if columns.level < COMMITS else stop
    end = f"{stop.astimezone(zone):%H:%M}"
    if columns.level >= 9:
        fraction = (stop - start).total_seconds() < 10
        first_time, end = words.clock(start, zone, fraction=fraction), words.clock(stop, zone, fraction=fraction)
    else:
        first_time = f"{first:%H:%M}"
    if first.date() != last.date():
        end = f"{words.day(stop, zone)} {end}"
    texts = [f"{day} {first_time} – {end}" for day in (words.long_day(start, zone), words.day(start, zone))]
    texts.append(f"{first_time} – {end}")  # the verdict says the day
    return next((text for text in texts if len(text) <= width), texts[-1])
