"""What is wanted, copied: each file hashed on its way, and put under its name only in the folder that is being built.

What the live folder has right is not copied: a folder that will take its place shares it (a reflink, else a hard link;
never one from a snapshot), and one that is only changed keeps it. What a snapshot has damaged is not put anywhere: it
counts as lost, with the reason.
"""

import errno
import fcntl
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path

from engine.media.catalogue import Entry
from engine.media.choices import LIVE, Choices, Lost, Wanted
from engine.media.choosing import Held
from engine.media.hashing import hash_files
from engine.media.opening import Opener
from engine.media.references import key_of, path_of
from engine.media.snapshot import dress, entry_of, stream, take_attributes
from engine.transfer.durable import FileSystems
from engine.transfer.failures import unwritable
from engine.transfer.removing import remove_tree

_FICLONE = 0x40049409  # ioctl_ficlone(2)
_BLOCK = 1 << 20
_TOGETHER = 500  # files between two commits
_NO_MORE_LINKS = (errno.EMLINK, errno.EPERM, errno.EXDEV, errno.EOPNOTSUPP)
_DAMAGED = "its copy is damaged: it has other content than its catalogue says"
_CHANGED = "only the live folder had it, where it was changed meanwhile"
_FETCHED_AT_ONCE = 20_000
_FETCHED = ".fetched"  # in the folder that is being built

Say = Callable[[int, int], None]
"""Hears files and bytes done."""


def take_anew(choices: Choices) -> None:
    """What was shared with the live folder and was changed there since is copied after all."""
    choices.ask(
        "UPDATE wanted SET inode = NULL, shared = 0 WHERE shared "
        "AND NOT EXISTS (SELECT 1 FROM live WHERE live.key = wanted.key AND verdict = 'right')"
    )
    choices.commit()


class Bringer:
    """Fills ``building``, a folder of the run's own. ``whole``: it will be all that there is (it takes the live
    folder's place, or stands elsewhere); else it holds only what goes into the live folder."""

    def __init__(
        self, choices: Choices, held: Sequence[Held], live: Path, building: Path, *, whole: bool, share: bool, say: Say
    ) -> None:
        self.choices, self.held, self.say = choices, held, say
        self.live, self.building, self.whole, self.share = os.fsencode(live), os.fsencode(building), whole, share
        self.buffer = memoryview(bytearray(_BLOCK))
        self.files = self.bytes = 0
        self.made: set[bytes] = set()
        self.folders: list[tuple[bytes, Entry]] = []

    def bring(self) -> None:
        """Copy what is not there yet. Raises Unreachable where a snapshot is away, RunFailed where there is no room."""
        with ExitStack() as opened:
            systems = FileSystems([Path(os.fsdecode(self.building))])
            self.openers = [
                opened.enter_context(Opener(each.files.root)) if each.files.root is not None else None
                for each in self.held
            ]
            self.from_live = opened.enter_context(Opener(self.live)) if os.path.isdir(self.live) else None  # noqa: PTH112
            try:
                self._bring_all()
                if self.whole and self.share:
                    self._take_orphans()
                for place, folder in reversed(self.folders):
                    dress(place, folder)
                systems.sync()
            except OSError as problem:
                raise unwritable(os.fsdecode(self.building), problem) from None
        self.choices.commit()
        self.say(self.files, self.bytes)

    def _bring_all(self) -> None:
        self._fetch()
        last = b""
        while batch := list(self.choices.all_wanted("key > ? AND needed ORDER BY key LIMIT ?", last, _TOGETHER)):
            for wanted in batch:
                if wanted.inode is not None:
                    self._make_parents(wanted.path)  # they may not have got their owner and mode yet
                elif self.whole or not self._right(wanted):
                    self._put(wanted)
            last = key_of(batch[-1].path)
            self.choices.commit()

    def _right(self, wanted: Wanted) -> bool:
        return self._verdict(wanted) == "right"

    def _verdict(self, wanted: Wanted) -> str | None:
        rows = self.choices.ask("SELECT verdict FROM live WHERE key = ?", key_of(wanted.path))
        return next((row[0] for row in rows), None)

    def _put(self, wanted: Wanted) -> None:
        place = self.building + b"/" + wanted.path
        self._make_parents(wanted.path)
        entry = wanted.entry
        if entry.kind == "d":
            self._make(wanted.path, entry)
            return
        with suppress(FileNotFoundError):
            os.unlink(place)  # noqa: PTH108  # of a try before
        if entry.kind == "l":
            os.symlink(entry.target, place)  # noqa: PTH211
            dress(place, entry)
            self._done(wanted.path, place, 0)
            return
        if self.share and self._right(wanted) and self._share(wanted.path, place, entry):
            self._done(wanted.path, place, 0, shared=True)
            return
        if (why := self._copy(wanted, place)) is None:
            self._done(wanted.path, place, entry.size)
        else:
            self._lose(wanted, why)

    def _copy(self, wanted: Wanted, place: bytes) -> str | None:
        """Why it could not be had; None where it stands there."""
        opener = self.from_live if wanted.source == LIVE else self.openers[wanted.source]
        if opener is None:
            return "it could not be fetched from its snapshot"
        try:
            handle = opener.open(wanted.origin)
        except OSError as problem:
            return f"its copy cannot be read: {problem.strerror}"
        try:
            digest, size = stream(handle, wanted.origin, place, os.fstat(handle), self.buffer)
            if wanted.entry.sha256 not in (None, digest) or size != wanted.entry.size:
                os.unlink(place)  # noqa: PTH108
                return _CHANGED if wanted.source == LIVE else _DAMAGED
            take_attributes(handle, place)
        finally:
            os.close(handle)
        dress(place, wanted.entry)
        return None

    def _share(self, path: bytes, place: bytes, entry: Entry) -> bool:
        """Take over what the live folder has right, with its attributes right too."""
        source = self.live + b"/" + path
        try:
            status = os.lstat(source)
            there = entry_of("f", status, path)
            if self.from_live is None or there.size != entry.size:
                return False
            handle = self.from_live.open(path)
        except OSError:
            return False
        try:
            if _clone(handle, place):
                take_attributes(handle, place)
                dress(place, entry)
                return True
        finally:
            os.close(handle)
        if (there.mtime_ns, there.mode, there.uid, there.gid) != (entry.mtime_ns, entry.mode, entry.uid, entry.gid):
            return False  # the set-aside one keeps its own
        return self._link(source, place, path)

    def _link(self, source: bytes, place: bytes, path: bytes) -> bool:
        try:
            os.link(source, place, follow_symlinks=False)
        except OSError as problem:
            if problem.errno not in _NO_MORE_LINKS:
                raise
            return False
        changed = os.lstat(place).st_ctime_ns  # the link itself has changed it
        self.choices.ask("UPDATE live SET ctime_ns = ? WHERE key = ?", changed, key_of(path))
        return True

    def _take_orphans(self) -> None:
        """What stood there by the moment and nobody asked for: the new folder has it too."""
        query = "SELECT key, kind FROM live WHERE verdict = 'orphan' AND key > ? ORDER BY key LIMIT ?"
        last = b""
        while rows := list(self.choices.ask(query, last, _TOGETHER)):
            for key, kind in rows:
                path = path_of(key)
                place = self.building + b"/" + path
                if not os.path.lexists(place):
                    self._take_orphan(path, kind, place)
            last = rows[-1][0]
            self.choices.commit()

    def _take_orphan(self, path: bytes, kind: str, place: bytes) -> None:
        source = self.live + b"/" + path
        try:
            status = os.lstat(source)
        except FileNotFoundError:
            return
        self._make_parents(path)
        entry = entry_of(kind, status, path)
        if kind == "d":
            self._make(path, entry)
        elif kind == "l":
            os.symlink(os.readlink(source), place)  # noqa: PTH115, PTH211
            dress(place, entry)
        elif not self._share(path, place, entry):
            self._copy(Wanted(entry, LIVE, path), place)

    # Folders

    def _make_parents(self, path: bytes) -> None:
        parts = path.split(b"/")[:-1]
        for count in range(1, len(parts) + 1):
            folder = b"/".join(parts[:count])
            if folder not in self.made:
                known = self.choices.folder(folder)
                self._make(folder, known.entry if known is not None else self._like_live(folder))

    def _like_live(self, folder: bytes) -> Entry | None:
        try:
            return entry_of("d", os.lstat(self.live + b"/" + folder), folder)
        except OSError:
            return None

    def _make(self, path: bytes, entry: Entry | None) -> None:
        if path in self.made:
            return
        place = self.building + b"/" + path
        with suppress(FileExistsError):
            os.mkdir(place, 0o700)  # noqa: PTH102
        self.made.add(path)
        if entry is not None:
            self.folders.append((place, entry))

    # What must be fetched

    def _fetch(self) -> None:
        """Files of snapshots that cannot be read directly, many at once: their program takes a while to start."""
        for number, each in enumerate(self.held):
            last = b""
            while each.files.root is None and (page := self._missing(number, last)):
                last = key_of(page[-1].path)
                self._fetch_those(each, number, [one for one in page if self.whole or not self._right(one)])
                self.choices.commit()

    def _missing(self, number: int, last: bytes) -> list[Wanted]:
        query = "source = ? AND kind = 'f' AND inode IS NULL AND key > ? ORDER BY key LIMIT ?"
        return list(self.choices.all_wanted(query, number, last, _FETCHED_AT_ONCE))

    def _fetch_those(self, held: Held, number: int, wanted: Sequence[Wanted]) -> None:
        scratch = Path(os.fsdecode(self.building)) / _FETCHED
        names = scratch.with_name(_FETCHED + "-names")
        remove_tree(scratch)
        if not wanted:
            return
        scratch.mkdir(0o700)
        with names.open("wb") as file:
            file.writelines(origin + b"\0" for origin in sorted({one.origin for one in wanted}, key=key_of))
        held.files.fetch(names, scratch, self.say)
        self._learn_hashes(scratch, wanted)
        with Opener(os.fsencode(scratch)) as opener:
            self.openers[number] = opener
            for one in wanted:
                if self.whole or not self._right(one):
                    self._put(one)
            self.openers[number] = None
        names.unlink()
        remove_tree(scratch)

    def _learn_hashes(self, scratch: Path, fetched: Sequence[Wanted]) -> None:
        """What neither the snapshot nor a database knew: a live file may turn out right after all."""
        unknown = {one.origin for one in fetched if one.entry.sha256 is None}
        with closing(hash_files(os.fsencode(scratch), sorted(unknown, key=key_of))) as answers:
            known = {answer.path: answer.sha256 for answer in answers}
        for one in fetched:
            if one.entry.sha256 is None and (digest := known.get(one.origin)) is not None:
                key = key_of(one.path)
                self.choices.ask("UPDATE wanted SET sha256 = ? WHERE key = ?", digest, key)
                self.choices.ask(
                    "UPDATE live SET verdict = 'right' WHERE key = ? AND kind = 'f' AND size = ? AND sha256 = ?",
                    key, one.entry.size, digest,
                )  # fmt: skip

    # What came of it

    def _done(self, path: bytes, place: bytes, copied: int, shared: bool = False) -> None:
        query = "UPDATE wanted SET inode = ?, shared = ? WHERE key = ?"
        self.choices.ask(query, os.lstat(place).st_ino, shared, key_of(path))
        self.files += 1
        self.bytes += copied
        if not self.files & 0x3F:
            self.say(self.files, self.bytes)

    def _lose(self, wanted: Wanted, why: str) -> None:
        self.choices.lose(Lost(wanted.path, wanted.entry.sha256, wanted.entry.size, wanted.rows, why))
        self.choices.unwant(wanted.path)


def _clone(handle: int, place: bytes) -> bool:
    """A reflink, where the file system has them: shared until one of the two is changed."""
    target = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.ioctl(target, _FICLONE, handle)
    except OSError:
        os.unlink(place)  # noqa: PTH108
        return False
    finally:
        os.close(target)
    return True
