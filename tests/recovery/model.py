"""A small archive in memory that answers as WalHistory, from its list of records; reference.py says what it reaches."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from engine.records.copies import BaseBackup, RestorePoint, Timeline
from engine.records.history import ParameterChange, Piece, Record, SegmentRun, TransactionEnd
from engine.records.lsn import Lsn, skip_page_header

SIZE = 65536
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ENDS = ("commit", "abort", "prepare", "commit prepared", "abort prepared")
TIMED = ("commit", "abort", "commit prepared", "abort prepared")


@dataclass(frozen=True)
class Rec:
    """A WAL record of one timeline: bytes ``lsn`` to ``end``."""

    timeline: int
    lsn: Lsn
    end: Lsn
    kind: str
    xid: int = 0
    at: datetime = NOON
    name: str = ""
    subxids: tuple[int, ...] = ()

    @property
    def end_lsn(self) -> Lsn:
        return skip_page_header(self.end, SIZE)

    def segments(self) -> range:
        return range(self.lsn // SIZE, (self.end - 1) // SIZE + 1)


@dataclass
class Archive:
    """Timelines with their records, and the files that are there: ``damage`` maps a file to its first bad byte."""

    tree: dict[int, Timeline]
    own: dict[int, list[Rec]]
    files: dict[int, set[int]] = field(default_factory=dict)
    damage: dict[tuple[int, int], Lsn] = field(default_factory=dict)
    segment_size: int = SIZE

    # the line, record by record

    def line(self, timeline: int) -> list[tuple[int, Lsn]]:
        """Timelines of the line, oldest first, with their forks."""
        found = []
        member: int | None = timeline
        while member is not None:
            found.append((member, self.tree[member].fork_lsn or 0))
            member = self.tree[member].parent
        return found[::-1]

    def records_of(self, timeline: int) -> list[Rec]:
        """All records of a line, in WAL order, whether or not their files are there."""
        records: list[Rec] = []
        for member, fork in self.line(timeline):
            records = [each for each in records if each.lsn < fork] + self.own[member]
        return records

    def file_of(self, timeline: int, number: int) -> int | None:
        """The timeline whose file PostgreSQL opens for a segment on this line."""
        limit = 1 << 64
        for member, fork in reversed(self.line(timeline)):
            if fork // SIZE <= number <= (limit - 1) // SIZE and number in self.files[member]:
                return member
            limit = min(limit, fork)
        return None

    def high_of(self, timeline: int, member: int) -> Lsn:
        """How far a member's own WAL is this line's."""
        limit = 1 << 64
        for each, fork in reversed(self.line(timeline)):
            if each == member:
                return limit
            limit = min(limit, fork)
        raise AssertionError(member)

    def readable(self, timeline: int, record: Rec) -> bool:
        for number in record.segments():
            member = self.file_of(timeline, number)
            top = min(record.end, (number + 1) * SIZE)
            if member is None or top > self.high_of(timeline, member):
                return False
            if top > self.damage.get((member, number), 1 << 64):
                return False
        return True

    def replay(self, timeline: int, start: Lsn) -> list[Rec]:
        """The records that are replayed from ``start`` on."""
        done = []
        for record in self.records_of(timeline):
            if record.lsn < start:
                continue
            if not self.readable(timeline, record):
                break
            done.append(record)
        return done

    def before(self, timeline: int, lsn: Lsn) -> list[Rec]:
        """The unbroken records in front of ``lsn``, nearest first."""
        found = []
        for record in reversed([each for each in self.records_of(timeline) if each.lsn < lsn]):
            if not self.readable(timeline, record):
                break
            found.append(record)
        return found

    # WalHistory

    def timelines(self) -> Mapping[int, Timeline]:
        return self.tree

    def runs(self, timeline: int) -> Sequence[SegmentRun]:
        found: list[list[int]] = []
        for number in sorted(self.files[timeline]):
            broken = bool(found) and (timeline, found[-1][-1]) in self.damage
            if found and found[-1][-1] == number - 1 and not broken:
                found[-1].append(number)
            else:
                found.append([number])
        return [self._run(timeline, numbers) for numbers in found]

    def _run(self, timeline: int, numbers: list[int]) -> SegmentRun:
        bad = self.damage.get((timeline, numbers[-1]))
        low, high = numbers[0] * SIZE, (numbers[-1] + 1) * SIZE if bad is None else bad
        whole = [each.end for each in self.records_of(timeline) if low < each.end <= high]
        return SegmentRun(
            timeline,
            numbers[0],
            numbers[-1],
            whole[-1] if whole else low,
            len(numbers) * SIZE,
            None if bad is None else "CRC is wrong",
        )

    def _within(self, piece: Piece) -> list[Rec]:
        first = (self.tree[piece.timeline].fork_lsn or 0) // SIZE
        return [
            each
            for each in self.records_of(piece.timeline)
            if piece.low <= each.lsn < piece.high and each.lsn // SIZE >= first
        ]

    def _ends(self, piece: Piece) -> list[TransactionEnd]:
        return [as_end(each, piece.timeline) for each in self._within(piece) if each.kind in ENDS]

    def first_end(
        self, piece: Piece, *, after: datetime | None = None, inclusive: bool = False
    ) -> TransactionEnd | None:
        for end in self._ends(piece):
            if after is None or (end.kind in TIMED and (end.at >= after if inclusive else end.at > after)):
                return end
        return None

    def last_end(self, piece: Piece) -> TransactionEnd | None:
        return self._ends(piece)[-1] if self._ends(piece) else None

    def ends(self, piece: Piece, *, limit: int, backwards: bool = False) -> Sequence[TransactionEnd]:
        found = self._ends(piece)
        return (found[::-1] if backwards else found)[:limit]

    def count(self, piece: Piece) -> int:
        return sum(end.is_commit for end in self._ends(piece))

    def find_xid(self, piece: Piece, xid: int) -> TransactionEnd | None:
        for each in reversed(self._within(piece)):
            if each.kind in TIMED and xid in (each.xid, *each.subxids):
                return as_end(each, piece.timeline)
        return None

    def restore_points(self, piece: Piece) -> Sequence[RestorePoint]:
        return [
            RestorePoint(each.name, piece.timeline, each.lsn, each.end_lsn, each.at)
            for each in self._within(piece)
            if each.kind == "restore point"
        ]

    def parameter_changes(self, piece: Piece) -> Sequence[ParameterChange]:
        return []

    def records_around(self, timeline: int, lsn: Lsn) -> tuple[Record | None, Record | None]:
        own = [each for each in self.records_of(timeline) if each.lsn // SIZE in self.files[timeline]]
        at = [each for each in own if each.lsn <= lsn][-1:]
        after = [each for each in own if each.lsn > lsn][:1]
        first, second = ([Record(each.lsn, each.end_lsn) for each in found] for found in (at, after))
        return (first[0] if first else None), (second[0] if second else None)

    def density(self, piece: Piece, start: datetime, stop: datetime, columns: int) -> Sequence[int]:
        return [0] * columns


def as_end(record: Rec, timeline: int) -> TransactionEnd:
    return TransactionEnd(timeline, record.lsn, record.end_lsn, record.xid, record.at, record.kind)  # type: ignore[arg-type]


def build(seed: int, *, harm: bool = True) -> tuple[Archive, list[BaseBackup]]:
    """An archive with branches, gaps, damage and jumping clocks, and backups of every sort."""
    draw = random.Random(seed)
    archive = Archive({1: Timeline(1)}, {})
    clock = [NOON]
    archive.own[1] = _records(draw, 1, 40 + SIZE, draw.randint(4, 40), clock)
    for child in range(2, 2 + draw.choice((0, 0, 1, 1, 2, 3))):
        parent = draw.choice(sorted(archive.own))
        line = archive.records_of(parent) if (archive.own[parent] or parent == 1) else []
        own_from = archive.tree[parent].fork_lsn or 0
        cuts = [each for each in line if each.lsn > own_from]
        if not cuts:
            continue
        fork = draw.choice([draw.choice(cuts).lsn, cuts[-1].end])
        archive.tree[child] = Timeline(child, parent, fork)
        archive.own[child] = _records(draw, child, skip_page_header(fork, SIZE), draw.choice((0, 3, 25)), clock)
    for timeline in archive.tree:
        archive.files[timeline] = _files(draw, archive, timeline, harm)
    return archive, _backups(draw, archive, harm)


def _records(draw: random.Random, timeline: int, lsn: Lsn, many: int, clock: list[datetime]) -> list[Rec]:
    records = []
    for number in range(many):
        length = 8 * draw.choice((4, 10, 60, 500, 2000, 3000, 9000))
        lsn = skip_page_header(lsn, SIZE)
        kind = draw.choice(("other", "other", "commit", "commit", "commit", *ENDS, "restore point"))
        clock[0] += timedelta(microseconds=draw.choice((0, 1, 5, 1_000_000, 40_000_000)))
        at = clock[0] - timedelta(microseconds=draw.choice((0, 0, 0, 0, 3, 2_000_000)))
        xid = 1000 + 10 * (number + draw.choice((0, 100)) * (timeline == 1))
        subxids = (xid + 1, xid + 2) if draw.random() < 0.3 else ()
        records.append(Rec(timeline, lsn, lsn + length, kind, xid, at, draw.choice(("a", "b", "c")), subxids))
        lsn += length
    return records


def _files(draw: random.Random, archive: Archive, timeline: int, harm: bool) -> set[int]:
    own = archive.own[timeline]
    if not own:
        return set()
    first = (archive.tree[timeline].fork_lsn or own[0].lsn) // SIZE
    files = set(range(first, (own[-1].end - 1) // SIZE + 1))
    if draw.random() < 0.4:
        files.discard(max(files))  # the newest one was not archived yet
    for number in sorted(files) if harm else ():
        if draw.random() < 0.08:
            files.discard(number)
        elif draw.random() < 0.05:
            archive.damage[timeline, number] = number * SIZE + draw.randrange(0, SIZE)
    return files


def _backups(draw: random.Random, archive: Archive, harm: bool) -> list[BaseBackup]:
    backups: list[BaseBackup] = []
    for timeline in archive.own:
        records = archive.own[timeline]
        for _ in range(draw.choice((0, 1, 2, 3)) if len(records) > 3 else 0):
            place = draw.randrange(len(records) - 2)
            start, stop = records[place], records[min(len(records) - 1, place + draw.randint(1, 4))]
            parent = draw.choice(backups).id if backups and draw.random() < 0.3 else None
            backups.append(
                BaseBackup(
                    id=f"b{len(backups)}",
                    repository="r",
                    path=Path("/backup") / f"b{len(backups)}",
                    format="plain",
                    started_at=start.at.replace(microsecond=0),
                    stopped_at=stop.at.replace(microsecond=0),
                    start_lsn=start.lsn,
                    stop_lsn=stop.end,
                    timeline=timeline,
                    size_bytes=1000,
                    files_size_bytes=1000,
                    version=17,
                    parent=parent if draw.random() < 0.9 else "nowhere",
                    incremental=parent is not None,
                    usable=not harm or draw.random() < 0.85,
                    reason="damaged",
                )
            )
    draw.shuffle(backups)
    return backups
