"""What the files' check misses or finds wrong, and what was moved out has: brought back. At its gate a database may not
have been able to say what it refers to; once it is open it can, and a file that seemed to be nobody's may be
somebody's.

What is sought stands in a temporary file of SQLite's: a million need no memory."""

import errno
import os
import sqlite3
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from itertools import islice

from engine.media.catalogue import key_of, path_of
from engine.media.hashing import hash_files
from engine.media.opening import Opener
from engine.media.putting import BLOCK, Unread, dress, stream, take_attributes
from engine.media.references import Reference
from engine.media.snapshot import entry_of
from engine.media.swapping import Swap
from engine.media.walking import walk
from engine.transfer.durable import sync_file_system

_PAGE = 5000  # files that are hashed at once
_OF_THIS_SIZE = "SELECT EXISTS (SELECT 1 FROM sought WHERE sha256 IS NOT NULL AND (size = ? OR size IS NULL))"

Ours = Callable[[bytes, os.stat_result], bool]


def rescue(
    references: Iterable[Reference],
    missing: Iterable[bytes],
    aside: bytes,
    folder: bytes,
    draft: bytes,
    swap: Swap | None = None,
    *,
    wrong: Iterable[bytes] = (),
    ours: Ours = lambda path, status: False,
) -> int:
    """Copy what is missing in ``folder`` and stands in ``aside`` with the size and content that the database says:
    under its own name, or, where the database knows its hash, under any. What stands in ``aside`` stays. References,
    what is missing and what is ``wrong`` come in a catalogue's order. A wrong one is replaced where it is ``ours``: a
    copy that the run has made. ``draft`` is a name in the folder that no file has: one comes whole or not at all.
    ``swap``: by way of it, which writes down how to take it back, and loses nothing that is replaced. Returns how many.
    Raises OSError where it cannot be written."""
    with closing(sqlite3.connect("")) as connection, Opener(aside) as opener:
        rescuer = _Rescuer(connection, opener, aside, folder, draft, swap, ours)
        rescuer.seek(references, missing)
        rescuer.seek(references, wrong)
        rescued = rescuer.by_name() + rescuer.by_content()
    if rescued:
        with Opener(folder) as there:
            sync_file_system(there.enter(b""))
    return rescued


class _Rescuer:
    def __init__(
        self, connection: sqlite3.Connection, opener: Opener, aside: bytes, folder: bytes, draft: bytes,
        swap: Swap | None, ours: Ours,
    ) -> None:  # fmt: skip
        self.connection, self.opener, self.aside, self.folder, self.swap = connection, opener, aside, folder, swap
        self.ours = ours
        self.draft = (folder if swap is None else swap.building_root) + b"/" + draft
        with suppress(FileNotFoundError):
            os.unlink(self.draft)  # noqa: PTH108  # of one that was killed
        self.buffer = memoryview(bytearray(BLOCK))
        connection.execute("CREATE TABLE sought (key BLOB PRIMARY KEY, size INTEGER, sha256 TEXT) WITHOUT ROWID")
        connection.execute("CREATE INDEX by_content ON sought (sha256)")
        connection.execute("CREATE INDEX by_size ON sought (size)")

    def seek(self, references: Iterable[Reference], missing: Iterable[bytes]) -> None:
        self.connection.executemany("INSERT OR IGNORE INTO sought VALUES (?, ?, ?)", _both(references, missing))

    def by_name(self) -> int:
        rescued, last = 0, b""
        query = "SELECT key, size, sha256 FROM sought WHERE key > ? ORDER BY key LIMIT ?"
        while page := self.connection.execute(query, (last, _PAGE)).fetchall():
            last = page[-1][0]
            with closing(hash_files(self.aside, (path_of(key) for key, _, _ in page))) as answers:
                for (key, size, sha256), answer in zip(page, answers, strict=True):
                    if answer.sha256 is None or size not in (None, answer.size):
                        continue
                    if sha256 in (None, answer.sha256):
                        rescued += self._put(answer.path, key)
        return rescued

    def by_content(self) -> int:
        if not self.connection.execute("SELECT EXISTS (SELECT 1 FROM sought WHERE sha256 IS NOT NULL)").fetchone()[0]:
            return 0
        rescued = 0
        sizes = self._of_sought_sizes()
        while page := list(islice(sizes, _PAGE)):
            with closing(hash_files(self.aside, iter(page))) as answers:
                for answer in answers:
                    query = "SELECT key FROM sought WHERE sha256 = ? AND (size = ? OR size IS NULL)"
                    for (key,) in self.connection.execute(query, (answer.sha256, answer.size)).fetchall():
                        rescued += self._put(answer.path, key)
        return rescued

    def _of_sought_sizes(self) -> Iterator[bytes]:
        for path, entry in walk(self.aside):
            if not entry.is_file(follow_symlinks=False):
                continue
            with suppress(OSError):
                size = entry.stat(follow_symlinks=False).st_size
                if self.connection.execute(_OF_THIS_SIZE, (size,)).fetchone()[0]:
                    yield path

    def _put(self, origin: bytes, key: bytes) -> bool:
        """Whether it could be; then it is sought no more."""
        path = path_of(key)
        if not self._may_come(path):
            return False
        try:
            handle = self.opener.open(origin)
        except OSError as problem:
            if problem.errno in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR):
                return False
            raise
        try:
            status = os.fstat(handle)
            stream(handle, self.draft, status, self.buffer)
            take_attributes(handle, self.draft)
            dress(self.draft, entry_of("f", status, path))
        except Unread:
            os.unlink(self.draft)  # noqa: PTH108
            return False
        except OSError:
            with suppress(OSError):
                os.unlink(self.draft)  # noqa: PTH108
            raise
        finally:
            os.close(handle)
        self._make_folders(path)
        if self.swap is None:
            os.rename(self.draft, self.folder + b"/" + path)  # noqa: PTH104
        else:
            os.rename(self.draft, self.swap.place_for(path))  # noqa: PTH104
            self.swap.bring_in(path)
        self.connection.execute("DELETE FROM sought WHERE key = ?", (key,))
        return True

    def _may_come(self, path: bytes) -> bool:
        """Whether nothing is in the way; a wrong copy of ours is not."""
        with suppress(OSError):
            status = os.lstat(self.folder + b"/" + path)
            if stat.S_ISREG(status.st_mode) and self.ours(path, status):
                return True
        if self.swap is not None:
            return self.swap.may_come(path)
        parts = path.split(b"/")
        for count in range(1, len(parts)):
            place = self.folder + b"/" + b"/".join(parts[:count])
            if not os.path.lexists(place):
                return True
            if os.path.islink(place) or not os.path.isdir(place):  # noqa: PTH112, PTH114
                return False
        return not os.path.lexists(self.folder + b"/" + path)

    def _make_folders(self, path: bytes) -> None:
        """Those above, as they were where it was moved out, else like the one that they are made in."""
        parts = path.split(b"/")[:-1]
        for count in range(1, len(parts) + 1):
            above = b"/".join(parts[:count])
            like = self._like(above)
            if self.swap is not None:
                self.swap.make_folder(above, like)
                continue
            place = self.folder + b"/" + above
            with suppress(FileExistsError):
                os.mkdir(place, 0o700)  # noqa: PTH102
                dress(place, entry_of("d", like, above))

    def _like(self, above: bytes) -> os.stat_result:
        with suppress(OSError):
            status = os.lstat(self.aside + b"/" + above)
            if stat.S_ISDIR(status.st_mode):
                return status
        return os.lstat(os.path.dirname(self.folder + b"/" + above))  # noqa: PTH120


def _both(references: Iterable[Reference], missing: Iterable[bytes]) -> Iterator[tuple[bytes, int | None, str | None]]:
    """The references to what is missing: both come in the same order."""
    rows = iter(references)
    for path in missing:
        key = key_of(path)
        for each in rows:
            if (found := key_of(each.path)) >= key:
                if found == key:
                    yield key, each.size, each.sha256
                break
