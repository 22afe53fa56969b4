"""Cuts on a line of the cluster's history.

A line is a timeline with its ancestors up to where each was left. A cut lies between two transaction ends of a line:
what starts before its gate is kept. These functions ask the WAL index, so they run in worker threads.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

from msgspec import Struct

from engine.records.history import Piece, TransactionEnd, WalHistory
from engine.records.lsn import Lsn

END = 1 << 63  # behind every LSN


class Line(NamedTuple):
    """The pieces of WAL that lead to a timeline's end, oldest first."""

    timeline: int
    history: WalHistory
    pieces: tuple[Piece, ...]


class Cut(Struct, frozen=True):
    """A place between two transaction ends: ``gate`` is where the first lost one starts; ``at`` labels it."""

    line: int
    timeline: int
    gate: Lsn
    at: datetime
    kept: TransactionEnd | None
    lost: TransactionEnd | None


def line_to(history: WalHistory, timeline: int) -> Line:
    """The line that ends on this timeline, as far as its ancestors are known."""
    known = history.timelines()
    forks: list[tuple[int, Lsn]] = []
    pieces: list[Piece] = []
    high, seen = END, set[int]()
    current: int | None = timeline
    while current is not None and current not in seen:
        seen.add(current)
        here = known.get(current)
        low = here.fork_lsn if here and here.parent is not None and here.fork_lsn is not None else 0
        pieces.append(Piece(current, low, high))
        forks.append((current, low))
        high, current = low, here.parent if here else None
    return Line(timeline, history, tuple(reversed(pieces)))


def lines_of(histories: Mapping[str, WalHistory]) -> dict[int, Line]:
    """All lines, by timeline; of several repositories the one that reaches furthest on it."""
    best: dict[int, tuple[Lsn, Line]] = {}
    for history in histories.values():
        for timeline in history.timelines():
            runs = history.runs(timeline)
            reach = runs[-1].valid_to if runs else 0
            if timeline not in best or reach > best[timeline][0]:
                best[timeline] = (reach, line_to(history, timeline))
    return {timeline: line for timeline, (_, line) in sorted(best.items())}


def last_end(line: Line) -> TransactionEnd | None:
    for piece in reversed(line.pieces):
        if found := line.history.last_end(piece):
            return found
    return None


def first_end(line: Line) -> TransactionEnd | None:
    for piece in line.pieces:
        if found := line.history.first_end(piece):
            return found
    return None


def _before(line: Line, timeline: int, gate: Lsn) -> TransactionEnd | None:
    """The last transaction end that starts before the gate."""
    for piece in reversed(_until(line, timeline, gate)):
        if found := line.history.last_end(piece):
            return found
    return None


def _until(line: Line, timeline: int, gate: Lsn) -> list[Piece]:
    pieces = []
    for piece in line.pieces:
        if piece.timeline == timeline:
            pieces.append(piece._replace(high=min(piece.high, max(gate, piece.low))))
            break
        pieces.append(piece)
    return pieces


def _from(line: Line, timeline: int, gate: Lsn) -> list[Piece]:
    numbers = [piece.timeline for piece in line.pieces]
    start = numbers.index(timeline) if timeline in numbers else len(numbers)
    rest = list(line.pieces[start:])
    if rest:
        rest[0] = rest[0]._replace(low=min(max(gate, rest[0].low), rest[0].high))
    return rest


def cut_at_time(line: Line, at: datetime) -> Cut | None:
    """PostgreSQL's rule: before the first commit or abort later than ``at``. Behind the last one: the line's end.
    None where the line holds no transaction end at all."""
    for piece in line.pieces:
        lost = line.history.first_end(piece, after=at)
        if lost is not None:
            return Cut(line.timeline, lost.timeline, lost.lsn, at, _before(line, lost.timeline, lost.lsn), lost)
    return cut_at_end(line)


def cut_at_end(line: Line) -> Cut | None:
    last = last_end(line)
    return None if last is None else Cut(line.timeline, last.timeline, last.end_lsn, last.at, last, None)


def cut_behind(line: Line, end: TransactionEnd) -> Cut:
    """Just behind one transaction end, which is the last that is kept. The gate stands right behind its record, not
    before the next transaction end: that one may lie beyond a gap."""
    lost = next(
        (found for piece in _from(line, end.timeline, end.end_lsn) if (found := line.history.first_end(piece))), None
    )
    return Cut(line.timeline, end.timeline, end.end_lsn, end.at, end, lost)


def cut_at_lsn(line: Line, timeline: int, lsn: Lsn, at: datetime | None = None) -> Cut:
    """Before the first transaction end that starts at ``lsn`` or later."""
    kept = _before(line, timeline, lsn)
    for piece in _from(line, timeline, lsn):
        if lost := line.history.first_end(piece):
            label = at or (kept.at if kept else lost.at)
            return Cut(line.timeline, lost.timeline, lost.lsn, label, kept, lost)
    if kept is None:
        raise ValueError("the line holds no transaction end")
    return Cut(line.timeline, kept.timeline, kept.end_lsn, at or kept.at, kept, None)


def find_xid(line: Line, xid: int) -> TransactionEnd | None:
    for piece in reversed(line.pieces):
        if found := line.history.find_xid(piece, xid):
            return found
    return None


def ends_around(line: Line, cut: Cut, before: int, after: int) -> tuple[list[TransactionEnd], list[TransactionEnd]]:
    """Up to so many transaction ends on each side of a cut, in WAL order."""
    kept: list[TransactionEnd] = []
    for piece in reversed(_until(line, cut.timeline, cut.gate)):
        if len(kept) >= before:
            break
        kept.extend(line.history.ends(piece, limit=before - len(kept), backwards=True))
    lost: list[TransactionEnd] = []
    for piece in _from(line, cut.timeline, cut.gate):
        if len(lost) >= after:
            break
        lost.extend(line.history.ends(piece, limit=after - len(lost)))
    return sorted(kept, key=lambda end: _place(line, end)), lost


def _place(line: Line, end: TransactionEnd) -> tuple[int, Lsn]:
    return [piece.timeline for piece in line.pieces].index(end.timeline), end.lsn


def densities(line: Line, edges: Sequence[datetime]) -> list[int]:
    """Commits per column; columns of unequal width (months, a change of the clock) are asked for in even stretches."""
    counts = [0] * (len(edges) - 1)
    start = 0
    widths = [b - a for a, b in pairwise(edges)]
    while start < len(widths):
        stop = start + 1
        while stop < len(widths) and widths[stop] == widths[start]:
            stop += 1
        for piece in line.pieces:
            found = line.history.density(piece, edges[start], edges[stop], stop - start)
            for i, number in enumerate(found):
                counts[start + i] += number
        start = stop
    return counts
