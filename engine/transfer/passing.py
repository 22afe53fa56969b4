"""The copy itself, as the worker process does it: read, checksum, write, and put on disk, in one pass."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

from msgspec import Struct

from engine.formats.backup_label import read_tablespace_map
from engine.records.errors import DamagedCopy, RunFailed
from engine.transfer.checksums import Checksum
from engine.transfer.contents import CONTROL, HELD_BACK_CONTROL, MANIFEST, TABLESPACE_MAP, is_dropped, tablespace_of
from engine.transfer.durable import FileSystems, fsync_path, sync_reports_errors
from engine.transfer.expected import Expected
from engine.transfer.failures import writing
from engine.transfer.ledger import LEDGER, open_ledger
from engine.transfer.naming import shown
from engine.transfer.reading import (
    Archive,
    SourceFile,
    list_archives,
    list_plain,
    read_archive,
    read_file,
    read_manifest_file,
)
from engine.transfer.tar import TarEntry, TarReader
from engine.transfer.throttle import Throttle
from engine.transfer.writing import Copy, NewFile, NoFile

THREADS = 2
BUFFER = 128 << 10  # bytes: what was read is still in the processor's cache when it is checksummed and written
CHECKPOINT_SECONDS = 30.0  # between two syncs on the way, so that a loss of power does not cost the whole copy
_LARGE = 16 << 20  # bytes; files from this size on go first, so that the threads end together
_SMALL_FILE = 1 << 20  # bytes at most for files that are kept in memory: pg_control, tablespace_map


class Order(Struct, frozen=True):
    """What to copy where. Paths are absolute; ``owner`` is (uid, gid)."""

    backup: str
    format: str
    destination: str
    tablespaces: Mapping[int, str]
    owner: tuple[int, int] | None
    hold_back_control: bool


class Tally:
    """How far the copy is, in bytes; and where threads wait while the run is held, or for the throttle, or learn that
    it is over."""

    def __init__(self, pause: Callable[[], None], throttle: Throttle | None = None) -> None:
        self.total: int | None = None
        self.syncing = False
        self.failed = Event()
        self._pause = pause
        self._throttle = throttle or Throttle(None)
        self._done = 0
        self._lock = Lock()

    @property
    def done(self) -> int:
        return self._done

    def add(self, count: int, *, read: bool = True) -> None:
        """Count bytes; not ``read``: they were there already."""
        self._pause()
        if read:
            self._throttle.take(count)
        if self.failed.is_set():
            raise Halted
        with self._lock:
            self._done += count


class Halted(Exception):
    """Another thread failed; this one ends as well."""


def carry(order: Order, tally: Tally) -> dict[str, Any]:
    """Make the copy that ``order`` describes, or go on with it. Returns what `copying.CopyResult` is made of.

    Raises DamagedCopy, Unreachable, RunFailed. Nothing that could be taken for a data directory is left by then:
    pg_control comes last.
    """
    return _Carrier(order, tally).run()


class _Carrier:
    def __init__(self, order: Order, tally: Tally) -> None:
        self.order = order
        self.tally = tally
        self.backup = Path(order.backup)
        self.manifest = read_manifest_file(self.backup)
        self.expected = Expected(self.backup, self.manifest)
        places = {oid: Path(place) for oid, place in order.tablespaces.items()}
        self.copy = Copy(Path(order.destination), places, order.owner)
        self.kept: dict[str, int] = {}
        self.files = 0
        self.bytes = 0
        self.lock = Lock()
        self.small: dict[str, bytes] = {}  # held in memory until all else is on disk

    def run(self) -> dict[str, Any]:
        self.copy.make_roots()
        self.systems = FileSystems((self.copy.root, *self.copy.tablespaces.values()))
        ledger_path = self.copy.root / LEDGER
        with writing(ledger_path):
            self._is_ours(ledger_path)
            ledger = open_ledger(self.copy.root, f"{self.order.format} {shown(self.backup)}")
        with closing(ledger):
            if ledger.result is not None:
                return ledger.result
            self.ledger = ledger
            self.kept = self.copy.clear(ledger.done, ledger_path)
            ending = Event()
            checkpoints = Thread(target=self._checkpoints, args=(ending,), daemon=True)
            checkpoints.start()
            try:
                self._carry_plain() if self.order.format == "plain" else self._carry_tar()
            finally:
                ending.set()
                checkpoints.join()
            self.expected.nothing_missing()
            self._tablespace_map_is_served()
            return self._finish()

    def _is_ours(self, ledger: Path) -> None:
        """Refuses to write into folders that hold something which is not this copy, unfinished."""
        if ledger.exists():
            return
        for folder in (self.copy.root, *self.copy.tablespaces.values()):
            if any(folder.iterdir()):
                raise RunFailed(
                    f"{shown(folder)} is not empty, and what it holds is not an unfinished copy",
                    remedy="choose an empty or absent folder",
                )

    def _carry_plain(self) -> None:
        listing = list_plain(self.backup)
        self._tablespaces_have_places(set(listing.tablespaces))
        for file in listing.files:
            self.expected.announce(file.path, file.size)
        self.expected.nothing_missing()
        wanted = [file for file in listing.files if self.expected.knows(file.path) or not is_dropped(file.path)]
        self.tally.total = sum(file.size for file in wanted)
        self.copy.make_empty_folders()
        for folder in listing.folders:
            self.copy.make_folder(folder)
        ahead = deque(sorted(wanted, key=lambda file: -(file.size // _LARGE)))
        problems: list[BaseException] = []

        def work() -> None:
            buffer = memoryview(bytearray(BUFFER))
            try:
                while True:
                    try:
                        file = ahead.popleft()
                    except IndexError:
                        return
                    self._copy_file(file, buffer)
            except BaseException as problem:
                problems.append(problem)
                self.tally.failed.set()

        threads = [Thread(target=work, daemon=True) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for problem in sorted(problems, key=lambda problem: isinstance(problem, Halted)):
            raise problem

    def _copy_file(self, file: SourceFile, buffer: memoryview) -> None:
        if file.path in self.kept:
            self.tally.add(file.size, read=False)  # read and verified before the run was interrupted
            self._count(file.size)
            return
        self._take_in(file.path, file.size, self._counted(read_file(file, self.backup, buffer)))

    def _carry_tar(self) -> None:
        archives = list_archives(self.backup)
        self._tablespaces_have_places({archive.oid for archive in archives if archive.oid is not None})
        packed = sum(archive.size for archive in archives)
        self.tally.total = packed if self.expected.bytes is None else self.expected.bytes
        self.copy.make_empty_folders()
        for archive in archives:
            self._carry_archive(archive)

    def _carry_archive(self, archive: Archive) -> None:
        by_packed = self.expected.bytes is None
        on_read: Callable[[int], None] = self.tally.add if by_packed else lambda count: None
        with closing(read_archive(archive, on_read)) as blocks:
            reader = TarReader(archive.path, blocks)
            for entry in reader:
                path = archive.prefix + entry.name
                if entry.kind == "file":
                    self._unpack_file(path, entry, reader, by_packed)
                elif entry.kind == "folder" and entry.name and not is_dropped(path):
                    self.copy.make_folder(path)
                elif entry.kind == "link":
                    self._pass_link(archive, entry)

    def _unpack_file(self, path: str, entry: TarEntry, reader: TarReader, by_packed: bool) -> None:
        if (is_dropped(path) and not self.expected.knows(path)) or path == MANIFEST:
            return
        inside = tablespace_of(path)
        if inside is not None and not inside[1]:
            raise DamagedCopy(f"the backup {shown(self.backup)} holds {shown(path)} as a file")
        self.expected.announce(path, entry.size)
        self._take_in(path, entry.size, reader.content() if by_packed else self._counted(reader.content()))

    def _pass_link(self, archive: Archive, entry: TarEntry) -> None:
        """Links of tablespaces are made anew; no other has a place in a backup."""
        found = tablespace_of(entry.name)
        if archive.oid is not None or found is None or found[1]:
            raise DamagedCopy(
                f"{shown(archive.path)} holds a link that does not belong into a backup: {shown(entry.name)}",
                cause=f"it points to {shown(entry.target)}",
                remedy="do not use this backup; find out who made it",
            )
        if found[0] not in self.copy.tablespaces:
            raise DamagedCopy(f"the backup {shown(self.backup)} lacks {found[0]}.tar")

    def _counted(self, pieces: Iterator[memoryview]) -> Iterator[memoryview]:
        for piece in pieces:
            self.tally.add(len(piece))
            yield piece

    def _take_in(self, path: str, size: int, pieces: Iterator[memoryview]) -> None:
        """One file of the backup: verified, and written where the copy wants it."""
        checksum = self.expected.checksum(path)
        if path in (CONTROL, TABLESPACE_MAP):
            self._keep_in_memory(path, size, checksum, pieces)
            return
        written = is_dropped(path) or path in self.kept
        file: NewFile = NoFile(checksum) if written else self.copy.create(path, checksum)
        try:
            for piece in pieces:
                file.write(piece)
            self.expected.read(path, file.written, size, checksum)
            if not written and not sync_reports_errors():
                file.sync()
        finally:
            file.close()
        if not written:
            with writing(self.ledger.path):
                self.ledger.add(path, size)
        self._count(size)

    def _keep_in_memory(self, path: str, size: int, checksum: Checksum | None, pieces: Iterator[memoryview]) -> None:
        if size > _SMALL_FILE:
            raise DamagedCopy(f"the backup {shown(self.backup)} is damaged: {path}", cause=f"it has {size} bytes")
        data = b"".join(bytes(piece) for piece in pieces)
        if checksum is not None:
            checksum.update(data)
        self.expected.read(path, len(data), size, checksum)
        self.small[path] = data
        self._count(size)

    def _count(self, size: int) -> None:
        with self.lock:
            self.files += 1
            self.bytes += size

    def _tablespaces_have_places(self, found: set[int]) -> None:
        wanted = set(self.copy.tablespaces)
        if found - wanted:
            raise RunFailed(f"the plan has no place for tablespace {min(found - wanted)} of {shown(self.backup)}")
        if wanted - found:
            raise DamagedCopy(f"the backup {shown(self.backup)} lacks the contents of tablespace {min(wanted - found)}")

    def _tablespace_map_is_served(self) -> None:
        """The map is not copied: the server would make the origin's links from it, into production. The copy's own
        links take its place (xlogrecovery.c, read_tablespace_map)."""
        text = self.small.get(TABLESPACE_MAP, b"").decode("utf-8", "surrogateescape")
        for tablespace in read_tablespace_map(text):
            if tablespace.oid not in self.copy.tablespaces:
                raise DamagedCopy(f"the backup {shown(self.backup)} lacks the contents of tablespace {tablespace.oid}")

    def _checkpoints(self, ending: Event) -> None:
        """Every now and then, what is complete so far is made durable. A failure shows again at the end."""
        while not ending.wait(CHECKPOINT_SECONDS):
            with suppress(OSError):
                position = self.ledger.position()
                self.systems.sync()
                self.ledger.covered(position)

    def _finish(self) -> dict[str, Any]:
        self.copy.link_tablespaces()
        if self.manifest is not None:
            self._write_small(MANIFEST, self.manifest)
        self.tally.syncing = True
        with writing(self.copy.root):
            self.systems.sync()
        self._write_small(HELD_BACK_CONTROL if self.order.hold_back_control else CONTROL, self.small[CONTROL])
        with writing(self.copy.root):
            self.systems.sync()
            result = {
                "files": self.files,
                "bytes": self.bytes,
                "verified": self.expected.checksums,
                "kept": len(self.kept),
            }
            self.ledger.complete(result)
            fsync_path(self.copy.root)
        return result

    def _write_small(self, path: str, data: bytes) -> None:
        file = self.copy.create(path, None)
        try:
            file.write(data)
            file.sync()
        finally:
            file.close()
