"""The live folder held against what is wanted: what is right already, what is wrong, what came after the moment.

Exact by default: a file is right where its hash is the wanted one; one of another size needs no hashing. ``fast``
trusts size and mtime, which misses a content that changed without them. What was hashed is remembered: looked at once
more, only what changed meanwhile is read again.
"""

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from typing import Any

from engine.media.catalogue import Kind
from engine.media.choices import LIVE, Choices, Lost, Wanted
from engine.media.choosing import IN_THE_WAY, MOVED, Held, nanoseconds
from engine.media.hashing import hash_files
from engine.media.references import key_of, path_of
from engine.media.snapshot import entry_of
from engine.media.walking import walk
from engine.records.errors import Unreachable
from engine.transfer.naming import shown

_TOGETHER = 2000  # rows that are written at once
_PAGE = 5000  # rows that are read at once
_KINDS: dict[int, Kind] = {stat.S_IFDIR: "d", stat.S_IFLNK: "l", stat.S_IFREG: "f"}

DOUBTFUL = "are in no snapshot and older than the moment, but were put there after it (left where they are)"

RIGHT, WRONG, AFTER, ORPHAN, OPEN = "right", "wrong", "after", "orphan", "open"

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
    skip: frozenset[bytes] = frozenset(),
    say: Say = lambda files, bytes: None,
) -> None:
    """Give everything in the live folder its verdict. ``narrowed``: what is wanted is what a database refers to, so
    that others may stand there rightly. ``skip``: names directly in it that are none of the files (folders of a run's
    own). A live folder that is not there has nothing. Raises Unreachable where it cannot be read."""
    _Looker(choices, live, held, moment, fast, only, narrowed, skip, say).look()
    choices.commit()


class _Looker:
    def __init__(
        self, choices: Choices, live: bytes, held: Sequence[Held], moment: datetime | None, fast: bool,
        only: bytes | None, narrowed: bool, skip: frozenset[bytes], say: Say,
    ) -> None:  # fmt: skip
        self.choices, self.live, self.held, self.fast, self.only = choices, live, held, fast, only
        self.narrowed, self.skip, self.say = narrowed, skip, say
        self.moment_ns = nanoseconds(moment) if moment is not None else None
        self.rows: list[tuple[object, ...]] = []
        self.files = self.bytes = 0
        self.round = choices.number("SELECT max(look) FROM live") + 1

    def look(self) -> None:
        self._merge()
        self._write()
        self.choices.ask("DELETE FROM live WHERE look < ?", self.round)
        self.choices.commit()
        self._hash_snapshots()
        self._hash_live()
        self._seek_lost()

    # What stands there, and what its status says

    def _merge(self) -> None:
        wanted = self.choices.all_wanted()
        next_one = next(wanted, None)
        blocked = b""
        for path, entry in self._walk():
            if path.split(b"/", 1)[0] in self.skip or (blocked and path.startswith(blocked)):
                continue
            if not self._asked(path):
                continue
            while next_one is not None and key_of(next_one.path) < key_of(path):
                next_one = next(wanted, None)
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            except OSError as problem:
                raise _unreadable(entry.path, problem) from None
            kind = _KINDS.get(stat.S_IFMT(status.st_mode), "f")
            here = next_one if next_one is not None and next_one.path == path else None
            verdict = self._verdict(path, entry, kind, status, here, next_one)
            if kind == "d" and verdict == WRONG:
                blocked = path + b"/"  # it goes as a whole
            self._add(path, kind, status, verdict)

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
        self, path: bytes, entry: os.DirEntry[bytes], kind: Kind, status: os.stat_result, here: Wanted | None,
        ahead: Wanted | None,
    ) -> str:  # fmt: skip
        if here is None or not here.needed:
            below = here is not None or (ahead is not None and ahead.path.startswith(path + b"/"))
            if kind != "d" and below and self.choices.has_wanted_below(path):
                return WRONG  # a folder must stand here
            return self._unwanted(path, kind, status)
        if not stat.S_ISREG(status.st_mode) and kind == "f":
            return WRONG
        if kind != here.entry.kind:
            return WRONG
        if kind == "d":
            return RIGHT
        if kind == "l":
            return RIGHT if os.readlink(entry.path) == here.entry.target else WRONG  # noqa: PTH115
        if status.st_size != here.entry.size:
            return WRONG
        if self.fast and status.st_mtime_ns == here.entry.mtime_ns:
            return RIGHT
        return OPEN

    def _unwanted(self, path: bytes, kind: Kind, status: os.stat_result) -> str:
        """A folder stays: empty, it harms nobody. A file came after the moment where it was made or changed since, by
        its mtime, and no snapshot had it by then. Else it may have stood there, and nobody asked for it: it stays. Its
        ctime is no proof: a restore or an rsync before has given every file a new one."""
        if kind == "d" or self.moment_ns is None or (self.only is not None and not self._within(path)):
            return ORPHAN
        if self.narrowed and self.choices.number("SELECT count(*) FROM earlier WHERE key = ?", key_of(path)):
            return ORPHAN
        if self.choices.number("SELECT count(*) FROM lost WHERE key = ?", key_of(path)):
            return OPEN
        if status.st_mtime_ns > self.moment_ns:
            return AFTER
        if status.st_ctime_ns > self.moment_ns and not self.narrowed and self.round == 1:  # later, our link changed it
            self.choices.find(DOUBTFUL, path)
        return ORPHAN

    def _within(self, path: bytes) -> bool:
        return self.only is None or path == self.only or path.startswith(self.only + b"/")

    def _add(self, path: bytes, kind: Kind, status: os.stat_result, verdict: str) -> None:
        key = key_of(path)
        digest = None
        if kind == "f":
            row = self.choices.ask(
                "SELECT sha256 FROM live WHERE key = ? AND size = ? AND mtime_ns = ? AND ctime_ns = ? AND inode = ?",
                key, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino,
            )  # fmt: skip
            digest = next((each[0] for each in row), None)
        self.rows.append(
            (key, kind, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, digest, verdict,
             self.round)
        )  # fmt: skip
        self.files += 1
        if len(self.rows) >= _TOGETHER:
            self._write()
        if not self.files & 0xFF:
            self.say(self.files, self.bytes)

    def _write(self) -> None:
        connection = self.choices.connection
        connection.executemany("INSERT OR REPLACE INTO live VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", self.rows)
        self.rows.clear()

    # What only the content can say

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
                for key, origin in rows:
                    self.choices.ask("UPDATE wanted SET sha256 = ? WHERE key = ?", found.get(origin), key)
                self.choices.commit()

    def _hashes(self, root: bytes, paths: Iterable[bytes]) -> dict[bytes, str | None]:
        with closing(hash_files(root, sorted(paths, key=key_of), progress=self._read)) as answers:
            return {answer.path: answer.sha256 for answer in answers}

    def _hash_live(self) -> None:
        self._hash_those("verdict = 'open'")
        self.choices.ask(
            "UPDATE live SET verdict = CASE WHEN live.sha256 = "
            "(SELECT sha256 FROM wanted WHERE wanted.key = live.key AND wanted.kind = 'f') "
            "THEN 'right' ELSE 'wrong' END WHERE verdict = 'open'"
        )

    def _hash_those(self, condition: str) -> None:
        """Hash the live files of a condition of ours, as far as they are not."""
        query = (
            f"SELECT key FROM live WHERE {condition} AND kind = 'f' AND sha256 IS NULL AND key > ? ORDER BY key LIMIT ?"
        )
        last = b""
        while rows := list(self.choices.ask(query, last, _PAGE)):
            last = rows[-1][0]
            for path, digest in self._hashes(self.live, (path_of(key) for (key,) in rows)).items():
                self.choices.ask("UPDATE live SET sha256 = ? WHERE key = ?", digest, key_of(path))
            self.choices.commit()

    def _read(self, count: int) -> None:
        self.bytes += count
        self.say(self.files, self.bytes)

    # What no snapshot has: the live folder may

    def _seek_lost(self) -> None:
        """Files that the database refers to and that no snapshot has: in the live folder under their own name, or under
        another by their content."""
        if not self.choices.number("SELECT count(*) FROM lost"):
            return
        self._hash_those("size IN (SELECT size FROM lost WHERE sha256 IS NOT NULL)")
        self.choices.ask("CREATE INDEX IF NOT EXISTS live_by_content ON live (sha256)")
        last = b""
        while page := list(self.choices.all_lost(_PAGE, after=last)):
            last = key_of(page[-1].path)
            for lost in page:
                self._seek(lost)
            self.choices.commit()

    def _seek(self, lost: Lost) -> None:
        key = key_of(lost.path)
        here = self._first("SELECT size, sha256 FROM live WHERE key = ? AND kind = 'f'", key)
        if here is not None and lost.size in (None, here[0]) and lost.sha256 in (None, here[1]):
            self._take_live(lost, lost.path)
            self.choices.ask("UPDATE live SET verdict = 'right' WHERE key = ?", key)
        elif lost.sha256 is not None:
            query = (
                "SELECT key FROM live WHERE sha256 = ? AND kind = 'f' AND size = coalesce(?, size) ORDER BY key LIMIT 1"
            )
            if (found := self._first(query, lost.sha256, lost.size)) is not None:
                self._take_live(lost, path_of(found[0]))

    def _first(self, query: str, *arguments: object) -> tuple[Any, ...] | None:
        return next(iter(self.choices.ask(query, *arguments)), None)

    def _take_live(self, lost: Lost, origin: bytes) -> None:
        path = lost.path
        if self.choices.in_the_way(path):
            self.choices.find(IN_THE_WAY, path)
            return
        try:
            status = os.stat(os.path.join(self.live, origin), follow_symlinks=False)  # noqa: PTH116, PTH118
        except OSError:
            return
        row = self._first("SELECT sha256 FROM live WHERE key = ?", key_of(origin)) or (None,)
        if path != origin:
            self.choices.find(MOVED, path)
        self.choices.want(Wanted(entry_of("f", status, path)._replace(sha256=row[0]), LIVE, origin, rows=lost.rows))
        self.choices.ask("DELETE FROM lost WHERE key = ?", key_of(path))


def _unreadable(path: bytes | str, problem: OSError) -> Unreachable:
    return Unreachable(
        f"the users' files cannot be read at {shown(os.fsdecode(path))}",
        cause=problem.strerror,
        remedy="see that the media folder is mounted, and that this user may read it",
    )
