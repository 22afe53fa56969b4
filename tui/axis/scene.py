"""What stands on the axis, as instants: built once from a view, in a worker thread, then only looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from engine.records.history import Piece
from engine.records.lsn import Lsn
from tui.axis.cuts import Line, first_end, last_end, lines_of

if TYPE_CHECKING:
    from engine.records.copies import Catalog
    from engine.records.target import AxisSpan

State = Literal["reachable", "left behind", "no backup", "missing"]
MarkKind = Literal["full", "incremental", "damaged", "media", "dump", "point"]


class Stretch(Struct, frozen=True):
    """A part of a timeline in one state."""

    start: datetime
    stop: datetime
    state: State
    reason: str = ""


class TimelineLane(Struct, frozen=True):
    """One timeline: its stretches, where it left its parent, where the live line left it."""

    id: int
    parent: int | None
    live: bool
    stretches: tuple[Stretch, ...]
    fork_at: datetime | None = None
    left_at: datetime | None = None
    first_at: datetime | None = None
    last_at: datetime | None = None


class Mark(Struct, frozen=True):
    """Something that happened at an instant or during an interval."""

    kind: MarkKind
    id: str
    at: datetime
    until: datetime
    name: str
    detail: str = ""
    timeline: int | None = None
    lsn: Lsn | None = None

    @property
    def exact(self) -> tuple[int, Lsn] | None:
        """Its timeline and LSN, where both are known."""
        return None if self.timeline is None or self.lsn is None else (self.timeline, self.lsn)


class Scene(Struct, frozen=True):
    """Everything on the axis. ``lines`` answer the cursor's questions; they are for worker threads only."""

    now: datetime
    start: datetime
    stop: datetime
    live: int
    lanes: Mapping[int, TimelineLane]
    backups: tuple[Mark, ...]
    media: tuple[Mark, ...]
    dumps: tuple[Mark, ...]
    points: tuple[Mark, ...]
    lines: Mapping[int, Line]
    spans: Mapping[int, tuple[datetime, datetime]]  # a line's first and last transaction end

    @property
    def marks(self) -> tuple[Mark, ...]:
        return _by_time((*self.backups, *self.media, *self.dumps, *self.points))

    def two_lanes(self, chosen: int) -> tuple[tuple[int | None, int], int]:
        """The timelines that have a lane, and how many have none: the live one, and the chosen one, its parent, or
        where it has none the newest that there is besides (as after a recovery that was rolled back)."""
        parent = self.lanes[self.live].parent if self.live in self.lanes else None
        if chosen not in (self.live, parent) and chosen in self.lanes:
            parent = chosen
        if parent is None:
            parent = max((timeline for timeline in self.lanes if timeline != self.live), default=None)
        shown = {self.live, parent} - {None}
        return (parent, self.live), len([timeline for timeline in self.lanes if timeline not in shown])

    def holding(self, at: datetime) -> list[int]:
        """The lines whose own timeline (or the live line) holds this instant."""
        found = [
            lane.id
            for lane in self.lanes.values()
            if lane.first_at and lane.last_at and lane.first_at <= at <= lane.last_at
        ]
        if (
            self.live in self.spans
            and self.live not in found
            and self.spans[self.live][0] <= at <= self.spans[self.live][1]
        ):
            found.append(self.live)
        return sorted(found)


def build_scene(
    catalog: Catalog,
    lines: Mapping[int, Line],
    spans: Sequence[AxisSpan],
    live_timeline: int | None,
    now: datetime,
) -> Scene:
    """Read the lanes out of catalog, WAL and windows. Asks the WAL index."""
    live = live_timeline if live_timeline is not None and live_timeline in lines else max(lines, default=1)
    reach: dict[int, tuple[datetime, datetime]] = {}
    for timeline, line in lines.items():
        first, last = first_end(line), last_end(line)
        if first and last:
            reach[timeline] = (min(first.at, last.at), max(first.at, last.at))
    left = {piece.timeline: piece.high for piece in lines[live].pieces} if live in lines else {}
    lanes = {
        timeline: _lane(line, [span for span in spans if span.timeline == timeline], timeline == live, left)
        for timeline, line in lines.items()
    }
    backups = tuple(
        Mark(
            "damaged" if not backup.usable or backup.doubt else "incremental" if backup.incremental else "full",
            backup.id,
            at,
            backup.stopped_at or at,
            "incremental" if backup.incremental else "full",
            backup.reason or backup.doubt or "",
            backup.timeline,
        )
        for backup in catalog.base_backups
        if (at := backup.started_at or backup.stopped_at)
    )
    media = tuple(
        Mark("media", m.id, m.started_at, m.stopped_at, "snapshot") for m in catalog.media_snapshots if m.usable
    )
    dumps = tuple(Mark("dump", d.id, d.started_at, d.started_at, "dump") for d in catalog.dumps if d.usable)
    points = tuple(
        Mark("point", p.name, p.at, p.at, p.name, timeline=p.timeline, lsn=p.end_lsn) for p in catalog.restore_points
    )
    known = [mark.at for mark in (*backups, *media, *dumps, *points)] + [at for span in reach.values() for at in span]
    start = min(known, default=now - timedelta(days=1))
    stop = max((span[1] for span in reach.values()), default=max(known, default=now))
    return Scene(
        now=max(now, stop),
        start=start,
        stop=stop,
        live=live,
        lanes=lanes,
        backups=_by_time(backups),
        media=_by_time(media),
        dumps=_by_time(dumps),
        points=_by_time(points),
        lines=lines,
        spans=reach,
    )


def _by_time(marks: Sequence[Mark]) -> tuple[Mark, ...]:
    return tuple(sorted(marks, key=lambda mark: mark.at))


def _lane(line: Line, spans: Sequence[AxisSpan], live: bool, left: Mapping[int, Lsn]) -> TimelineLane:
    history, timeline = line.history, line.timeline
    own = line.pieces[-1]
    info = history.timelines().get(timeline)
    first, last = history.first_end(own), history.last_end(own)
    stretches = []
    for span in sorted(spans, key=lambda span: span.low):
        start, stop = span.low_at or span.high_at, span.high_at or span.low_at
        if start and stop:
            stretches.append(Stretch(min(start, stop), max(start, stop), span.kind, span.why))
    fork_at, left_at = None, None
    for piece in reversed(line.pieces[:-1]):
        if fork_end := history.last_end(piece):
            fork_at = fork_end.at
            break
    if not live and (lsn := left.get(timeline)) and (left_end := history.last_end(Piece(timeline, own.low, lsn))):
        left_at = left_end.at
    return TimelineLane(
        timeline,
        info.parent if info else None,
        live,
        tuple(stretches),
        fork_at,
        left_at,
        first.at if first else None,
        last.at if last else None,
    )


__all__ = ["Mark", "Scene", "State", "Stretch", "TimelineLane", "build_scene", "lines_of"]
