"""`backup_manifest`, versions 1 (PostgreSQL 13) and 2 (17, with the system identifier).

The format is PostgreSQL's manual, chapter "Backup Manifest Format", and `src/common/parse_manifest.c`: JSON whose last
line holds the SHA-256 of everything before that line.
"""

import hashlib
import os
from datetime import UTC, datetime

import msgspec

from engine.records.errors import DamagedCopy
from engine.records.lsn import Lsn, parse_lsn

ALGORITHMS = {  # the manifest's names, and the digits of each checksum
    "CRC32C": 8,
    "SHA224": 56,
    "SHA256": 64,
    "SHA384": 96,
    "SHA512": 128,
}


class ManifestFile(msgspec.Struct, frozen=True, gc=False):
    """One file of the backup. ``path`` is relative to the data directory, bytes that are not UTF-8 as
    ``os.fsdecode`` keeps them. ``checksum`` is in hexadecimal digits (None: the backup was made with NONE)."""

    path: str
    size: int
    modified: str  # as the manifest has it: 2026-11-23 15:17:15 GMT
    algorithm: str | None
    checksum: str | None

    @property
    def mtime(self) -> datetime | None:
        """When the origin last changed the file, in whole seconds; None where the text is not a time in GMT."""
        if not self.modified.endswith(" GMT"):
            return None
        try:
            return datetime.fromisoformat(self.modified[:-4]).replace(tzinfo=UTC)
        except ValueError:
            return None


class ManifestWal(msgspec.Struct, frozen=True):
    """WAL that is needed to make the backup consistent."""

    timeline: int
    start_lsn: Lsn
    end_lsn: Lsn


class Manifest(msgspec.Struct, frozen=True):
    """A backup_manifest whose own checksum was right."""

    version: int
    files: tuple[ManifestFile, ...]
    wal_ranges: tuple[ManifestWal, ...]
    system_identifier: int | None

    def size(self) -> int:
        """What the files occupy together, in bytes."""
        return sum(file.size for file in self.files)

    def end(self) -> ManifestWal | None:
        """The range that ends last: its end is where the backup is consistent."""
        return max(self.wal_ranges, key=lambda wal: wal.end_lsn, default=None)


class _File(msgspec.Struct, gc=False):
    size: int = msgspec.field(name="Size")
    path: str | None = msgspec.field(name="Path", default=None)
    encoded: str | None = msgspec.field(name="Encoded-Path", default=None)
    modified: str = msgspec.field(name="Last-Modified", default="")
    algorithm: str | None = msgspec.field(name="Checksum-Algorithm", default=None)
    checksum: str | None = msgspec.field(name="Checksum", default=None)


class _Wal(msgspec.Struct, rename={"timeline": "Timeline", "start": "Start-LSN", "end": "End-LSN"}):
    timeline: int
    start: str
    end: str


class _Document(msgspec.Struct):
    version: int = msgspec.field(name="PostgreSQL-Backup-Manifest-Version")
    files: list[_File] = msgspec.field(name="Files")
    checksum: str = msgspec.field(name="Manifest-Checksum")
    wal_ranges: list[_Wal] = msgspec.field(name="WAL-Ranges", default_factory=list)
    system_identifier: int | None = msgspec.field(name="System-Identifier", default=None)


_decoder = msgspec.json.Decoder(_Document)


def read_manifest(data: bytes) -> Manifest:
    """Read a backup_manifest and verify its own checksum. Raises DamagedCopy with what is wrong."""
    if not data.rstrip().endswith(b"}"):
        raise DamagedCopy(
            "backup_manifest is cut off: it does not end as a manifest does", cause="the backup never finished"
        )
    last_line = data.rfind(b"\n", 0, len(data) - 1) + 1
    try:
        document = _decoder.decode(data)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise DamagedCopy("backup_manifest cannot be read", cause=str(error)) from error
    if document.version not in (1, 2):
        raise DamagedCopy(f"backup_manifest has version {document.version}; versions 1 and 2 are known")
    if hashlib.sha256(data[:last_line]).hexdigest() != document.checksum.lower():
        raise DamagedCopy("backup_manifest is damaged: its checksum does not match its content")
    try:
        wal_ranges = tuple(
            ManifestWal(wal.timeline, parse_lsn(wal.start), parse_lsn(wal.end)) for wal in document.wal_ranges
        )
        files = tuple([_file(entry) for entry in document.files])
    except ValueError as error:
        raise DamagedCopy("backup_manifest cannot be used", cause=str(error)) from error
    return Manifest(document.version, files, wal_ranges, document.system_identifier)


def _file(entry: _File) -> ManifestFile:
    """One entry, checked. Raises ValueError."""
    if (entry.path is None) == (entry.encoded is None):
        raise ValueError("a file has no path, or two")
    path = entry.path if entry.path is not None else os.fsdecode(bytes.fromhex(entry.encoded or ""))
    if _leaves_its_root(path):
        raise ValueError(f"the path {path!r} leaves the data directory")
    if entry.size < 0:
        raise ValueError(f"the size of {path!r} is negative")
    algorithm, checksum = entry.algorithm, entry.checksum
    if algorithm is not None and algorithm.upper() == "NONE":
        algorithm = checksum = None
    if (algorithm is None) != (checksum is None):
        raise ValueError(f"{path!r} has a checksum without its algorithm, or an algorithm without a checksum")
    if algorithm is not None and checksum is not None:
        algorithm = algorithm.upper()
        if ALGORITHMS.get(algorithm) != len(checksum):
            raise ValueError(f"the checksum of {path!r} is not {algorithm}")
    return ManifestFile(path, entry.size, entry.modified, algorithm, checksum)


def _leaves_its_root(path: str) -> bool:
    """Whether a path of the manifest could name anything but a file below the data directory."""
    if not path or path[0] == "/" or path[-1] == "/" or "\0" in path:
        return True
    if "." not in path and "//" not in path:
        return False
    return any(part in ("", ".", "..") for part in path.split("/"))
