"""The tables and keys of a site file. Paths are absolute; a command line is one that the operator wrote."""

import os
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from engine.site.durations import read_duration
from engine.site.rates import read_rate


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What all tables have in common."""


class Identity(Table, frozen=True):
    name: str
    timezone: str = "UTC"


class DatabaseRepository(Table, frozen=True):
    """A folder of base backups, a folder of archived WAL, one of dumps. ``second``: the same on another server."""

    kind: Literal["directory"]
    base_backups: str
    wal: str
    dumps: str | None = None
    second: str | None = None


class Database(Table, frozen=True):
    data_dir: str
    repository: list[DatabaseRepository]
    bin_dir: str | None = None
    config_file: str | None = None
    hba_file: str | None = None
    ident_file: str | None = None
    host: str = "/var/run/postgresql"
    port: int = 5432
    user: str = "postgres"
    dbname: str = "postgres"
    run_as: str | None = None
    start_command: str = ""
    stop_command: str = ""


class MediaRepository(Table, frozen=True):
    """Snapshots of the users' files. ``directory`` is ours; ``rsync`` is a folder of dated folders, ``restic`` and
    ``borg`` are such programs' repositories: these three are read, and never written to.

    ``path`` is a folder; restic's and borg's may be any location that the program takes. ``inside`` is where in a
    snapshot the media folder stands (restic, borg: at the media folder's own path, where nothing else is said).
    ``password_command`` prints the repository's password, ``password_file`` holds it. ``program`` is the one to run,
    where PATH has another.
    """

    kind: Literal["directory", "rsync", "restic", "borg"]
    path: str
    second: str | None = None
    inside: str | None = None
    password_command: str | None = None
    password_file: str | None = None
    program: str | None = None


class Media(Table, frozen=True):
    """The users' files. ``references`` is a query whose rows are path, and optionally size and SHA-256 (hexadecimal
    text or bytea), of every file that the database refers to; further columns name the row. ``strip_prefix`` is taken
    off each path, which then is relative to ``path``."""

    path: str
    repository: list[MediaRepository] = []
    references: str | None = None
    strip_prefix: str | None = None

    @property
    def own(self) -> MediaRepository | None:
        """The repository that snapshots are taken into: the first that is ours."""
        return next((each for each in self.repository if each.kind == "directory"), None)


class Source(Table, frozen=True):
    """A git repository (``path``: anything that git can fetch), copied as a mirror or as bundles in a folder."""

    path: str
    mirror: str | None = None
    bundles: str | None = None
    second: str | None = None


class Environment(Table, frozen=True):
    """What the system runs in: an installation folder that is packed (``path``), or a VM image that is registered
    (``image``). Copies and their checksums lie in ``store``."""

    store: str
    path: str | None = None
    image: str | None = None
    second: str | None = None


class Policy(Table, frozen=True):
    """How old the newest copy of each thing may be. None: nobody said."""

    database_full: str | None = None
    database_incremental: str | None = None
    files: str | None = None
    source: str | None = None
    environment: str | None = None

    def seconds(self, thing: str) -> int | None:
        """The age that is allowed for one of the five things (``database-full`` …), in seconds."""
        text: str | None = getattr(self, thing.replace("-", "_"))
        return read_duration(text) if text is not None else None


class KeepBaseBackups(Table, frozen=True):
    """The newest ``count`` full backups, and whatever makes the last ``days`` days reachable. None: no such rule."""

    count: int | None = None
    days: int | None = None


class KeepByCalendar(Table, frozen=True):
    """The newest copy of each of the last so many hours, days, weeks and months that have any."""

    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0


class Retention(Table, frozen=True):
    """What `expire` keeps. A kind of copy without a rule is kept for ever."""

    base_backups: KeepBaseBackups | None = None
    dumps: KeepByCalendar | None = None
    media: KeepByCalendar | None = None


class Schedule(Table, frozen=True):
    """When what runs: systemd's OnCalendar, or cron's five fields. None: never by itself."""

    base: str | None = None
    incremental: str | None = None
    dump: str | None = None
    files: str | None = None
    source: str | None = None
    environment: str | None = None
    push: str | None = None
    verify: str | None = None
    expire: str | None = None
    proof: str | None = None


class Application(Table, frozen=True):
    stop: str = ""
    start: str = ""


class Verify(Table, frozen=True):
    """Looks at the recovered cluster: questions that must return true, and whether every page of it is read."""

    sql: list[str] = []
    pages: bool = True


class Proof(Table, frozen=True):
    """A drill on the real copies: they are restored beside production, looked through, and thrown away.

    ``into`` is the folder in which the copy is made and deleted again; None: where there is room. So that production
    goes on undisturbed: ``nice`` as nice(1) has it, ``idle_io`` reads and writes only while nobody else does,
    ``bandwidth`` is an upper limit for what is read from the repositories ("50MB/s"). ``files``: what the recovered
    database refers to is looked up in the snapshots of the users' files (check), or left out (skip).
    """

    into: str | None = None
    nice: int = 10
    idle_io: bool = True
    bandwidth: str | None = None
    files: Literal["check", "skip"] = "check"

    @property
    def bytes_per_second(self) -> int | None:
        """The bandwidth; None: not limited."""
        return read_rate(self.bandwidth) if self.bandwidth is not None else None


class Objectives(Table, frozen=True):
    """What the organisation wants of a recovery: how long it may take (``rto``), and of how long a time changes may be
    lost (``rpo``). None: nobody said."""

    rto: str | None = None
    rpo: str | None = None

    @property
    def rto_seconds(self) -> int | None:
        return read_duration(self.rto) if self.rto is not None else None

    @property
    def rpo_seconds(self) -> int | None:
        return read_duration(self.rpo) if self.rpo is not None else None


class Site(Table, frozen=True):
    """One site file."""

    site: Identity
    database: Database
    media: Media | None = None
    source: list[Source] = []
    environment: Environment | None = None
    application: Application = Application()
    verify: Verify = Verify()
    policy: Policy = Policy()
    retention: Retention = Retention()
    schedule: Schedule = Schedule()
    proof: Proof = Proof()
    objectives: Objectives = Objectives()

    @property
    def name(self) -> str:
        return self.site.name

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.site.timezone)

    @property
    def repositories(self) -> tuple[str, ...]:
        """Every folder that copies are taken into, once each: what is locked. A mirror is taken into the one around it.
        Archived WAL is the archive command's to write."""
        mirrors = {each.mirror for each in self.source}
        places = (os.path.dirname(each.rstrip("/")) if each in mirrors else each for each in self.holding)  # noqa: PTH120
        return tuple(dict.fromkeys(os.path.normpath(place) for place in places))

    @property
    def holding(self) -> tuple[str, ...]:
        """What holds copies, once each: folders, and mirrors themselves."""
        places = [place for each in self.database.repository for place in (each.base_backups, each.dumps)]
        places += [each.path for each in self.media.repository if each.kind == "directory"] if self.media else []
        places += [each.mirror or each.bundles for each in self.source]
        places += [self.environment.store] if self.environment else []
        return tuple(dict.fromkeys(place for place in places if place is not None))
