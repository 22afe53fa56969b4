"""``--latest`` resolved again, once WAL was salvaged that the archive has not: the end of all that is there may lie
behind the gate that was planned."""

from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from engine.feed.archive import Archive
from engine.formats.control_file import read_control_file
from engine.records.copies import WalFile
from engine.records.errors import DamagedCopy
from engine.records.history import Piece, TransactionEnd
from engine.records.lsn import Lsn, SegmentName, segment_of
from engine.records.target import RecoveryPoint
from engine.steps.protocol import RunningStep
from engine.steps.shared.children import Alive
from engine.steps.shared.layout import layout_of
from engine.steps.shared.points import gate_lsn
from engine.steps.shared.recovering import SALVAGED, wal_roots
from engine.wal.index import WalIndex


class ReadAgain(Struct, frozen=True):
    """``later`` goes to the last transaction end behind the gate in the unbroken WAL, salvaged WAL included; None where
    there is none. That WAL ends at ``valid_to``, in the segment ``last``; 0 where not even the gate's own is there."""

    later: RecoveryPoint | None
    valid_to: Lsn = 0
    last: int = 0


def resolve_again(step: RunningStep, point: RecoveryPoint, alive: Alive) -> ReadAgain:
    """What the WAL behind the gate says now.

    Only the segments from the gate on are read, and only those of the gate's own timeline. ``alive`` hears that it goes
    on. Raises Unreachable.
    """
    files = _behind_the_gate(step, point)
    index = WalIndex.open(step.run_dir / "salvage.sqlite")
    try:
        system = _system_identifier(step)
        index.refresh(files, {}, system_identifier=system, workers=1, progress=lambda done, total: alive())
        gate, timeline = gate_lsn(point), point.pieces[-1].timeline
        number = segment_of(gate, point.segment_size)
        run = next((run for run in index.runs(timeline) if run.first <= number <= run.last), None)
        if run is None:
            return ReadAgain(None)
        piece = Piece(timeline, gate, run.valid_to)
        last = index.last_end(piece)
        if last is None:
            return ReadAgain(None, run.valid_to, run.last)
        commits = [end for end in reversed(index.ends(piece, limit=1000, backwards=True)) if end.is_commit]
        changes = index.parameter_changes(Piece(timeline, gate, last.end_lsn))
        later = _moved(replace(point, parameter_changes=(*point.parameter_changes, *changes)), last, commits)
        return ReadAgain(later, run.valid_to, run.last)
    finally:
        index.close()


def _moved(point: RecoveryPoint, last: TransactionEnd, commits: list[TransactionEnd]) -> RecoveryPoint:
    """The point with its gate behind ``last``, the end of all that is there."""
    size, gate = point.segment_size, last.end_lsn
    pieces = (*point.pieces[:-1], point.pieces[-1]._replace(high=gate))
    more = _last_segment(gate, size) - _last_segment(point.gate, size)
    return replace(
        point,
        gate=gate,
        pieces=pieces,
        kept=last,
        kept_commit=commits[-1] if commits else point.kept_commit,
        lost=None,
        lost_commit=None,
        last_lost_commit=None,
        lost_commits=0,
        wal_last=SegmentName(pieces[-1].timeline, _last_segment(gate, size)).text(size),
        wal_segments=point.wal_segments + more,
        wal_bytes=point.wal_bytes + more * size,
    )


def _last_segment(gate: Lsn, segment_size: int) -> int:
    return segment_of(gate - 1, segment_size)


def _behind_the_gate(step: RunningStep, point: RecoveryPoint) -> list[WalFile]:
    """The segments of the gate's timeline from the gate on, as far as they are there."""
    archive = Archive(wal_roots(step, point))
    timeline, size = point.pieces[-1].timeline, point.segment_size
    number = segment_of(gate_lsn(point), size)
    files: list[WalFile] = []
    while found := archive.find(SegmentName(timeline, number).text(size), fresh_within=float("inf") if files else 0):
        for path in [path for path in found if path.parent.name == SALVAGED] or found:  # the archive's may end earlier
            status = path.stat()
            compression = {".gz": "gzip", ".lz4": "lz4", ".zst": "zstd"}.get(path.suffix)
            files.append(
                WalFile(str(path), timeline, number, compression, status.st_size, status.st_mtime_ns, status.st_ino)  # type: ignore[arg-type]
            )
        number += 1
    return files


def _system_identifier(step: RunningStep) -> int | None:
    try:
        return read_control_file(
            (Path(layout_of(step.plan).data_dir) / "global" / "pg_control").read_bytes()
        ).system_identifier
    except (OSError, DamagedCopy):
        return None
