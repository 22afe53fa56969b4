"""Questions to the tree over a timeline's segments (table ``node``): each reads a few hundred rows at most."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence

FAN_OUT = 6  # 64 children
TOP = 3

_SUMS = """
INSERT OR REPLACE INTO node
SELECT timeline, level + 1, place >> 6, sum(bytes), sum(ends), sum(commits), min(smallest_at), max(largest_at),
       min(smallest_commit_at), max(largest_commit_at), min(smallest_xid), max(largest_xid)
FROM node WHERE timeline = ? AND level = ? AND place BETWEEN ? AND ? GROUP BY place >> 6
"""


def climb(connection: sqlite3.Connection, timeline: int, numbers: Iterable[int]) -> None:
    """Sum up anew what lies above these segments."""
    places = set(numbers)
    for level in range(TOP):
        places = {place >> FAN_OUT for place in places}
        for place in places:
            low = place << FAN_OUT
            connection.execute(
                "DELETE FROM node WHERE timeline = ? AND level = ? AND place = ?", (timeline, level + 1, place)
            )
            connection.execute(_SUMS, (timeline, level, low, low + (1 << FAN_OUT) - 1))


def cover(first: int, last: int) -> list[tuple[int, int, int]]:
    """The fewest stretches of nodes that are exactly the segments first…last, in order: level, first, last place."""
    left: list[tuple[int, int, int]] = []
    right: list[tuple[int, int, int]] = []
    level = 0
    while first <= last and level < TOP:
        parent_first = -(-first >> FAN_OUT)
        parent_last = (last + 1 >> FAN_OUT) - 1
        if parent_first > parent_last:
            break
        if first < parent_first << FAN_OUT:
            left.append((level, first, (parent_first << FAN_OUT) - 1))
        if last >= parent_last + 1 << FAN_OUT:
            right.append((level, parent_last + 1 << FAN_OUT, last))
        first, last, level = parent_first, parent_last, level + 1
    middle = [(level, first, last)] if first <= last else []
    return left + middle + right[::-1]


def total(connection: sqlite3.Connection, timeline: int, first: int, last: int, column: str) -> int:
    """The sum of a column over segments."""
    query = f"SELECT coalesce(sum({column}), 0) FROM node WHERE timeline = ? AND level = ? AND place BETWEEN ? AND ?"
    found = 0
    for level, low, high in cover(first, last):
        found += connection.execute(query, (timeline, level, low, high)).fetchone()[0]
    return found


def candidates(
    connection: sqlite3.Connection,
    timeline: int,
    first: int,
    last: int,
    condition: str,
    values: Sequence[object] = (),
    *,
    backwards: bool = False,
) -> Iterator[int]:
    """The segments for which the condition holds, which must hold for a node where it holds for one below it."""
    order = "DESC" if backwards else "ASC"
    query = (
        f"SELECT place FROM node WHERE timeline = ? AND level = ? AND place BETWEEN ? AND ? AND ({condition}) "
        f"ORDER BY place {order} LIMIT ?"
    )

    def below(level: int, low: int, high: int) -> Iterator[int]:
        while low <= high:
            few = 4 if level else 16
            rows = connection.execute(query, (timeline, level, low, high, *values, few)).fetchall()
            for (place,) in rows:
                if level == 0:
                    yield place
                else:
                    yield from below(level - 1, place << FAN_OUT, (place + 1 << FAN_OUT) - 1)
            if len(rows) < few:
                return
            if backwards:
                high = rows[-1][0] - 1
            else:
                low = rows[-1][0] + 1

    stretches = cover(first, last)
    for level, low, high in reversed(stretches) if backwards else stretches:
        yield from below(level, low, high)
