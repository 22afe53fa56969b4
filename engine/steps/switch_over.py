"""Put the recovered cluster in production's place: its data directory, its tablespaces' folders, and, where
production had it elsewhere, its pg_wal."""

import os
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.records.errors import RunFailed
from engine.records.plan import Check, Layout
from engine.steps.protocol import RunningStep
from engine.steps.shared import server_waits
from engine.steps.shared.layout import layout_of
from engine.steps.shared.production import production_dir
from engine.steps.shared.recovering import server_of, stop_recovering
from engine.steps.shared.renaming import move, move_back, move_contents, point_link, relink
from engine.transfer.durable import sync_folder

_SELINUX = Path("/sys/fs/selinux/enforce")
_CONTEXTS_TIMEOUT = 1800.0  # seconds; restorecon looks at every file of the cluster


def apply(step: RunningStep) -> None:
    """The copy's private server is stopped, then renames. In a mount point the copy's contents move in."""
    layout, production = layout_of(step.plan), production_dir(step)
    copy = Path(layout.data_dir)
    if copy.is_dir():
        stop_recovering(step)
    if copy.is_dir() and not any("contents" in record for record in step.undo_records):
        for place in layout.tablespaces:
            if place.built_at != place.stands_at:
                _move_tablespace(step, copy, place.oid, Path(place.built_at), Path(place.stands_at), layout)
        if wal_place := step.facts.get("wal_place"):
            _move_wal_out(step, copy / "pg_wal", Path(wal_place))
    step.safe_point()
    if layout.within_mount:
        if not any("owned" in record for record in step.undo_records):
            was = production.stat()
            step.before(owned=str(production), uid=was.st_uid, gid=was.st_gid, mode=stat.S_IMODE(was.st_mode))
        move_contents(step, copy, production)
    else:
        move(step, copy, production)
    production.chmod(step.facts.get("production_mode", 0o700) & 0o750 | 0o700)
    if os.geteuid() == 0:
        os.chown(production, layout.run_as.uid, layout.run_as.gid)
    elsewhere = [place.stands_at for place in layout.tablespaces] + [step.facts.get("wal_place")]
    _restore_contexts(step, [production, *(Path(place) for place in elsewhere if place)])
    step.fact(switched_over=True)


def _move_tablespace(step: RunningStep, copy: Path, oid: int, built: Path, stands: Path, layout: Layout) -> None:
    """The copy's PG_* folder to where the tablespace stands, and its link with it."""
    if not stands.is_dir():
        step.before(made=str(stands))
        stands.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.geteuid() == 0:
            os.chown(stands, layout.run_as.uid, layout.run_as.gid)
    folders = {path.name for path in built.glob("PG_*")} if built.is_dir() else set()
    folders |= {
        Path(record["rename"][1]).name
        for record in step.undo_records
        if "rename" in record and Path(record["rename"][0]).parent == built
    }
    for name in sorted(folders):
        move(step, built / name, stands / name)
    relink(step, copy / "pg_tblspc" / str(oid), str(stands))


def _move_wal_out(step: RunningStep, wal: Path, place: Path) -> None:
    """Production keeps pg_wal elsewhere: so does the recovered cluster. It may be another file system: copied."""
    old = wal.with_name("pg_wal.reprise-old")
    if not wal.is_symlink():
        record = [str(wal), str(place)]
        ours = any(told.get("wal") == record for told in step.undo_records)
        if os.path.lexists(place) and not ours:
            raise RunFailed(f"{place} is in the way", remedy="move it elsewhere, then resume the run")
        step.before(wal=record)
        if wal.is_dir():
            _copy_folder(wal, place)
            wal.rename(old)
        point_link(wal, str(place))
    if old.is_dir():
        shutil.rmtree(old)


def _move_wal_back(wal: Path, place: Path) -> None:
    """The reverse: a real folder in the data directory again, wherever the move out had got to. A link means that
    ``place`` is whole; the two other folders only ever appear whole, and the old one shrinks once the link is there."""
    old, back = wal.with_name("pg_wal.reprise-old"), wal.with_name("pg_wal.reprise-back")
    if not wal.parent.is_dir():
        return
    if wal.is_symlink():
        if not back.is_dir():
            _copy_folder(place, back)
        wal.unlink()
    if not wal.exists():
        (back if back.is_dir() else old).rename(wal)
        sync_folder(wal.parent)
    _building(wal).unlink(missing_ok=True)  # a link that was to be
    for left in (place, old, _building(place), _building(back)):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left)


def _building(folder: Path) -> Path:
    return folder.with_name(folder.name + ".reprise-new")


def _copy_folder(source: Path, target: Path) -> None:
    """Copy a folder of plain files and folders, whole or not at all, owners kept, synced."""
    building = _building(target)
    if building.exists():
        shutil.rmtree(building)
    if target.exists():
        shutil.rmtree(target)  # our own, of an attempt that was killed: before the first one nothing was there
    shutil.copytree(source, building, symlinks=True)
    for path, model in [
        (building, source),
        *((each, source / each.relative_to(building)) for each in building.rglob("*")),
    ]:
        if os.geteuid() == 0:
            status = model.lstat()
            os.chown(path, status.st_uid, status.st_gid, follow_symlinks=False)
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        elif path.is_dir():
            sync_folder(path)
    building.rename(target)
    sync_folder(target.parent)


def undo(step: RunningStep) -> None:
    """The recovered cluster back to where it was built, its server stopped; nothing of it is deleted here."""
    layout, production = layout_of(step.plan), production_dir(step)
    if not step.undo_records:
        return
    moved = [record for record in step.undo_records if "rename" in record or "contents" in record]
    into = [record for record in moved if str(production) in record.get("rename", record.get("contents"))]
    if into and _is_the_copy(production, into[0]):
        server_waits.stop(step, server_of(step, production))
    move_back(step, keep={Path(layout.container).name, Path(layout.set_aside or "-").name})
    for record in step.undo_records:
        if "owned" in record and production.is_dir():
            if os.geteuid() == 0:
                os.chown(production, record["uid"], record["gid"])
            production.chmod(record["mode"])
    for record in step.undo_records:
        if "wal" in record:
            _move_wal_back(*map(Path, record["wal"]))
    for record in reversed(step.undo_records):
        made = Path(record["made"]) if "made" in record else None
        if made is not None and made.is_dir() and not any(made.iterdir()):
            made.rmdir()


def _is_the_copy(production: Path, record: Mapping[str, Any]) -> bool:
    return production.is_dir() and ("inode" not in record or production.lstat().st_ino == record["inode"])


def _restore_contexts(step: RunningStep, places: list[Path]) -> None:
    """Where SELinux is, a renamed file, or one copied with its attributes, keeps the context of the place that it came
    from. restorecon(8) follows no links: each place is named."""
    if not _SELINUX.exists():
        return
    program = shutil.which("restorecon", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if program is None:
        finding = "SELinux is on, and restorecon is not here: the contexts are those of the copy's place"
        remedy = f"restorecon -R {' '.join(map(str, places))}"
        step.check(Check("ownership", "warn", False, finding, remedy))
        return
    _run_serving(step, [program, "-R", *map(str, places)], _CONTEXTS_TIMEOUT)


def _run_serving(step: RunningStep, words: Sequence[str], timeout: float) -> None:
    """Run a program while the run goes on being served. Raises RunFailed where it fails, or does not end within
    ``timeout`` seconds: it is then killed, and can be run again."""
    name = Path(words[0]).name
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/")
        deadline = time.monotonic() + timeout
        try:
            while process.poll() is None:
                step.progress(0, None, detail=name)
                if time.monotonic() > deadline:
                    raise RunFailed(
                        f"{name} did not end within {timeout:g} seconds",
                        remedy="see what it waits for, then resume the run",
                    )
                with suppress(subprocess.TimeoutExpired):
                    process.wait(0.2)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        output.seek(0)
        said = output.read().decode(errors="replace").strip()
    step.log(f"{name}: exit {process.returncode} {said}")
    if process.returncode != 0:
        raise RunFailed(f"{name} failed", cause=said or None, remedy="mend it, then resume the run")
