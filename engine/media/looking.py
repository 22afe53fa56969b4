"""The live folder held against what is wanted: what is right already, what is wrong, what came after the moment.

Exact by default: a file is right where its hash is the wanted one; one of another size needs no hashing. ``fast``
trusts size and mtime, which misses a content that changed without them. What was hashed is remembered: looked at once
more, only what changed meanwhile is read again.

The folder, what is wanted and what is remembered come in the same order: one merge of three streams, while the hashing
processes read what it hands them.
"""

import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from errno import ENOENT
from typing import NamedTuple

from engine.media.catalogue import Kind, key_of, path_of
from engine.media.choices import Choices
from engine.media.choosing import nanoseconds
from engine.media.elsewhere import find_in_live
from engine.media.file_worker import DIFFERENT, DONE, HASH_SIZED, SIZED
from engine.media.hashing import hash_files
from engine.media.putting import storable
from engine.media.sharing import Answer, share_out
from engine.media.sources import Held
from engine.media.walking import walk
from engine.records.errors import Unreachable
from engine.transfer.naming import shown

_TOGETHER = 2000  # rows that are written at once
_PAGE = 5000  # rows that are read at once
_COMMITTED = 5.0  # seconds between two commits: what was hashed by then is not read again by a successor
_KINDS: dict[int, Kind] = {stat.S_IFDIR: "d", stat.S_IFLNK: "l", stat.S_IFREG: "f"}

DOUBTFUL = "are in no snapshot and older than the moment, but were put there after it (left where they are)"
DRESSED = "are right but for their owner or mode, which become what their snapshot says"

RIGHT, WRONG, AFTER, ORPHAN, OPEN = "right", "wrong", "after", "orphan", "open"
BELOW = "below"  # a folder that goes as a whole: it may have what is lost

Say = Callable[[int, int], None]
"""Hears files and bytes read."""


def look_at_live(
    choices: Choices,
    live: bytes,
    held: Sequence[Held],
    moment: datetime | None,
    *,
    fast: bool = False,
    only: bytes | None = None,
    narrowed: bool = False,
    stays: bool = False,
    skip: frozenset[bytes] = frozenset(),
    say: Say = lambda files, bytes: None,
) -> None:
    """Give everything in the live folder its verdict. ``narrowed``: what is wanted is what a database refers to, so
    that others may stand there rightly. ``stays``: what is right stays where it is, and where it has another owner
    or mode than it should, that is told. ``skip``: names directly in it that are none of the files (folders of a run's
    own). A live folder that is not there has nothing. Raises Unreachable where it cannot be read."""
    looker = _Looker(choices, live, held, moment, fast, only, narrowed, skip, say)
    looker.look()
    if stays:
        looker.tell_attributes()
    choices.commit()


class _Here(NamedTuple):
    """What of a wanted entry must be known to judge what stands at its path."""

    key: bytes
    kind: Kind
    sha256: str | None
    size: int
    mtime_ns: int
    target: bytes
    needed: int
    source: int
    mode: int
    uid: int
    gid: int


class _Known(NamedTuple):
    """A live file as it was when it was hashed."""

    key: bytes
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    sha256: str


_Asked = tuple[bytes, str | None, _Here | None]
"""A file that is being hashed: its key, the hash that it should have (None: nobody knows it yet; empty: none), and what
is wanted there."""
_WANTED = f"SELECT {', '.join(_Here._fields)} FROM wanted WHERE key > ? ORDER BY key LIMIT ?"
_KNOWN = (
    f"SELECT {', '.join(_Known._fields)} FROM live WHERE key > ? AND kind = 'f' AND sha256 IS NOT NULL "
    "ORDER BY key LIMIT ?"
)


class _Looker:
    def __init__(
        self, choices: Choices, live: bytes, held: Sequence[Held], moment: datetime | None, fast: bool,
        only: bytes | None, narrowed: bool, skip: frozenset[bytes], say: Say,
    ) -> None:  # fmt: skip
        self.choices, self.live, self.held, self.fast, self.only = choices, live, held, fast, only
        self.narrowed, self.skip, self.say = narrowed, skip, say
        self.moment_ns = nanoseconds(moment) if moment is not None else None
        self.rows: list[tuple[object, ...]] = []
        self.dressed: list[tuple[bytes]] = []  # keys of what has another owner or mode than is wanted
        self.is_root = os.geteuid() == 0
        self.files = self.bytes = 0
        self.round = choices.number("SELECT max(look) FROM live") + 1
        self.some_open = False
        self.committed_at = time.monotonic()

    def look(self) -> None:
        self.choices.ask("DELETE FROM dressed")
        with closing(share_out(self.live, self._to_hash(), progress=self._read)) as answers:
            for (key, wanted, here), answer in answers:
                self._hear(key, wanted, here, answer)
        self._write()
        self.choices.ask("DELETE FROM live WHERE look < ?", self.round)
        self.choices.commit()
        if self.some_open:
            self._hash_snapshots()
            self.choices.ask(
                "UPDATE live SET verdict = CASE WHEN live.sha256 = "
                "(SELECT sha256 FROM wanted WHERE wanted.key = live.key AND wanted.kind = 'f') "
                "THEN 'right' ELSE 'wrong' END WHERE verdict = 'open'"
            )
        if self.choices.number("SELECT EXISTS (SELECT 1 FROM lost)"):
            lost = "FROM lost WHERE sha256 IS NOT NULL"
            self._hash_those(
                f"(size IN (SELECT size {lost}) OR EXISTS (SELECT 1 {lost} AND size IS NULL))"  # text of ours
            )
            find_in_live(self.choices, self.live)

    # What stands there, and what its status says

    def _to_hash(self) -> Iterator[tuple[_Asked, bytes]]:
        """The merge: files whose content must decide, as orders; everything else is decided here."""
        wanted = (_Here._make(row) for row in self._paged(_WANTED))
        known = (_Known._make(row) for row in self._paged(_KNOWN)) if self.round > 1 else iter(())
        next_one, remembered = next(wanted, None), next(known, None)
        blocked = b""
        for path, entry in self._walk():
            if self.skip and path.split(b"/", 1)[0] in self.skip:
                continue
            if not self._asked(path):
                continue
            key = key_of(path)
            while next_one is not None and next_one.key < key:
                next_one = next(wanted, None)
            while remembered is not None and remembered.key < key:
                remembered = next(known, None)
            here = next_one if next_one is not None and next_one.key == key else None
            before = remembered if remembered is not None and remembered.key == key else None
            if (
                here is not None and here.needed and here.kind == "f" and before is None and not self.fast
                and entry.is_file(follow_symlinks=False)
            ):  # fmt: skip
                yield (key, here.sha256, here), _order(here.size, path)  # its status comes with the answer
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            except OSError as problem:
                raise _unreadable(entry.path, problem) from None
            kind = _KINDS.get(stat.S_IFMT(status.st_mode), "f")
            if blocked and path.startswith(blocked):
                verdict = BELOW
            else:
                verdict = self._verdict(path, entry, kind, status, here, next_one)
                blocked = path + b"/" if kind == "d" and verdict == WRONG else b""
            digest = before.sha256 if before is not None and _unchanged(before, status) else None
            wanted_one = here.sha256 if here is not None else ""
            if verdict == OPEN and digest is None:
                yield (key, wanted_one, here), _order(status.st_size, path)
            else:
                if verdict == OPEN:
                    verdict = self._by_content(digest, wanted_one)
                self._see_attributes(here, status.st_mode, status.st_uid, status.st_gid)
                times = storable(status.st_mtime_ns), storable(status.st_ctime_ns)
                self._add(key, kind, status.st_size, *times, status.st_ino, digest, verdict)

    def _paged(self, query: str) -> Iterator[tuple[object, ...]]:
        """Rows by their keys, a page at a time: what is written meanwhile lies behind."""
        last: object = b""
        while page := list(self.choices.ask(query, last, _PAGE)):
            last = page[-1][0]
            yield from page

    def _walk(self) -> Iterator[tuple[bytes, os.DirEntry[bytes]]]:
        try:
            yield from walk(self.live)
        except FileNotFoundError:
            return
        except OSError as problem:
            raise _unreadable(problem.filename or self.live, problem) from None

    def _asked(self, path: bytes) -> bool:
        """Whether it is within what is brought back, or a folder on the way there."""
        only = self.only
        return only is None or path == only or path.startswith(only + b"/") or only.startswith(path + b"/")

    def _verdict(
        self, path: bytes, entry: os.DirEntry[bytes], kind: Kind, status: os.stat_result, here: _Here | None,
        ahead: _Here | None,
    ) -> str:  # fmt: skip
        if here is None or not here.needed:
            below = here is not None or (ahead is not None and ahead.key.startswith(key_of(path) + b"\0"))
            if kind != "d" and below and self.choices.has_wanted_below(path):
                return WRONG  # a folder must stand here
            return self._unwanted(path, kind, status)
        if not stat.S_ISREG(status.st_mode) and kind == "f":
            return WRONG
        if kind != here.kind:
            return WRONG
        if kind == "d":
            return RIGHT
        if kind == "l":
            return RIGHT if os.readlink(entry.path) == here.target else WRONG  # noqa: PTH115
        if status.st_size != here.size:
            return WRONG
        if self.fast and self._same_time(status, here):
            return RIGHT
        return OPEN

    def _same_time(self, status: os.stat_result, here: _Here) -> bool:
        resolution = self.held[here.source].files.resolution if here.source >= 0 else 1
        return abs(storable(status.st_mtime_ns) - here.mtime_ns) < resolution

    def _unwanted(self, path: bytes, kind: Kind, status: os.stat_result) -> str:
        """A folder stays: empty, it harms nobody. A file came after the moment where it was made or changed since, by
        its mtime, and no snapshot had it by then. Else it may have stood there, and nobody asked for it: it stays. Its
        ctime is no proof: a restore or an rsync before has given every file a new one."""
        if kind == "d" or self.moment_ns is None or (self.only is not None and not self._within(path)):
            return ORPHAN
        if self.narrowed and self.choices.number("SELECT count(*) FROM earlier WHERE key = ?", key_of(path)):
            return ORPHAN
        if self.choices.number("SELECT count(*) FROM lost WHERE key = ?", key_of(path)):
            return OPEN if stat.S_ISREG(status.st_mode) else WRONG
        if status.st_mtime_ns > self.moment_ns:
            return AFTER
        if status.st_ctime_ns > self.moment_ns and not self.narrowed and self.round == 1:  # later, our link changed it
            self.choices.find(DOUBTFUL, path)
        return ORPHAN

    def _within(self, path: bytes) -> bool:
        return self.only is None or path == self.only or path.startswith(self.only + b"/")

    def _hear(self, key: bytes, wanted: str | None, here: _Here | None, answer: Answer) -> None:
        """What was read of a file, with its status of that moment."""
        kind, errno, digest, _, size, _, inode, mode, uid, gid, mtime, ctime = answer
        if kind == DONE:
            found = digest.hex()
            self._see_attributes(here, mode, uid, gid)
            self._add(key, "f", size, mtime, ctime, inode, found, self._by_content(found, wanted))
        elif kind == DIFFERENT:
            self._add(key, "f", size, mtime, ctime, inode, None, WRONG)
        elif errno != ENOENT:  # it cannot be read, or changes all the time
            self._add(key, "f", size, None, None, None, None, WRONG)

    def _by_content(self, digest: str | None, wanted: str | None) -> str:
        """``wanted`` as in _Asked."""
        if wanted is None:
            self.some_open = True
            return OPEN
        return RIGHT if digest == wanted else WRONG

    def _see_attributes(self, here: _Here | None, mode: int, uid: int, gid: int) -> None:
        """An owner counts where we could give it back."""
        if here is None or here.kind == "l" or not (here.needed or here.kind == "d"):
            return
        if stat.S_IMODE(mode) != here.mode or (self.is_root and (uid, gid) != (here.uid, here.gid)):
            self.dressed.append((here.key,))

    def tell_attributes(self) -> None:
        self.choices.ask("DELETE FROM finding WHERE sort = ?", DRESSED)
        query = "SELECT key FROM dressed JOIN live USING (key) WHERE verdict IN (?, ?) AND key > ? ORDER BY key LIMIT ?"
        last = b""
        while page := list(self.choices.ask(query, RIGHT, ORPHAN, last, _PAGE)):
            last = page[-1][0]
            for (key,) in page:
                self.choices.find(DRESSED, path_of(key))

    def _add(self, *row: object) -> None:
        self.rows.append((*row, self.round))
        self.files += 1
        if len(self.rows) >= _TOGETHER:
            self._write()
        if not self.files & 0xFF:
            self.say(self.files, self.bytes)

    def _write(self) -> None:
        self.choices.change("INSERT OR REPLACE INTO live VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", self.rows)
        self.choices.change("INSERT OR IGNORE INTO dressed VALUES (?)", self.dressed)
        self.rows.clear()
        self.dressed.clear()
        if time.monotonic() - self.committed_at > _COMMITTED:
            self.choices.commit()
            self.committed_at = time.monotonic()

    # What the merge could not know

    def _hash_snapshots(self) -> None:
        """The hashes that no catalogue has, of files that may be right."""
        query = (
            "SELECT key, origin FROM wanted JOIN live USING (key) WHERE wanted.sha256 IS NULL AND wanted.kind = 'f' "
            "AND live.verdict = 'open' AND wanted.source = ? AND key > ? ORDER BY key LIMIT ?"
        )
        for number, each in enumerate(self.held):
            root, last = each.files.root, b""
            while root is not None and (rows := list(self.choices.ask(query, number, last, _PAGE))):
                last = rows[-1][0]
                found = self._hashes(root, {origin for _, origin in rows})
                known = ((found.get(origin), key) for key, origin in rows)
                self.choices.change("UPDATE wanted SET sha256 = ? WHERE key = ?", known)
                self.choices.commit()

    def _hashes(self, root: bytes, paths: Iterable[bytes]) -> dict[bytes, str | None]:
        with closing(hash_files(root, sorted(paths, key=key_of), progress=self._read)) as answers:
            return {answer.path: answer.sha256 for answer in answers}

    def _hash_those(self, condition: str) -> None:
        """Hash the live files of a condition of ours, as far as they are not."""
        query = (
            f"SELECT key FROM live WHERE {condition} AND kind = 'f' AND sha256 IS NULL AND key > ? ORDER BY key LIMIT ?"
        )
        last = b""
        while rows := list(self.choices.ask(query, last, _PAGE)):
            last = rows[-1][0]
            found = self._hashes(self.live, (path_of(key) for (key,) in rows))
            known = ((digest, key_of(path)) for path, digest in found.items())
            self.choices.change("UPDATE live SET sha256 = ? WHERE key = ?", known)
            self.choices.commit()

    def _read(self, count: int) -> None:
        self.bytes += count
        self.say(self.files, self.bytes)


def _order(size: int, path: bytes) -> bytes:
    return HASH_SIZED + SIZED.pack(size) + path


def _unchanged(known: _Known, status: os.stat_result) -> bool:
    return (known.size, known.mtime_ns, known.ctime_ns, known.inode) == (
        status.st_size, storable(status.st_mtime_ns), storable(status.st_ctime_ns), status.st_ino
    )  # fmt: skip


def _unreadable(path: bytes | str, problem: OSError) -> Unreachable:
    return Unreachable(
        f"the users' files cannot be read at {shown(os.fsdecode(path))}",
        cause=problem.strerror,
        remedy="see that the media folder is mounted, and that this user may read it",
    )
