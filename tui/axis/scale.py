"""Columns and instants: the levels of zoom, from one month a column to one commit.

Months, weeks, days and quarters of a day follow the site's wall clock, so that a column begins at midnight in summer
and winter alike; from one hour down a column is a fixed number of seconds. At the last level a column is one
transaction end, and the window is a list of them.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import accumulate

from msgspec import Struct

from engine.records.history import TransactionEnd
from tui.words import MONTHS


class Level(Struct, frozen=True):
    """One zoom level. A tick stands where ``tick`` of the columns' local times changes, a major one likewise."""

    name: str
    seconds: float  # a column's width, a mean one for months
    tick: Callable[[datetime], object]
    major: Callable[[datetime], object]
    label: Callable[[datetime], str]
    labelled: Callable[[datetime], object] | None = None  # None: every tick


def _month(local: datetime) -> int:
    return local.year * 12 + local.month - 1


def _week(local: datetime) -> int:
    return (local.toordinal() - 1) // 7


def _parts(seconds: int) -> Callable[[datetime], object]:
    return lambda local: (local.toordinal(), (local.hour * 3600 + local.minute * 60 + local.second) // seconds)


def _day_label(local: datetime) -> str:
    return str(local.day)


def _long_day_label(local: datetime) -> str:
    return f"{local.day} {MONTHS[local.month - 1]}"


def _hour_label(local: datetime) -> str:
    return _long_day_label(local) if local.hour == 0 else f"{local:%H:%M}"


def _clock_label(local: datetime) -> str:
    return f"{local:%H:%M}"


def _second_label(local: datetime) -> str:
    return f"{local:%H:%M:%S}"


LEVELS: tuple[Level, ...] = (
    Level("1 month", 2_629_746, lambda t: t.year, lambda t: t.year // 5, lambda t: str(t.year)),
    Level("1 week", 604_800, _month, lambda t: t.year, lambda t: MONTHS[t.month - 1]),
    Level("1 day", 86_400, _week, _month, _long_day_label),
    Level("6 h", 21_600, lambda t: t.toordinal(), _week, _day_label),
    Level("1 h", 3600, _parts(21_600), lambda t: t.toordinal(), _hour_label, _parts(43_200)),
    Level("10 min", 600, _parts(3600), _parts(10_800), _clock_label),
    Level("2 min", 120, _parts(1200), _parts(3600), _clock_label),
    Level("30 s", 30, _parts(300), _parts(900), _clock_label),
    Level("5 s", 5, _parts(60), _parts(300), _clock_label),
    Level("1 s", 1, _parts(10), _parts(60), _second_label),
    Level("1 commit", 0, _parts(1), _parts(1), _second_label),
)
COMMITS = len(LEVELS) - 1
_WALL = 4  # levels below this one follow the wall clock
_EPOCH = datetime(1970, 1, 1)


def column_of(level: int, at: datetime, zone: tzinfo) -> int:
    """The number of the column that holds this instant."""
    if level >= _WALL:
        return int(at.timestamp() // LEVELS[level].seconds)
    local = at.astimezone(zone)
    if level == 0:
        return _month(local)
    if level == 1:
        return _week(local)
    days = local.toordinal()
    return days if level == 2 else days * 4 + local.hour // 6


def start_of(level: int, column: int, zone: tzinfo) -> datetime:
    """The instant at which a column begins."""
    if level >= _WALL:
        return datetime.fromtimestamp(column * LEVELS[level].seconds, UTC)
    if level == 0:
        local = datetime(column // 12, column % 12 + 1, 1)
    elif level == 1:
        local = datetime.fromordinal(column * 7 + 1)
    elif level == 2:
        local = datetime.fromordinal(column)
    else:
        local = datetime.fromordinal(column // 4) + timedelta(hours=column % 4 * 6)
    return local.replace(tzinfo=zone).astimezone(UTC)


def step(level: int, at: datetime, columns: int, zone: tzinfo) -> datetime:
    """The instant so many columns further, in the column that one expects."""
    goal = column_of(level, at, zone) + columns
    if level >= _WALL:
        return at + timedelta(seconds=columns * LEVELS[level].seconds)
    local = at.astimezone(zone).replace(tzinfo=None)
    if level == 0:
        month = datetime(goal // 12, goal % 12 + 1, 1)
        moved = month + min(local - local.replace(day=1, hour=0, minute=0, second=0, microsecond=0), timedelta(days=27))
    else:
        moved = local + timedelta(hours=6) * columns * {1: 28, 2: 4, 3: 1}[level]
    there = moved.replace(tzinfo=zone).astimezone(UTC)
    return there if column_of(level, there, zone) == goal else start_of(level, goal, zone)


class Columns(Struct, frozen=True):
    """The columns on screen: ``edges[i]`` to ``edges[i + 1]`` is column ``offset + i``; edges never fall."""

    level: int
    edges: tuple[datetime, ...]
    offset: int = 0
    ends: tuple[TransactionEnd, ...] = ()  # at the last level: the transaction end of each column

    @property
    def count(self) -> int:
        return len(self.edges) - 1

    def x(self, at: datetime) -> int:
        """The column of an instant; below ``offset`` where it lies before them all, ``offset + count`` behind them."""
        return self.offset + bisect_right(self.edges, at) - 1 if self.edges else self.offset

    def x_of_lsn(self, timeline: int, lsn: int) -> int | None:
        """At the last level: the column of the last transaction end that starts before ``lsn``."""
        if not self.ends:
            return None
        return self.offset + bisect_left(self.ends, (timeline, lsn), key=lambda end: (end.timeline, end.lsn)) - 1

    @property
    def start(self) -> datetime:
        return self.edges[0]

    @property
    def stop(self) -> datetime:
        return self.edges[-1]


def time_columns(level: int, first: int, count: int, zone: tzinfo) -> Columns:
    """So many columns of a time level from column number ``first`` on."""
    return Columns(level, tuple(start_of(level, first + i, zone) for i in range(count + 1)))


def commit_columns(ends: Sequence[TransactionEnd], offset: int) -> Columns:
    """Columns of single transaction ends. Their times may jump back a little: the edges then stay where they were."""
    if not ends:
        return Columns(COMMITS, ())
    times = list(accumulate((end.at for end in ends), max))
    return Columns(COMMITS, (*times, times[-1] + timedelta(milliseconds=1)), offset, tuple(ends))


def level_for(span: timedelta, columns: int) -> int:
    """The level at which a span of time fills so many columns best; up to half of it may lie off-screen."""
    seconds = max(span.total_seconds(), 1.0)
    return min(range(COMMITS), key=lambda i: abs(math.log(LEVELS[i].seconds * columns * 1.35 / seconds)))
