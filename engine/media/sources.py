"""The files of one snapshot, whatever program keeps them."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from engine.media.borg import BorgFiles
from engine.media.catalogue import Entry, catalogue_of, open_catalogue
from engine.media.folders import FolderFiles
from engine.media.restic import ResticFiles
from engine.records.copies import MediaSnapshot
from engine.site import MediaRepository


class SnapshotFiles(Protocol):
    """What one snapshot holds, relative to the media folder."""

    def entries(self, *, hashes: bool = True) -> AbstractContextManager[Iterator[Entry]]:
        """Its entries in a catalogue's order; a file's ``sha256`` is None where the snapshot does not know it. Without
        ``hashes`` it is None too where it would have to be made (borg: by reading every file); who only browses wants
        none. Raises OSError, RepriseError."""
        ...

    @property
    def root(self) -> bytes | None:
        """The folder in which its files can be read directly; None where they must be fetched."""
        ...

    @property
    def resolution(self) -> int:
        """Nanoseconds: two times that are less apart are the same to it."""
        ...

    @property
    def tells_hashes(self) -> bool:
        """Whether its entries have hashes, where one is asked for."""
        ...

    def fetch(self, paths: Path, into: Path, say: Callable[[int, int], None]) -> None:
        """Bring files out of a snapshot that cannot be read directly: ``paths`` is a file of paths that each end with
        a zero byte, ``into`` an empty folder, on the disk that they are meant for (they are first put beside it, in one
        that is called ``.staging`` besides); they come to stand in it under their own paths, with their content alone
        (owner, mode and time are the caller's). ``say`` hears files and bytes done.
        Raises RepriseError; what could not be brought is missing."""
        ...


def open_snapshot(snapshot: MediaSnapshot, repository: MediaRepository, media_path: str) -> SnapshotFiles:
    """The files of a snapshot of this repository; ``media_path`` is the site's media folder. Runs nothing yet."""
    match repository.kind:
        case "rsync":
            return FolderFiles(snapshot, repository)
        case "restic":
            return ResticFiles(snapshot, repository, media_path)
        case "borg":
            return BorgFiles(snapshot, repository, media_path)
        case _:
            return _Catalogued(snapshot) if snapshot.has_catalogue else FolderFiles(snapshot, repository)


class Held(Struct, frozen=True):
    """A snapshot and its files. ``in_reserve``: none of those that the moment needs; what they do not have, or have
    damaged, may stand in it. ``set_aside``: it is no snapshot, but a folder that an earlier run has moved away."""

    snapshot: MediaSnapshot
    files: SnapshotFiles
    in_reserve: bool = False
    set_aside: bool = False


def open_set_aside(folder: Path) -> Held:
    """What an earlier run has moved out of the live folder, or away with it: nobody wrote down when it was what, nor a
    hash."""
    now = datetime.now(UTC)
    snapshot = MediaSnapshot(os.fspath(folder), os.fspath(folder.parent), folder, now, now, dated=False)
    files = FolderFiles(snapshot, MediaRepository(kind="directory", path=snapshot.repository))
    return Held(snapshot, files, in_reserve=True, set_aside=True)


class _Catalogued:
    """A snapshot of ours."""

    resolution = 1
    tells_hashes = True

    def __init__(self, snapshot: MediaSnapshot) -> None:
        self._snapshot = snapshot

    @contextmanager
    def entries(self, *, hashes: bool = True) -> Iterator[Iterator[Entry]]:
        with open_catalogue(catalogue_of(self._snapshot.path)) as catalogue:
            yield iter(catalogue)

    @property
    def root(self) -> bytes | None:
        return bytes(self._snapshot.path)

    def fetch(self, paths: Path, into: Path, say: Callable[[int, int], None]) -> None:
        raise NotImplementedError("its files can be read directly")
