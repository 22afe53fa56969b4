"""What a live folder has that changed after a moment: what a plan says may be moved out of it."""

import os
import time
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from engine.media.choosing import nanoseconds
from engine.media.walking import walk


class Younger(Struct, frozen=True):
    """Files and their bytes, an upper bound: no snapshot was asked yet. Not ``whole``: counting took too long."""

    files: int
    bytes: int
    whole: bool


def count_younger(
    live: Path, moment: datetime, *, below: str | None, skip: frozenset[bytes], seconds: float
) -> Younger:
    """By their mtimes; ``below`` is all that counts, ``skip`` are names directly in ``live`` that are none of its
    files. Raises OSError."""
    top, after, until = os.fsencode(below or ""), nanoseconds(moment), time.monotonic() + seconds
    files = size = 0
    for path, entry in walk(os.fsencode(live)):
        if time.monotonic() > until:
            return Younger(files, size, whole=False)
        if path.split(b"/", 1)[0] in skip or (top and path != top and not path.startswith(top + b"/")):
            continue
        if entry.is_dir(follow_symlinks=False):
            continue
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        if status.st_mtime_ns > after:
            files, size = files + 1, size + status.st_size
    return Younger(files, size, whole=True)
