"""`combine`: the staged chain made into one data directory by pg_combinebackup.

It is built under another name and renamed when it is whole and on disk, with its pg_control held back until the step's
very end. A pg_combinebackup that outlived its engine is ended before anything is done in its folder.

Arguments: ``members``, the chain's staged folders, oldest first: the ``into`` of its `copy` steps.
"""

import os
import time
from pathlib import Path

from engine.formats.manifest import read_manifest
from engine.postgres.processes import end_strays
from engine.postgres.running import run
from engine.records.errors import DamagedCopy, RunFailed
from engine.records.plan import Layout
from engine.steps.copy import record_folders, remove_recorded, staged_tablespaces
from engine.steps.prepare import owner_ids
from engine.steps.protocol import RunningStep
from engine.steps.shared.children import Child
from engine.steps.shared.layout import layout_of
from engine.transfer.contents import CONTROL, MANIFEST, tablespace_of
from engine.transfer.copying import hold_control, release_control
from engine.transfer.durable import FileSystems, fsync_path
from engine.transfer.failures import writing
from engine.transfer.incremental import combined_size, size_on_disk
from engine.transfer.ledger import LEDGER
from engine.transfer.naming import shown
from engine.transfer.removing import empty_tree, make_folder, missing_parents, remove_tree

_PROGRAM = "pg_combinebackup"
_LINKS_FROM = 18  # --link, PostgreSQL 18
_FIRST_LOOK = 0.02  # seconds; the next ones come later and later, a small chain is soon combined
_LOOK_SECONDS = 0.3
_LOOK_SHARE = 10  # looking how far it is may take a tenth of the time


def apply(step: RunningStep) -> None:
    layout = layout_of(step.plan)
    data_dir, building = Path(layout.data_dir), building_of(layout)
    places = {place.oid: Path(place.built_at) for place in layout.tablespaces}
    if not (step.undo_records and data_dir.exists()):
        record_folders(step, [data_dir, building, *places.values()])
        _combine(step, layout, building, places)
        with writing(data_dir):
            building.rename(data_dir)
            fsync_path(data_dir.parent)
    remove_tree(Path(layout.staging))
    release_control(data_dir)


def undo(step: RunningStep) -> None:
    end_strays(_PROGRAM, building_of(layout_of(step.plan)))
    remove_recorded(step)


def building_of(layout: Layout) -> Path:
    return Path(f"{layout.data_dir}.combining")


def _combine(step: RunningStep, layout: Layout, building: Path, places: dict[int, Path]) -> None:
    """Build the data directory in ``building``, whole, durable, and unable to start."""
    end_strays(_PROGRAM, building)
    remove_tree(building)
    owner = owner_ids(layout.run_as)
    for place in places.values():
        for parent in missing_parents(place):
            make_folder(parent, owner)
        make_folder(place, owner)
        empty_tree(place)
    make_folder(building, owner)
    members, staged = _staged(step)
    for member in members:
        (member / LEDGER).unlink(missing_ok=True)  # whole by now, and pg_combinebackup would take it along
    arguments = [*map(str, members), "-o", str(building)]
    for oid, folder in staged.items():
        if oid not in places:
            raise RunFailed(f"the plan has no place for tablespace {oid}", remedy="plan again")
        arguments += ["-T", f"{_escaped(folder)}={_escaped(places[oid])}"]
    if layout.programs.version >= _LINKS_FROM and _same_file_system([layout.staging, building, *places.values()]):
        arguments.append("--link")  # staging is ours and goes away: nothing need be copied twice
    with writing(building):
        systems = FileSystems([building, *places.values()])
        total = sum(combined_size(folder) for folder in (members[-1], *staged.values()))
    _run(step, layout, arguments, [building, *places.values()], total)
    hold_control(building)
    _is_whole(building)
    with writing(building):
        systems.sync()


def _run(step: RunningStep, layout: Layout, arguments: list[str], grows: list[Path], total: int) -> None:
    """pg_combinebackup as run_as, with measured progress; it ends when the step does."""
    step.progress(0, total, "bytes", _PROGRAM)
    with Child(
        lambda say: run(layout.programs, _PROGRAM, "--no-sync", *arguments, user=layout.run_as, timeout=None)
    ) as child:
        pause = _FIRST_LOOK
        while not child.ended(pause):
            started = time.monotonic()
            step.progress(min(total, sum(map(size_on_disk, grows))), total, "bytes", _PROGRAM)
            took = time.monotonic() - started
            pause = max(min(1.5 * pause, _LOOK_SECONDS), min(_LOOK_SHARE * took, 1.0))
            step.safe_point()
        child.result()
    step.progress(total, total, "bytes", _PROGRAM)


def _staged(step: RunningStep) -> tuple[list[Path], dict[int, Path]]:
    """The chain's folders, oldest first, and where the last one's tablespaces lie."""
    members = [Path(member) for member in step.args["members"]]
    chain = step.plan.point.chain if step.plan.point is not None else ()
    if not chain or len(members) != len(chain):
        raise RunFailed("the plan does not copy the whole chain", remedy="plan again")
    return members, staged_tablespaces(members[-1], chain[-1])


def _is_whole(building: Path) -> None:
    """Whether all is there, and as long, as pg_combinebackup's own manifest says; the contents were verified when
    they were staged, and its checksums are of what it wrote. Raises DamagedCopy."""
    with writing(building):
        manifest = read_manifest((building / MANIFEST).read_bytes())
    for file in manifest.files:
        if file.path == CONTROL or file.path.startswith("pg_wal/"):
            continue
        place = building / file.path
        if not place.is_file() or place.stat().st_size != file.size:
            what = "tablespace file" if tablespace_of(file.path) else "file"
            raise DamagedCopy(
                f"the combined backup is not whole: {what} {shown(file.path)}",
                cause=f"it is missing or has not the {file.size} bytes of its manifest",
            )


def _same_file_system(folders: list[str | Path]) -> bool:
    with writing(folders[0]):
        return len({os.stat(folder).st_dev for folder in folders}) == 1  # noqa: PTH116


def _escaped(folder: Path) -> str:
    """-T wants an equal sign in a name behind a backslash (parse_tablespace_mapping in pg_combinebackup.c)."""
    return os.fspath(folder).replace("=", "\\=")
