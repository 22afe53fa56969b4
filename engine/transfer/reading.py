"""What a backup folder holds: the files of a plain one, the archives of one in tar format."""

import os
import re
import stat
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from queue import Full, Queue
from threading import Event, Thread
from typing import TypeVar

from msgspec import Struct, field

from engine.records.errors import DamagedCopy, Unreachable
from engine.transfer.contents import MANIFEST, TABLESPACES, below_emptied, tablespace_of
from engine.transfer.failures import reading, unreadable
from engine.transfer.naming import shown
from engine.transfer.opening import read_blocks

T = TypeVar("T")

_ARCHIVE = re.compile(r"(base|pg_wal|[1-9][0-9]{0,9})\.tar(?:\.(?:gz|lz4|zst))?\Z")
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_AHEAD = 8  # blocks


class SourceFile(Struct, frozen=True):
    """``path`` within the backup, ``place`` where its bytes lie."""

    path: str
    place: str
    size: int


class Listing(Struct):
    """A plain backup: folders (parents first), files, and where its tablespaces' contents lie, by OID."""

    folders: list[str] = field(default_factory=list)
    files: list[SourceFile] = field(default_factory=list)
    tablespaces: dict[int, str] = field(default_factory=dict)


def read_manifest_file(backup: Path) -> bytes | None:
    """The bytes of backup_manifest; None where there is none. Raises Unreachable."""
    with reading(backup):
        if not backup.is_dir():
            raise NotADirectoryError(20, "it is not there, or it is no folder")
    with reading(backup / MANIFEST):
        try:
            return (backup / MANIFEST).read_bytes()
        except FileNotFoundError:
            return None


def list_plain(backup: Path) -> Listing:
    """Walk a plain backup. Only the links of its tablespaces are followed, and what the server makes anew
    (`contents.EMPTIED`) is not looked at. Raises Unreachable; DamagedCopy for what no backup holds."""
    listing = Listing()
    ahead = [("", os.fspath(backup))]
    while ahead:
        folder, place = ahead.pop()
        with reading(place), os.scandir(place) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                path = f"{folder}/{entry.name}" if folder else entry.name
                if below_emptied(path) or path == MANIFEST:
                    continue
                found = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(found.st_mode):
                    listing.folders.append(path)
                    ahead.append((path, entry.path))
                elif stat.S_ISREG(found.st_mode):
                    listing.files.append(SourceFile(path, entry.path, found.st_size))
                elif stat.S_ISLNK(found.st_mode) and path == "pg_wal":
                    listing.folders.append(path)  # --waldir: the copy gets a folder of its own
                elif stat.S_ISLNK(found.st_mode) and folder == TABLESPACES and tablespace_of(path):
                    contents = _tablespace_contents(backup, path, entry.path)
                    listing.tablespaces[int(entry.name)] = contents
                    ahead.append((path, contents))
                else:
                    raise DamagedCopy(
                        f"the backup {shown(backup)} holds what does not belong into one: {shown(path)}",
                        cause="it is neither a file nor a folder, nor the link of a tablespace",
                        remedy="choose another backup",
                    )
    return listing


def _tablespace_contents(backup: Path, path: str, link: str) -> str:
    contents = os.path.realpath(link)
    if not os.path.isdir(contents):  # noqa: PTH112
        raise Unreachable(
            f"the backup {shown(backup)} has a tablespace whose contents are away: {shown(path)}",
            cause=f"it points to {shown(contents)}, and that is no folder",
            remedy="bring that folder back, or let the link point to where the tablespace's contents lie now",
        )
    return contents


def is_gone(backup: Path) -> bool:
    """Whether a backup as a whole is out of reach: what is missing of it then says nothing about the backup."""
    return not ((backup / "PG_VERSION").exists() or (backup / MANIFEST).exists())


def read_file(file: SourceFile, backup: Path, buffer: memoryview) -> Iterator[memoryview]:
    """A file's bytes in pieces of ``buffer``. Raises Unreachable; DamagedCopy where the file vanished alone."""
    try:
        descriptor = os.open(file.place, _OPEN)
    except FileNotFoundError as problem:
        if is_gone(backup):
            raise unreadable(file.place, problem) from None
        raise DamagedCopy(f"the backup {shown(backup)} is damaged: {shown(file.path)} has gone") from None
    except OSError as problem:
        raise unreadable(file.place, problem) from None
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        while True:
            try:
                count = os.readv(descriptor, [buffer])
            except OSError as problem:
                raise unreadable(file.place, problem) from None
            if not count:
                return
            yield buffer[:count]
    finally:
        os.close(descriptor)


class Archive(Struct, frozen=True):
    """A tar file of a backup: the data directory's (``oid`` None) or a tablespace's."""

    path: Path
    oid: int | None
    size: int

    @property
    def prefix(self) -> str:
        return f"{TABLESPACES}/{self.oid}/" if self.oid is not None else ""


def list_archives(backup: Path) -> list[Archive]:
    """The archives of a backup in tar format but pg_wal's, the data directory's first. Raises Unreachable,
    DamagedCopy."""
    found: dict[int | None, Archive] = {}
    with reading(backup):
        for path in sorted(backup.iterdir()):
            name = _ARCHIVE.match(path.name)
            if name is None or name[1] == "pg_wal":
                continue
            oid = None if name[1] == "base" else int(name[1])
            if oid in found:
                raise DamagedCopy(
                    f"the backup {shown(backup)} holds {name[1]}.tar twice: {found[oid].path.name} and {path.name}",
                    remedy="leave only the one that belongs to it",
                )
            found[oid] = Archive(path, oid, path.stat().st_size)
    if None not in found:
        raise DamagedCopy(f"the backup {shown(backup)} has no base.tar", remedy="choose another backup")
    return [found.pop(None), *found.values()]


def read_archive(archive: Archive, on_read: Callable[[int], None]) -> Generator[bytes, None, None]:
    """An archive's unpacked bytes; unpacked in a thread of its own, ahead of whoever writes them. ``on_read`` hears,
    in that thread, how many bytes of the archive were read. Raises Unreachable, DamagedCopy."""

    def blocks() -> Iterator[bytes]:
        with reading(archive.path), open(archive.path, "rb", buffering=0) as file:  # noqa: PTH123
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
            yield from read_blocks(archive.path, file, on_read)

    with closing(ahead_of(blocks(), _AHEAD)) as unpacked:
        yield from unpacked


def ahead_of(items: Iterable[T], depth: int) -> Generator[T, None, None]:
    """The same items, made by a thread that runs up to ``depth`` ahead; its exceptions are raised here."""
    queue: Queue[tuple[T | None, BaseException | None]] = Queue(depth)
    left = Event()  # whoever wanted the items has left

    def put(item: T | None, problem: BaseException | None) -> bool:
        while not left.is_set():
            try:
                queue.put((item, problem), timeout=0.2)
                return True
            except Full:
                continue
        return False

    def make() -> None:
        try:
            for item in items:
                if not put(item, None):
                    return
            put(None, None)
        except BaseException as problem:
            put(None, problem)

    thread = Thread(target=make, daemon=True)
    thread.start()
    try:
        while True:
            item, problem = queue.get()
            if problem is not None:
                raise problem
            if item is None:
                return
            yield item
    finally:
        left.set()
        thread.join()
