"""The entries of a tar stream, read forwards once.

PostgreSQL writes plain ustar headers with long sizes in base 256 (src/port/tar.c); archives that were packed again by
GNU tar or with pax headers are read too. Anything but files, folders and symbolic links is refused.
"""

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from msgspec import Struct

from engine.records.errors import DamagedCopy
from engine.transfer.naming import safe_name, shown

_UNIT = 512  # bytes of a tar block
_LONGEST_EXTENSION = 1 << 20  # bytes of a pax or GNU header: a guard against nonsense
_KINDS: dict[bytes, Literal["file", "folder", "link"]] = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.CONTTYPE: "file",
    tarfile.DIRTYPE: "folder",
    tarfile.SYMTYPE: "link",
}


class TarEntry(Struct, frozen=True):
    """``name`` is safe: relative, without ``..``. ``target`` is a link's."""

    name: str
    kind: Literal["file", "folder", "link"]
    size: int
    target: str = ""


class TarReader:
    """Entries, and the content of the one that was given last. ``blocks`` may have any sizes."""

    def __init__(self, archive: Path, blocks: Iterator[bytes]) -> None:
        self._archive = archive
        self._blocks = blocks
        self._rest = memoryview(b"")
        self._left = 0  # bytes of the current entry's content
        self._padding = 0

    def __iter__(self) -> Iterator[TarEntry]:
        extended: dict[str, str] = {}
        everywhere: dict[str, str] = {}
        while (header := self._header()) is not None:
            if header.type in (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK):
                text = self._extension(header).split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
                extended["path" if header.type == tarfile.GNUTYPE_LONGNAME else "linkpath"] = text
                continue
            if header.type in (tarfile.XHDTYPE, tarfile.XGLTYPE):
                into = extended if header.type == tarfile.XHDTYPE else everywhere
                into.update(self._pax(self._extension(header)))
                continue
            told = everywhere | extended
            extended = {}
            name = told.get("path", header.name)
            kind = _KINDS.get(header.type)
            if kind is None or any(key.startswith("GNU.sparse") for key in told):
                raise DamagedCopy(
                    f"{shown(self._archive)} holds an entry that does not belong into a backup: {shown(name)}",
                    cause=f"its type is {shown(header.type.decode('latin-1'))}: neither file, folder nor symbolic link",
                    remedy="do not use this backup; find out who made it",
                )
            if kind == "file" and name.endswith("/"):
                kind = "folder"  # the oldest tar's way of saying so
            size = int(told.get("size", header.size)) if kind == "file" else 0
            self._expect(size)
            yield TarEntry(safe_name(name, self._archive), kind, size, told.get("linkpath", header.linkname))
            for _ in self.content():
                pass  # what was not asked for is passed over
        for _ in self._blocks:
            pass  # so that the compression's own checksum is looked at

    def content(self) -> Iterator[memoryview]:
        """The bytes of the current entry, as they come. Raises DamagedCopy where the archive is cut off."""
        while self._left:
            if not self._rest:
                self._fill()
            piece = self._rest[: self._left]
            self._rest = self._rest[len(piece) :]
            self._left -= len(piece)
            yield piece
        self._take(self._padding)
        self._padding = 0

    def _expect(self, size: int) -> None:
        if size < 0:
            raise self._damaged("an entry has a negative size")
        self._left, self._padding = size, -size % _UNIT

    def _header(self) -> tarfile.TarInfo | None:
        block = self._take(_UNIT)
        try:
            return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # the block of zeros behind the last entry
            return None
        except (tarfile.HeaderError, ValueError) as problem:
            raise self._damaged(f"a header is not right: {problem}") from None

    def _extension(self, header: tarfile.TarInfo) -> bytes:
        if not 0 <= header.size <= _LONGEST_EXTENSION:
            raise self._damaged("an extended header is too long")
        self._expect(header.size)
        return b"".join(self.content())

    def _pax(self, data: bytes) -> dict[str, str]:
        """Records of ``length keyword=value\\n`` (POSIX, pax interchange format)."""
        found: dict[str, str] = {}
        while data.strip(b"\0"):
            length, _, _ = data.partition(b" ")
            if not length.isdigit() or len(length) > 7 or not len(length) < int(length) <= len(data):
                raise self._damaged("a pax header is not right")
            keyword, _, value = data[len(length) + 1 : int(length) - 1].partition(b"=")
            found[keyword.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
            data = data[int(length) :]
        if not found.get("size", "0").isdecimal():
            raise self._damaged("a pax header names no size")
        return found

    def _take(self, count: int) -> bytes:
        taken = b""
        while len(taken) < count:
            if not self._rest:
                self._fill()
            piece = self._rest[: count - len(taken)]
            self._rest = self._rest[len(piece) :]
            taken += piece
        return taken

    def _fill(self) -> None:
        block = next(self._blocks, None)
        if block is None:
            raise self._damaged("the archive is cut off")
        self._rest = memoryview(block)

    def _damaged(self, cause: str) -> DamagedCopy:
        return DamagedCopy(f"{shown(self._archive)} is damaged", cause=cause)
