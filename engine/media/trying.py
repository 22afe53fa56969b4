"""What is lost, sought by its content where that costs reading: in snapshots that tell no hashes and whose files must
be fetched (restic's), in those that would have to read all that they hold for them (borg's in reserve), and, where
nobody knows the size of what is lost, in other programs' folders in reserve.

What has its size comes first. Where no size is known, every file is read, as the last hope: those first that stand in a
folder in which something is lost. What is fetched for it is thrown away again."""

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from enum import Enum
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from engine.media.catalogue import Entry, path_of
from engine.media.choices import Choices
from engine.media.elsewhere import offer
from engine.media.hashing import hash_files
from engine.media.putting import storable
from engine.media.sources import Held
from engine.records.errors import DamagedCopy, RepriseError
from engine.transfer.removing import remove_tree

# What is told of files, after "files that".
TOO_LARGE = "were too large to be looked into for what is lost: there was no room to fetch them"
_FILES, _BYTES = 20_000, 4 << 30  # that are fetched or hashed at once
LEFT = "left to be sought"  # the fact for which of what is lost a search is left: all, unsized or none

_TO_SEEK = "sha256 IS NOT NULL AND NOT EXISTS (SELECT 1 FROM sought WHERE sought.key = lost.key)"
_OF_THIS_SIZE = f"SELECT EXISTS (SELECT 1 FROM lost WHERE {_TO_SEEK} AND size = ?)"
# What was copied, or stands there rightly, has been read already: its content is known to be another.
_READ = (
    "SELECT EXISTS (SELECT 1 FROM wanted WHERE key = ? AND origin = ? AND size = ? AND mtime_ns = ? "
    "AND sha256 IS NOT NULL AND (inode IS NOT NULL OR EXISTS "
    "(SELECT 1 FROM live WHERE live.key = wanted.key AND verdict = 'right')))"
)
_CREATE = """
CREATE TABLE candidate (
    rank INTEGER, number INTEGER, key BLOB, size INTEGER, mtime_ns INTEGER, mode INTEGER, uid INTEGER, gid INTEGER
);
CREATE TABLE seen (which BLOB PRIMARY KEY) WITHOUT ROWID;
"""
_SIZED, _NEAR, _FAR = 0, 1, 2  # ranks

Say = Callable[[int, int], None]


class _Way(Enum):
    """How a snapshot is sought through here."""

    FETCH = "its files are fetched"
    HASH = "its files are hashed where they are"
    ASK = "it is asked for the hash of every file"


def note_what_is_left(choices: Choices, held: Sequence[Held]) -> None:
    """Whether these snapshots leave something to be sought in this way."""
    ways = {_way(each) for each in held}
    choices.keep(LEFT, "all" if ways & {_Way.FETCH, _Way.ASK} else "unsized" if _Way.HASH in ways else "none")


def where_sought(choices: Choices) -> str:
    """The condition for what of the lost is still to be sought in this way."""
    return where_left(choices.kept(LEFT))


def where_left(left: str | None) -> str:
    """The same, by the fact ``LEFT``."""
    return {"all": _TO_SEEK, "unsized": f"{_TO_SEEK} AND size IS NULL", "none": "0"}[left or "none"]


def still_sought(choices: Choices) -> tuple[int, int]:
    """How many that are, and rows of the database that refer to them."""
    query = "SELECT {} FROM lost WHERE " + where_sought(choices)
    return choices.number(query.format("count(*)")), choices.number(query.format("sum(rows)"))


def find_by_reading(choices: Choices, held: Sequence[Held], scratch: Path, say: Say, *, last_hope: bool) -> int:
    """Want what is found. Returns how many. ``scratch`` is an absent folder, and ``say`` hears files and bytes that are
    under way. Without ``last_hope`` only what has a size is sought, and in the snapshots of the moment alone: there is
    no time for more. Done once for each file: it takes its time. Raises RepriseError where a snapshot of the moment is
    away."""
    if not choices.number(f"SELECT EXISTS (SELECT 1 FROM lost WHERE {_TO_SEEK})"):
        return 0
    with closing(sqlite3.connect("")) as book:  # a temporary file: a million candidates need no memory
        book.executescript(_CREATE)
        seeker = _Seeker(choices, held, book, scratch, say, last_hope)
        seeker.list_candidates()
        seeker.try_candidates()
        if last_hope:
            seeker.ask_for_hashes()
    choices.ask(f"INSERT OR IGNORE INTO sought SELECT key FROM lost WHERE {_TO_SEEK}")
    choices.commit()
    return seeker.found


def _way(held: Held) -> _Way | None:
    """None: it was sought through already, when the files were chosen."""
    if held.files.root is None:
        if held.files.tells_hashes:
            return _Way.ASK if held.in_reserve else None
        return _Way.FETCH
    return _Way.HASH if held.in_reserve and not held.set_aside and not held.files.tells_hashes else None


class _Seeker:
    def __init__(
        self, choices: Choices, held: Sequence[Held], book: sqlite3.Connection, scratch: Path, say: Say, last_hope: bool
    ) -> None:
        self.choices, self.held, self.book, self.scratch, self.say = choices, held, book, scratch, say
        self.last_hope, self.found = last_hope, 0
        self.folders = self._folders() if last_hope else set()

    def _folders(self) -> set[bytes]:
        """Keys of those in which something is lost whose size nobody knows; a day's are few."""
        rows = self.choices.ask(f"SELECT key FROM lost WHERE {_TO_SEEK} AND size IS NULL")
        return {key.rpartition(b"\0")[0] for (key,) in rows}

    def list_candidates(self) -> None:
        for number, each in enumerate(self.held):
            way = _way(each)
            if way not in (_Way.FETCH, _Way.HASH) or (each.in_reserve and not self.last_hope):
                continue
            try:
                self._list(number, each, way)
            except DamagedCopy as problem:
                self._tell(each, problem)
            except (OSError, RepriseError) as problem:
                if not each.in_reserve:
                    raise
                self._tell(each, problem)

    def _list(self, number: int, held: Held, way: _Way) -> None:
        unsized = self.last_hope and self._pending("size IS NULL")
        with held.files.entries(hashes=False) as entries:
            for count, entry in enumerate(entries):
                if not count & 0xFF:
                    self.say(0, 0)
                if entry.kind != "f":
                    continue
                if way is _Way.FETCH and self.choices.number(_OF_THIS_SIZE, entry.size):
                    rank = _SIZED  # of a folder they were hashed already
                elif unsized:
                    rank = _NEAR if entry.key.rpartition(b"\0")[0] in self.folders else _FAR
                else:
                    continue
                if self._is_new(held, entry):
                    e = entry
                    row = (rank, number, e.key, e.size, storable(e.mtime_ns), e.mode, e.uid, e.gid)
                    self.book.execute("INSERT INTO candidate VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)

    def _is_new(self, held: Held, entry: Entry) -> bool:
        """A repository's snapshots have most of their files in common; what was just copied is known."""
        if self.choices.number(_READ, entry.key, entry.path, entry.size, storable(entry.mtime_ns)):
            return False
        which = b"%d %d " % (entry.size, entry.mtime_ns) + os.fsencode(held.snapshot.repository) + b"\0" + entry.path
        if (root := held.files.root) is not None:
            try:
                status = os.lstat(root + b"/" + entry.path)
            except OSError:
                return False
            which = b"%d %d" % (status.st_dev, status.st_ino)
        return self.book.execute("INSERT OR IGNORE INTO seen VALUES (?)", (which,)).rowcount > 0

    def try_candidates(self) -> None:
        query = (
            "SELECT rank, number, key, size, mtime_ns, mode, uid, gid FROM candidate "
            "ORDER BY rank, number, key"  # the snapshots of the moment have the lowest numbers
        )
        rows = self.book.execute(query)
        for (rank, number), group in groupby(rows, key=itemgetter(0, 1)):
            entries = map(_entry, group)
            most = _BYTES if self.held[number].files.root is not None else min(_BYTES, _room(self.scratch.parent) // 2)
            for page in _pages(self._fitting(number, entries), most):
                if not self._pending("1" if rank == _SIZED else "size IS NULL"):
                    break
                self.found += self._try(number, self.held[number], page)

    def _fitting(self, number: int, entries: Iterator[Entry]) -> Iterator[Entry]:
        """Those for which there is room, where they must be fetched: nobody has planned for them."""
        for entry in entries:
            if self.held[number].files.root is None and entry.size > _room(self.scratch.parent) // 2:
                self.choices.find(TOO_LARGE, entry.path)
            else:
                yield entry

    def _try(self, number: int, held: Held, page: Sequence[Entry]) -> int:
        if held.files.root is not None:
            return self._offer(number, held, held.files.root, page)
        files, names = self.scratch / "files", self.scratch / "names"
        remove_tree(self.scratch)
        files.mkdir(0o700, parents=True)
        with names.open("wb") as file:
            file.writelines(each.path + b"\0" for each in page)
        try:
            held.files.fetch(names, files, self.say)
        except DamagedCopy as problem:  # of some files; those that came are good
            self.choices.find(f"not all of {held.snapshot.id} could be looked at for what is lost: {problem}")
        except RepriseError as problem:
            if not held.in_reserve:
                remove_tree(self.scratch)
                raise
            self._tell(held, problem)
        found = self._offer(number, held, bytes(files), page)
        remove_tree(self.scratch)
        return found

    def _offer(self, number: int, held: Held, root: bytes, page: Sequence[Entry]) -> int:
        found = 0
        paths = (each.path for each in page)
        with closing(hash_files(root, paths, progress=lambda count: self.say(0, 0))) as answers:
            for entry, answer in zip(page, answers, strict=True):
                if answer.sha256 is not None and answer.size == entry.size:
                    read = entry._replace(sha256=answer.sha256)
                    found += offer(self.choices, number, held, read, by_content=True)
        return found

    def ask_for_hashes(self) -> None:
        """Of those that read all that they hold for them."""
        for number, each in enumerate(self.held):
            if _way(each) is not _Way.ASK or not self._pending("1"):
                continue
            try:
                with each.files.entries() as entries:
                    for count, entry in enumerate(entries):
                        if not count & 0xFF:
                            self.say(0, 0)
                        if entry.kind == "f" and entry.sha256 is not None:
                            self.found += offer(self.choices, number, each, entry, by_content=True)
            except (OSError, RepriseError) as problem:
                self._tell(each, problem)

    def _pending(self, where: str) -> bool:
        return bool(self.choices.number(f"SELECT EXISTS (SELECT 1 FROM lost WHERE {_TO_SEEK} AND {where})"))

    def _tell(self, held: Held, problem: Exception) -> None:
        self.choices.find(f"snapshot {held.snapshot.id} could not be looked through for what is lost: {problem}")


def _room(folder: Path) -> int:
    """Bytes that are free there."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def _entry(row: tuple[int, int, bytes, int, int, int, int, int]) -> Entry:
    _, _, key, size, mtime, mode, uid, gid = row
    return Entry("f", None, size, mtime, mode, uid, gid, path_of(key))


def _pages(entries: Iterator[Entry], most: int) -> Iterator[list[Entry]]:
    """Of so many bytes at most, unless one entry alone has more."""
    page: list[Entry] = []
    size = 0
    for entry in entries:
        if page and (len(page) >= _FILES or size + entry.size > most):
            yield page
            page, size = [], 0
        page.append(entry)
        size += entry.size
    if page:
        yield page
