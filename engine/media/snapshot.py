"""A snapshot of the users' files: a folder of its own, with what did not change shared with the snapshot before.

A file is shared, by a hard link into the snapshot before, where size, mtime, mode and owner are those of that one's
catalogue; every other file is read once, copied and hashed. Never is anything linked into the live folder. Both the
live folder and the catalogue before come in the same order, so that the whole is a merge of two streams.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct, field

from engine.media.catalogue import CatalogueWriter, Entry, catalogue_of, key_of, open_catalogue
from engine.media.putting import BLOCK, Unread, dress, stream, take_attributes
from engine.media.walking import walk
from engine.records.errors import DamagedCopy, RepriseError, Unreachable
from engine.transfer.failures import unwritable
from engine.transfer.naming import shown

_TRIES = 3  # of a file that changes while it is read
_TOLD = 20  # findings that are told by name
_NO_MORE_LINKS = (errno.EMLINK, errno.EPERM, errno.EXDEV, errno.ENOENT, errno.EOPNOTSUPP)

Progress = Callable[[int, int], None]


class Taken(Struct):
    """What came of a snapshot. ``bytes`` are those of all its files, ``copied_bytes`` those that were read."""

    started_at: datetime
    stopped_at: datetime
    files: int = 0
    bytes: int = 0
    copied: int = 0
    copied_bytes: int = 0
    shared: int = 0
    findings: list[str] = field(default_factory=list)
    more_findings: int = 0

    def tell(self, finding: str) -> None:
        if len(self.findings) < _TOLD:
            self.findings.append(finding)
        else:
            self.more_findings += 1


def take_snapshot(live: Path, into: Path, before: Path | None, progress: Progress = lambda files, bytes: None) -> Taken:
    """Copy ``live`` into the absent folder ``into``, with its catalogue beside it. ``before`` is an earlier snapshot
    with a catalogue on the same file system, None for none. ``progress`` hears files and bytes done.

    Nothing is synced: the caller does that once. Raises Unreachable for what goes wrong with the live folder, RunFailed
    for what goes wrong with the snapshot; a file that cannot be read ends it, for a snapshot without it would be none.
    """
    return _Taker(live, into, before, progress).take()


class _Taker:
    def __init__(self, live: Path, into: Path, before: Path | None, progress: Progress) -> None:
        self.live, self.into, self.progress = os.fsencode(live), os.fsencode(into), progress
        self.before = os.fsencode(before) if before is not None else None
        self.earlier = _Earlier(before)
        now = datetime.now(UTC)
        self.taken = Taken(now, now)
        self.buffer = memoryview(bytearray(BLOCK))
        self.folders: list[tuple[bytes, Entry]] = []  # given their times at the end, when nothing is written into them
        self.mounts: dict[bytes, tuple[int, int]] = {}  # the live folder and each file system mounted in it
        self.vanished = 0

    def take(self) -> Taken:
        self._enter(self.live)
        try:
            os.mkdir(self.into, 0o700)  # noqa: PTH102  # names are bytes here
            catalogue = catalogue_of(Path(os.fsdecode(self.into)))
            with catalogue.open("xb") as file:
                writer = CatalogueWriter(file, self.taken.started_at)
                for path, entry in self._walk():
                    if (added := self._add(path, entry)) is not None:
                        writer.add(added)
                self._see_mounts()
                if self.vanished:
                    self.taken.tell(f"{self.vanished} files and folders vanished while the snapshot was taken")
                for place, folder in reversed(self.folders):
                    dress(place, folder)
                self.taken.stopped_at = datetime.now(UTC)
                writer.close(self.taken.stopped_at)
        except OSError as problem:
            raise unwritable(os.fsdecode(self.into), problem) from None
        finally:
            self.earlier.close()
        self.progress(self.taken.files, self.taken.bytes)
        return self.taken

    def _enter(self, folder: bytes) -> None:
        """Remember which folder this is, where another file system begins with it."""
        try:
            status = os.stat(folder)  # noqa: PTH116
        except OSError as problem:
            raise _unreadable(folder, problem) from None
        self.mounts[folder] = status.st_dev, status.st_ino

    def _see_mounts(self) -> None:
        """Nothing was unmounted meanwhile: what vanished with its file system would be missing from the snapshot, and
        all the same look deleted. Raises Unreachable."""
        before = dict(self.mounts)
        for folder in before:
            self._enter(folder)
        for folder, known in before.items():
            if self.mounts[folder] != known:
                raise Unreachable(
                    f"the file system at {shown(os.fsdecode(folder))} was unmounted while the snapshot was taken",
                    cause="another folder has its name now",
                    remedy="mount it again, then: reprise resume",
                )

    def _walk(self) -> Iterator[tuple[bytes, os.DirEntry[bytes]]]:
        try:
            yield from walk(self.live)
        except OSError as problem:
            raise _unreadable(problem.filename or self.live, problem) from None

    def _add(self, path: bytes, entry: os.DirEntry[bytes]) -> Entry | None:
        """Take one entry over; None where there is nothing to be taken, or it vanished."""
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            self.vanished += 1
            return None
        except OSError as problem:
            raise _unreadable(entry.path, problem) from None
        place = self.into + b"/" + path
        if stat.S_ISDIR(status.st_mode):
            folder = entry_of("d", status, path)
            os.mkdir(place, 0o700)  # noqa: PTH102
            self.folders.append((place, folder))
            if status.st_dev not in {device for device, _ in self.mounts.values()}:
                self.mounts[entry.path] = status.st_dev, status.st_ino
            return folder
        if stat.S_ISLNK(status.st_mode):
            return self._add_link(path, entry.path, place, status)
        if not stat.S_ISREG(status.st_mode):
            self.taken.tell(f"{shown(os.fsdecode(path))} is neither file, folder nor link: left out")
            return None
        known = self.earlier.find(path)
        added = known if known is not None and _unchanged(known, status) and self._share(path, place) else None
        if added is None:
            added = self._copy(path, entry.path, place)
        if added is not None:
            self.taken.files += 1
            self.taken.bytes += added.size
            if not self.taken.files & 0xFF:
                self.progress(self.taken.files, self.taken.bytes)
        return added

    def _share(self, path: bytes, place: bytes) -> bool:
        assert self.before is not None
        try:
            os.link(self.before + b"/" + path, place, follow_symlinks=False)
        except OSError as problem:
            if problem.errno not in _NO_MORE_LINKS:
                raise
            return False  # it is copied once more, and the next snapshots share that
        self.taken.shared += 1
        return True

    def _add_link(self, path: bytes, source: bytes, place: bytes, status: os.stat_result) -> Entry | None:
        try:
            target = os.readlink(source)  # noqa: PTH115
        except OSError:
            self.vanished += 1  # or is no link any more
            return None
        os.symlink(target, place)  # noqa: PTH211
        entry = entry_of("l", status, path)._replace(target=target, size=0)
        dress(place, entry)
        return entry

    def _copy(self, path: bytes, source: bytes, place: bytes) -> Entry | None:
        """Read a file once, copy and hash it; once more where it changed meanwhile. None where it vanished."""
        for attempt in range(_TRIES):
            try:
                handle = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOATIME)
            except PermissionError:
                handle = _open_another_s(source)
            except OSError as problem:
                if problem.errno in (errno.ENOENT, errno.ELOOP):
                    self.vanished += 1
                    with suppress(FileNotFoundError):
                        os.unlink(place)  # noqa: PTH108  # of a try before
                    return None
                raise _unreadable(source, problem) from None
            try:
                status = os.fstat(handle)
                digest, size = stream(handle, place, status, self.buffer)
                after = os.fstat(handle)
                if after.st_mtime_ns == status.st_mtime_ns and after.st_size == status.st_size == size:
                    take_attributes(handle, place)
                    entry = entry_of("f", status, path)._replace(sha256=digest)
                    dress(place, entry)
                    self.taken.copied += 1
                    self.taken.copied_bytes += size
                    return entry
            except Unread as problem:
                raise _unreadable(source, problem) from None
            finally:
                os.close(handle)
            if attempt == _TRIES - 1:
                self.taken.tell(f"{shown(os.fsdecode(path))} was being written: taken as it stood")
                entry = entry_of("f", status, path)._replace(sha256=digest, size=size)
                dress(place, entry)
                self.taken.copied += 1
                return entry
        return None


class _Earlier:
    """The snapshot before, as its catalogue tells it; asked in order."""

    def __init__(self, snapshot: Path | None) -> None:
        self._opened = open_catalogue(catalogue_of(snapshot)) if snapshot is not None else None
        self._entries: Iterator[Entry] = iter(())
        self._next: Entry | None = None
        if self._opened is not None:
            try:
                self._entries = iter(self._opened.__enter__())
                self._forward()
            except OSError:
                self._opened = None  # no catalogue: nothing can be shared, and all is read

    def find(self, path: bytes) -> Entry | None:
        """The entry of this path; each must be asked for in the catalogue's order."""
        key = key_of(path)
        while self._next is not None and self._next.key < key:
            self._forward()
        return self._next if self._next is not None and self._next.path == path else None

    def _forward(self) -> None:
        try:
            self._next = next(self._entries, None)
        except (DamagedCopy, OSError):
            self._next = None  # what stands behind a damage is read anew

    def close(self) -> None:
        if self._opened is not None:
            self._opened.__exit__(None, None, None)


def _unchanged(known: Entry, status: os.stat_result) -> bool:
    return (
        known.kind == "f"
        and known.size == status.st_size
        and known.mtime_ns == status.st_mtime_ns
        and known.mode == stat.S_IMODE(status.st_mode)
        and (known.uid, known.gid) == (status.st_uid, status.st_gid)
    )


def entry_of(kind: str, status: os.stat_result, path: bytes) -> Entry:
    """An entry as its status tells it, without a hash or a link's target."""
    return Entry(
        kind,  # type: ignore[arg-type]
        None,
        status.st_size if kind == "f" else 0,
        status.st_mtime_ns,
        stat.S_IMODE(status.st_mode),
        status.st_uid,
        status.st_gid,
        path,
    )


def _open_another_s(source: bytes) -> int:
    """O_NOATIME is for the owner alone (open(2))."""
    try:
        return os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as problem:
        raise _unreadable(source, problem) from None


def _unreadable(path: bytes | str, problem: OSError) -> RepriseError:
    return Unreachable(
        f"the users' files cannot be read at {shown(os.fsdecode(path))}",
        cause=problem.strerror,
        remedy="see that the media folder is mounted, and that this user may read it",
    )
