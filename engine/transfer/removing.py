"""Folders of a run taken away again: first out of sight by a rename, then deleted, so that nothing half can start."""

import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path

from engine.records.errors import RunFailed
from engine.transfer.durable import fsync_path
from engine.transfer.failures import writing
from engine.transfer.naming import shown

_DOOMED = ".reprise-deleted"


def remove_tree(folder: Path) -> None:
    """Delete a folder and all in it, or the one file that has its name; links are removed, not followed. Goes on where
    it was interrupted; does nothing where there is nothing. Raises RunFailed."""
    doomed = folder.with_name(folder.name + _DOOMED)
    with writing(folder):
        _delete(doomed)
        if folder.is_dir() and not folder.is_symlink():
            folder.rename(doomed)
            fsync_path(folder.parent)
            _delete(doomed)
        else:
            folder.unlink(missing_ok=True)
        if folder.parent.exists():
            fsync_path(folder.parent)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


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
    """A folder (0700) of this owner, which may be there already; its parent must be. Raises RunFailed.

    Links are not followed. Where everybody may make folders (/tmp), one that is neither ours nor this owner's is
    refused: whoever made it can have known its name beforehand.
    """
    with writing(folder):
        with suppress(FileExistsError):
            folder.mkdir(0o700)
        if folder.is_symlink() or not folder.is_dir():
            raise RunFailed(f"{shown(folder)} is not a folder", remedy="remove it, then: reprise resume")
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            found = os.fstat(handle).st_uid
            if found not in (os.geteuid(), owner and owner[0]) and folder.parent.stat().st_mode & stat.S_IWOTH:
                raise RunFailed(
                    f"{shown(folder)} belongs to somebody else",
                    cause=f"its owner is uid {found}, and everybody may make folders in {shown(folder.parent)}",
                    remedy="see whose it is and remove it, then: reprise resume",
                )
            if owner is not None:
                os.fchown(handle, *owner)
            os.fchmod(handle, 0o700)
        finally:
            os.close(handle)
        fsync_path(folder.parent)
