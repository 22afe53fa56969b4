"""What the files' check misses, and what was moved out has: brought back. At its gate a database may not have been
able to say what it refers to; once it is open it can, and a file that seemed to be nobody's may be somebody's."""

import errno
import os
from collections.abc import Iterable
from contextlib import closing, suppress

from engine.media.hashing import hash_files
from engine.media.opening import Opener
from engine.media.putting import BLOCK, Unread, dress, stream, take_attributes
from engine.media.references import Reference, References
from engine.media.snapshot import entry_of


def rescue(references: References, missing: Iterable[bytes], aside: bytes, folder: bytes) -> int:
    """Copy what is missing in ``folder`` and stands in ``aside`` with the size and content that the database says. What
    stands in ``aside`` stays. Returns how many. Raises OSError where it cannot be written."""
    wanted = {each.path: each for each in _of(references, missing)}
    rescued = 0
    buffer = memoryview(bytearray(BLOCK))
    with Opener(aside) as opener, closing(hash_files(aside, iter(wanted))) as answers:
        for answer in answers:
            asked = wanted[answer.path]
            if answer.sha256 is None or asked.size not in (None, answer.size):
                continue
            if asked.sha256 in (None, answer.sha256) and _put(opener, answer.path, aside, folder, buffer):
                rescued += 1
    return rescued


def _of(references: References, missing: Iterable[bytes]) -> Iterable[Reference]:
    sought = set(missing)
    return (each for each in references if each.path in sought)


def _put(opener: Opener, path: bytes, aside: bytes, folder: bytes, buffer: memoryview) -> bool:
    parts = path.split(b"/")[:-1]
    for count in range(1, len(parts) + 1):
        above = b"/".join(parts[:count])
        place = folder + b"/" + above
        with suppress(FileExistsError):
            os.mkdir(place, 0o700)  # noqa: PTH102
            dress(place, entry_of("d", os.lstat(aside + b"/" + above), above))
        if os.path.islink(place):  # noqa: PTH114
            return False
    place = folder + b"/" + path
    if os.path.lexists(place):
        return False
    try:
        handle = opener.open(path)
    except OSError as problem:
        if problem.errno in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR):
            return False
        raise
    try:
        status = os.fstat(handle)
        stream(handle, place, status, buffer)
        take_attributes(handle, place)
        dress(place, entry_of("f", status, path))
    except Unread:
        os.unlink(place)  # noqa: PTH108
        return False
    finally:
        os.close(handle)
    return True
