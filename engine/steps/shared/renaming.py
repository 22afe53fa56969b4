"""Renames that are written down before they happen: the only way in which a restore in place moves anything.

Each is recorded as ``rename: [from, to]`` with the inode that moves, so that a second attempt, an undo or a discard
knows its own work from anybody else's. A mount point cannot be renamed: its contents move (``contents: [from, to]``).
"""

import errno
import os
from collections.abc import Collection, Iterator
from pathlib import Path

from engine.records.errors import RunFailed
from engine.steps.protocol import RunningStep
from engine.transfer.durable import sync_folder

NEVER_MOVED = frozenset({"lost+found"})


def move(step: RunningStep, source: Path, target: Path) -> None:
    """Rename ``source`` to ``target``, which must not exist; done before, it is done. Raises RunFailed."""
    if not os.path.lexists(source) and _ours(step, source, target):
        return
    if not os.path.lexists(source):
        raise RunFailed(f"{source} is not there any more", remedy="see where it went, then resume or roll back")
    if os.path.lexists(target):
        raise RunFailed(f"{target} is in the way", remedy="move it elsewhere, then resume the run")
    step.before(rename=[str(source), str(target)], inode=source.lstat().st_ino)
    _rename(source, target)
    step.log(f"renamed {source} to {target}")


def _ours(step: RunningStep, source: Path, target: Path) -> bool:
    return (source, target) in ((from_, to) for from_, to, _ in renames(step)) and os.path.lexists(target)


def move_contents(step: RunningStep, source: Path, target: Path, keep: Collection[str] = ()) -> None:
    """Move all that lies in one folder into another, ``keep`` (by name) excepted. Raises RunFailed."""
    record = [str(source), str(target)]
    if record not in [told.get("contents") for told in step.undo_records]:
        step.before(contents=record)
    _contents(source, target, keep)
    step.log(f"moved the contents of {source} to {target}")


def _contents(source: Path, target: Path, keep: Collection[str]) -> None:
    for entry in sorted(source.iterdir()):
        if entry.name in NEVER_MOVED or entry.name in keep:
            continue
        if os.path.lexists(target / entry.name):
            raise RunFailed(f"{target / entry.name} is in the way", remedy="move it elsewhere, then try again")
        _rename(entry, target / entry.name)


def move_back(step: RunningStep, keep: Collection[str] = ()) -> None:
    """Undo this step's moves, last first; what never moved, or is back already, stays. Raises RunFailed."""
    for record in reversed(step.undo_records):
        if "contents" in record:
            source, target = map(Path, record["contents"])
            if target.is_dir():
                source.mkdir(mode=0o700, exist_ok=True)
                _contents(target, source, keep)
        elif "rename" in record:
            source, target = map(Path, record["rename"])
            if not os.path.lexists(target) or target.lstat().st_ino != record["inode"]:
                continue
            if os.path.lexists(source):
                raise RunFailed(
                    f"{source} is in the way of what was set aside as {target}",
                    remedy="move it elsewhere, then roll back again",
                )
            source.parent.mkdir(mode=0o700, exist_ok=True)
            _rename(target, source)
            step.log(f"renamed {target} back to {source}")
        elif "link" in record:
            point_link(Path(record["link"]), record["was"])


def renames(step: RunningStep) -> Iterator[tuple[Path, Path, int]]:
    """This step's recorded renames: from, to, inode."""
    for record in step.undo_records:
        if "rename" in record:
            yield Path(record["rename"][0]), Path(record["rename"][1]), record["inode"]


def relink(step: RunningStep, link: Path, target: str) -> None:
    """Let a symbolic link point elsewhere."""
    was = str(link.readlink())
    if was != target:
        step.before(link=str(link), was=was)
        point_link(link, target)
        step.log(f"{link} points to {target}")


def point_link(link: Path, target: str) -> None:
    """Make or change a symbolic link in one instant, owned as its folder is. Nothing where its folder is gone."""
    if not link.parent.is_dir():
        return
    building = link.with_name(link.name + ".reprise-new")
    building.unlink(missing_ok=True)
    building.symlink_to(target)
    if os.geteuid() == 0:
        folder = link.parent.stat()
        os.lchown(building, folder.st_uid, folder.st_gid)
    building.replace(link)
    sync_folder(link.parent)


def _rename(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except OSError as error:
        causes = {
            errno.EXDEV: "they are not on the same file system",
            errno.EBUSY: f"{source} is a mount point",
        }
        raise RunFailed(
            f"{source} cannot be renamed to {target}", cause=causes.get(error.errno or 0, error.strerror)
        ) from error
    sync_folder(source.parent)
    if target.parent != source.parent:
        sync_folder(target.parent)
