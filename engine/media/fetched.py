"""Files on their way out of a repository that another program reads: the list of those that are wanted, and each of
them put under its own path."""

import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from engine.records.errors import DamagedCopy
from engine.transfer.naming import shown

_BLOCK = 1 << 16
_TOLD_EVERY = 0.2  # seconds
_STAGING = b".staging"


def wanted_paths(list_: Path) -> Iterator[bytes]:
    """The paths in a file in which each ends with a zero byte. Raises DamagedCopy for one that leads elsewhere."""
    pending = b""
    with list_.open("rb") as file:
        while data := file.read(_BLOCK):
            *whole, pending = (pending + data).split(b"\0")
            for path in whole:
                yield checked(path)
    if pending:
        raise DamagedCopy(f"the list {list_} is cut off")


def checked(path: bytes) -> bytes:
    """A path below a root. Raises DamagedCopy for one that leads elsewhere."""
    if not path or path.startswith(b"/") or any(part in (b"", b".", b"..") for part in path.split(b"/")):
        raise DamagedCopy(f"a path that leads elsewhere: {shown(os.fsdecode(path))}")
    return path


class Wanted:
    """A set of paths on disk: a million need no memory."""

    def __init__(self, list_: Path) -> None:
        self._known = sqlite3.connect("")  # a temporary file of SQLite's own
        self._known.execute("CREATE TABLE wanted (path BLOB PRIMARY KEY) WITHOUT ROWID")
        self._known.executemany("INSERT OR IGNORE INTO wanted VALUES (?)", ((path,) for path in wanted_paths(list_)))
        self.count = self._known.execute("SELECT count(*) FROM wanted").fetchone()[0]

    def take(self, path: bytes) -> bool:
        """Whether it was wanted; from now on it is not."""
        return self._known.execute("DELETE FROM wanted WHERE path = ?", (path,)).rowcount > 0

    def __iter__(self) -> Iterator[bytes]:
        for (path,) in self._known.execute("SELECT path FROM wanted ORDER BY path"):
            yield path

    def close(self) -> None:
        self._known.close()


class Tally:
    """Files and bytes that are done, told a few times a second; what was told never goes back."""

    def __init__(self, say: Callable[[int, int], None]) -> None:
        self.files = self.bytes = 0
        self._told = (0, 0)
        self._told_at = 0.0
        self._say = say

    def add(self, size: int) -> None:
        self.files, self.bytes = self.files + 1, self.bytes + size
        self.on_the_way(0, 0)

    def on_the_way(self, files: int, bytes: int) -> None:
        """So many more are under way."""
        self._told = max(self._told[0], self.files + files), max(self._told[1], self.bytes + bytes)
        if time.monotonic() - self._told_at > _TOLD_EVERY:
            self._told_at = time.monotonic()
            self._say(*self._told)

    def end(self) -> None:
        self._say(self.files, self.bytes)


def make_way(into: bytes, path: bytes) -> bytes:
    """The folders above a path, which nobody but us writes into; the file's own place."""
    place = into + b"/" + path
    os.makedirs(os.path.dirname(place), mode=0o700, exist_ok=True)  # noqa: PTH103, PTH120
    return place


def staging_of(into: bytes) -> bytes:
    """Where a program puts files on their way into a folder: beside it, as in it every name may be a file's."""
    return into + _STAGING


def settle(staged: bytes, into: bytes, full: bytes, path: bytes) -> int | None:
    """Move a fetched file from where its program put it (``full``, below ``staged``) under its own path; its size, None
    where there is none."""
    source = staged + b"/" + full
    try:
        status = os.lstat(source)
        if not stat.S_ISREG(status.st_mode):
            return None
        os.rename(source, make_way(into, path))  # noqa: PTH104
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_size


def opened_up(folder: bytes) -> None:
    """Let us write into every folder below: the programs give them the modes that they had."""
    if os.geteuid() == 0:
        return
    for above, folders, _ in os.walk(folder):
        for name in folders:  # before they are walked into
            inner = above + b"/" + name
            if not os.path.islink(inner):  # noqa: PTH114
                os.chmod(inner, 0o700)  # noqa: PTH101


def measured(folder: bytes) -> tuple[int, int]:
    """Files below a folder, and the bytes that they occupy: how far a program is that does not say it."""
    files = bytes_ = 0
    for above, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                status = os.lstat(above + b"/" + name)
                files, bytes_ = files + 1, bytes_ + min(status.st_blocks * 512, status.st_size)
    return files, bytes_
