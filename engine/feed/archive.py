"""Where a segment lies in the archive, and whether it is the right one.

Folders may be flat, or nested as Barman and pgBackRest nest them; files plain or compressed. What a file's name says
is only where to look: its first page header says what it is (`src/include/access/xlog_internal.h`).
"""

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from struct import Struct

from engine.records.errors import DamagedCopy, Unreachable
from engine.records.lsn import LONG_PAGE_HEADER, PAGE_SIZE, SHORT_PAGE_HEADER, Lsn, SegmentName, format_lsn
from engine.transfer.opening import BLOCK, open_compressed

_SUFFIX = r"(?:\.(?:gz|lz4|zst))?"
_SEGMENT = re.compile(rf"([0-9A-F]{{24}})(?:-[0-9a-f]{{40}})?{_SUFFIX}")  # pgBackRest adds a SHA-1
_HISTORY = re.compile(rf"([0-9A-F]{{8}}\.history){_SUFFIX}")
_DEPTH = 4  # pgBackRest: <stanza>/<version>-<number>/<first 16 digits>/<segment>
_HISTORY_MAX = 1 << 20

_LONG_HEADER = Struct("=HHIQI4xQII")  # magic, info, tli, pageaddr, rem_len; system identifier, segment and page size
_PAGE_BEGIN = Struct("=HHIQ")
_XLP_LONG_HEADER = 0x0002

Stamp = tuple[str, int, int, int]  # path, inode, size, mtime in ns: changes when a file is repaired


class Archive:
    """The files of some archive folders by their WAL name. Listed once, and again where a name is missing."""

    def __init__(self, roots: tuple[str, ...]) -> None:
        self.roots = roots
        self._files: dict[str, list[Path]] = {}
        self._listed_at = float("-inf")

    def find(self, name: str, *, fresh_within: float = 2.0) -> list[Path]:
        """All files that bear a segment's or history file's name, the preferred root's first.

        Where there is none, the folders are listed anew, unless that was done in the last ``fresh_within`` seconds.
        Raises Unreachable where a folder cannot be listed.
        """
        found = self._files.get(name, [])
        if not found and time.monotonic() - self._listed_at >= fresh_within:
            self.refresh()
            found = self._files.get(name, [])
        return found

    def refresh(self) -> None:
        """Read the names of all files. Raises Unreachable."""
        files: dict[str, list[Path]] = {}
        for root in self.roots:
            try:
                for entry in _walk(root, _DEPTH):
                    found = _SEGMENT.fullmatch(entry.name) or _HISTORY.fullmatch(entry.name)
                    if found is not None:
                        files.setdefault(found[1], []).append(Path(entry.path))
            except OSError as error:
                raise Unreachable(f"the archive {root} cannot be read: {error.strerror}") from error
        self._files, self._listed_at = files, time.monotonic()

    def histories(self) -> list[str]:
        return sorted(name for name in self._files if name.endswith(".history"))

    def forget(self, name: str) -> None:
        """A file is not where it was: list again when it is asked for."""
        self._files.pop(name, None)
        self._listed_at = float("-inf")


def _walk(folder: str, depth: int) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        folders = []
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            else:
                yield entry
    if depth > 1:
        for inner in folders:
            yield from _walk(inner, depth - 1)


def stamp_of(path: Path) -> Stamp:
    status = path.stat()
    return str(path), status.st_ino, status.st_size, status.st_mtime_ns


def read_history_file(path: Path) -> bytes:
    """A history file's content. Raises OSError, DamagedCopy."""
    with open_compressed(path) as file:
        data: bytes = file.read(_HISTORY_MAX + 1)
    if not data or len(data) > _HISTORY_MAX:
        raise DamagedCopy(f"{path}: a history file of {len(data)} bytes")
    return data


def read_segment(
    path: Path, name: SegmentName, segment_size: int, system_identifier: int, cut: int
) -> Iterator[memoryview]:
    """A segment's content up to ``cut`` (bytes), decompressed, in blocks that are checked page by page; a block is
    good until the next one is asked for. What lies behind ``cut`` is read too, and counted.

    Raises OSError; DamagedCopy where it is not this segment of this cluster, which may come to light behind the last
    block only. Its records' checksums are the server's to check: it reads them anyway, and waits where one is wrong.
    """
    where = f"segment {name.text(segment_size)} in {path}"
    block = memoryview(bytearray(BLOCK))
    size = magic = 0
    with open_compressed(path) as file:
        while size <= segment_size and (read := file.readinto(block)):  # less than a block at the end only
            if size == 0 and read >= LONG_PAGE_HEADER:
                magic = _check_first_header(block, name, segment_size, system_identifier, where)
            wanted = block[: max(0, min(read, cut - size))]
            _check_pages(wanted, name.number * segment_size + size, magic, name.timeline, where)
            size += read
            if wanted:
                yield wanted
    if size != segment_size:
        told = f"more than {segment_size}" if size > segment_size else f"{size} of {segment_size}"
        raise DamagedCopy(f"{where} has {told} bytes")


def _check_first_header(
    data: memoryview, name: SegmentName, segment_size: int, system_identifier: int, where: str
) -> int:
    """The magic number that all pages of the segment have. Raises DamagedCopy."""
    magic, info, timeline, address, _, system, size, page_size = _LONG_HEADER.unpack_from(data)
    wrong = None
    if magic >> 8 != 0xD1:  # XLOG_PAGE_MAGIC of PostgreSQL 13 to 18: 0xD106 to 0xD118
        wrong = "begins with no WAL page"
    elif not info & _XLP_LONG_HEADER or size != segment_size or page_size != PAGE_SIZE:
        wrong = "has a first page header that says other sizes"
    elif address != name.number * segment_size:
        wrong = "holds another place of the WAL than its name says"
    elif system != system_identifier:
        wrong = f"belongs to another cluster (system identifier {system})"
    elif timeline > name.timeline:
        wrong = f"belongs to timeline {timeline}"
    if wrong is not None:
        raise DamagedCopy(f"{where} {wrong}")
    return int(magic)


def _check_pages(block: memoryview, begin: Lsn, magic: int, timeline: int, where: str) -> None:
    """The headers of the pages of a block that begins at ``begin``. Raises DamagedCopy."""
    for offset in range(0, len(block) - SHORT_PAGE_HEADER + 1, PAGE_SIZE):
        page_magic, _, page_timeline, address = _PAGE_BEGIN.unpack_from(block, offset)
        if page_magic == 0 and not any(block[offset : offset + LONG_PAGE_HEADER]):
            continue  # the zeros behind a segment switch; where they are a hole, the server waits there
        if page_magic != magic or address != begin + offset or page_timeline > timeline:
            raise DamagedCopy(f"{where}: the page at {format_lsn(begin + offset)} is not this segment's")
