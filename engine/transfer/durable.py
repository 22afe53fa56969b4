"""When what was written is on disk.

One syncfs(2) for each file system at the end, instead of an fsync of each file: every fsync of a new file makes the
file system commit its journal, thousands of times, while syncfs does it once; measured here it is what decides the
time of a copy with many files. So that little is left to do then, `start_write_back` sends the bytes on their way while
the copy goes on. Since Linux 5.8 syncfs reports write errors that happened after the descriptor was opened; before
that it does not, and every file is fsynced as well.
"""

import ctypes
import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

_SYNC_FILE_RANGE_WRITE = 2


@cache
def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def sync_file_system(folder: int) -> None:
    """Wait until everything of the file system that an open folder lies on is on disk. Raises OSError."""
    if _libc().syncfs(folder) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def start_write_back(file: int, offset: int, length: int) -> None:
    """Start writing a range of a file to disk without waiting for it; only a hint, so never an error."""
    _libc().sync_file_range(file, ctypes.c_int64(offset), ctypes.c_int64(length), _SYNC_FILE_RANGE_WRITE)


@cache
def sync_reports_errors() -> bool:
    """Whether this kernel's syncfs tells of failed writes."""
    with suppress(ValueError):
        major, minor = (int(part) for part in os.uname().release.split(".")[:2])
        return (major, minor) >= (5, 8)
    return False


def fsync_path(path: Path | str) -> None:
    """fsync a file or a folder by name. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder last; other than `fsync_path` it follows a link to it. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def put_file(path: Path, data: bytes) -> None:
    """Write a small file (0600) in a folder of our own, in place of what has its name: on return it is on disk, else
    what was there stands as it was. Raises OSError."""
    handle, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(handle)
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def remove_drafts(path: Path) -> None:
    """Of a file that only we write: what a `put_file` has left that was killed. Raises OSError."""
    for draft in path.parent.glob(f".{path.name}.*"):
        draft.unlink(missing_ok=True)


class FileSystems:
    """The file systems of some folders, to be synced together. Open it before the first byte is written."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._open: dict[int, int] = {}  # device: descriptor
        for folder in folders:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            if self._open.setdefault(os.fstat(descriptor).st_dev, descriptor) != descriptor:
                os.close(descriptor)

    def sync(self) -> None:
        for descriptor in self._open.values():
            sync_file_system(descriptor)
