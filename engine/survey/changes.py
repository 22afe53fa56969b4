"""How many files were changed since a moment."""

import os
import time
from collections.abc import Callable

from engine.transfer.naming import shown

Kept = Callable[[bytes, int, int], bool]
"""Whether a copy has the file of this path in the folder with this size and mtime in nanoseconds."""


def count_changed(
    folder: str, limit: float, seconds: float, kept: Kept = lambda path, size, mtime_ns: False
) -> tuple[int, str | None]:
    """The files whose status changed at ``limit`` (seconds since 1970) or later, and why these may not be all. Of the
    folders the last by name come first: named by date, they hold what is new. What was last written before and is
    ``kept`` does not count: a restore has put it there, linked it, or let go of its other name."""
    count, problem, deadline = 0, None, time.monotonic() + seconds
    ahead = [folder]
    while ahead:
        place, deeper = ahead.pop(), []
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    if time.monotonic() > deadline:
                        return count, f"they could not all be counted within {seconds:g} seconds"
                    if entry.is_dir(follow_symlinks=False):
                        deeper.append(entry.path)
                    elif _changed(entry, limit) and not _is_kept(entry, folder, limit, kept):
                        count += 1
        except FileNotFoundError:
            if place == folder:
                problem = f"{shown(place)} is not there"
        except OSError as error:
            problem = f"{shown(place)} cannot be read ({error.strerror})"
        ahead += sorted(deeper)
    return count, problem


def _changed(entry: os.DirEntry[str], limit: float) -> bool:
    try:
        return entry.stat(follow_symlinks=False).st_ctime >= limit
    except FileNotFoundError:  # gone since it was listed
        return False


def _is_kept(entry: os.DirEntry[str], folder: str, limit: float, kept: Kept) -> bool:
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return True
    if status.st_mtime >= limit:
        return False
    return kept(os.fsencode(os.path.relpath(entry.path, folder)), status.st_size, status.st_mtime_ns)
