"""A repository of kind ``directory``: a folder of base backups as pg_basebackup leaves them, a folder of archived WAL,
perhaps one of dumps. Read only; whatever lies there is a backup, usable or not with the reason, or a problem."""

import os
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from engine.archiving.command import MARK
from engine.catalog.archive import (
    ArchiveListing,
    WalOrigin,
    find_origin,
    list_archive,
    read_backup_histories,
    read_histories,
    wal_files,
)
from engine.catalog.backups import control_of, flag_strangers, history_name, join_chains, label_of, make_backup
from engine.catalog.dumps import read_dumps
from engine.catalog.facts import Facts, Memory
from engine.catalog.files import strange_name
from engine.catalog.folders import Kind, kind_of, read_folder, read_in_passing
from engine.catalog.waiting import PATIENCE, with_patience
from engine.formats.backup_label import BackupLabel
from engine.records.copies import BaseBackup, Dump, Problem, WalFile
from engine.records.errors import Unreachable
from engine.site import DatabaseRepository
from engine.transfer.naming import shown

T = TypeVar("T")

DEFAULT_SEGMENT_SIZE = 16 << 20


class RepositoryContents(Struct, frozen=True):
    """What lies in one repository. ``archive_answers`` and ``backups_answer`` are False where the folder of WAL, or of
    base backups, is away or hangs: then what is missing here says nothing. ``stop_unknown`` are the ids of usable
    backups without a stop LSN: the WAL knows it (BACKUP_END). ``incomplete`` are those of which only the beginning was
    read in passing: ``complete_backup`` reads the rest."""

    base_backups: list[BaseBackup]
    wal_files: Sequence[WalFile]
    histories: dict[int, str]
    dumps: list[Dump]
    problems: list[Problem]
    segment_size: int | None = None
    system_identifier: int | None = None  # the WAL's
    archive_answers: bool = True
    archive_problem: str | None = None
    backups_answer: bool = True
    backups_problem: str | None = None
    stop_unknown: tuple[str, ...] = ()
    incomplete: tuple[str, ...] = ()
    unread: tuple[Path, ...] = ()  # folders among the backups that may be one, and cannot be read as one
    marked: bool = False  # the archive carries the mark of `archiving set-up`


class _Folder(Struct, frozen=True):
    path: Path
    kind: Kind
    facts: Facts


class _Archive(Struct, frozen=True):
    listing: ArchiveListing
    origin: WalOrigin
    histories: dict[int, str]
    marked: bool = False


_BESIDE = ".beside"  # what was kept beside a backup, for a bare machine


def read_repository(
    repository: DatabaseRepository,
    name: str,
    *,
    cache: Path | None = None,
    patience: float = PATIENCE,
    list_wal: bool = True,
) -> RepositoryContents:
    """Read a repository. Raises nothing for what lies in it, nor where it is away or hangs (no answer for
    ``patience`` seconds): then its problems and ``archive_answers`` say so. ``cache``: a file of ours that remembers
    what was read of each backup. Without ``list_wal`` the archive is only asked whether it answers: no segments, no
    histories, no stop LSNs out of backup history files."""
    problems: list[Problem] = []
    unread: list[Path] = []
    memory = Memory(cache)
    base_backups = Path(repository.base_backups)
    look = _read_archive if list_wal else _touch_archive
    archive, archive_problem = _reach(lambda alive: look(Path(repository.wal), alive), repository.wal, patience)
    folders, backups_problem = _reach(
        lambda alive: _read_folders(base_backups, memory, problems, unread, alive), repository.base_backups, patience
    )
    memory.save(base_backups if folders is not None else None)
    dumps: list[Dump] = []
    if repository.dumps is not None:
        place = Path(repository.dumps)
        found, dumps_problem = _reach(lambda alive: read_dumps(place, name, alive), repository.dumps, patience)
        if found is not None:
            dumps, more = found
            problems += more
        elif dumps_problem is not None:
            problems.append(Problem(repository.dumps, dumps_problem))
    if archive_problem is not None:
        problems.append(Problem(repository.wal, archive_problem, "see whether it is mounted and readable"))
    if backups_problem is not None:
        problems.append(Problem(repository.base_backups, backups_problem, "see whether it is mounted and readable"))
    origin = archive.origin if archive else WalOrigin(None, None)
    backups = _backups(folders or [], name, origin, archive.listing if archive else ArchiveListing())
    segment_size = origin.segment_size or next((each.segment_size for each in backups if each.segment_size), None)
    files: Sequence[WalFile] = []
    if archive is not None:
        files, more = wal_files(archive.listing, segment_size or DEFAULT_SEGMENT_SIZE)
        problems += archive.listing.problems + more
    problems += flag_strangers(backups, origin.system_identifier)
    facts = {folder.path.name: folder.facts for folder in folders or []}
    return RepositoryContents(
        base_backups=backups,
        wal_files=files,
        histories=archive.histories if archive else {},
        dumps=dumps,
        problems=problems,
        segment_size=segment_size,
        system_identifier=origin.system_identifier,
        archive_answers=archive is not None,
        archive_problem=archive_problem,
        backups_answer=folders is not None,
        backups_problem=backups_problem,
        stop_unknown=tuple(each.id for each in backups if each.usable and each.stop_lsn is None),
        incomplete=tuple(each.id for each in backups if each.usable and not facts[each.id].complete),
        unread=tuple(unread),
        marked=archive is not None and archive.marked,
    )


def complete_backup(backup: BaseBackup, *, cache: Path | None = None, patience: float = PATIENCE) -> BaseBackup:
    """The same backup with all that its files tell: reads a compressed base.tar to its end, where ``read_repository``
    left that out. Raises Unreachable."""
    memory = Memory(cache)
    facts = _facts(backup, memory, patience)
    label, control = label_of(facts), control_of(facts)
    found = make_backup(backup.path, backup.format, backup.repository, facts, label, control, None)
    return replace(
        found,
        id=backup.id,
        stopped_at=backup.stopped_at,
        stop_lsn=found.stop_lsn if found.stop_lsn is not None else backup.stop_lsn,
        parent=backup.parent,
        usable=backup.usable and found.usable,
        reason=backup.reason or found.reason,
        failed_check=backup.failed_check or found.failed_check,
    )


def backup_settings(backup: BaseBackup, *, cache: Path | None = None, patience: float = PATIENCE) -> dict[str, str]:
    """What the backup's own postgresql.conf and postgresql.auto.conf say, where it has them (Debian keeps the first
    one elsewhere). Reads a compressed base.tar to its end. Raises Unreachable."""
    return _facts(backup, Memory(cache), patience).settings()


def _facts(backup: BaseBackup, memory: Memory, patience: float) -> Facts:
    kind: Kind = backup.format
    facts, problem = _reach(
        lambda alive: read_folder(backup.path, kind, memory, alive, None), str(backup.path), patience
    )
    if facts is None:
        raise Unreachable(f"the backup {backup.id} cannot be read", cause=problem)
    memory.save()
    return facts


def _reach(work: Callable[[Callable[[], None]], T], what: str, patience: float) -> tuple[T | None, str | None]:
    """What ``work`` found, or why its folder does not answer."""
    try:
        return with_patience(work, what, patience), None
    except Unreachable as error:
        return None, f"{error.message}: {error.cause}"
    except NotADirectoryError:
        return None, "it is not a folder"
    except OSError as error:
        return None, f"it cannot be listed: {error.strerror or error}"


def _read_archive(root: Path, alive: Callable[[], None]) -> _Archive:
    listing = list_archive(root, alive)
    return _Archive(listing, find_origin(listing), read_histories(listing), (root / MARK).exists())


def _touch_archive(root: Path, alive: Callable[[], None]) -> _Archive:
    with os.scandir(root) as entries:
        next(entries, None)
    return _Archive(ArchiveListing(), WalOrigin(None, None), {})


def _read_folders(
    root: Path, memory: Memory, problems: list[Problem], unread: list[Path], alive: Callable[[], None]
) -> list[_Folder]:
    """The backups' folders below ``root``; ``unread`` hears of those that may be one and cannot be read. Raises OSError
    where ``root`` cannot be listed."""
    with os.scandir(root) as entries:
        names = sorted(entry.name for entry in entries)
    if kind_of(set(names)) in ("plain", "tar"):
        problems.append(
            Problem(
                str(root), "this is one backup itself, not a folder of backups", "name the folder above it in the site"
            )
        )
    folders: list[_Folder] = []
    seen: set[Path] = set()
    tablespaces: dict[Path, bool] = {}
    for name in names:
        path = root / name
        try:
            if name.startswith(".") or name.endswith(_BESIDE):
                continue
            if not _is_folder(path, problems):
                if path.is_symlink() and not path.exists():
                    unread.append(path)
                continue
            if strange_name(name):
                unread.append(path)
                problems.append(Problem(shown(path), "its name cannot be shown: not UTF-8, or with control characters"))
                continue
            if (real := path.resolve()) in seen or (path.is_symlink() and real.parent == root.resolve()):
                continue  # a link such as "latest" to a backup that is listed anyway
            seen.add(real)
            with os.scandir(path) as entries:
                kind = kind_of({entry.name for entry in islice(entries, 1000)})  # no backup's folder has more
            if kind == "tablespace":
                tablespaces[path.resolve()] = True
            elif kind == "empty":
                problems.append(Problem(str(path), "an empty folder: a backup that never began, or was emptied"))
            elif kind == "foreign":
                unread.append(path)  # another program's backup, one level further down
                problems.append(Problem(str(path), "a folder that holds no backup"))
            else:
                folders.append(_Folder(path, kind, read_in_passing(path, kind, memory, alive)))
        except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
            text = error.strerror if isinstance(error, OSError) else str(error)
            problems.append(Problem(shown(path), f"cannot be read: {text}"))
            if name != "lost+found":
                unread.append(path)
        alive()
    owned = {
        (folder.path / "pg_tblspc" / str(oid)).resolve() for folder in folders for oid, _ in folder.facts.tablespaces
    }
    for path in tablespaces:
        if path not in owned:
            problems.append(Problem(str(path), "a tablespace's contents without the backup that they belong to"))
    for folder in folders:
        problems.extend(Problem(str(folder.path), note) for note in folder.facts.notes)
    return folders


def _is_folder(path: Path, problems: list[Problem]) -> bool:
    if path.is_dir():
        return True
    if path.is_symlink() and not path.exists():
        problems.append(Problem(str(path), "a link that leads nowhere"))
    return False


def _backups(folders: list[_Folder], name: str, origin: WalOrigin, listing: ArchiveListing) -> list[BaseBackup]:
    labels: dict[str, BackupLabel] = {}
    backups: list[BaseBackup] = []
    for folder in folders:
        facts = folder.facts
        label, control = label_of(facts), control_of(facts)
        history = None
        size = control.segment_size if control else origin.segment_size
        if label is not None:
            labels[folder.path.name] = label
            if size is not None and not label.from_standby:
                wanted = history_name(label, size)
                history = read_backup_histories(listing, [wanted]).get(wanted)
        if history is not None and history.label.start_lsn != (label.start_lsn if label else None):
            history = None
        backups.append(make_backup(folder.path, folder.kind, name, facts, label, control, history))
    return join_chains(backups, labels)
