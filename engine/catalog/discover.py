"""What `reprise init` starts from: the clusters of this machine, and what lies below a folder of copies."""

import os
import re
import shlex
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from engine.catalog.directory import backup_settings, read_repository
from engine.catalog.dumps import is_dump
from engine.catalog.facts import LABEL
from engine.catalog.files import read_small
from engine.catalog.folders import MANIFEST, kind_of
from engine.catalog.media import time_of
from engine.formats.control_file import read_control_file
from engine.formats.settings_file import read_list, read_settings
from engine.records.copies import BaseBackup
from engine.records.errors import DamagedCopy, RepriseError
from engine.site import DatabaseRepository
from engine.wal.files import DamagedFile, read_beginning
from engine.wal.pages import DamagedPage, read_first_page

_DEPTH = 6  # folders below the root
_SECONDS = 20.0
_ENTRIES = 2000  # of one folder: enough to tell what it is
_SEGMENT = re.compile(r"[0-9A-F]{24}(-[0-9a-f]{40})?(\.(gz|lz4|zst))?\Z")
_NESTED = re.compile(r"[0-9A-F]{16}\Z|\d{1,2}-\d+\Z")

_DATA_DIRS = ("/var/lib/postgresql/*/*", "/var/lib/postgresql/*", "/var/lib/pgsql/*/data", "/var/lib/pgsql/data")
_CONF_FILES = "/etc/postgresql/*/*/postgresql.conf"


class FoundCluster(Struct, frozen=True):
    """A cluster on this machine; None is what its files do not tell. ``host`` is a socket folder."""

    data_dir: Path
    version: int | None
    port: int
    host: str
    owner_uid: int
    running: bool
    config_file: Path | None = None
    hba_file: Path | None = None
    ident_file: Path | None = None
    system_identifier: int | None = None
    archive_command: str | None = None


class Discovered(Struct, frozen=True):
    """What lies below a folder, best guess first; and what the newest usable backup says of its cluster. ``wal``:
    archives of that cluster come before others.

    ``data_dir`` is where that lay: data_directory of its own settings, else Debian's place for that version (then
    ``data_dir_known`` is False). ``cut_short``: there was more below than could be looked at.
    """

    base_backups: tuple[Path, ...] = ()
    wal: tuple[Path, ...] = ()
    media: tuple[Path, ...] = ()
    dumps: tuple[Path, ...] = ()
    newest: BaseBackup | None = None
    version: int | None = None
    system_identifier: int | None = None
    data_dir: Path | None = None
    data_dir_known: bool = False
    port: int = 5432
    host: str = "/var/run/postgresql"
    config_file: Path | None = None
    owner_uid: int | None = None
    cut_short: bool = False


def find_clusters(root: Path = Path("/")) -> list[FoundCluster]:
    """The clusters on this machine: by Debian's configuration, by the usual places, by running servers."""
    found: dict[Path, FoundCluster] = {}
    for conf in sorted(root.glob(_CONF_FILES.lstrip("/"))):
        settings = _settings(conf)
        data_dir = settings.get("data_directory")
        if data_dir and (cluster := _cluster(root / data_dir.lstrip("/"), settings, conf, root)):
            found[cluster.data_dir] = cluster
    places = [place for pattern in _DATA_DIRS for place in sorted(root.glob(pattern.lstrip("/")))]
    for place in [*places, *(_running_data_dirs() if root == Path("/") else ())]:
        if place not in found and (cluster := _cluster(place, _settings(place / "postgresql.conf"), None, root)):
            found[place] = cluster
    return sorted(found.values(), key=lambda each: (not each.running, -(each.version or 0), str(each.data_dir)))


def archive_folder(command: str) -> Path | None:
    """The folder that an archive_command copies into: the first that is there of those that it names, with or without
    the file's name (%f) behind it."""
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    for word in words:
        place, named, _ = word.lstrip("<>").partition("%f")
        folder = Path(place if named else f"{place}/")
        if named and not place.endswith("/"):
            folder = folder.parent
        try:
            if place.startswith("/") and folder.is_dir():
                return folder
        except (OSError, ValueError):
            continue
    return None


def find_copies(root: Path, system_identifier: int | None = None) -> Discovered:
    """What looks like copies below ``root``, looked at for a bounded depth and time; with ``system_identifier`` base
    backups of that cluster alone. Nothing found is no error; raises OSError where ``root`` cannot be listed."""
    ends_at = time.monotonic() + _SECONDS
    backups: Counter[Path] = Counter()
    wal: Counter[Path] = Counter()
    of_archive: dict[Path, Path] = {}
    media: list[Path] = []
    dumps: list[Path] = []
    todo: list[tuple[Path, int]] = [(root, 0)]
    cut_short = False
    os.scandir(root).close()
    while todo:
        folder, depth = todo.pop(0)
        if time.monotonic() > ends_at:
            cut_short = True
            break
        folders, names = _list(folder)
        kind = kind_of(names | {name.name for name in folders}) if names or folders else "empty"
        if kind in ("plain", "tar"):
            if kind == "tar" or names & {LABEL, MANIFEST}:  # else a data directory
                backups[folder.parent] += 1
            continue
        if segments := [name for name in names if _SEGMENT.match(name)]:
            archive = _archive_root(folder, root)
            wal[archive] += len(segments)
            of_archive.setdefault(archive, folder / max(segments))
        elif any(is_dump(each) for each in (*folders, *(folder / name for name in sorted(names)))):
            dumps.append(folder)
            folders = [each for each in folders if not is_dump(each)]
        elif depth > 0 and any(time_of(each.name) and _no_backup(each) for each in folders):
            media.append(folder)
            continue
        if depth < _DEPTH:
            todo += [(each, depth + 1) for each in folders]
        elif folders:
            cut_short = True
    archives = [path for path, _ in wal.most_common()]
    newest: BaseBackup | None = None
    places = [path for path, _ in backups.most_common()]
    for place in list(places):
        found = _newest_in(place)
        if system_identifier is not None and (found is None or found.system_identifier != system_identifier):
            places.remove(place)
        elif newest is None and found is not None:
            newest = found
            places.remove(place)
            places.insert(0, place)
        if newest is not None and system_identifier is None:
            break
    if newest is not None:
        ours = newest.system_identifier
        archives.sort(key=lambda each: _identifier_of(of_archive[each]) != ours)
    return _describe(newest, tuple(places), tuple(archives), tuple(media), tuple(dumps), cut_short)


def _newest_in(place: Path) -> BaseBackup | None:
    repository = DatabaseRepository("directory", str(place), str(place))  # whichever its archive is
    contents = read_repository(repository, str(place), list_wal=False)
    usable = [each for each in contents.base_backups if each.usable]
    return max(usable, key=lambda each: (each.timeline or 0, each.start_lsn or 0), default=None)


def _identifier_of(segment: Path) -> int | None:
    """Whose WAL a segment is; None where it does not tell."""
    try:
        return read_first_page(read_beginning(segment)).system_identifier
    except (OSError, DamagedFile, DamagedPage):
        return None


def _describe(
    newest: BaseBackup | None,
    backups: tuple[Path, ...],
    wal: tuple[Path, ...],
    media: tuple[Path, ...],
    dumps: tuple[Path, ...],
    cut_short: bool,
) -> Discovered:
    if newest is None:
        return Discovered(backups, wal, media, dumps, cut_short=cut_short)
    try:
        settings = backup_settings(newest)
    except RepriseError:
        settings = {}
    told = settings.get("data_directory")
    debian = Path(f"/var/lib/postgresql/{newest.version}/main")
    conf = Path(f"/etc/postgresql/{newest.version}/main/postgresql.conf")
    sockets = settings.get("unix_socket_directories", "")
    port = settings.get("port", "")
    return Discovered(
        base_backups=backups,
        wal=wal,
        media=media,
        dumps=dumps,
        newest=newest,
        version=newest.version,
        system_identifier=newest.system_identifier,
        data_dir=Path(told) if told else debian,
        data_dir_known=bool(told),
        port=int(port) if port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536 else 5432,
        host=_socket_folder(sockets),
        config_file=conf if conf.is_file() else None,
        owner_uid=newest.path.stat().st_uid,
        cut_short=cut_short,
    )


def _socket_folder(setting: str) -> str:
    """The first folder of unix_socket_directories; that of PostgreSQL's packages where it names none."""
    return next((each for each in read_list(setting) if each.startswith("/")), "/var/run/postgresql")


def _list(folder: Path) -> tuple[list[Path], set[str]]:
    """The folders (no links) and the other names in a folder; nothing where it cannot be read."""
    folders: list[Path] = []
    names: set[str] = set()
    try:
        with os.scandir(folder) as entries:
            for entry, _ in zip(entries, range(_ENTRIES), strict=False):
                if entry.is_dir(follow_symlinks=False):
                    if not entry.name.startswith("."):
                        folders.append(folder / entry.name)
                else:
                    names.add(entry.name)
    except OSError:
        return [], set()
    return sorted(folders), names


def _archive_root(folder: Path, root: Path) -> Path:
    """The archive's folder: above those in which Barman and pgBackRest nest segments."""
    while folder != root and _NESTED.match(folder.name):
        folder = folder.parent
    return folder


def _no_backup(folder: Path) -> bool:
    folders, names = _list(folder)
    return kind_of(names | {each.name for each in folders}) == "foreign"


def _cluster(data_dir: Path, settings: dict[str, str], conf: Path | None, root: Path) -> FoundCluster | None:
    try:
        version = (data_dir / "PG_VERSION").read_text().strip()
        owner = data_dir.stat().st_uid
        settings = settings | _settings(data_dir / "postgresql.auto.conf")
    except (OSError, ValueError):
        return None
    if not (data_dir / "global").is_dir():
        return None
    running = _running_at(data_dir)
    port, sockets = running or (settings.get("port", ""), settings.get("unix_socket_directories", ""))
    try:
        control = read_control_file(read_small(data_dir / "global/pg_control"))
        identifier: int | None = control.system_identifier
    except (OSError, DamagedCopy):
        identifier = None
    return FoundCluster(
        data_dir=data_dir,
        version=int(version) if version.isascii() and version.isdigit() else None,
        port=int(port) if port.isascii() and port.isdigit() and len(port) < 6 else 5432,
        host=_socket_folder(sockets),
        owner_uid=owner,
        running=running is not None,
        config_file=conf,
        hba_file=Path(settings["hba_file"]) if conf and settings.get("hba_file") else None,
        ident_file=Path(settings["ident_file"]) if conf and settings.get("ident_file") else None,
        system_identifier=identifier,
        archive_command=settings.get("archive_command"),
    )


def _running_at(data_dir: Path) -> tuple[str, str] | None:
    """Port and socket folder in postmaster.pid (src/include/utils/pidfile.h), where such a process is alive."""
    try:
        lines = (data_dir / "postmaster.pid").read_text("utf-8", "surrogateescape").split("\n")
        pid = int(lines[0])
        if pid <= 0:
            return None
        with suppress(PermissionError):  # somebody else's, and alive
            os.kill(pid, 0)
    except (OSError, ValueError, OverflowError):
        return None
    return (lines[3], lines[4]) if len(lines) > 4 else ("", "")


def _settings(path: Path) -> dict[str, str]:
    try:
        return read_settings(path.read_text("utf-8", "replace"))
    except OSError:
        return {}


def _running_data_dirs() -> Iterator[Path]:
    """The data directories of running servers: a postmaster's working folder (Linux)."""
    for process in _processes(Path("/proc")):
        try:
            if (process / "comm").read_text().strip() in ("postgres", "postmaster"):
                folder = (process / "cwd").readlink()
                if (folder / "postmaster.pid").is_file():
                    yield folder
        except OSError:
            continue


def _processes(proc: Path) -> Iterable[Path]:
    try:
        return [path for path in proc.iterdir() if path.name.isdigit()]
    except OSError:
        return []
