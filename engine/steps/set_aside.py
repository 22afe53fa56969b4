"""Set production aside: its data directory, a linked pg_wal, and its folder in each tablespace, all by renames on
their own file systems. All of it stays until the operator discards the run."""

import os
import re
import shutil
from pathlib import Path

from engine.formats.control_file import read_control_file
from engine.postgres import processes
from engine.records.errors import DamagedCopy, RunFailed
from engine.steps.protocol import RunningStep
from engine.steps.shared.layout import layout_of
from engine.steps.shared.production import production_dir
from engine.steps.shared.renaming import move, move_back, move_contents, relink, renames
from engine.transfer.durable import sync_folder
from engine.transfer.naming import shown


def apply(step: RunningStep) -> None:
    """Renames, each written down before; the data directory's own comes last."""
    layout, production, aside = layout_of(step.plan), production_dir(step), _aside(step)
    for folder in (production, aside):
        if processes.processes_in(folder):
            raise RunFailed(f"a server still runs on {folder}", remedy="stop it, then resume the run")
    if not os.path.lexists(aside):
        suffix = ".before-" + aside.name.rsplit(".before-", 1)[-1]
        _set_tablespaces_aside(step, production, suffix)
        _set_wal_aside(step, production / "pg_wal", suffix)
        step.fact(production_mode=production.stat().st_mode & 0o777)
    step.safe_point()
    if layout.within_mount:
        if not aside.is_dir():
            step.before(made=str(aside))
            aside.mkdir(mode=0o700)
            _own(aside, production)
        move_contents(step, production, aside, keep={Path(layout.container).name, aside.name})
    else:
        move(step, production, aside)
    step.fact(set_aside=sorted({str(aside), *(str(target) for _, target, _ in renames(step))}))


def _set_tablespaces_aside(step: RunningStep, production: Path, suffix: str) -> None:
    """This cluster's folder in each tablespace; a tablespace may hold those of other versions, too."""
    version_folder = _version_folder(production)
    if version_folder is None:
        step.log(f"{production} says no version: it names no folder in a tablespace as its own")
        return
    for link in _links(production / "pg_tblspc"):
        place = Path(os.path.realpath(link))
        for folder in sorted(place.glob("PG_*")) if place.is_dir() else []:
            if version_folder.fullmatch(folder.name):
                move(step, folder, folder.with_name(folder.name + suffix))


def _set_wal_aside(step: RunningStep, wal: Path, suffix: str) -> None:
    """A linked pg_wal: its folder is renamed where it lies, and the link of the old cluster follows it. A mount point
    stays where it is: nothing but the old cluster's link refers to it. So does a link that leads nowhere: its disk may
    come back."""
    if not wal.is_symlink():
        return
    place = Path(os.path.realpath(wal))
    if place.name.endswith(suffix):
        return
    aside = place.with_name(place.name + suffix)
    gone = not os.path.lexists(place) and not os.path.lexists(aside)
    if gone or os.path.ismount(place):
        why = "is not there" if gone else "is a mount point"
        kept = "the recovered cluster has its pg_wal in its data directory"
        step.note(text=f"{shown(place)}, where pg_wal was, {why}: {kept}")
        return
    step.fact(wal_place=str(place))  # once the link points elsewhere, nothing else says where it was
    move(step, place, aside)
    relink(step, wal, str(aside))


def undo(step: RunningStep) -> None:
    """All back, exactly."""
    move_back(step)
    for record in step.undo_records:
        if "made" in record and Path(record["made"]).is_dir():
            Path(record["made"]).rmdir()


def discard(step: RunningStep) -> None:
    """Delete what was set aside: only what this step's own records name, and only while no server runs on it."""
    aside = _aside(step)
    doomed: list[tuple[Path, int | None]] = [(target, inode) for _, target, inode in renames(step)]
    if any(record.get("made") == str(aside) for record in step.undo_records):
        doomed.append((aside, None))
    for path, inode in doomed:
        going = path.with_name(f".{path.name}.discarding")
        if path.is_dir() and not path.is_symlink() and (inode is None or path.lstat().st_ino == inode):
            if processes.processes_in(path):
                raise RunFailed(f"a server runs on {path}", remedy="stop it, then discard again")
            (path / "global" / "pg_control").unlink(missing_ok=True)  # from here on it looks like no cluster
            path.rename(going)
            sync_folder(path.parent)
        if going.is_dir():
            step.log(f"deleting {path}")
            _delete(step, going)
    step.fact(set_aside=[])


def _delete(step: RunningStep, folder: Path) -> None:
    """Delete a folder, with safe points in between; links are not followed."""
    for entry in sorted(folder.iterdir()):
        step.safe_point()
        if entry.is_dir() and not entry.is_symlink() and entry.name == "base":
            _delete(step, entry)
        elif entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    folder.rmdir()


def _aside(step: RunningStep) -> Path:
    aside = layout_of(step.plan).set_aside
    if aside is None:
        raise RunFailed("the plan names no place for what is set aside", remedy="plan again")
    return Path(aside)


def _version_folder(data_dir: Path) -> "re.Pattern[str] | None":
    """The name of this cluster's folder in a tablespace, PG_<major version>_<catalog version>
    (TABLESPACE_VERSION_DIRECTORY in catalog.h); by the major version alone where pg_control is unreadable, and None
    where nothing tells: somebody emptied the data directory."""
    try:
        control = read_control_file((data_dir / "global" / "pg_control").read_bytes())
        return re.compile(rf"PG_{control.version}_{control.catalog_version}")
    except (OSError, DamagedCopy):
        try:
            version = (data_dir / "PG_VERSION").read_text("ascii").strip()
        except (OSError, ValueError):
            return None
        return re.compile(rf"PG_{re.escape(version)}_\d+")


def _links(folder: Path) -> list[Path]:
    return sorted(link for link in folder.iterdir() if link.is_symlink()) if folder.is_dir() else []


def _own(path: Path, like: Path) -> None:
    if os.geteuid() == 0:
        status = like.stat()
        os.chown(path, status.st_uid, status.st_gid)
