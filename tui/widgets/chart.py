"""A small chart: what each of the last recoveries took or lost, oldest first, and a line where the objective is.

One bar for each recovery, wherever in time it lies: what is seen is whether they get better. Under each bar stands what
it was (``r`` a real one, ``p`` a proof, ``d`` a drill), over it a cross where it did not come to what was asked for.
"""

from collections.abc import Sequence
from datetime import tzinfo

from msgspec import Struct

from engine.records.recoveries import Recovery
from tui import words
from tui.painting.grid import Grid

VALUE = 12  # the one left edge of plot and facts
_PITCHES = (4, 3, 2)  # columns for a bar and the gap behind it, as long as all fit; else the newest ones
_ROOM_ABOVE = 4.0  # a bar is cut off at so many objectives: one bad night must not flatten all others
_LETTERS = {"restore": "r", "proof": "p", "drill": "d"}


class Series(Struct, frozen=True):
    """What is shown of recoveries, oldest first: ``name`` in the left column, seconds (None: not known) for each, and
    the objective in seconds, where there is one."""

    name: str
    recoveries: Sequence[Recovery]
    seconds: Sequence[float | None]
    objective: float | None = None


def recovery_times(recoveries: Sequence[Recovery], objective: float | None) -> Series:
    """How long they took."""
    return Series("back in", recoveries, [each.rto_seconds for each in recoveries], objective)


def data_losses(recoveries: Sequence[Recovery], objective: float | None) -> Series:
    """How much they lost."""
    return Series("lost", recoveries, [each.rpo_seconds for each in recoveries], objective)


def paint_chart(grid: Grid, top: int, height: int, series: Series, zone: tzinfo, stop: int | None = None) -> int:
    """A verdict, ``height`` rows of bars (3 and more), what each was, and from when to when; answers the next free row.
    ``stop``: where the plot ends, by default the grid's last cell but one."""
    limit = grid.width - 1 if stop is None else stop
    _paint_verdict(grid, top, series, limit)
    if not series.recoveries:
        grid.put(VALUE, top + 1, "no recovery, proof or drill yet", "muted", limit)
        return top + 2
    pitch = next((each for each in _PITCHES if len(series.recoveries) * each <= limit - VALUE), _PITCHES[-1])
    room = max(1, (limit - VALUE) // pitch)
    ground = top + height
    highest = _highest(series)
    goal_y = None
    if series.objective is not None:
        goal_y = ground - min(height - 1, int(series.objective / highest * height))
        grid.fill(VALUE, goal_y, limit - VALUE, grid.glyphs.rule, "faint", limit)
        grid.put_right(VALUE - 1, goal_y, words.duration(series.objective), "muted")
    shown = list(zip(series.recoveries, series.seconds, strict=True))[-room:]
    for place, (recovery, seconds) in enumerate(shown):
        _paint_bar(grid, VALUE + place * pitch, ground, height, recovery, seconds, series.objective, highest, pitch - 1)
        grid.put(VALUE + place * pitch, ground + 1, _LETTERS[recovery.kind], "faint", limit)
    first, last = shown[0][0], shown[-1][0]
    earlier = len(series.recoveries) - len(shown)
    more = f"{grid.glyphs.earlier}{earlier} " if earlier else ""
    end = grid.put(VALUE, ground + 2, f"{more}{words.day(first.at, zone)}", "muted", limit)
    day, edge = words.day(last.at, zone), VALUE + len(shown) * pitch - 1
    if edge - len(day) > end + 1:
        grid.put_right(edge, ground + 2, day, "muted")
    return ground + 3


def _highest(series: Series) -> float:
    """The seconds that the plot's height stands for."""
    known = [seconds for seconds in series.seconds if seconds is not None]
    most = max(known, default=0.0)
    if series.objective is None:
        return max(most, 1e-9)
    return max(min(most, series.objective * _ROOM_ABOVE), series.objective * 1.25)


def _paint_verdict(grid: Grid, y: int, series: Series, stop: int) -> None:
    grid.put(1, y, series.name, "muted", VALUE)
    known = [seconds for seconds in series.seconds if seconds is not None]
    if not known:
        grid.put(VALUE, y, "not known" if series.recoveries else "", "muted", stop)
        return
    last = series.seconds[-1]
    beyond = series.objective is not None and last is not None and last > series.objective
    text = words.duration(last) if last is not None else "last one not known"
    sign = f"{grid.glyphs.bad} " if beyond else ""
    x = grid.put(VALUE, y, f"{sign}{text}", "bad" if beyond else "title!", stop)
    if series.objective is not None:
        within = sum(seconds <= series.objective for seconds in known)
        said = f"{within} of {len(known)} within {words.duration(series.objective)}"
    else:
        said = f"{words.duration(min(known))} to {words.duration(max(known))}, no objective set"
    grid.put_whole(x + 3, y, said, "muted", stop)


def _paint_bar(
    grid: Grid,
    x: int,
    ground: int,
    height: int,
    recovery: Recovery,
    seconds: float | None,
    objective: float | None,
    highest: float,
    width: int,
) -> None:
    g, y = grid.glyphs, ground
    if seconds is not None:
        role = "bad" if objective is not None and seconds > objective else "density"
        eighths = max(1, min(height * 8, round(seconds / highest * height * 8)))
        while eighths > 0:
            grid.fill(x, y, width, g.density[min(8, eighths)], role)
            eighths, y = eighths - 8, y - 1
        if seconds > highest:
            grid.fill(x, y + 1, width, g.kept, "bad")  # it goes on above
    if not recovery.ok:
        grid.put(x, max(y, ground - height + 1), g.bad, "bad!")
    elif seconds is None:
        grid.put(x, ground, "?", "muted")
