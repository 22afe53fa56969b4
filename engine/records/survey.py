"""How the machine and the live cluster stand, read once before planning and frozen."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from msgspec import Struct, field

from engine.records.lsn import Lsn


class OsUser(Struct, frozen=True):
    """An operating-system user."""

    name: str
    uid: int
    gid: int


class Programs(Struct, frozen=True):
    """A set of PostgreSQL's programs: where they lie, what they are, what they were built with."""

    bin_dir: str
    version: int  # major
    version_text: str
    configure: tuple[str, ...] = ()
    library_dir: str | None = None
    embedded: bool = False


class FileSystem(Struct, frozen=True):
    """A file system as seen from one path: the path itself, its nearest existing ancestor, room in bytes, and how many
    more files it takes of how many (0: it has no such limit)."""

    path: str
    nearest: str
    device: int
    mount_point: str
    free_bytes: int
    total_bytes: int
    writable: bool
    free_files: int = 0
    total_files: int = 0


class ClusterFacts(Struct, frozen=True):
    """The site's own data directory and server. ``exists`` False: a bare machine."""

    data_dir: str
    exists: bool
    owner: OsUser | None = None
    mode: int | None = None
    version: int | None = None
    system_identifier: int | None = None
    timeline: int | None = None
    state: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)  # effective ones, where the server or its files tell
    lacks_configuration: bool = False  # no postgresql.conf in the data directory, and the site names none
    postmaster_pid: int | None = None
    running: bool = False
    answers: bool | None = None  # None: not tried
    size_bytes: int | None = None
    is_mount_point: bool = False
    wal_link: str | None = None
    wal_tail: tuple[str, ...] | None = ()  # segments in pg_wal that the archive has not; None: it cannot be read
    tablespaces: tuple[tuple[int, str], ...] = ()  # OID, real location
    end_lsn: Lsn | None = None  # the server's, where it answers
    libraries: Mapping[str, str] | None = None  # that functions of its databases call, and whose; where it answers


class LiveServer(Struct, frozen=True):
    """The site's server as it answers now. ``summarizes_wal`` is its summarize_wal; ``senders_free`` how many more WAL
    senders it takes; ``tablespaces`` how many lie outside the data directory."""

    version: int
    system_identifier: int
    timeline: int
    size_bytes: int
    summarizes_wal: bool = False
    senders_free: int = 2
    may_replicate: bool = True
    in_recovery: bool = False
    tablespaces: int = 0


class LiveDatabase(Struct, frozen=True):
    """A database of the live cluster that takes connections."""

    name: str
    size_bytes: int


class LockHolder(Struct, frozen=True):
    """Who holds the lock of a site or folder, and since when."""

    run: str
    pid: int
    user: str
    since: datetime


class DestinationFacts(Struct, frozen=True):
    """The destination folder: what stands there now."""

    path: str
    state: Literal["absent", "empty", "occupied", "not a folder"]
    contents: str | None = None  # e.g. "a half-restored copy", "a data directory"
    parent_writable: bool = True
    port: int | None = None
    port_user: str | None = None  # who uses that port now
    held_by: LockHolder | None = None
    inside: str | None = None  # which of the site's own folders it would lie in
    closed: str | None = None  # the first folder on the way there that run_as may not enter


class Survey(Struct, frozen=True):
    """Everything that checks and plans need to know of the machine. ``None`` is what could not be found out."""

    taken_at: datetime
    run_as: OsUser
    as_root: bool
    programs: Programs | None
    cluster: ClusterFacts
    destination: DestinationFacts
    file_systems: tuple[FileSystem, ...] = ()
    memory_total: int | None = None
    memory_available: int | None = None
    managers: tuple[str, ...] = ()  # Patroni, Pacemaker, an auto-restarting unit …
    missing_libraries: tuple[str, ...] | None = ()  # None: there are some, and where they should lie is unknown
    backup_settings: Mapping[str, str] = field(default_factory=dict)  # postgresql.conf and .auto.conf of the backup
    archive_answers: bool | None = None
    archive_problem: str | None = None
    archived_timelines: tuple[int, ...] = ()
    site_lock: LockHolder | None = None
    selinux: bool = False
    kill_user_processes: bool = False  # logind
    remove_ipc: bool = False
    lingers: bool = False  # run_as's own service manager outlives his last logout
    config_outside: Mapping[str, str] = field(default_factory=dict)  # config_file, hba_file, ident_file
    listens_elsewhere: str | None = None  # how production's settings contradict the site's host and port, in words
    unmounted: str | None = None  # the mount point that would hold production, and is not mounted, in words
