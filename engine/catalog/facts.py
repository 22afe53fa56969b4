"""What was learnt from one backup's folder, and the memory that spares reading it again.

The memory is a JSON file: facts by the identity of the files they came from (name, size, mtime, inode). It is only a
cache: what cannot be read is forgotten, and written anew.
"""

import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

import msgspec

from engine.formats.settings_file import read_settings
from engine.records.copies import Compression

_VERSION = 2

CONTROL = "global/pg_control"
LABEL = "backup_label"
TABLESPACE_MAP = "tablespace_map"
SMALL_FILES = {LABEL, TABLESPACE_MAP, "PG_VERSION", CONTROL, "postgresql.conf", "postgresql.auto.conf"}


class ManifestFacts(msgspec.Struct, frozen=True):
    """What the manifest says of the whole backup. Times are seconds since 1970."""

    files_size_bytes: int
    end_lsn: int | None = None
    system_identifier: int | None = None
    label_mtime: int | None = None
    newest_mtime: int | None = None


class Facts(msgspec.Struct):
    """One folder, as it was read. ``complete``: everything was looked at that there is to look at; else the rest
    (pg_control, settings, whether the tar ends as it should) lies beyond what may be read in passing. ``files`` are
    the small files' contents by name, ``space_bytes`` what each tablespace will occupy, by its OID. ``failed_check``
    and ``reason`` say why the copy is not usable."""

    folder: str = ""
    compression: Compression | None = None
    size_bytes: int = 0
    files_size_bytes: int | None = None
    files: dict[str, bytes] = {}
    mtimes: dict[str, int] = {}
    tablespaces: list[tuple[int, str]] = []
    space_bytes: dict[int, int] = {}
    manifest: ManifestFacts | None = None
    complete: bool = False
    failed_check: str | None = None
    reason: str | None = None
    notes: list[str] = []
    passing: bool = False  # something could not be read, which may be mended without changing a file: not remembered

    def text(self, name: str) -> str | None:
        """A small file's text, None where the backup has none."""
        data = self.files.get(name)
        return None if data is None else data.decode("utf-8", "surrogateescape")

    def fail(self, check: str, reason: str) -> None:
        """Only the first reason is kept."""
        if self.reason is None:
            self.failed_check, self.reason = check, reason

    def unreadable(self, what: str, error: OSError) -> None:
        """Something is there and cannot be read."""
        self.passing = True
        self.fail("backup-damaged", f"{what} cannot be read: {error.strerror or error}")

    def settings(self) -> dict[str, str]:
        """postgresql.conf, overruled by postgresql.auto.conf; includes are not followed."""
        settings: dict[str, str] = {}
        for name in ("postgresql.conf", "postgresql.auto.conf"):
            settings |= read_settings(self.text(name) or "")
        return settings


def identity(path: Path, files: Iterable[tuple[str, os.stat_result]]) -> str:
    """What the facts of a folder hang on."""
    parts = [f"{name}\0{found.st_size}\0{found.st_mtime_ns}\0{found.st_ino}" for name, found in files]
    return hashlib.sha256(os.fsencode("\0".join([str(path), *sorted(parts)]))).hexdigest()


class _Kept(msgspec.Struct):
    version: int
    facts: dict[str, Facts]


class Memory:
    """Facts by identity. Without a file: for as long as it lives."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._known: dict[str, Facts] = {}
        self._asked: set[str] = set()
        self._changed = False
        if file is not None:
            with suppress(OSError, msgspec.DecodeError, ValueError):
                kept = msgspec.json.decode(file.read_bytes(), type=_Kept)
                if kept.version == _VERSION:
                    self._known = kept.facts

    def recall(self, key: str) -> Facts | None:
        found = self._known.get(key)
        if found is not None:
            self._asked.add(key)
        return found

    def keep(self, key: str, facts: Facts) -> None:
        if facts.passing:
            return
        self._known[key] = facts
        self._asked.add(key)
        self._changed = True

    def save(self, swept: Path | None = None) -> None:
        """Write the file, atomically. ``swept``: a folder that was read whole; what is remembered of folders in it
        that nobody asked for is forgotten. A cache that cannot be written is no error."""
        for key in [key for key, facts in self._known.items() if key not in self._asked]:
            if swept is not None and Path(self._known[key].folder).parent == swept:
                del self._known[key]
                self._changed = True
        if self._file is None or not self._changed:
            return
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile(dir=self._file.parent, prefix=f".{self._file.name}.", delete=False) as new:
                new.write(msgspec.json.encode(_Kept(_VERSION, self._known)))
            Path(new.name).replace(self._file)
            self._changed = False
