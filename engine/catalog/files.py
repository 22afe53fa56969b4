"""Reading single small files of a copy, which nobody vouches for: no links followed, no pipes waited for, no surprises
in size."""

import os
import stat
from pathlib import Path

from engine.records.errors import DamagedCopy
from engine.transfer.opening import read_blocks

SMALL = 1 << 20  # bytes: more than any label, map, history or configuration file has


def read_small(path: Path, limit: int = SMALL) -> bytes:
    """The content of an ordinary file. Raises OSError, and DamagedCopy where it is no file or larger than ``limit``."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise DamagedCopy(f"{path.name} is not an ordinary file")
        if found.st_size > limit:
            raise DamagedCopy(f"{path.name} is larger than such a file can be", cause=f"{found.st_size} bytes")
        return file.read(limit)


def read_unpacked(path: Path, limit: int = SMALL) -> bytes:
    """The first ``limit`` unpacked bytes of a file that may be compressed. Raises OSError and DamagedCopy."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise DamagedCopy(f"{path.name} is not an ordinary file")
        unpacked = b""
        for block in read_blocks(path, file, block=min(limit, SMALL)):
            unpacked += block
            if len(unpacked) >= limit:
                break
    return unpacked[:limit]


def strange_name(name: str) -> bool:
    """Whether a name cannot stand in documents and on screens: not UTF-8, or with control characters."""
    return not name.isprintable()
