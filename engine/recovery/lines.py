"""The line of a timeline, and the unbroken WAL along it.

A timeline's line is itself and its ancestors, each up to where the next one forked off (``.history`` files; PostgreSQL
manual, "Timelines"). For a segment PostgreSQL opens the file of the highest timeline of the line that has it
(XLogFileReadAnyTLI in xlogrecovery.c): the segment in which a fork lies is the child's file, else the parent's up to
the fork. All of this reasons by segment numbers and by runs of segments, never segment by segment.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from engine.records.copies import Timeline, WalGap
from engine.records.history import Piece, SegmentRun, WalHistory
from engine.records.lsn import LONG_PAGE_HEADER, Lsn, SegmentName, segment_of, skip_page_header

END_OF_WAL: Lsn = 1 << 64  # past every LSN: how far the last span of a line goes

Ending = Literal["archive end", "gap", "damage"]


class Stretch(Struct, frozen=True):
    """Unbroken WAL along a line: every record from the first piece's ``low`` to ``end`` can be replayed in one go.

    ``end`` is where the record behind the last whole one would start: the highest gate. ``ended_by`` says why it ends
    there; ``missing`` are the segments of a gap, ``damage`` the reason of a damage. ``more_beyond``: the repository
    holds WAL of this line behind the end.
    """

    timeline: int
    segment_size: int
    pieces: tuple[Piece, ...]
    end: Lsn
    ended_by: Ending
    missing: tuple[WalGap, ...] = ()
    damage: str | None = None
    more_beyond: bool = False

    @property
    def low(self) -> Lsn:
        return self.pieces[0].low

    def cut(self, low: Lsn, high: Lsn) -> tuple[Piece, ...]:
        """The pieces between two LSNs."""
        return cut_pieces(self.pieces, low, high)

    def piece_at(self, lsn: Lsn) -> Piece | None:
        """The piece whose file holds this LSN."""
        return next((piece for piece in self.pieces if piece.low <= lsn < piece.high), None)

    def since(self, start: Lsn) -> "Stretch | None":
        """The part behind ``start``, or None where ``start`` does not lie on this stretch."""
        if not self.low <= start <= self.end:
            return None
        return replace(self, pieces=self.cut(start, END_OF_WAL) or (Piece(self.timeline, start, start),))

    @property
    def why_it_ends(self) -> str:
        if self.ended_by == "gap":
            return "WAL missing: " + name_missing(self.missing)
        return f"WAL damaged: {self.damage}" if self.ended_by == "damage" else "end of the archive"


def name_missing(gaps: Sequence[WalGap]) -> str:
    """Missing segments by name, for a finding."""
    named = [
        gap.first_missing + (f"–{gap.last_missing}" if gap.last_missing != gap.first_missing else "") for gap in gaps
    ]
    return ", ".join(named[:3]) + (f" and {len(named) - 3} more ranges" if len(named) > 3 else "")


def cut_pieces(pieces: Sequence[Piece], low: Lsn, high: Lsn) -> tuple[Piece, ...]:
    """What of the pieces lies in ``low <= lsn < high``."""
    cut = (Piece(timeline, max(start, low), min(stop, high)) for timeline, start, stop in pieces)
    return tuple(piece for piece in cut if piece.low < piece.high)


def count_segments(pieces: Sequence[Piece], segment_size: int) -> int:
    """How many segment files the pieces touch."""
    return sum(last_segment(piece.high, segment_size) - segment_of(piece.low, segment_size) + 1 for piece in pieces)


def last_segment(end: Lsn, segment_size: int) -> int:
    """The last segment needed to replay up to ``end``: a page header alone in front of it needs no file."""
    number = segment_of(end, segment_size)
    return number - 1 if end - number * segment_size <= LONG_PAGE_HEADER else number


class Span(NamedTuple):
    """One timeline's share of a line: records with ``low <= start < high`` are its own. ``fork`` is where it left its
    parent, which lies behind ``low`` where a later recovery went back before that fork."""

    timeline: int
    low: Lsn
    high: Lsn
    fork: Lsn


def line_of(timelines: Mapping[int, Timeline], timeline: int) -> tuple[Span, ...]:
    """The line that ends in ``timeline``, oldest first. A parent that is not older is no parent (PostgreSQL: "Timeline
    IDs must be less than child timeline's ID"), so that a wrong history file cannot make a circle."""
    spans: list[Span] = []
    high = END_OF_WAL
    member: int | None = timeline
    while member is not None:
        known = timelines.get(member, Timeline(member))
        parent = known.parent if known.parent is not None and 0 < known.parent < member else None
        fork = (known.fork_lsn or 0) if parent is not None else 0
        low = min(fork, high)
        spans.append(Span(member, low, high, fork))
        member, high = parent, low
    return tuple(reversed(spans))


def owner(line: Sequence[Span], lsn: Lsn) -> int:
    """The timeline that a record starting at ``lsn`` belongs to."""
    return next((span.timeline for span in line if span.low <= lsn < span.high), line[-1].timeline)


def holds_backup(line: Sequence[Span], timeline: int, start_lsn: Lsn, stop_lsn: Lsn) -> bool:
    """Whether a backup lies on the line: begun on its timeline, and consistent no later than where the line leaves it.
    PostgreSQL looks at the last byte (``minRecoveryPoint - 1``), so a backup that ends at the fork does."""
    return any(span.timeline == timeline and span.low <= start_lsn and stop_lsn <= span.high for span in line)


class _Block(NamedTuple):
    """Neighbouring segments for which the same timelines may have the file; the one to be preferred first."""

    first: int
    last: int
    candidates: tuple[Span, ...]


def _blocks(line: Sequence[Span], segment_size: int) -> list[_Block]:
    first = {span: segment_of(span.fork, segment_size) for span in line}
    last = {span: segment_of(span.high - 1, segment_size) for span in line if span.high}
    edges = sorted({*first.values(), *(number + 1 for number in last.values())})
    blocks = []
    for low, high in pairwise(edges):
        candidates = tuple(span for span in reversed(line) if span in last and first[span] <= low <= last[span])
        if candidates:
            blocks.append(_Block(low, high - 1, candidates))
    return blocks


class _Open(Struct):
    """A stretch that is being put together."""

    pieces: list[Piece]
    end: Lsn = 0  # where it ends if nothing follows
    timeline: int = 0  # the timeline of the last file
    stopped_by: str | None = None  # the damage right behind the last file

    def add(self, piece: Piece) -> None:
        if self.pieces and self.pieces[-1].timeline == piece.timeline and self.pieces[-1].high == piece.low:
            piece = Piece(piece.timeline, self.pieces.pop().low, piece.high)
        self.pieces.append(piece)


def unbroken(history: WalHistory, timeline: int) -> tuple[Stretch, ...]:
    """All unbroken WAL along the line of a timeline, in order. O(runs)."""
    size = history.segment_size
    line = line_of(history.timelines(), timeline)
    runs = {span.timeline: history.runs(span.timeline) for span in line}
    firsts = {member: [run.first for run in of_one] for member, of_one in runs.items()}
    done: list[Stretch] = []
    current: _Open | None = None
    missing: list[WalGap] = []

    def close(ended_by: Ending) -> None:
        nonlocal current
        if current is not None:
            end = skip_page_header(current.end, size)
            pieces = cut_pieces([*current.pieces[:-1], current.pieces[-1]._replace(high=end)], 0, end)
            if pieces:
                done.append(Stretch(timeline, size, pieces, end, ended_by, damage=current.stopped_by))
            current = None
            missing.clear()

    def settle_gap() -> None:
        if done and missing and done[-1].ended_by == "gap":
            done[-1] = replace(done[-1], missing=tuple(missing))
        missing.clear()

    def lacks(member: int, first: int, last: int) -> None:
        close("damage" if current and current.stopped_by else "gap")
        names = (SegmentName(member, number).text(size) for number in (first, last))
        missing.append(WalGap(member, *names))

    for block in _blocks(line, size):
        number = block.first
        while number <= block.last:
            held = _holder(block, number, runs, firsts)
            if held is None:
                after = _next_first(block, number, runs, firsts)
                until = block.last if after is None else min(after - 1, block.last)
                lacks(block.candidates[0].timeline, number, until)
                number = until + 1
                continue
            span, run = held
            last = min(run.last, block.last)
            block_end = (last + 1) * size
            high = min(block_end, span.high)
            if current and current.stopped_by and current.timeline == run.timeline:
                close("damage")
            if current is None:
                settle_gap()
                current = _Open([])
            current.add(Piece(span.timeline, number * size, high))
            at_its_end = last == run.last and run.valid_to < span.high
            same, current.timeline = current.timeline == run.timeline, run.timeline
            if not at_its_end:
                current.end = high
            elif same or run.valid_to > skip_page_header(number * size, size) or len(current.pieces) == 1:
                current.end = min(run.valid_to, high)
            else:  # its first bytes do not even end the record that began in the file before
                current.end = min(current.end, _last_record_end(history, current.pieces[-2]))
            current.stopped_by = run.stopped_by if at_its_end else None
            if current.stopped_by and run.valid_to < high:
                close("damage")
            elif span.high < block_end and span is not block.candidates[0]:
                lacks(block.candidates[0].timeline, number, number)  # the parent's file stood in, up to the fork
            number = last + 1
    if current is not None:
        close("damage" if current.stopped_by else "archive end")
    return tuple(_tell_beyond(done))


def _last_record_end(history: WalHistory, piece: Piece) -> Lsn:
    """Where the last record that ends within a piece ends: the one fact here that the runs cannot tell."""
    record, _ = history.records_around(piece.timeline, piece.high - 1)
    if record is None:
        return piece.high
    return record.end_lsn if record.end_lsn <= skip_page_header(piece.high, history.segment_size) else record.lsn


def _holder(
    block: _Block, number: int, runs: Mapping[int, Sequence[SegmentRun]], firsts: Mapping[int, list[int]]
) -> tuple[Span, SegmentRun] | None:
    for span in block.candidates:
        place = bisect_right(firsts[span.timeline], number) - 1
        if place >= 0 and (run := runs[span.timeline][place]).last >= number:
            return span, run
    return None


def _next_first(
    block: _Block, number: int, runs: Mapping[int, Sequence[SegmentRun]], firsts: Mapping[int, list[int]]
) -> int | None:
    """The next segment in this block that a candidate has."""
    found = []
    for span in block.candidates:
        place = bisect_right(firsts[span.timeline], number)
        if place < len(runs[span.timeline]):
            found.append(firsts[span.timeline][place])
    return min(found, default=None)


def _tell_beyond(stretches: list[Stretch]) -> list[Stretch]:
    """A gap with nothing behind it is the archive's end."""
    told = [replace(stretch, more_beyond=True) for stretch in stretches[:-1]]
    for stretch in stretches[-1:]:
        told.append(replace(stretch, ended_by="archive end", missing=()) if stretch.ended_by == "gap" else stretch)
    return told


def stretch_holding(stretches: Sequence[Stretch], lsn: Lsn) -> Stretch | None:
    """The stretch on which an LSN lies."""
    place = bisect_right(stretches, lsn, key=lambda each: each.low) - 1
    return stretches[place] if place >= 0 and lsn < stretches[place].end else None


def stretch(history: WalHistory, timeline: int, start: Lsn) -> Stretch | None:
    """The unbroken WAL from ``start`` along the line of ``timeline``; None where the archive has not even its
    segment."""
    found = stretch_holding(unbroken(history, timeline), start)
    return found.since(start) if found else None
