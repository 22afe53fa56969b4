"""What the feed is told, and what it tells: JSON files in a folder of the run that only the engine's user enters."""

from pathlib import Path
from typing import TypeVar

import msgspec

from engine.records.coding import from_json, to_json
from engine.records.history import Piece
from engine.records.lsn import LONG_PAGE_HEADER, Lsn, SegmentName, segment_of

SPEC_FILE, GATE_FILE, STATUS_FILE = "spec.json", "gate.json", "status.json"

T = TypeVar("T")


class Gate(msgspec.Struct, frozen=True):
    """How far to serve. ``lsn`` is the start of the first record that the server must not see; ``pieces`` are the WAL
    up to there, timeline by timeline (RecoveryPoint.pieces). ``hold``: what has not changed is answered only after a
    second; without, at once (a promotion asks for the last segment and for history files once more)."""

    lsn: Lsn
    pieces: tuple[Piece, ...]
    hold: bool = True


class FeedSpec(msgspec.Struct, frozen=True):
    """One feed. ``roots`` are the folders that hold archived WAL, the preferred one first; ``spool`` is on the data
    directory's file system and belongs to ``uid``:``gid``; ``pg_wal`` is the server's own folder; ``ahead`` is how
    many segments are fetched before the server asks for them; no more than ``bytes_per_second`` is read of them."""

    roots: tuple[str, ...]
    segment_size: int
    system_identifier: int
    spool: str
    pg_wal: str
    uid: int
    gid: int
    gate: Gate
    ahead: int = 12
    bytes_per_second: int | None = None


class FeedStatus(msgspec.Struct, frozen=True):
    """How a feed stands. ``gate`` is the one it works by. ``asked`` is the segment that the server asked for last,
    ``served`` the one it took last, ``count`` how many it took.

    ``waiting`` says for what the feed waits, in words, since ``waiting_since`` (seconds since 1970); None: for
    nothing. ``again`` is a segment that the server asked for again although it has all of it up to the gate: it
    stands at the gate, or it cannot read on.
    """

    pid: int
    gate: Lsn
    listed: bool = False
    asked: str | None = None
    served: str | None = None
    count: int = 0
    waiting: str | None = None
    waiting_since: float | None = None
    again: str | None = None
    timelines: tuple[int, ...] = msgspec.field(default=())


def timelines_of(gate: Gate, number: int, segment_size: int) -> tuple[int, ...]:
    """The timelines whose file may hold segment ``number``, the newest first: at a fork that is the child's, which
    begins with its parent's WAL (the manual, "Timelines")."""
    low, high = number * segment_size, (number + 1) * segment_size
    return tuple(
        sorted({piece.timeline for piece in gate.pieces if piece.low < high and piece.high > low}, reverse=True)
    )


def cut_of(gate: Gate, name: SegmentName, segment_size: int) -> int:
    """How many bytes of a segment the server may see: up to the gate, and of a timeline that was left up to where it
    was left."""
    ends = [piece.high for piece in gate.pieces if piece.timeline == name.timeline]
    end = min(gate.lsn, max(ends, default=gate.lsn)) if name.timeline != gate.pieces[-1].timeline else gate.lsn
    return max(0, min(segment_size, end - name.number * segment_size))


def first_segment(gate: Gate, segment_size: int) -> int:
    return segment_of(gate.pieces[0].low, segment_size)


def last_segment(gate: Gate, segment_size: int) -> int:
    """The last segment that has anything to replay. A gate just behind a segment's first header needs none of it."""
    number = segment_of(gate.lsn, segment_size)
    return number - 1 if gate.lsn - number * segment_size <= LONG_PAGE_HEADER else number


def write_whole(path: Path, record: object) -> None:
    """Put a record's JSON in place by a rename: readers see the old one or the new one."""
    draft = path.with_name(path.name + ".new")
    draft.write_bytes(to_json(record))
    draft.replace(path)


def read_gate(path: Path) -> Gate | None:
    return _read(path, Gate)


def read_status(path: Path) -> FeedStatus | None:
    return _read(path, FeedStatus)


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        return from_json(path.read_bytes(), kind)
    except (OSError, msgspec.MsgspecError):
        return None
