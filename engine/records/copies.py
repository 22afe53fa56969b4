"""What was saved: the copies that a catalog finds. All times are aware and in UTC, all sizes are in bytes."""

from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple

from msgspec import Struct

from engine.records.lsn import Lsn

Compression = Literal["gzip", "lz4", "zstd"]


class Tablespace(Struct, frozen=True):
    """A tablespace as the backup knows it: its OID, where it lay on the origin, what it will occupy when unpacked
    (None: unknown)."""

    oid: int
    location: str
    size_bytes: int | None = None


class BaseBackup(Struct, frozen=True):
    """One base backup, usable or not; ``None`` is what could not be read.

    ``start_lsn`` is where replay begins (backup_label's START WAL LOCATION), ``stop_lsn`` the LSN at which the backup
    is consistent. ``id`` is unique within a site; ``parent`` is the id of the backup that an incremental one needs.
    ``files_size_bytes`` is what the copy will occupy when unpacked (the manifest's sum), ``size_bytes`` what it
    occupies in the repository.
    """

    id: str
    repository: str
    path: Path
    format: Literal["plain", "tar"]
    compression: Compression | None = None
    started_at: datetime | None = None
    stopped_at: datetime | None = None
    start_lsn: Lsn | None = None
    stop_lsn: Lsn | None = None
    timeline: int | None = None
    size_bytes: int = 0
    files_size_bytes: int | None = None
    version: int | None = None
    system_identifier: int | None = None
    segment_size: int | None = None
    parent: str | None = None
    incremental: bool = False
    has_manifest: bool = False
    from_standby: bool = False
    tablespaces: tuple[Tablespace, ...] = ()
    data_checksums: bool | None = None
    settings: tuple[tuple[str, str], ...] = ()  # pg_control's: max_connections and its like
    preload_libraries: tuple[str, ...] = ()
    usable: bool = True
    reason: str | None = None
    failed_check: str | None = None  # the check that the reason belongs to: backup-incomplete, backup-label …
    doubt: str | None = None  # what its last reading found wrong: another is taken where one reaches as far
    stranger: bool = False  # of another cluster than the archived WAL beside it


class WalFile(NamedTuple):
    """One archived segment file, as listed: not read yet. There are very many of them."""

    path: str
    timeline: int
    number: int
    compression: Compression | None
    size_bytes: int
    mtime_ns: int
    inode: int
    partial: bool = False


class UnfinishedSegment(Struct, frozen=True):
    """A ``.partial``: a segment that was not full when its writing ended. ``archive`` is the folder that it lies in,
    ``segment`` its file name when it is whole.

    ``commits`` are those that it adds to the unbroken WAL of that archive, ``last_commit_at`` is the last one's time.
    Its sound WAL ends at ``end_lsn``; ``ended_by`` says why, where that is not because nothing more was written.
    ``why_not``: why it is not adopted (None: it can be); ``refused``: only because somebody may still write it.
    """

    path: Path
    archive: str
    segment: str
    timeline: int
    end_lsn: Lsn | None = None
    commits: int = 0
    last_commit_at: datetime | None = None
    ended_by: str | None = None
    why_not: str | None = None
    remedy: str | None = None
    refused: bool = False


class WalRange(Struct, frozen=True):
    """An unbroken run of archived segments on one timeline; ``first`` and ``last`` are their file names."""

    timeline: int
    first: str
    last: str
    segments: int
    bytes: int
    first_commit_at: datetime | None
    last_commit_at: datetime | None
    commits: int


class WalGap(Struct, frozen=True):
    """Segments that are missing between two ranges of one timeline, by file name."""

    timeline: int
    first_missing: str
    last_missing: str


class Timeline(Struct, frozen=True):
    """A branch of the cluster's history: it left ``parent`` at ``fork_lsn`` (both None on the first)."""

    id: int
    parent: int | None = None
    fork_lsn: Lsn | None = None
    reason: str | None = None


class RestorePoint(Struct, frozen=True):
    """A named restore point: ``lsn`` is its record's start, ``end_lsn`` its end."""

    name: str
    timeline: int
    lsn: Lsn
    end_lsn: Lsn
    at: datetime


class Dump(Struct, frozen=True):
    """A logical copy made by pg_dump. ``ours``: Reprise took it, its own note says so."""

    id: str
    repository: str
    path: Path
    format: Literal["custom", "directory", "plain"]
    started_at: datetime
    size_bytes: int
    database: str | None = None
    usable: bool = True
    reason: str | None = None
    ours: bool = False


class MediaSnapshot(Struct, frozen=True):
    """A copy of the users' files as they were during an interval. ``dated``: its time stands in its note or in its
    name; else all that is known is when the folder was changed, and it may be anything."""

    id: str
    repository: str
    path: Path
    started_at: datetime
    stopped_at: datetime
    size_bytes: int | None = None
    files: int | None = None
    has_catalogue: bool = False
    usable: bool = True
    reason: str | None = None
    dated: bool = False


class SourceCopy(Struct, frozen=True):
    """A copy of a git repository: its mirror, or one bundle. ``origin`` is what it was taken from, ``head`` the commit
    that HEAD named then."""

    id: str
    form: Literal["mirror", "bundle"]
    path: Path
    origin: str
    started_at: datetime
    stopped_at: datetime
    head: str | None = None


class ImageCopy(Struct, frozen=True):
    """A copy of the environment: a packed installation folder, or a VM image that was registered where it lies.
    ``sha256`` is of the file ``path``."""

    id: str
    form: Literal["packed", "registered"]
    path: Path
    origin: str
    started_at: datetime
    stopped_at: datetime
    size_bytes: int
    sha256: str
    usable: bool = True
    reason: str | None = None


class Problem(Struct, frozen=True):
    """Something in a repository that an operator should know of: where, what, and what to do."""

    where: str
    what: str
    remedy: str | None = None


class Catalog(Struct, frozen=True):
    """What there is, over all repositories of a site. Backups are sorted by start."""

    site: str
    base_backups: tuple[BaseBackup, ...] = ()
    timelines: tuple[Timeline, ...] = ()
    wal_ranges: tuple[WalRange, ...] = ()
    gaps: tuple[WalGap, ...] = ()
    restore_points: tuple[RestorePoint, ...] = ()
    dumps: tuple[Dump, ...] = ()
    media_snapshots: tuple[MediaSnapshot, ...] = ()
    sources: tuple[SourceCopy, ...] = ()
    images: tuple[ImageCopy, ...] = ()
    problems: tuple[Problem, ...] = ()

    def backup(self, id: str) -> BaseBackup | None:
        return next((backup for backup in self.base_backups if backup.id == id), None)
