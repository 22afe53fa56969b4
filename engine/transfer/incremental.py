"""What an incremental backup's files become once they are combined (src/bin/pg_combinebackup/reconstruct.c)."""

import os
import struct
from pathlib import Path

from engine.records.errors import DamagedCopy
from engine.transfer.naming import shown

_MAGIC = 0xD3AE1F0D  # INCREMENTAL_MAGIC, src/include/backup/basebackup_incremental.h
_PREFIX = "INCREMENTAL."
_BLOCK = 8192  # bytes


def combined_size(folder: Path) -> int:
    """The bytes that a data directory or tablespace of an incremental backup has when it is combined with its
    parents. Raises OSError; DamagedCopy for a file that is not what its name says."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            total += _reconstructed_size(path) if name.startswith(_PREFIX) else path.lstat().st_size
    return total


def _reconstructed_size(path: Path) -> int:
    """As find_reconstructed_block_length has it: the truncation length, or what the highest block needs."""
    with path.open("rb") as file:
        head = file.read(12)
        if len(head) == 12:
            magic, count, length = struct.unpack("=III", head)
            blocks = file.read(4 * count) if count <= 1 << 17 else b""
            if magic == _MAGIC and len(blocks) == 4 * count:
                highest = max(struct.unpack(f"={count}I", blocks), default=-1)
                return int(max(length, highest + 1)) * _BLOCK
    raise DamagedCopy(f"{shown(path)} is not a file of an incremental backup")


def size_on_disk(folder: Path) -> int:
    """The bytes of all files in a folder that another process may be writing."""
    total = 0
    ahead = [os.fspath(folder)]
    while ahead:
        try:
            with os.scandir(ahead.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        ahead.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except FileNotFoundError:
            continue
    return total
