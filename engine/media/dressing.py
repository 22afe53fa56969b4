"""What stands in the live folder rightly, but with another owner or mode than its snapshot says: given these, and back.
What they were is written down before. A file that has other names, as one that a folder which was set aside shares, is
copied for it: there it keeps what it has.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from engine.media.catalogue import path_of
from engine.media.choices import Choices
from engine.media.opening import Opener
from engine.media.putting import BLOCK, Unread, stream, take_attributes
from engine.media.swapping import Swap

# What is told of files, after "files that".
UNDRESSED = "could not be given the owner or mode that their snapshot says"
_PAGE = 1000
_CLEARED = stat.S_ISUID | stat.S_ISGID  # by chown(2)

_CREATE = """
CREATE TABLE IF NOT EXISTS undress (
    key BLOB PRIMARY KEY, inode INTEGER, mode INTEGER, uid INTEGER, gid INTEGER,
    was_mode INTEGER, was_uid INTEGER, was_gid INTEGER
) WITHOUT ROWID
"""
TO_DRESS = "dressed JOIN live USING (key) JOIN wanted USING (key) WHERE verdict IN ('right', 'orphan')"


class _Dress(NamedTuple):
    """One file or folder: what it gets, and what it had."""

    key: bytes
    inode: int
    mode: int
    uid: int
    gid: int
    was_mode: int
    was_uid: int
    was_gid: int


def dress_live(choices: Choices, swap: Swap) -> None:
    """Inner ones first: a folder's mode may close it. Done before, it is done."""
    choices.ask(_CREATE)
    buffer = memoryview(bytearray(BLOCK))
    query = f"SELECT key, wanted.mode, wanted.uid, wanted.gid FROM {TO_DRESS} AND key < ? ORDER BY key DESC LIMIT ?"
    last = b"\xff" * 5  # behind every path that there can be
    while page := list(choices.ask(query, last, _PAGE)):
        last = page[-1][0]
        asked = [one for row in page if (one := _look(choices, swap, buffer, *row)) is not None]
        choices.change("INSERT OR IGNORE INTO undress VALUES (?, ?, ?, ?, ?, ?, ?, ?)", asked)
        choices.commit()
        for each in asked:
            if not _change(swap.live, each, each[2:5]):
                choices.find(UNDRESSED, path_of(each.key))


def undress_live(choices: Choices, live: Opener) -> None:
    """All back, but what somebody else has changed since."""
    choices.ask(_CREATE)
    last = b""
    query = "SELECT * FROM undress WHERE key > ? ORDER BY key LIMIT ?"
    while page := [_Dress._make(row) for row in choices.ask(query, last, _PAGE)]:
        last = page[-1].key
        for each in page:
            _change(live, each, each[5:], back=True)


def _look(choices: Choices, swap: Swap, buffer: memoryview, key: bytes, mode: int, uid: int, gid: int) -> _Dress | None:
    """What is to be done with it there; None: nothing any more. Raises OSError where a copy cannot be written."""
    path = path_of(key)
    for handle in _opened(swap.live, path):
        status = os.fstat(handle)
        if os.geteuid() != 0:
            uid, gid = status.st_uid, status.st_gid
        was = stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid
        if was == (mode, uid, gid):
            return None
        if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
            if not _copied(swap, handle, status, path, (mode, uid, gid), buffer):
                choices.find(UNDRESSED, path)
            return None
        return _Dress(key, status.st_ino, mode, uid, gid, *was)
    choices.find(UNDRESSED, path)
    return None


def _copied(
    swap: Swap, handle: int, status: os.stat_result, path: bytes, dress: tuple[int, int, int], buffer: memoryview
) -> bool:
    place = swap.place_for(path)
    try:
        stream(handle, place, status, buffer)
    except Unread:
        os.unlink(place)  # noqa: PTH108
        return False
    take_attributes(handle, place)
    with os.fdopen(os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)) as copy:
        _give(copy.fileno(), *dress)
    os.utime(place, ns=(status.st_mtime_ns, status.st_mtime_ns))
    swap.bring_in(path)
    return True


def _is_ours(one: _Dress, mode: int, uid: int, gid: int) -> bool:
    """Whether it stands there as it was, as it was given, or between the two: a kill may have fallen between the change
    of the owner, which may clear bits of the mode, and that of the mode."""
    modes = {one.mode, one.mode & ~_CLEARED, one.was_mode, one.was_mode & ~_CLEARED}
    return (uid, gid) in ((one.uid, one.gid), (one.was_uid, one.was_gid)) and mode in modes


def _change(live: Opener, one: _Dress, to: tuple[int, ...], *, back: bool = False) -> bool:
    for handle in _opened(live, path_of(one.key)):
        status = os.fstat(handle)
        present = stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid
        if status.st_ino != one.inode or (back and not _is_ours(one, *present)):
            return True  # another's
        mode, uid, gid = to
        with suppress(OSError):
            _give(handle, mode, uid, gid)
            return True
    return False


def _give(handle: int, mode: int, uid: int, gid: int) -> None:
    if os.geteuid() == 0:
        os.fchown(handle, uid, gid)  # it may take bits of the mode
    os.fchmod(handle, mode)


def _opened(live: Opener, path: bytes) -> Iterator[int]:
    """A handle, where it can be had."""
    try:
        handle = live.open(path)
    except OSError:
        return
    try:
        yield handle
    finally:
        os.close(handle)
