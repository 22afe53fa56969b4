"""One file's content copied and hashed, and given its attributes.

Nothing of ours is imported here but what imports nothing: the processes that do this for many (`file_worker`) start at
once.
"""

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.media.catalogue import Entry

BLOCK = 1 << 20  # bytes that are read at once
LARGEST = (1 << 63) - 1  # what SQLite takes
_HOLE = 64 << 10  # bytes; zeros of this length become a hole, where the file has any
_ZEROS = bytes(_HOLE)


def storable(nanoseconds: int) -> int:
    """A time as SQLite can keep it: up to the year 2262, and one beyond that as its end."""
    return nanoseconds if -LARGEST <= nanoseconds <= LARGEST else LARGEST if nanoseconds > 0 else -LARGEST


class Unread(OSError):
    """The source could not be read."""


def stream(handle: int, place: bytes, status: os.stat_result, buffer: memoryview) -> tuple[str, int]:
    """Copy the content of an open file to ``place``, hashed on its way (SHA-256, in hexadecimal, and the size); holes
    stay holes. Raises Unread, OSError where it cannot be written."""
    target = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        return pour(handle, target, status, buffer, lambda read: None)
    finally:
        os.close(target)


def pour(
    handle: int, target: int, status: os.stat_result, buffer: memoryview, say: Callable[[int], None]
) -> tuple[str, int]:
    """As ``stream``, into an open and empty file. ``say`` hears bytes read, after each block of a large file."""
    digest, size = hashlib.sha256(), 0
    sparse = status.st_blocks * 512 < status.st_size
    buffer = buffer[:_HOLE] if sparse else buffer
    while True:
        try:
            count = os.readv(handle, [buffer])
        except OSError as problem:
            raise Unread(problem.errno, problem.strerror) from None
        if not count:
            break
        piece = buffer[:count]
        digest.update(piece)
        size += count
        if sparse and piece == _ZEROS[:count]:
            os.lseek(target, count, os.SEEK_CUR)
        else:
            while piece:
                piece = piece[os.write(target, piece) :]
        if count == len(buffer):
            say(count)
        elif size == status.st_size:
            break  # its end: one read is spared; what comes behind shows in a later status
    if sparse:
        os.ftruncate(target, size)
    return digest.hexdigest(), size


def take_attributes(handle: int, place: bytes | int) -> None:
    """Extended attributes, access lists among them, where both file systems have them."""
    with suppress(OSError):
        for name in os.listxattr(handle):
            os.setxattr(place, name, os.getxattr(handle, name), follow_symlinks=isinstance(place, int))


def dress(place: bytes, entry: "Entry") -> None:
    """Owner (where we may), mode and time of an entry, as the entry says."""
    if os.geteuid() == 0:
        os.chown(place, entry.uid, entry.gid, follow_symlinks=False)
    if entry.kind != "l":
        os.chmod(place, entry.mode)  # noqa: PTH101
    os.utime(place, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=False)
