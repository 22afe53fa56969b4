"""A finished file gets its name, and nothing that has that name already is replaced."""

import ctypes
import errno
import os
from contextlib import suppress
from pathlib import Path

from engine.transfer.durable import sync_folder

_AT_FDCWD, _NOREPLACE = -100, 1  # renameat2(2)


def give_name(draft: Path, name: Path) -> None:
    """Rename a file within its folder, for good: the folder is put on disk. Raises FileExistsError where the name is
    taken, OSError."""
    try:
        os.link(draft, name, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        _rename(draft, name)
    else:
        with suppress(FileNotFoundError):
            draft.unlink()
    sync_folder(name.parent)


def _rename(draft: Path, name: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        raise OSError(errno.ENOTSUP, "neither hard links nor renameat2(2)", os.fspath(name))
    if libc.renameat2(_AT_FDCWD, os.fsencode(draft), _AT_FDCWD, os.fsencode(name), _NOREPLACE) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), os.fspath(name))
