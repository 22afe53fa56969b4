"""What the page for the safe is made from."""

from datetime import datetime

from msgspec import Struct

from engine.records.copies import Dump, ImageCopy, MediaSnapshot, SourceCopy
from engine.records.target import RecoveryPoint
from engine.site import MediaRepository, Site

CONFIGURATION = "postgresql.conf postgresql.auto.conf pg_hba.conf pg_ident.conf"
"""The names, for a shell, of what in a data directory says where a server listens, who comes in and what it runs."""


class SecondPlace(Struct, frozen=True):
    """The same copies on another server: what is here in ``folder`` is there at ``source``, as rsync wants it; ``port``
    is its sshd's, None for the usual one."""

    folder: str
    source: str
    port: int | None


class LogicalCopy(Struct, frozen=True):
    """A dump: the file or folder that pg_restore or psql reads, and its cluster's roles, where they were dumped."""

    dump: Dump
    contents: str
    globals: str | None


class Book(Struct, frozen=True):
    """All of it, as of ``at``. ``point`` is what could be reached then, None where nothing (``why_not``); ``wal`` the
    archive of its repository. ``settings`` are what replay needs, ``libraries`` what must be preloaded. ``outside``:
    configuration that lay outside the data directory, its copy and its own place. Of dumps, snapshots, source code and
    environment the newest usable ones.
    """

    site: Site
    site_file: str
    state: str
    at: datetime
    run_as: str
    bin_dir: str
    point: RecoveryPoint | None
    why_not: str
    wal: str
    settings: tuple[tuple[str, str], ...] = ()
    libraries: tuple[str, ...] = ()
    outside: tuple[tuple[str, str], ...] = ()
    extensions: tuple[str, ...] = ()
    dumps: tuple[LogicalCopy, ...] = ()
    snapshots: tuple[tuple[MediaSnapshot, MediaRepository], ...] = ()
    sources: tuple[SourceCopy, ...] = ()
    images: tuple[ImageCopy, ...] = ()
    seconds: tuple[SecondPlace, ...] = ()
