"""Where the site file is found; read, checked and written."""

import os
import stat
import tomllib
from pathlib import Path

import msgspec
import platformdirs
import tomli_w

from engine.records.errors import SiteError
from engine.site.mistakes import explain, mistakes
from engine.site.tables import Site

_LONGEST = 1 << 20  # bytes of a site file


def find_site(given: Path | None) -> Path:
    """The site file to use: ``given``, $REPRISE_SITE, the user's, the machine's. Raises SiteError where none is."""
    if given is not None:
        return given
    if named := os.environ.get("REPRISE_SITE"):
        return Path(named)
    places = [platformdirs.user_config_path("reprise") / "site.toml", Path("/etc/reprise/site.toml")]
    for place in places:
        if is_there(place):
            return place
    raise SiteError(
        "no site file found",
        cause="looked at --site, $REPRISE_SITE, " + ", ".join(map(str, places)),
        remedy="write one with: reprise init (or look around first with: reprise demo)",
    )


def is_there(path: Path) -> bool:
    """Whether there is such a file. What may not be looked at is not there: after `sudo -u` the home is another's."""
    try:
        return path.is_file()
    except OSError:
        return False


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
        text = _read(path).decode("utf-8-sig")  # editors of other systems put a mark before the text
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
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SiteError(
            f"{path}: not TOML: {error}", remedy='a line looks like: port = 5432, or name = "archive"'
        ) from None
    except msgspec.ValidationError as error:
        key, wrong, right = explain(str(error))
        raise SiteError(f"{path}: {key}: {wrong}", remedy=right) from None
    for key, wrong, right in mistakes(site):
        raise SiteError(f"{path}: {key}: {wrong}", remedy=right)
    return site


def _read(path: Path) -> bytes:
    """What an ordinary file holds. Raises OSError, and SiteError where it is none or far too large."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe without a writer would be waited for
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise SiteError(f"{path}: is not an ordinary file", remedy="name a readable file with --site")
        data = file.read(_LONGEST + 1)
    if len(data) > _LONGEST:
        raise SiteError(f"{path}: too long for a site file", remedy="name another file with --site")
    return data


def write_site(site: Site, path: Path) -> None:
    """Write a site file (0600, atomically, never over one that exists). Raises SiteError, also where
    it could not be read again."""
    for key, wrong, right in mistakes(site):
        raise SiteError(f"{path} was not written: {key}: {wrong}", remedy=right)
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
