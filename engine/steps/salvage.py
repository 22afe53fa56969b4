"""Save what only production has: the segments and history files of its pg_wal that the archive has not, or has adopted
while they were unfinished; and resolve ``--latest`` again with them. The server is stopped by now, so nothing comes
after them."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from struct import Struct

from engine.feed.archive import Archive
from engine.formats.control_file import read_control_file
from engine.records.coding import from_json, to_builtins, to_json
from engine.records.errors import DamagedCopy, Unreachable
from engine.records.lsn import format_lsn, parse_segment, segment_of
from engine.records.target import RecoveryPoint
from engine.steps import SALVAGED_WAL
from engine.steps.protocol import RunningStep
from engine.steps.shared.children import Alive, patiently
from engine.steps.shared.layout import layout_of
from engine.steps.shared.points import current_point, tell_point
from engine.steps.shared.production import production_dir
from engine.steps.shared.recovering import SALVAGED, wal_roots
from engine.steps.shared.resolving_again import ReadAgain, resolve_again
from engine.transfer.durable import sync_folder
from engine.wal.tail import read_tail

_SEGMENT = re.compile(r"[0-9A-F]{24}\Z")
_HISTORY = re.compile(r"[0-9A-F]{8}\.history\Z")
_UNFINISHED = (".partial", ".partial.gz", ".partial.lz4", ".partial.zst", ".gz.partial", ".lz4.partial")
_PIECE = 1 << 18  # bytes copied at once
_PAGE_BEGIN = Struct("=HHIQ")  # XLogPageHeaderData in xlog_internal.h: magic, info, tli, pageaddr


def apply(step: RunningStep) -> None:
    """Copies into ``salvage`` of the work folder, synced; applied again, it copies again."""
    wal = production_dir(step) / "pg_wal"
    point = current_point(step)
    step.fact(**{SALVAGED_WAL: False})
    if not wal.is_dir():
        step.log(f"{wal} is not there: nothing to salvage")
        return
    target = Path(layout_of(step.plan).work) / SALVAGED
    step.before(made=str(target))
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    _own(step, target)
    wanted = _not_archived(step, wal, point)
    total = sum(path.stat().st_size for path in wanted)
    done = 0
    if total:
        step.progress(done, total, "bytes")
    for path in wanted:
        for copied in _copied(step, path, target / path.name):
            done += copied
            step.progress(done, total, "bytes", path.name)
            step.safe_point()
    sync_folder(target)
    step.log(f"salvaged {len(wanted)} files of {wal}")
    if point.target.kind == "latest":
        archives = ", ".join(wal_roots(step, point))
        told = patiently(step, lambda alive: to_builtins(resolve_again(step, point, alive)), f"the archive {archives}")
        again = from_json(to_json(told), ReadAgain)
        whole = _is_read_to_its_end(step, wal, point, again)
        step.fact(**{SALVAGED_WAL: whole})
        if not whole:
            step.log(f"what production wrote last was not found in {wal}: whether anything is lost is not known")
        if again.later is not None:
            tell_point(step, again.later)
            step.log(f"the newest transaction end lies in salvaged WAL: the gate is now {format_lsn(again.later.gate)}")


def undo(step: RunningStep) -> None:
    """Nothing: these are copies, and go with the work folder."""


def _not_archived(step: RunningStep, wal: Path, point: RecoveryPoint) -> list[Path]:
    """Segments and history files that are not in the archive, or not yet said to be (``.ready``). Files that were
    recycled for WAL to come still hold old pages, or none: their first page does not bear their name."""
    archived = _archived(step, point, sorted(wal.iterdir()))
    found = []
    for path in sorted(wal.iterdir()):
        segment = bool(_SEGMENT.match(path.name))
        if path.is_symlink() or not path.is_file() or not (segment or _HISTORY.match(path.name)):
            continue
        if segment and not _is_written(path, point.segment_size):
            continue
        ready = (wal / "archive_status" / f"{path.name}.ready").exists()
        if ready or path.name not in archived:
            found.append(path)
    return found


def _is_read_to_its_end(step: RunningStep, wal: Path, point: RecoveryPoint, again: ReadAgain) -> bool:
    """Whether ``again`` read all that production wrote. Its pg_wal must be the one that it wrote into, which holds the
    segment of the latest checkpoint as long as there is a server (an empty mount point does not), and no segment in it
    may lie behind what was read."""
    try:
        control = read_control_file((wal.parent / "global" / "pg_control").read_bytes())
    except (OSError, DamagedCopy) as error:
        step.log(f"production's pg_control cannot be read: {error}")
        return False
    size, timeline = point.segment_size, point.pieces[-1].timeline
    written = [
        parse_segment(path.name, size).number
        for path in wal.glob(f"{timeline:08X}" + "?" * 16)
        if _SEGMENT.match(path.name) and _is_written(path, size)
    ]
    return (
        control.timeline == timeline
        and segment_of(control.checkpoint_lsn, size) in written
        and control.checkpoint_lsn < again.valid_to
        and max(written) <= again.last
    )


def _archived(step: RunningStep, point: RecoveryPoint, paths: list[Path]) -> set[str]:
    """Which of these the archive has, no shorter; where it is away, none of them counts as archived. Raises Unreachable
    where that leaves ``--latest`` undecided: what production wrote last must not be given up without a word."""
    roots = tuple(root for root in wal_roots(step, point) if Path(root).name != SALVAGED)

    def listed(alive: Alive) -> list[str]:
        archive = Archive(roots)
        archive.refresh()
        found = {path: archive.find(path.name, fresh_within=float("inf")) for path in paths}
        size = point.segment_size
        return [path.name for path, copies in found.items() if copies and not _goes_further(path, copies, size)]

    try:
        return set(patiently(step, listed, f"the archive {', '.join(roots)}"))
    except Unreachable as error:
        if point.target.kind == "latest":
            raise Unreachable(
                f"{error.message}: what --latest means now cannot be decided",
                cause=error.cause,
                remedy="bring it back, then: reprise resume; or start production again with: reprise rollback",
            ) from None
        step.log(f"{error.message}: all of pg_wal is salvaged")
        return set()


def _goes_further(path: Path, copies: list[Path], segment_size: int) -> bool:
    """Whether a segment ends behind its archived copy, which was unfinished when it was adopted."""
    if not any(copy.with_name(copy.name + rest).exists() for copy in copies for rest in _UNFINISHED):
        return False
    name = parse_segment(path.name, segment_size)
    own, *others = (read_tail(each, *name) for each in (path, *copies))
    return own is not None and all(each is None or each.valid_to < own.valid_to for each in others)


def _is_written(path: Path, segment_size: int) -> bool:
    try:
        name = parse_segment(path.name, segment_size)
        with path.open("rb") as file:
            begin = file.read(_PAGE_BEGIN.size)
    except (OSError, ValueError):
        return False
    if len(begin) < _PAGE_BEGIN.size or path.stat().st_size != segment_size:
        return False
    return int(_PAGE_BEGIN.unpack(begin)[3]) == name.number * segment_size


def _copied(step: RunningStep, source: Path, target: Path) -> Iterator[int]:
    """Copy a file, piece by piece; how many bytes each has. It has its name once it is whole and on disk."""
    building = target.with_name(target.name + ".new")
    building.unlink(missing_ok=True)
    with (
        source.open("rb") as reading,
        os.fdopen(os.open(building, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as writing,
    ):
        while piece := reading.read(_PIECE):
            writing.write(piece)
            yield len(piece)
        writing.flush()
        os.fsync(writing.fileno())
    _own(step, building)
    building.replace(target)


def _own(step: RunningStep, path: Path) -> None:
    user = layout_of(step.plan).run_as
    if os.geteuid() == 0:
        os.chown(path, user.uid, user.gid)
