"""The copy's side: where a backup's paths lie in it, and files that are checksummed while they are written.

Whatever a backup says, nothing is written through a symbolic link or over something that is there: files are made with
O_EXCL and O_NOFOLLOW, and the copy's own links (into tablespaces) are made when all files stand.
"""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct, field

from engine.records.errors import DamagedCopy
from engine.transfer.checksums import Checksum
from engine.transfer.contents import EMPTIED, TABLESPACES, tablespace_of
from engine.transfer.durable import start_write_back
from engine.transfer.failures import unwritable, writing
from engine.transfer.naming import shown

_WRITE_BACK = 4 << 20  # bytes
_MAKE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Copy(Struct, frozen=True):
    """``root`` gets the data directory, ``tablespaces`` the contents of each; ``owner`` is (uid, gid) or None for
    whoever we are."""

    root: Path
    tablespaces: Mapping[int, Path]
    owner: tuple[int, int] | None
    _folders: set[str] = field(default_factory=set)

    def place(self, path: str) -> str:
        """Where a path of the backup lies in the copy."""
        found = tablespace_of(path)
        if found is not None and found[0] in self.tablespaces:
            return os.path.join(self.tablespaces[found[0]], found[1])  # noqa: PTH118  # names need not be UTF-8
        return os.path.join(self.root, path)  # noqa: PTH118

    def make_roots(self) -> None:
        """The copy's own folders, with the folders that every data directory has. Raises RunFailed."""
        for root in (self.root, *self.tablespaces.values()):
            with writing(root):
                for folder in [*reversed(root.parents), root]:
                    if not folder.exists():
                        folder.mkdir(0o700)
                        self._own(os.fspath(folder))
                os.chmod(root, 0o700)  # noqa: PTH101
                self._own(os.fspath(root))

    def make_folder(self, path: str) -> None:
        """A folder, and those above it. Raises RunFailed."""
        if path in self._folders or not path:
            return
        self.make_folder(path.rpartition("/")[0])
        place = self.place(path)
        with writing(place):
            try:
                os.mkdir(place, 0o700)  # noqa: PTH102
                self._own(place)
            except FileExistsError:
                if not stat.S_ISDIR(os.lstat(place).st_mode):
                    raise DamagedCopy(f"the backup holds {shown(path)} as a file and as a folder") from None
        self._folders.add(path)

    def make_empty_folders(self) -> None:
        for name in (*EMPTIED, "pg_wal/archive_status", TABLESPACES):
            self.make_folder(name)

    def create(self, path: str, checksum: Checksum | None) -> "NewFile":
        """A new file (0600). Raises RunFailed; DamagedCopy where there is one already."""
        self.make_folder(path.rpartition("/")[0])
        place = self.place(path)
        with writing(place):
            try:
                file = os.open(place, _MAKE, 0o600)
            except FileExistsError:
                raise DamagedCopy(f"the backup holds {shown(path)} twice") from None
            if self.owner is not None:
                os.fchown(file, *self.owner)
        return NewFile(place, file, checksum)

    def link_tablespaces(self) -> None:
        """``pg_tblspc/<oid>`` to where each tablespace lies now. Raises RunFailed, DamagedCopy."""
        for oid, folder in self.tablespaces.items():
            link = self.root / TABLESPACES / str(oid)
            with writing(link):
                try:
                    link.symlink_to(folder)
                except FileExistsError:
                    raise DamagedCopy(f"the backup holds {TABLESPACES}/{oid} twice") from None
                if self.owner is not None:
                    os.chown(link, *self.owner, follow_symlinks=False)

    def clear(self, keep: Mapping[str, int], ledger: Path) -> dict[str, int]:
        """Remove everything of an unfinished copy but the files in ``keep`` that have the right size; these are
        returned. Raises RunFailed."""
        kept: dict[str, int] = {}
        roots = [(os.fspath(self.root), "")]
        roots += [(os.fspath(place), f"{TABLESPACES}/{oid}") for oid, place in self.tablespaces.items()]
        while roots:
            folder, path = roots.pop()
            with writing(folder), os.scandir(folder) as entries:
                for entry in entries:
                    name = f"{path}/{entry.name}" if path else entry.name
                    if entry.is_dir(follow_symlinks=False):
                        roots.append((entry.path, name))
                    elif entry.is_file(follow_symlinks=False) and keep.get(name) == entry.stat().st_size:
                        kept[name] = keep[name]
                    elif entry.path != os.fspath(ledger):
                        os.unlink(entry.path)  # noqa: PTH108
        return kept

    def _own(self, place: str) -> None:
        if self.owner is not None:
            os.chown(place, *self.owner, follow_symlinks=False)


class NewFile:
    """A file of the copy while it is written."""

    def __init__(self, place: str, file: int, checksum: Checksum | None) -> None:
        self.place = place
        self.written = 0
        self._file = file
        self._checksum = checksum
        self._sent = 0

    def write(self, data: "bytes | memoryview") -> None:
        """Raises RunFailed, with a remedy where the file system is full."""
        if self._checksum is not None:
            self._checksum.update(data)
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as problem:
            raise unwritable(self.place, problem) from None
        self.written += len(data)
        if self.written - self._sent >= _WRITE_BACK:
            start_write_back(self._file, self._sent, self.written - self._sent)
            self._sent = self.written

    def sync(self) -> None:
        with writing(self.place):
            os.fsync(self._file)

    def close(self) -> None:
        with writing(self.place):
            os.close(self._file)


class NoFile(NewFile):
    """A file that is verified but not written: the copy has it already, or does not want it."""

    def __init__(self, checksum: Checksum | None) -> None:
        super().__init__("", -1, checksum)

    def write(self, data: "bytes | memoryview") -> None:
        if self._checksum is not None:
            self._checksum.update(data)
        self.written += len(data)

    def sync(self) -> None:
        pass

    def close(self) -> None:
        pass
