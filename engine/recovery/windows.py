"""Recovery windows: what each base backup can reach, and what that is for the time axis."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from engine.records.copies import WalRange
from engine.records.history import WalHistory
from engine.records.lsn import Lsn, parse_segment
from engine.records.target import AxisSpan, RecoveryWindow
from engine.recovery.lines import END_OF_WAL, Stretch, count_segments
from engine.recovery.reach import Footing, Reach, first_end, last_end


def recovery_windows(reach: Reach) -> list[RecoveryWindow]:
    """One window for each usable backup and each timeline that descends from it, by backup, then timeline.

    ``segments`` and ``bytes`` are the WAL from the backup's start to the window's end (whole segments, unpacked).
    """
    found = []
    for repository, history in reach.histories.items():
        for timeline in reach.timelines(repository):
            found += [_window(history, footing, timeline) for footing in reach.footings(repository, timeline)]
    return sorted(found, key=lambda window: (window.from_lsn, window.backup, window.timeline))


def _window(history: WalHistory, footing: Footing, timeline: int) -> RecoveryWindow:
    backup, stretch = footing.backup, footing.stretch
    last = last_end(history, stretch.cut(footing.consistent, END_OF_WAL))
    gate = last.end_lsn if last else footing.consistent
    segments = count_segments(stretch.cut(stretch.low, gate), stretch.segment_size)
    return RecoveryWindow(
        backup=backup.id,
        timeline=timeline,
        from_lsn=footing.consistent,
        from_at=_first_moment(history, footing),
        to_lsn=last.lsn if last else footing.consistent,
        to_at=last.at if last else None,
        segments=segments,
        bytes=segments * stretch.segment_size,
        ended_by=None if stretch.ended_by == "archive end" else stretch.why_it_ends,
        repository=backup.repository,
        last_gate=gate,
    )


def goes_on(segment: str, ranges: Iterable[WalRange], reached: str, segment_size: int, *, waiting: int = 0) -> bool:
    """Whether WAL of ``segment`` follows on the archive's range that has the segment ``reached``: it is the one behind
    the range's last, or not even that. ``waiting`` segments before it are known not to be archived yet."""
    last = next((each.last for each in ranges if each.first <= reached <= each.last), None)
    if last is None or last[:8] != segment[:8]:
        return False
    return parse_segment(segment, segment_size).number - waiting <= parse_segment(last, segment_size).number + 1


def _first_moment(history: WalHistory, footing: Footing) -> datetime | None:
    """The time from which on every moment of the window can be named: that of the last transaction end before the
    backup is consistent (a target that late keeps it), else, where none is known, of the first one behind."""
    before = last_end(history, footing.whole.cut(0, footing.consistent))
    if before is not None:
        return before.at
    behind = first_end(history, footing.stretch.cut(footing.consistent, END_OF_WAL))
    return behind.at if behind else None


def axis_spans(reach: Reach, repository: str, timeline: int, live_timeline: int | None) -> list[AxisSpan]:
    """What of a timeline's own WAL (from its fork on) can be reached, in WAL order, and why the rest cannot."""
    history = reach.histories[repository]
    own = reach.line(repository, timeline)[-1]
    standing: dict[Lsn, Lsn] = {}  # of each stretch that a backup stands on: its low, the first consistent gate
    for footing in reach.footings(repository, timeline):
        standing.setdefault(footing.whole.low, footing.consistent)
    left_behind = _left_behind(reach, repository, timeline, live_timeline)
    spans: list[AxisSpan] = []
    before: Stretch | None = None
    for stretch in reach.unbroken(repository, timeline):
        if stretch.end > own.low:
            low = max(stretch.low, own.low)
            if before is not None and before.end < low:
                spans.append(_missing(history, timeline, before, stretch, max(before.end, own.low), low))
            spans += _split(history, stretch, timeline, low, standing.get(stretch.low), left_behind)
        before = stretch
    if before is not None and before.ended_by == "damage" and before.end >= own.low:
        last = last_end(history, before.pieces)
        at = last.at if last else None
        spans.append(AxisSpan(timeline, "missing", before.end, before.end, at, at, before.why_it_ends))
    return spans


def _left_behind(reach: Reach, repository: str, timeline: int, live_timeline: int | None) -> Lsn:
    """From which LSN on a timeline's own WAL is not the live line's."""
    if live_timeline is None:
        return END_OF_WAL
    for span in reach.line(repository, live_timeline):
        if span.timeline == timeline:
            return span.high
    return 0


def _split(
    history: WalHistory, stretch: Stretch, timeline: int, low: Lsn, reachable: Lsn | None, left_behind: Lsn
) -> Iterator[AxisSpan]:
    first = stretch.end if reachable is None else max(low, min(reachable, stretch.end))
    if low < first:
        yield _span(history, stretch, timeline, "no backup", low, first, "no usable backup under it yet")
    if reachable is None:
        return
    fork = max(first, min(left_behind, stretch.end))
    if first < fork or first == stretch.end:
        yield _span(history, stretch, timeline, "reachable", first, fork, "")
    if fork < stretch.end:
        yield _span(
            history, stretch, timeline, "left behind", fork, stretch.end, "beyond the fork of the live timeline"
        )


def _span(history: WalHistory, stretch: Stretch, timeline: int, kind: str, low: Lsn, high: Lsn, why: str) -> AxisSpan:
    pieces = stretch.cut(low, high)
    first, last = first_end(history, pieces), last_end(history, pieces)
    if kind == "reachable" and (before := last_end(history, stretch.cut(0, low))) is not None:
        first = before  # from the last transaction end before the backup is consistent on, every time resolves
    return AxisSpan(timeline, kind, low, high, first.at if first else None, last.at if last else None, why)  # type: ignore[arg-type]


def _missing(history: WalHistory, timeline: int, before: Stretch, after: Stretch, low: Lsn, high: Lsn) -> AxisSpan:
    last, first = last_end(history, before.pieces), first_end(history, after.pieces)
    return AxisSpan(
        timeline, "missing", low, high, last.at if last else None, first.at if first else None, before.why_it_ends
    )
