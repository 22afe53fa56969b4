"""What is wanted, copied: each file hashed on its way, and put under its name only in the folder that is being built.

What the live folder has right is not copied: a folder that will take its place shares it (a reflink, else a hard link;
never one from a snapshot), and one that is only changed keeps it. What a snapshot has damaged is not put anywhere: it
is sought elsewhere, and counts as lost, with the reason, where nobody has it.

The copying is done by processes of their own (`sharing`), for each source in turn. Every few seconds all of it is put
on disk, and only then is written down that it is there: a successor trusts what stands in the choices.
"""

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from itertools import islice
from pathlib import Path

from engine.media.catalogue import Entry, key_of, path_of
from engine.media.choices import LIVE, Choices, Wanted
from engine.media.elsewhere import ANOTHER_ASIDE, find_in_live, find_in_snapshots, give_up
from engine.media.file_worker import COPY, COPY_ORDER, DIFFERENT, DONE, UNWRITABLE
from engine.media.hashing import hash_files
from engine.media.opening import Opener
from engine.media.putting import BLOCK, Unread, dress, stream, take_attributes
from engine.media.sharing import Answer, share_out
from engine.media.snapshot import entry_of
from engine.media.sources import Held
from engine.media.trying import find_by_reading
from engine.records.errors import DamagedCopy, Unreachable
from engine.transfer.durable import FileSystems
from engine.transfer.failures import unwritable
from engine.transfer.naming import shown
from engine.transfer.removing import remove_tree

_FICLONE = 0x40049409  # ioctl_ficlone(2)
_TOGETHER = 500  # rows that are read or written at once
_ON_DISK = 5.0  # seconds between two times that all is put on disk
_NO_MORE_LINKS = (errno.EMLINK, errno.EPERM, errno.EXDEV, errno.EOPNOTSUPP)
# What is wrong with one file alone; everything else is wrong with the file system that it lies on.
_OF_ONE_FILE = (
    errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.EINVAL, errno.EACCES, errno.EPERM, errno.EIO,
    errno.ENAMETOOLONG, errno.EBADMSG, errno.EUCLEAN, errno.ENODATA, errno.EILSEQ,
)  # fmt: skip
_DAMAGED = "its copy is damaged: it has other content than its catalogue says"
_UNFETCHED = "its copy could not be fetched: it is damaged, or stands in the snapshot no more"
_LEFT = "could not be taken over from the live folder: they stand in what is set aside"
_CHANGED = "only the live folder had it, where it was changed meanwhile"
_FETCHED_AT_ONCE = 20_000
_SOUGHT = "sought"  # the fact for how many damaged copies others were sought
_RIGHT = "EXISTS (SELECT 1 FROM live WHERE live.key = wanted.key AND verdict = 'right')"

Say = Callable[[int, int], None]
"""Hears files and bytes done."""


def take_anew(choices: Choices) -> None:
    """What was shared with the live folder and was changed there since is copied after all."""
    choices.ask(f"UPDATE wanted SET inode = NULL, shared = 0 WHERE shared AND NOT {_RIGHT}")
    choices.commit()


class Bringer:
    """Fills ``building``, a folder of the run's own. ``whole``: it will be all that there is (it takes the live
    folder's place, or stands elsewhere); else it holds only what goes into the live folder. ``last_hope``: there is
    time to seek what is lost by reading all that the snapshots have; ``seeking`` hears of that."""

    def __init__(
        self, choices: Choices, held: Sequence[Held], live: Path, building: Path, *, whole: bool, share: bool, say: Say,
        last_hope: bool = False, seeking: Say | None = None,
    ) -> None:  # fmt: skip
        self.choices, self.held, self.say = choices, held, say
        self.live, self.building, self.whole, self.share = os.fsencode(live), os.fsencode(building), whole, share
        self.last_hope, self.seeking = last_hope, seeking or say
        # what is fetched, in the folder that is being built: a run's name is no file's
        self.on_the_way = building / f".reprise-{choices.path.parent.name}"
        self.files = self.bytes = 0
        self.told = (0, 0)
        self.clones = True  # until the file system declines one
        self.made: set[bytes] = set()
        self.folders: list[tuple[bytes, Entry]] = []
        self.done: list[tuple[int, bool, bytes]] = []  # to be written down: inode, shared, key
        self.on_disk_at = time.monotonic()

    def bring(self) -> None:
        """Copy what is not there yet. Raises Unreachable where a snapshot is away, RunFailed where there is no room."""
        with ExitStack() as opened:
            self.systems = FileSystems([Path(os.fsdecode(self.building))])
            self.from_live = opened.enter_context(Opener(self.live)) if os.path.isdir(self.live) else None  # noqa: PTH112
            try:
                remove_tree(self.on_the_way)  # of one that was killed
                self._bring_all()
                remove_tree(self.on_the_way)
                if self.whole and self.share:
                    self._take_orphans()
                for place, folder in reversed(self.folders):
                    dress(place, folder)
                self._put_on_disk()
            except OSError as problem:
                raise unwritable(os.fsdecode(self.building), problem) from None
        self._tell()

    def _bring_all(self) -> None:
        self._put_what_is_no_copy()
        while True:
            for number, each in enumerate(self.held):
                if each.files.root is None:
                    self._fetch(number, each)
                else:
                    self._copy_from(each.files.root, number)
            self._copy_from(self.live, LIVE)
            if not self._seek_damaged() and not self._seek_by_reading():
                return

    def _seek_damaged(self) -> int:
        """What a copy was too damaged to give, wanted from elsewhere; how many. Once for all that was found damaged by
        now: it may take a while, and when this is done again production is stopped."""
        tried = self.choices.number("SELECT count(*) FROM tried")
        if not tried or self.choices.kept(_SOUGHT) == str(tried):
            return 0
        self._put_on_disk()
        found = find_in_snapshots(self.choices, self.held, lambda entries: self._tell())
        found += find_in_live(self.choices, self.live) if self.from_live is not None else 0
        self.choices.keep(_SOUGHT, str(tried))
        return found

    def _seek_by_reading(self) -> int:
        self._put_on_disk()
        return find_by_reading(self.choices, self.held, self.on_the_way, self.seeking, last_hope=self.last_hope)

    # What the live folder has, links and folders

    def _put_what_is_no_copy(self) -> None:
        """In order, so that the folders of what was copied before an engine died get their owner and mode."""
        shared = f"OR {_RIGHT}" if self.whole and self.share else ""
        there = "" if self.whole else f"AND NOT {_RIGHT}"
        query = f"key > ? AND needed AND (kind <> 'f' OR inode IS NOT NULL {shared}) {there} ORDER BY key LIMIT ?"
        last = b""
        while batch := list(self.choices.all_wanted(query, last, _TOGETHER)):
            last = key_of(batch[-1].path)
            for wanted in batch:
                self._make_parents(wanted.path)
                if wanted.entry.kind == "d":
                    self._make(wanted.path, wanted.entry)
                elif wanted.inode is None:
                    self._put(wanted)
            self._put_on_disk_now_and_then()

    def _put(self, wanted: Wanted) -> None:
        place = self.building + b"/" + wanted.path
        with suppress(FileNotFoundError):
            os.unlink(place)  # noqa: PTH108  # of a try before
        if wanted.entry.kind == "l":
            os.symlink(wanted.entry.target, place)  # noqa: PTH211
            dress(place, wanted.entry)
        elif not self._share(wanted.path, place, wanted.entry):
            return  # it is copied later
        self._note(wanted.path, os.lstat(place).st_ino, 0, shared=wanted.entry.kind == "f")

    def _share(self, path: bytes, place: bytes, entry: Entry) -> bool:
        """Take over what the live folder has right, with its attributes right too."""
        above, _, name = path.rpartition(b"/")
        if self.from_live is None:
            return False
        try:
            folder = self.from_live.enter(above)
            there = entry_of("f", os.stat(name, dir_fd=folder, follow_symlinks=False), path)
            if there.size != entry.size:
                return False
            if self.clones:
                handle = self.from_live.open(path)
        except OSError:
            return False
        if self.clones:
            try:
                self.clones = _clone(handle, place)
                if self.clones:
                    take_attributes(handle, place)
                    dress(place, entry)
                    return True
            finally:
                os.close(handle)
        if (there.mtime_ns, there.mode, there.uid, there.gid) != (entry.mtime_ns, entry.mode, entry.uid, entry.gid):
            return False  # the set-aside one keeps its own
        return self._link(folder, name, place, path)

    def _link(self, folder: int, name: bytes, place: bytes, path: bytes) -> bool:
        try:
            os.link(name, place, src_dir_fd=folder, follow_symlinks=False)
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
            self._put_on_disk_now_and_then()

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
            self._copy_orphan(path, place, entry)

    def _copy_orphan(self, path: bytes, place: bytes, entry: Entry) -> None:
        assert self.from_live is not None
        try:
            handle = self.from_live.open(path)
        except OSError:
            self.choices.find(_LEFT, path)
            return
        try:
            stream(handle, place, os.fstat(handle), memoryview(bytearray(BLOCK)))
            take_attributes(handle, place)
            dress(place, entry)
        except Unread:
            os.unlink(place)  # noqa: PTH108
            self.choices.find(_LEFT, path)
        finally:
            os.close(handle)

    # Folders

    def _make_parents(self, path: bytes) -> None:
        above = path.rpartition(b"/")[0]
        if not above or above in self.made:
            return
        self._make_parents(above)
        known = self.choices.folder(above)
        self._make(above, known.entry if known is not None else self._like_live(above))

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

    # What is copied

    def _copy_from(self, root: bytes, source: int) -> None:
        """What is wanted from a folder that can be read directly. Raises Unreachable where it is away."""
        if not self.choices.number("SELECT EXISTS (SELECT 1 FROM wanted WHERE source = ? AND kind = 'f')", source):
            return
        try:
            opener = Opener(root)
        except OSError as problem:
            raise _away(root, problem.strerror) from None
        with opener:
            self._copy(root, opener, self._to_copy(source))

    def _to_copy(self, source: int) -> Iterator[Wanted]:
        self._write_done()
        right = "" if self.whole else f"AND NOT {_RIGHT}"
        query = f"key > ? AND source = ? AND kind = 'f' AND needed AND inode IS NULL {right} ORDER BY key LIMIT ?"
        last = b""
        while page := list(self.choices.all_wanted(query, last, source, _TOGETHER)):
            last = key_of(page[-1].path)
            yield from page

    def _copy(self, root: bytes, opener: Opener, wanted: Iterator[Wanted]) -> None:
        with closing(share_out(root, map(self._order, wanted), progress=self._read)) as answers:
            for one, answer in answers:
                self._hear(root, opener, one, answer)
                self._put_on_disk_now_and_then()

    def _order(self, wanted: Wanted) -> tuple[Wanted, bytes]:
        self._make_parents(wanted.path)
        e = wanted.entry
        digest = bytes.fromhex(e.sha256) if e.sha256 is not None else b""
        head = COPY_ORDER.pack(e.size, e.mtime_ns, e.mode, e.uid, e.gid, bool(digest), digest, len(wanted.origin))
        return wanted, b"".join((COPY, head, wanted.origin, self.building, b"/", wanted.path))

    def _hear(self, root: bytes, opener: Opener, wanted: Wanted, answer: Answer) -> None:
        kind, why, _, _, size, _, inode, *_ = answer
        if kind == DONE:
            self._note(wanted.path, inode, size)
        elif kind == UNWRITABLE:
            raise OSError(why, os.strerror(why), os.fsdecode(self.building + b"/" + wanted.path))
        elif kind != DIFFERENT and (why not in _OF_ONE_FILE or not opener.stands(root)):
            raise _away(root, os.strerror(why))
        elif kind == DIFFERENT:
            give_up(self.choices, wanted, root, self._why_different(wanted.source))
        else:
            give_up(self.choices, wanted, root, self._why_unread(wanted.source, why))

    def _why_different(self, source: int) -> str:
        if source == LIVE:
            return _CHANGED
        return ANOTHER_ASIDE if self.held[source].set_aside else _DAMAGED

    def _why_unread(self, source: int, why: int) -> str:
        if why == errno.ENOENT and source != LIVE and self.held[source].files.root is None:
            return _UNFETCHED
        return f"its copy cannot be read: {os.strerror(why)}"

    def _read(self, count: int) -> None:
        self.bytes += count
        self._tell()

    # What must be fetched

    def _fetch(self, number: int, held: Held) -> None:
        """Files of a snapshot that cannot be read directly, many at once: its program takes a while to start."""
        source = self._to_copy(number)
        while page := list(islice(source, _FETCHED_AT_ONCE)):
            self._fetch_those(held, page)
            self._put_on_disk()

    def _fetch_those(self, held: Held, wanted: Sequence[Wanted]) -> None:
        scratch, names = self.on_the_way / "files", self.on_the_way / "names"
        remove_tree(self.on_the_way)
        scratch.mkdir(0o700, parents=True)
        with names.open("wb") as file:
            file.writelines(origin + b"\0" for origin in sorted({one.origin for one in wanted}, key=key_of))
        try:
            held.files.fetch(names, scratch, self._tell)
        except DamagedCopy as problem:  # of some files; those that came are good
            told = ": ".join(filter(None, (problem.message, (problem.cause or "").partition("\n")[0])))
            self.choices.find(f"not all of {held.snapshot.id} could be fetched: {told}")
        wanted = [one for one in self._learn_hashes(scratch, wanted) if self.whole or not self._right(one)]
        with Opener(os.fsencode(scratch)) as opener:
            self._copy(os.fsencode(scratch), opener, iter(wanted))
        remove_tree(self.on_the_way)

    def _right(self, wanted: Wanted) -> bool:
        return bool(self.choices.number(f"SELECT {_RIGHT} FROM wanted WHERE key = ?", key_of(wanted.path)))

    def _learn_hashes(self, scratch: Path, fetched: Sequence[Wanted]) -> Iterator[Wanted]:
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
                one = one._replace(entry=one.entry._replace(sha256=digest))
            yield one

    # What came of it

    def _tell(self, files: int = 0, bytes: int = 0) -> None:
        """So many more are being fetched. They are counted once more when they are copied from where they were fetched
        to: what was told never goes back."""
        self.told = max(self.told[0], self.files + files), max(self.told[1], self.bytes + bytes)
        self.say(*self.told)

    def _note(self, path: bytes, inode: int, copied: int, shared: bool = False) -> None:
        self.done.append((inode, shared, key_of(path)))
        self.files += 1
        if len(self.done) >= _TOGETHER:
            self._write_done()
            self._tell()

    def _write_done(self) -> None:
        self.choices.change("UPDATE wanted SET inode = ?, shared = ? WHERE key = ?", self.done)
        self.done.clear()

    def _put_on_disk_now_and_then(self) -> None:
        if time.monotonic() - self.on_disk_at >= _ON_DISK:
            self._put_on_disk()

    def _put_on_disk(self) -> None:
        self._write_done()
        self.systems.sync()
        self.choices.commit()
        self.on_disk_at = time.monotonic()


def _away(root: bytes, why: str | None) -> Unreachable:
    return Unreachable(
        f"{shown(os.fsdecode(root))} cannot be read", cause=why, remedy="bring it back, then: reprise resume"
    )


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
