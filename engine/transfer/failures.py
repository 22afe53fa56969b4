"""What the operating system refuses, as an operator should hear it: the source's failures and the copy's apart."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.records.errors import RepriseError, RunFailed, Unreachable
from engine.transfer.naming import shown

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def reading(path: Path | str) -> Iterator[None]:
    """Raises Unreachable for what goes wrong while the backup is read."""
    try:
        yield
    except OSError as problem:
        raise unreadable(path, problem) from None


@contextmanager
def writing(path: Path | str) -> Iterator[None]:
    """Raises RunFailed for what goes wrong while the copy is written."""
    try:
        yield
    except OSError as problem:
        raise unwritable(path, problem) from None


def unreadable(path: Path | str, problem: OSError) -> Unreachable:
    return Unreachable(
        f"the backup cannot be read at {shown(path)}",
        cause=problem.strerror,
        remedy="bring the repository back (mount it, mend its access rights), then: reprise resume",
    )


def unwritable(path: Path | str, problem: OSError) -> RepriseError:
    if problem.errno in _FULL:
        return RunFailed(
            f"no room is left for the copy: {shown(path)} could not be written",
            cause=f"{problem.strerror} on the file system of {mount_point(path)}",
            remedy="make room there, then: reprise resume; or give the copy up with: reprise rollback",
        )
    return RunFailed(
        f"the copy cannot be written at {shown(path)}",
        cause=problem.strerror,
        remedy="mend that, then: reprise resume; or give the copy up with: reprise rollback",
    )


def mount_point(path: Path | str) -> str:
    """Where the file system of a path, or of its nearest folder that exists, is mounted."""
    place = Path(os.path.realpath(path))
    while not os.path.ismount(place):
        place = place.parent
    return shown(place)
