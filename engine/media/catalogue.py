"""A snapshot's catalogue: ``<id>.catalogue.zst`` beside its folder.

Text lines, zstd. The first names the format; each other is one entry, its fields separated by tabs: kind (``f`` file,
``d`` folder, ``l`` symbolic link), SHA-256 (``-`` but for files), size in bytes, mtime in nanoseconds, mode in octal,
uid, gid, path, and a link's target. Paths are relative to the media folder, any bytes; backslash, tab, newline and
carriage return in them are written ``\\\\``, ``\\t``, ``\\n``, ``\\r``.

Entries are sorted by their path, component by component, as bytes: that is the order in which a folder is walked, so
that two catalogues, or a catalogue and a folder, are compared as streams and a million files need no memory. The last
line is ``end`` with the number of entries and the snapshot's interval: a catalogue that was cut off is none.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Literal, NamedTuple

from engine.media.putting import LARGEST
from engine.records.errors import DamagedCopy
from engine.transfer.naming import shown
from engine.transfer.opening import open_compressed, zstd

SUFFIX = ".catalogue.zst"
_FORMAT = "reprise catalogue 1"
_LONGEST_LINE = 64 << 10  # bytes; a path has 4096 at most, a link's target too
_FLUSH = 256  # lines that are handed to the compressor at once
_ESCAPED = {b"\\": b"\\\\", b"\t": b"\\t", b"\n": b"\\n", b"\r": b"\\r"}
_SPECIAL = re.compile(rb"[\\\t\n\r]")
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_LEADS_ELSEWHERE = re.compile(rb"(?:\A|/)\.{0,2}(?:/|\Z)")
_EARLIEST, _LATEST = -62_135_596_800 * 10**9, 253_402_300_800 * 10**9  # nanoseconds: the years 1 to 9999
_LAST_ID = (1 << 32) - 1
_MEANT = {b"\\": b"\\", b"t": b"\t", b"n": b"\n", b"r": b"\r"}

Kind = Literal["f", "d", "l"]


class Entry(NamedTuple):
    """One file, folder or link of a snapshot. ``sha256`` is a file's, in hexadecimal; ``target`` a link's."""

    kind: Kind
    sha256: str | None
    size: int
    mtime_ns: int
    mode: int
    uid: int
    gid: int
    path: bytes
    target: bytes = b""

    @property
    def key(self) -> bytes:
        """What entries are sorted by."""
        return key_of(self.path)


def key_of(path: bytes) -> bytes:
    """A path with ``/`` written as a zero byte: in that form the order of bytes is a catalogue's order."""
    return path.replace(b"/", b"\0")


def path_of(key: bytes) -> bytes:
    return key.replace(b"\0", b"/")


class Order:
    """Sees that entries which come as a stream can be those of a snapshot: in a catalogue's order, each once, with a
    path that stays below the root and numbers that a file can have, and nothing inside of what is no folder."""

    def __init__(self) -> None:
        self._before = b""
        self._inside = b"/"  # of the last one that is no folder; what would be in it comes next

    def see(self, entry: Entry) -> None:
        """Raises ValueError."""
        kind, _, size, mtime, mode, uid, gid, path, _ = entry
        key = path.replace(b"/", b"\0")
        if not path or b"\0" in path or _LEADS_ELSEWHERE.search(path):
            raise ValueError(f"a path that leads elsewhere: {shown(os.fsdecode(path))}")
        if key <= self._before:
            raise ValueError(f"out of order: {shown(os.fsdecode(path))}")
        if path.startswith(self._inside):
            raise ValueError(f"in what is no folder: {shown(os.fsdecode(path))}")
        if not (0 <= size <= LARGEST and _EARLIEST <= mtime < _LATEST):
            raise ValueError(f"a size or a time that no file has: {shown(os.fsdecode(path))}")
        if not (0 <= mode <= 0o7777 and 0 <= uid <= _LAST_ID and 0 <= gid <= _LAST_ID):
            raise ValueError(f"a mode or an owner that no file has: {shown(os.fsdecode(path))}")
        self._before = key
        if kind != "d":
            self._inside = path + b"/"


class CatalogueWriter:
    """Entries, in order, into a stream. ``close`` writes the end; without it the catalogue is none."""

    def __init__(self, file: IO[bytes], started_at: datetime) -> None:
        self._compressor = zstd.ZstdCompressor(level=3)
        self._file, self._started = file, started_at
        self._lines = [f"{_FORMAT}\n".encode()]
        self.entries = 0

    def add(self, entry: Entry) -> None:
        digest, path = entry.sha256 or "-", _escape(entry.path)
        head = f"{entry.kind}\t{digest}\t{entry.size}\t{entry.mtime_ns}\t{entry.mode:o}\t{entry.uid}\t{entry.gid}\t"
        self._lines.append(head.encode() + path + (b"\t" + _escape(entry.target) if entry.kind == "l" else b"") + b"\n")
        self.entries += 1
        if len(self._lines) >= _FLUSH:
            self._flush()

    def close(self, stopped_at: datetime) -> None:
        self._lines.append(f"end\t{self.entries}\t{self._started.isoformat()}\t{stopped_at.isoformat()}\n".encode())
        self._flush()
        self._file.write(self._compressor.flush())

    def _flush(self) -> None:
        self._file.write(self._compressor.compress(b"".join(self._lines)))
        self._lines.clear()


def _escape(name: bytes) -> bytes:
    return _SPECIAL.sub(lambda found: _ESCAPED[found[0]], name) if _SPECIAL.search(name) else name


def _unescape(name: bytes) -> bytes:
    if b"\\" not in name:
        return name
    try:
        return _ESCAPE.sub(lambda found: _MEANT[found[1]], name)
    except KeyError:
        raise ValueError("an escape that is none") from None


class Catalogue:
    """A catalogue that is being read: its entries as a stream. ``interval`` is there when the last one was given."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._path, self._file = path, file
        self.interval: tuple[datetime, datetime] | None = None

    def __iter__(self) -> Iterator[Entry]:
        """Raises DamagedCopy where the catalogue is not whole or not in order."""
        if self._line() != _FORMAT.encode():
            raise self._damaged("its first line is not that of a catalogue")
        order = Order()
        count = 0
        while True:
            fields = self._line().split(b"\t")
            try:
                if fields[0] == b"end":
                    self._end(fields, count)
                    return
                entry = _read_entry(fields)
                order.see(entry)
            except (ValueError, IndexError, OverflowError) as error:
                raise self._damaged(f"entry {count + 1}: {error}") from None
            count += 1
            yield entry

    def _line(self) -> bytes:
        line = self._file.readline(_LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise self._damaged("it is cut off")
        return line[:-1]

    def _end(self, fields: list[bytes], count: int) -> None:
        if int(fields[1]) != count:
            raise ValueError(f"the end says {int(fields[1])} entries")
        if self._file.read(1):
            raise ValueError("something stands behind the end")
        started, stopped = (datetime.fromisoformat(text.decode("ascii")) for text in fields[2:4])
        self.interval = started, stopped

    def _damaged(self, cause: str) -> DamagedCopy:
        return DamagedCopy(f"the catalogue {shown(self._path)} is damaged", cause=cause)


def _read_entry(fields: list[bytes]) -> Entry:
    kind, digest, size, mtime, mode, uid, gid, path = fields[:8]
    if kind not in (b"f", b"d", b"l") or len(fields) != (9 if kind == b"l" else 8):
        raise ValueError("not the fields of an entry")
    if kind == b"f" and not (len(digest) == 64 and digest.isalnum()):
        raise ValueError("not a SHA-256")
    name = _unescape(path)
    return Entry(
        kind.decode("ascii"),  # type: ignore[arg-type]
        digest.decode("ascii") if kind == b"f" else None,
        int(size),
        int(mtime),
        int(mode, 8),
        int(uid),
        int(gid),
        name,
        _unescape(fields[8]) if kind == b"l" else b"",
    )


@contextmanager
def open_catalogue(path: Path) -> Iterator[Catalogue]:
    """A catalogue for reading. Raises OSError, DamagedCopy."""
    with open_compressed(path) as file:
        yield Catalogue(path, file)


def catalogue_of(snapshot: Path) -> Path:
    """Where a snapshot's catalogue stands."""
    return snapshot.with_name(snapshot.name + SUFFIX)
