"""Commits per column of a time axis, without looking at each commit: a node of the tree whose commits all fall into
one column is counted whole; only segments that lie over a column's border are unpacked."""

import sqlite3
from bisect import bisect_left
from collections.abc import Callable

from engine.wal import tree
from engine.wal.packing import Ends

_NODES = (
    "SELECT place, commits, smallest_commit_at, largest_commit_at FROM node "
    "WHERE timeline = ? AND level = ? AND place BETWEEN ? AND ? AND commits > 0 "
    "AND largest_commit_at >= ? AND smallest_commit_at < ?"
)


class Axis:
    """A time axis that is being filled. Times are Unix microseconds, ``low <= at < high``."""

    def __init__(self, low: int, high: int, columns: int) -> None:
        self.low, self.high, self.columns = low, high, columns
        self.counts = [0] * columns

    def column(self, at: int) -> int:
        return (at - self.low) * self.columns // (self.high - self.low)

    def begin(self, column: int) -> int:
        """The first time that falls into a column."""
        return self.low - (column * (self.low - self.high) // self.columns)

    def add_times(self, times: list[int]) -> None:
        times.sort()
        place, last = bisect_left(times, self.low), bisect_left(times, self.high)
        while place < last:
            column = self.column(times[place])
            following = min(bisect_left(times, self.begin(column + 1), place), last)
            self.counts[column] += following - place
            place = following

    def add_segments(
        self, connection: sqlite3.Connection, timeline: int, first: int, last: int, ends: Callable[[int], Ends]
    ) -> None:
        """Add all commits of the segments first…last; ``ends`` gives a segment's transaction ends."""

        def visit(level: int, from_place: int, to_place: int) -> None:
            rows = connection.execute(_NODES, (timeline, level, from_place, to_place, self.low, self.high)).fetchall()
            for place, commits, smallest, largest in rows:
                column = self.column(smallest)
                if smallest >= self.low and largest < self.high and column == self.column(largest):
                    self.counts[column] += commits
                elif level:
                    visit(level - 1, place << tree.FAN_OUT, (place + 1 << tree.FAN_OUT) - 1)
                else:
                    self.add_times(ends(place).commit_times())

        for level, from_place, to_place in tree.cover(first, last):
            visit(level, from_place, to_place)
