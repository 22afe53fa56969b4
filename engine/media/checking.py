"""The users' files held against what the database refers to: each is there, has its size and its content.

References and folder come in the same order, so that the whole is a merge of two streams: what only the one has is
missing, what only the other has is an orphan. What is to be read goes to the hashing processes; nothing but findings
and hashes is kept, in an SQLite file, and a check that was stopped goes on there. Nothing is changed in the folder.

The caller sees to it that a folder which hangs does not hold it (a child process, or a thread that it can leave).
"""

import os
import sqlite3
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from datetime import UTC, datetime
from errno import ENOENT, ESTALE
from pathlib import Path

from msgspec.structs import replace

from engine.media.catalogue import key_of
from engine.media.check_book import Book, read_findings
from engine.media.hashing import Hashed, hash_files
from engine.media.references import Reference, References
from engine.media.walking import walk
from engine.records.checking import FileCheck, FileFinding
from engine.records.errors import RepriseError, Unreachable
from engine.transfer.naming import shown

__all__ = ["check_again", "check_files", "read_findings"]

_ALIVE_EVERY = 256  # entries of the folder between two signs of life

Progress = Callable[[int, int, int], None]
"""Hears files done, all files, and bytes read; every call is a sign of life."""


def check_files(
    root: Path,
    references: References,
    book: Path,
    *,
    asked_at: datetime | None = None,
    only: bytes | None = None,
    progress: Progress = lambda files, total, bytes: None,
) -> FileCheck:
    """Check every file that ``references`` names below ``root``; ``only``: this path alone, and what lies below it.
    ``book`` is where findings and hashes are kept; where
    it holds a check of the same folder that was stopped within the last day, that one goes on. ``asked_at``: when the
    database was asked, where it is in use: what came since is no orphan.

    Raises Unreachable where the folder cannot be read, RepriseError where the book cannot be written.
    """
    try:
        with closing(Book(book, root)) as memory:
            return _Checker(root, references, memory, asked_at, only, progress).check()
    except sqlite3.Error as problem:
        raise RepriseError(f"{shown(book)} cannot be written", cause=str(problem)) from None


def check_again(
    checked: FileCheck,
    references: References,
    book: Path,
    *,
    progress: Progress = lambda files, total, bytes: None,
) -> FileCheck:
    """What a check found missing or wrong, once more, against what the database refers to by now: where it is in use, a
    row may have gone since it was asked, and its file with it. Raises as ``check_files``."""
    paths = {each.path for kind in ("missing", "wrong") for each in read_findings(checked.book, kind)}
    again = check_files(Path(checked.root), _Those(references, paths), book, progress=progress)
    return replace(checked, book=again.book, missing=again.missing, wrong=again.wrong)


class _Those(References):
    """Some of them."""

    def __init__(self, references: References, paths: Collection[bytes]) -> None:
        super().__init__(references.path)
        self._paths = paths

    def __iter__(self) -> Iterator[Reference]:
        return (each for each in super().__iter__() if each.path in self._paths)

    def count(self) -> int:
        return len(self._paths)


class _Checker:
    def __init__(
        self, root: Path, references: References, book: Book, asked_at: datetime | None, only: bytes | None,
        progress: Progress,
    ) -> None:  # fmt: skip
        self.root, self.references, self.book, self.progress = os.fsencode(root), references, book, progress
        self.only = only
        self.since = asked_at.timestamp() if asked_at is not None else None
        self.total = references.count()
        self.asked: deque[Reference] = deque()  # given to be hashed, in this order
        self.started_at = datetime.now(UTC)
        self.checked = self.bytes = self.trusted = self.entries = 0
        self.link = b""  # the last link that was passed, with a slash

    def check(self) -> FileCheck:
        self._see_root()
        # closed in any case: workers end with it
        with closing(hash_files(self.root, self._to_hash(), progress=self._read)) as answers:
            for answer in answers:
                self._hear(self.asked.popleft(), answer)
                self._tell()
        self.book.finish()
        counts = self.book.counts
        return FileCheck(
            root=os.fsdecode(self.root),
            book=str(self.book.path),
            started_at=self.started_at,
            finished_at=datetime.now(UTC),
            checked=self.checked,
            bytes=self.bytes,
            missing=counts["missing"],
            wrong=counts["wrong"],
            orphans=counts["orphan"],
            orphan_bytes=self.book.orphan_bytes,
            problems=tuple(self.references.problems),
            resumed_from=self.book.resumed_from,
            trusted=self.trusted,
            names_rows=self.references.names_rows,
        )

    def _see_root(self) -> None:
        try:
            with os.scandir(self.root):
                pass
        except OSError as problem:
            raise _unreadable(self.root, problem) from None
        self._tell()

    def _read(self, count: int) -> None:
        self.bytes += count
        self._tell()

    def _tell(self) -> None:
        self.progress(self.checked, self.total, self.bytes)

    def _to_hash(self) -> Iterator[bytes]:
        """The merge: paths that must be read; all others are decided here."""
        there = self._walk()
        entry = next(there, None)
        for reference in self.references:
            if not self._asked(reference.path):
                continue
            key = key_of(reference.path)
            while entry is not None and key_of(entry[0]) < key:
                self._unasked(*entry)
                entry = next(there, None)
            if entry is None or entry[0] != reference.path:
                self._absent(reference)
                continue
            if self._must_read(reference, entry[1]):
                self.asked.append(reference)
                yield reference.path
            self._pass_link(*entry)
            entry = next(there, None)
        while entry is not None:
            self._unasked(*entry)
            entry = next(there, None)

    def _walk(self) -> Iterator[tuple[bytes, os.DirEntry[bytes]]]:
        try:
            for found in walk(self.root):
                self.entries += 1
                if not self.entries % _ALIVE_EVERY:
                    self._tell()
                yield found
        except OSError as problem:
            raise _unreadable(problem.filename or self.root, problem) from None

    def _unasked(self, path: bytes, entry: os.DirEntry[bytes]) -> None:
        """Nobody refers to this; only a file can be an orphan."""
        self._pass_link(path, entry)
        if entry.is_dir(follow_symlinks=False) or not self._asked(path):
            return
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError:
            return  # it vanished
        if self.since is None or status.st_ctime < self.since:
            self.book.add(FileFinding("orphan", path, "", 0, status.st_size))

    def _asked(self, path: bytes) -> bool:
        return self.only is None or path == self.only or path.startswith(self.only + b"/")

    def _pass_link(self, path: bytes, entry: os.DirEntry[bytes]) -> None:
        if entry.is_symlink():
            self.link = path + b"/"

    def _absent(self, reference: Reference) -> None:
        self.checked += 1
        if self.link and reference.path.startswith(self.link):
            self._wrong(reference, "it lies behind a symbolic link, which is not followed", None)
        else:
            self._missing(reference)

    def _must_read(self, reference: Reference, entry: os.DirEntry[bytes]) -> bool:
        """Whether the file must be hashed; where not, it is decided."""
        if not entry.is_file(follow_symlinks=False):
            self.checked += 1
            what = "a folder" if entry.is_dir(follow_symlinks=False) else "no plain file"
            what = "a symbolic link, which is not followed" if entry.is_symlink() else what
            self._wrong(reference, f"it is {what}", None)
            return False
        if reference.sha256 is not None and self.book.resumed_from is None:
            return True
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError:
            self.checked += 1
            self._missing(reference)
            return False
        digest = None
        if reference.sha256 is not None:
            digest = self.book.remembered(reference.path, status)
            if digest is None:
                return True
            self.trusted += 1
        self._judge(reference, status.st_size, digest)
        return False

    def _hear(self, reference: Reference, answer: Hashed) -> None:
        if answer.sha256 is not None and answer.status is not None:
            self.book.remember(answer)
            self._judge(reference, answer.size, answer.sha256)
            return
        self.checked += 1
        if answer.errno == ENOENT:
            self._missing(reference)
        elif answer.errno == ESTALE:
            self._wrong(reference, "it changes while it is read", None)
        else:
            self._wrong(reference, f"it cannot be read: {os.strerror(answer.errno)}", None)

    def _judge(self, reference: Reference, size: int, digest: str | None) -> None:
        self.checked += 1
        if reference.size is not None and size != reference.size:
            self._wrong(reference, f"it has {size} bytes, the database says {reference.size}", size)
        elif reference.sha256 is not None and digest != reference.sha256:
            self._wrong(reference, "it has other content than the database says", size)

    def _missing(self, reference: Reference) -> None:
        self.book.add(FileFinding("missing", reference.path, "", reference.rows, reference.size, reference.named))

    def _wrong(self, reference: Reference, why: str, size: int | None) -> None:
        self.book.add(FileFinding("wrong", reference.path, why, reference.rows, size, reference.named))


def _unreadable(place: bytes | str, problem: OSError) -> Unreachable:
    return Unreachable(
        f"{shown(os.fsdecode(place))} cannot be read",
        cause=problem.strerror or str(problem),
        remedy="see whether it is mounted, and whether this user may read it",
    )
