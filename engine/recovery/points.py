"""A gate on a line, made into a recovery point: which WAL, what is kept, what is lost, which media snapshots."""

from collections.abc import Sequence

from msgspec.structs import replace

from engine.records.copies import MediaSnapshot
from engine.records.history import Piece, TransactionEnd, WalHistory
from engine.records.lsn import Lsn, SegmentName, format_lsn, segment_of, skip_page_header
from engine.records.target import Moment, RecoveryPoint, RecoveryTarget
from engine.recovery.lines import END_OF_WAL, count_segments, last_segment, stretch_holding
from engine.recovery.reach import Footing, Reach, first_end, last_end, nearest
from engine.recovery.snapshots import moment_of_files, snapshots_for

COMMITS = ("commit", "commit prepared")


def recovery_point(
    reach: Reach,
    target: RecoveryTarget,
    footing: Footing,
    gate: Lsn,
    media: Sequence[MediaSnapshot] = (),
    *,
    choice: str = "",
) -> RecoveryPoint:
    """The point that a footing reaches at a gate. ``media`` are the snapshots that serve (`snapshots.serving`).
    ``line`` stays the footing's; ``timeline`` is that of the last record before the gate, so that the recovered server
    never names a fork that it does not reach."""
    repository, line = footing.backup.repository, footing.stretch.timeline
    history, size = reach.histories[repository], footing.stretch.segment_size
    pieces = tuple(
        piece
        for piece in _own_pieces(reach, footing, gate)
        if last_segment(piece.high, size) >= segment_of(piece.low, size)
    )
    before = footing.whole.cut(0, gate)
    beyond = [stretch for stretch in reach.unbroken(repository, line) if stretch.end > gate]
    behind = [piece for stretch in beyond for piece in stretch.cut(gate, END_OF_WAL)]
    kept, lost = last_end(history, before), first_end(history, behind)
    segments = count_segments(pieces, size)
    return RecoveryPoint(
        target=target,
        chain=footing.chain,
        timeline=pieces[-1].timeline if pieces else line,
        gate=gate,
        pieces=pieces,
        segment_size=size,
        wal_first=SegmentName(pieces[0].timeline, segment_of(pieces[0].low, size)).text(size) if pieces else None,
        wal_last=SegmentName(pieces[-1].timeline, last_segment(pieces[-1].high, size)).text(size) if pieces else None,
        wal_segments=segments,
        wal_bytes=segments * size,
        kept=kept,
        lost=lost,
        lost_commits=reach.commits_after(repository, line, gate),
        media=snapshots_for(media, moment_of_files(target, kept, footing.backup.stopped_at)),
        choice=choice,
        line=line,
        kept_commit=kept if kept is None or kept.is_commit else nearest(history, before, COMMITS, backwards=True),
        lost_commit=lost if lost is None or lost.is_commit else nearest(history, behind, COMMITS),
        last_lost_commit=nearest(history, behind, COMMITS, backwards=True),
        parameter_changes=tuple(change for piece in pieces for change in history.parameter_changes(piece)),
    )


def _own_pieces(reach: Reach, footing: Footing, gate: Lsn) -> tuple[Piece, ...]:
    """The WAL to the gate along the line of the timeline that the gate's last record belongs to, where that timeline's
    own files reach it; else along the footing's line, whose file of the fork segment holds the parent's WAL too."""
    repository, line = footing.backup.repository, footing.stretch.timeline
    size, start = footing.stretch.segment_size, footing.stretch.low
    own = next(span.timeline for span in reach.line(repository, line) if gate <= skip_page_header(span.high, size))
    if own != line:
        stretch = stretch_holding(reach.unbroken(repository, own), start)
        if stretch is not None and stretch.end >= gate:
            return stretch.cut(start, gate)
    return footing.stretch.cut(start, gate)


def moment(reach: Reach, repository: str, timeline: int, gate: Lsn, media: Sequence[MediaSnapshot] = ()) -> Moment:
    """What the cut in front of the record at ``gate`` means on a timeline's line: for the screen, at each key."""
    history = reach.histories[repository]
    footing = reach.newest_footing(repository, timeline, gate)
    if footing is not None:
        point = recovery_point(reach, RecoveryTarget("immediate"), footing, gate, media)
        exact = _exact(history, point, timeline, at_the_end=gate == footing.stretch.end)
        point = replace(point, target=exact, choice=f"{footing.backup.id}: the newest that reaches it")
        return Moment(timeline, gate, point)
    spans = [(each.consistent, each.stretch.end, each) for each in reach.footings(repository, timeline)]
    below = max((span for span in spans if span[1] < gate), key=lambda span: span[1], default=None)
    above = min((span for span in spans if span[0] > gate), key=lambda span: span[0], default=None)
    before = last_end(history, below[2].stretch.cut(below[0], END_OF_WAL)) if below else None
    after = first_end(history, above[2].stretch.cut(above[0], END_OF_WAL)) if above else None
    return Moment(timeline, gate, None, _why_not(reach, repository, timeline, gate), before, after)


def _exact(history: WalHistory, point: RecoveryPoint, timeline: int, *, at_the_end: bool) -> RecoveryTarget:
    """The target that says this gate on a command line: the record that it follows, or the one in front of it."""
    if point.kept is not None and point.kept.end_lsn == point.gate:
        return RecoveryTarget("lsn", lsn=point.kept.lsn, timeline=timeline)
    if point.gate == skip_page_header(point.backup.stop_lsn or 0, point.segment_size):
        return RecoveryTarget("immediate", backup=point.backup.id, timeline=timeline)
    for piece in reversed(point.pieces) if at_the_end else ():  # at a fork it may begin on the parent
        record, _ = history.records_around(piece.timeline, point.gate - 1)
        if record is not None and record.end_lsn == point.gate:
            return RecoveryTarget("lsn", lsn=record.lsn, timeline=timeline)
    return RecoveryTarget("lsn", lsn=point.gate, exclusive=True, timeline=timeline)


def _why_not(reach: Reach, repository: str, timeline: int, gate: Lsn) -> str:
    footings = reach.footings(repository, timeline)
    stretches = reach.unbroken(repository, timeline)
    if not stretches:
        return "the archive holds no WAL of this timeline"
    if not footings:
        return "no usable base backup stands on this timeline"
    if gate < footings[0].consistent:
        return f"no base backup is consistent by then; the first one is at {format_lsn(footings[0].consistent)}"
    inside = stretch_holding(stretches, gate)
    last = [stretch for stretch in stretches if stretch.end < gate][-1:]
    if inside is not None and last:
        return f"{last[0].why_it_ends}; later WAL needs a later base backup to start from"
    return last[0].why_it_ends if last else "the archive ends before it"


def same_transactions(reach: Reach, repository: str, line: int, kept: TransactionEnd | None) -> tuple[int, Lsn] | None:
    """What tells two points apart: the last transaction end that both keep, by its own timeline."""
    if kept is None:
        return None
    own = next(span.timeline for span in reach.line(repository, line) if kept.lsn < span.high)
    return own, kept.lsn
