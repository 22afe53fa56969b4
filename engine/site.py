"""The site file: one protected system, and where its copies lie. Read, checked, explained; written with tomli-w."""

import difflib
import os
import re
import tomllib
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec
import platformdirs
import tomli_w

from engine.records.errors import SiteError


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    name: str
    timezone: str = "UTC"


class DatabaseRepository(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A folder of base backups and a folder of archived WAL."""

    kind: Literal["directory"]
    base_backups: str
    wal: str
    dumps: str | None = None


class Database(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
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


class MediaRepository(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    kind: Literal["directory"]
    path: str


class Media(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    path: str
    repository: list[MediaRepository] = []


class Application(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    stop: str = ""
    start: str = ""


class Verify(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Looks at the recovered cluster: questions that must return true, and whether every page of it is read."""

    sql: list[str] = []
    pages: bool = True


class Site(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
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
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise SiteError(f"{path}: there is no such site file", remedy="write one with: reprise init") from None
    except UnicodeDecodeError as error:
        raise SiteError(f"{path}: not UTF-8 at byte {error.start}", remedy="save the file as UTF-8") from None
    except OSError as error:
        raise SiteError(
            f"{path}: cannot be read: {error.strerror}", remedy="name a readable file with --site"
        ) from None
    try:
        site = msgspec.convert(tomllib.loads(text), Site)
    except tomllib.TOMLDecodeError as error:
        raise SiteError(
            f"{path}: not TOML: {error}", remedy='a line looks like: port = 5432, or name = "archive"'
        ) from None
    except msgspec.ValidationError as error:
        key, wrong, right = _explain(str(error))
        raise SiteError(f"{path}: {key}: {wrong}", remedy=right) from None
    for key, wrong, right in _mistakes(site):
        raise SiteError(f"{path}: {key}: {wrong}", remedy=right)
    return site


def write_site(site: Site, path: Path) -> None:
    """Write a site file (0600, atomically, never over one that exists). Raises SiteError."""
    tables = {name: table for name, table in msgspec.to_builtins(site).items() if table}
    data = tomli_w.dumps(tables).encode()
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)  # unlike a rename, this never replaces a file
    except FileExistsError:
        raise SiteError(f"{path}: exists already", remedy="name another file with --site") from None
    except OSError as error:
        raise SiteError(
            f"{path}: cannot be written: {error.strerror}", remedy="name another place with --site"
        ) from None
    finally:
        draft.unlink(missing_ok=True)


_STRUCTS: dict[str, type[msgspec.Struct]] = {
    "": Site,
    "site": Identity,
    "database": Database,
    "database.repository": DatabaseRepository,
    "media": Media,
    "media.repository": MediaRepository,
    "application": Application,
    "verify": Verify,
}
_PLAIN_WORDS = {"str": "text in quotes", "int": "a whole number", "array": "a list", "object": "a table"}


def _explain(error: str) -> tuple[str, str, str | None]:
    """msgspec's one-line error as key, what is wrong, what would be right."""
    what, _, where = error.partition(" - at `$")
    table = where.rstrip("`").lstrip(".")
    plain_table = re.sub(r"\[[^]]*\]", "", table)
    known = list(_STRUCTS[plain_table].__struct_fields__) if plain_table in _STRUCTS else []
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", what):
        near = difflib.get_close_matches(unknown[1], known, 1)
        right = f"meant {near[0]}?" if near else f"known keys here: {', '.join(known)}"
        return _key(table, unknown[1]), "unknown key", right
    if missing := re.fullmatch(r"Object missing required field `(.*)`", what):
        return (
            _key(table, missing[1]),
            "missing",
            f"add {missing[1]} to {f'[{plain_table}]' if plain_table else 'the file'}",
        )
    if wrong := re.fullmatch(r"Expected `(.*)`, got `(.*)`", what):
        right_words, got = (_PLAIN_WORDS.get(word.split(" ")[0], word) for word in wrong.groups())
        return table or "the file", f"is {got}", f"it must be {right_words}"
    if value := re.fullmatch(r"Invalid enum value (.*)", what):
        return table, f"unknown value {value[1]}", 'kind = "directory"'
    return table or "the file", what, None


def _key(table: str, name: str) -> str:
    return f"{table}.{name}" if table else name


def _mistakes(site: Site) -> list[tuple[str, str, str]]:
    """What is typed right and still wrong: key, what is wrong, what would be right."""
    database, found = site.database, []
    if not re.fullmatch(r"[\w][\w.-]*", site.name):
        found.append(("site.name", f"{site.name!r} cannot be part of a file name", "letters, digits, '-', '_', '.'"))
    try:
        ZoneInfo(site.site.timezone)
    except (ValueError, OSError, KeyError):
        right = 'a name like "Europe/Moscow" or "UTC"'
        found.append(("site.timezone", f"{site.site.timezone!r} is not a time zone", right))
    if not 1 <= database.port <= 65535:
        found.append(("database.port", f"{database.port} is not a port", "a number from 1 to 65535"))
    if not database.repository:
        found.append(
            (
                "database.repository",
                "no repository",
                "at least one [[database.repository]] with kind, base_backups, wal",
            )
        )
    paths = {
        "database.data_dir": database.data_dir,
        "database.bin_dir": database.bin_dir,
        "database.config_file": database.config_file,
        "database.hba_file": database.hba_file,
        "database.ident_file": database.ident_file,
        "media.path": site.media.path if site.media else None,
    }
    for number, repository in enumerate(database.repository):
        paths[f"database.repository[{number}].base_backups"] = repository.base_backups
        paths[f"database.repository[{number}].wal"] = repository.wal
        paths[f"database.repository[{number}].dumps"] = repository.dumps
    for number, media in enumerate(site.media.repository if site.media else []):
        paths[f"media.repository[{number}].path"] = media.path
    for key, value in paths.items():
        if value is not None and (not value.startswith("/") or "\0" in value or "\n" in value):
            found.append((key, f"{value!r} is not an absolute path", "a path that starts with /"))
    return found
