"""Small files written beside a copy, also by root in a folder that another user owns.

Whoever owns a folder can put a link under a name that they know beforehand, and root would write through it. So no link
is followed: neither the folder's own name nor the file's.
"""

import os
from pathlib import Path


def write_new(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a file that must not be there yet, and fsync it. Raises OSError, then nothing is left of it;
    FileExistsError where something has its name, a link among them."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        handle = os.open(
            path.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=folder
        )
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(handle)
        except BaseException:
            os.unlink(path.name, dir_fd=folder)  # ours, and not whole: nothing had this name before
            raise
    finally:
        os.close(folder)
