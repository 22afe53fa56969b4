"""Save what only production has: the segments and history files of its pg_wal that the archive has not, and resolve
``--latest`` again with them. The server is stopped by now, so nothing comes after them."""

import os
import re
import shutil
from pathlib import Path
from struct import Struct

from engine.feed.archive import Archive
from engine.records.errors import Unreachable
from engine.records.lsn import format_lsn, parse_segment
from engine.records.target import RecoveryPoint
from engine.steps.protocol import RunningStep
from engine.steps.settings import layout_of, sync_folder
from engine.steps.shared.points import current_point, tell_point
from engine.steps.shared.production import production_dir
from engine.steps.shared.recovering import SALVAGED, wal_roots
from engine.steps.shared.resolving_again import resolve_again

_SEGMENT = re.compile(r"[0-9A-F]{24}\Z")
_HISTORY = re.compile(r"[0-9A-F]{8}\.history\Z")
_PAGE_BEGIN = Struct("=HHIQ")  # XLogPageHeaderData in xlog_internal.h: magic, info, tli, pageaddr


def apply(step: RunningStep) -> None:
    """Copies into ``salvage`` of the work folder, synced; applied again, it copies again."""
    wal = production_dir(step) / "pg_wal"
    point = current_point(step)
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
    for path in wanted:
        step.safe_point()
        _copy(step, path, target / path.name)
        done += path.stat().st_size
        step.progress(done, total, "bytes", path.name)
    sync_folder(target)
    step.fact(salvaged=[path.name for path in wanted])
    step.log(f"salvaged {len(wanted)} files of {wal}")
    if point.target.kind == "latest":
        later = resolve_again(step, point)
        if later is not None:
            tell_point(step, later)
            step.log(f"the newest transaction end lies in salvaged WAL: the gate is now {format_lsn(later.gate)}")


def undo(step: RunningStep) -> None:
    """Nothing: these are copies, and go with the work folder."""


def _not_archived(step: RunningStep, wal: Path, point: RecoveryPoint) -> list[Path]:
    """Segments and history files that are not in the archive, or not yet said to be (``.ready``). Files that were
    recycled for WAL to come still hold old pages, or none: their first page does not bear their name."""
    archive = Archive(tuple(root for root in wal_roots(step, point) if Path(root).name != SALVAGED))
    try:
        archive.refresh()
    except Unreachable as error:
        step.log(f"{error.message}: all of pg_wal is salvaged")
    found = []
    for path in sorted(wal.iterdir()):
        segment = bool(_SEGMENT.match(path.name))
        if path.is_symlink() or not path.is_file() or not (segment or _HISTORY.match(path.name)):
            continue
        if segment and not _is_written(path, point.segment_size):
            continue
        ready = (wal / "archive_status" / f"{path.name}.ready").exists()
        if ready or not archive.find(path.name, fresh_within=float("inf")):
            found.append(path)
    return found


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


def _copy(step: RunningStep, source: Path, target: Path) -> None:
    building = target.with_name(target.name + ".new")
    building.unlink(missing_ok=True)
    with (
        source.open("rb") as reading,
        os.fdopen(os.open(building, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as writing,
    ):
        shutil.copyfileobj(reading, writing, 1 << 20)
        writing.flush()
        os.fsync(writing.fileno())
    _own(step, building)
    building.replace(target)


def _own(step: RunningStep, path: Path) -> None:
    user = layout_of(step.plan).run_as
    if os.geteuid() == 0:
        os.chown(path, user.uid, user.gid)
