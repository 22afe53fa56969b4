"""Snapshots of the users' files, whatever keeps them. A repository of kind ``directory`` has one folder for each.

What a snapshot's interval was stands in ``<id>.json`` beside its folder (``started_at``, ``stopped_at``: ISO 8601 with
``Z``; ``files``; ``bytes``), else in the folder's name (``2026-11-23T04:00:00Z``), else only its mtime is known.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from engine.catalog.files import read_small, strange_name
from engine.catalog.foreign import list_foreign
from engine.catalog.waiting import PATIENCE, with_patience
from engine.media.folders import list_snapshots
from engine.records.copies import MediaSnapshot, Problem
from engine.records.errors import DamagedCopy, Unreachable
from engine.site import MediaRepository
from engine.transfer.naming import shown

_UTC = ZoneInfo("UTC")
_FILE_SYSTEMS_OWN = "lost+found"
_PROGRAMS_PATIENCE = 180.0  # seconds
_NAMED = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)[T_ -]?(\d\d)[:-]?(\d\d)(?:[:-]?(\d\d))?(Z|[+-]\d\d:?\d\d)?\Z", re.ASCII)


class _Interval(msgspec.Struct):
    """`<id>.json`."""

    started_at: datetime
    stopped_at: datetime
    files: int | None = None
    bytes: int | None = None


class MediaContents(msgspec.Struct, frozen=True):
    """What lies in one media repository; ``answers`` False: its folder is away or hangs."""

    snapshots: list[MediaSnapshot]
    problems: list[Problem]
    answers: bool = True


def read_media(
    repository: MediaRepository,
    name: str,
    *,
    media_path: str = "/",
    zone: ZoneInfo = _UTC,
    cache: Path | None = None,
    patience: float = PATIENCE,
) -> MediaContents:
    """List the snapshots, oldest first. ``media_path`` is the site's media folder, ``zone`` its time zone; ``cache`` is
    a folder in which it is remembered what restic and borg said. Raises nothing for what lies there."""
    root = Path(repository.path)
    remedy = "see whether it is mounted and readable"

    def read(alive: Callable[[], None]) -> MediaContents:
        if repository.kind == "directory":
            return _read(root, name, alive)
        if repository.kind == "rsync":
            return MediaContents(*list_snapshots(repository, zone, alive))
        found = list_foreign(repository, media_path, cache)
        return MediaContents(found.snapshots, found.problems, found.answers)

    if repository.kind in ("restic", "borg"):
        patience = max(patience, _PROGRAMS_PATIENCE)  # they have time limits of their own
    try:
        return with_patience(read, repository.path, patience)
    except Unreachable as error:
        return MediaContents([], [Problem(repository.path, f"{error.message}: {error.cause}", remedy)], False)
    except OSError as error:
        problem = Problem(repository.path, f"it cannot be listed: {error.strerror or error}", remedy)
        return MediaContents([], [problem], False)


def _read(root: Path, name: str, alive: Callable[[], None]) -> MediaContents:
    snapshots: list[MediaSnapshot] = []
    problems: list[Problem] = []
    for path in sorted(root.iterdir()):
        alive()
        try:
            if path.name.startswith(".") or path.name == _FILE_SYSTEMS_OWN or not path.is_dir():
                if path.is_symlink() and not path.exists():
                    problems.append(Problem(shown(path), "a link that leads nowhere"))
                continue
            if path.is_symlink() and path.resolve().parent == root.resolve():
                continue  # a link such as "latest"
            if strange_name(path.name):
                problems.append(Problem(shown(path), "its name cannot be shown: not UTF-8, or with control characters"))
                continue
            snapshots.append(_snapshot(path, name, problems))
        except (OSError, RuntimeError) as error:
            problems.append(Problem(shown(path), f"cannot be read: {error}"))
    return MediaContents(sorted(snapshots, key=lambda each: (each.started_at, each.id)), problems)


def _snapshot(path: Path, repository: str, problems: list[Problem]) -> MediaSnapshot:
    book = path.with_name(path.name + ".json")
    try:
        told = msgspec.json.decode(read_small(book), type=_Interval)
        if told.started_at.tzinfo is None or told.stopped_at.tzinfo is None:
            raise DamagedCopy("its times have no UTC offset")
        if told.stopped_at < told.started_at:
            raise DamagedCopy("it stops before it starts")
    except FileNotFoundError:
        pass
    except (OSError, DamagedCopy, msgspec.DecodeError, ValueError, RecursionError) as error:
        problems.append(
            Problem(str(book), f"cannot be used: {error}", "the folder's own name and time are used instead")
        )
    else:
        return MediaSnapshot(
            path.name,
            repository,
            path,
            told.started_at.astimezone(UTC),
            told.stopped_at.astimezone(UTC),
            size_bytes=told.bytes,
            files=told.files,
            has_catalogue=path.with_name(path.name + ".catalogue.zst").is_file(),
            dated=True,
        )
    changed = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    named = time_of(path.name)
    started = named or changed
    usable = any(path.iterdir())
    return MediaSnapshot(
        path.name,
        repository,
        path,
        started,
        max(started, changed),
        usable=usable,
        reason=None if usable else "the folder is empty",
        dated=named is not None,
    )


def time_of(name: str) -> datetime | None:
    """The time in a folder's name, without an offset in UTC; None where it holds none."""
    found = _NAMED.match(name)
    if found is None:
        return None
    year, month, day, hour, minute, second, zone = found.groups()
    try:
        at = datetime.fromisoformat(f"{year}-{month}-{day}T{hour}:{minute}:{second or '00'}{zone or 'Z'}")
        return at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
