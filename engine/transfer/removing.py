"""Folders of a run taken away again: first out of sight by a rename, then deleted, so that nothing half can start."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from engine.transfer.durable import fsync_path
from engine.transfer.failures import writing

_DOOMED = ".reprise-deleted"


def remove_tree(folder: Path) -> None:
    """Delete a folder and all in it; links are removed, not followed. Goes on where it was interrupted; does nothing
    where there is nothing. Raises RunFailed."""
    doomed = folder.with_name(folder.name + _DOOMED)
    with writing(folder):
        if doomed.is_symlink() or doomed.exists():
            shutil.rmtree(doomed)
        if folder.is_symlink():
            folder.unlink()
        elif folder.exists():
            folder.rename(doomed)
            fsync_path(folder.parent)
            shutil.rmtree(doomed)
        if folder.parent.exists():
            fsync_path(folder.parent)


def empty_tree(folder: Path) -> None:
    """Delete all that is in a folder, which itself stays. Raises RunFailed."""
    with writing(folder):
        if not folder.exists():
            return
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)  # noqa: PTH108
        fsync_path(folder)


def missing_parents(path: Path) -> list[Path]:
    """The folders above ``path`` that are not there, outermost first."""
    return [parent for parent in reversed(path.parents) if not parent.exists()]


def remove_if_empty(folder: Path) -> None:
    """Remove a folder that nobody uses; does nothing where somebody does."""
    with suppress(OSError):
        folder.rmdir()
        fsync_path(folder.parent)


def make_folder(folder: Path, owner: tuple[int, int] | None) -> None:
    """A folder (0700) of this owner, which may be there already; its parent must be. Raises RunFailed."""
    with writing(folder):
        folder.mkdir(0o700, exist_ok=True)
        folder.chmod(0o700)
        if owner is not None:
            os.chown(folder, *owner, follow_symlinks=False)
        fsync_path(folder.parent)
