"""Dated folders without a catalogue, as rsync with ``--link-dest`` or rsnapshot leaves them.

A folder's name tells when it was begun: a date with or without a time, anywhere in it (``2026-11-23``,
``docs-20261123_0400``), in the site's time zone where it names none. When it ended is when the folder itself was last
touched (its ctime), where that is within a day; else nobody knows. rsnapshot (``hourly.0``, ``daily.3``) touches a
folder when it is complete (``touch hourly.0/``): that is when it ended; it began after the one before it ended, and,
taken for granted here, at most an hour earlier.
"""

import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from engine.media.catalogue import Entry
from engine.media.walking import walk
from engine.records.copies import MediaSnapshot, Problem
from engine.records.errors import DamagedCopy
from engine.site import MediaRepository
from engine.transfer.naming import shown

_DATED = re.compile(
    r"(?<!\d)(\d{4})([-_.]?)(\d\d)\2(\d\d)"
    r"(?:[T_ .-]?(\d\d)[:.h_-]?(\d\d)(?:[:.m_-]?(\d\d))?(Z|[+-]\d\d:?\d\d)?)?(?!\d)",
    re.ASCII,
)
_ROTATED = re.compile(r"[A-Za-z][\w-]*\.\d+\Z", re.ASCII)
_UNFINISHED = re.compile(r"partial|incomplete|in.?progress|unfinished|_delete|\.tmp\Z|\.sync\Z", re.IGNORECASE)
_LONGEST = timedelta(days=1)  # that a snapshot is thought to take
_ROTATION = timedelta(hours=1)  # that one of rsnapshot's is thought to take


def list_snapshots(
    repository: MediaRepository, zone: ZoneInfo, alive: Callable[[], None]
) -> tuple[list[MediaSnapshot], list[Problem]]:
    """The folders in a repository, oldest first, and what cannot be used. Raises OSError."""
    root = Path(repository.path)
    snapshots: list[MediaSnapshot] = []
    problems: list[Problem] = []
    for path in sorted(root.iterdir()):
        alive()
        if path.name.startswith(".") or not path.name.isprintable() or _UNFINISHED.search(path.name):
            continue
        try:
            if path.is_symlink() or not path.is_dir():
                continue  # "latest", notes, logs
            snapshots.append(_snapshot(path, repository, zone))
        except OSError as error:
            problems.append(Problem(shown(path), f"cannot be read: {error.strerror}"))
    return _since_the_one_before(snapshots), problems


def _snapshot(path: Path, repository: MediaRepository, zone: ZoneInfo) -> MediaSnapshot:
    status = path.stat()
    named = time_in(path.name, zone)
    if named is not None:
        started, stopped = named
        touched = datetime.fromtimestamp(status.st_ctime, UTC)
        stopped = touched if started <= touched <= started + _LONGEST else stopped
    else:
        started = stopped = datetime.fromtimestamp(status.st_mtime, UTC)
    dated = named is not None or _ROTATED.match(path.name) is not None
    reason = _lacking(path, repository) if dated else "nothing says when it was made: there is no date in its name"
    return MediaSnapshot(
        path.name, repository.path, path, started, stopped, usable=reason is None, reason=reason, dated=dated
    )


def _lacking(path: Path, repository: MediaRepository) -> str | None:
    place = path / (repository.inside or "").strip("/")
    if not place.is_dir():
        return f"it does not hold {repository.inside}"
    if not place.resolve().is_relative_to(path.resolve()):
        return f"{repository.inside} leads out of it"
    return None if any(place.iterdir()) else "the folder is empty"


def _since_the_one_before(snapshots: list[MediaSnapshot]) -> list[MediaSnapshot]:
    """Rotated folders know their end only."""
    found: list[MediaSnapshot] = []
    before = datetime.min.replace(tzinfo=UTC)
    for each in sorted(snapshots, key=lambda each: (each.stopped_at, each.id)):
        if _ROTATED.match(each.id) and each.started_at == each.stopped_at:
            each = replace(each, started_at=min(each.stopped_at, max(before, each.stopped_at - _ROTATION)))
        before = each.stopped_at
        found.append(each)
    return sorted(found, key=lambda each: (each.started_at, each.id))


def time_in(name: str, zone: ZoneInfo) -> tuple[datetime, datetime] | None:
    """When a folder of this name was begun, between these two: the same moment, or a whole day where it names no time
    of it; None where it names no date."""
    for found in _DATED.finditer(name):
        year, _, month, day, hour, minute, second, offset = found.groups()
        try:
            at = datetime.fromisoformat(f"{year}-{month}-{day}T{hour or '00'}:{minute or '00'}:{second or '00'}")
            if offset is not None:
                at = datetime.fromisoformat(at.isoformat() + offset)
            began = (at if at.tzinfo is not None else at.replace(tzinfo=zone)).astimezone(UTC)
            return began, began if hour is not None else began + _LONGEST - timedelta(seconds=1)
        except (ValueError, OverflowError):
            continue
    return None


class FolderFiles:
    """The files of such a folder."""

    resolution = 1
    tells_hashes = False

    def __init__(self, snapshot: MediaSnapshot, repository: MediaRepository) -> None:
        inside = (repository.inside or "").strip("/")
        self._snapshot, self._root = snapshot.path, snapshot.path / inside if inside else snapshot.path

    @property
    def root(self) -> bytes | None:
        return bytes(self._root)

    @contextmanager
    def entries(self, *, hashes: bool = True) -> Iterator[Iterator[Entry]]:
        """Nobody wrote down a hash, and none is made here."""
        if not self._root.is_dir() or not self._root.resolve().is_relative_to(self._snapshot.resolve()):
            raise DamagedCopy(
                f"the snapshot {shown(self._snapshot)} does not hold {shown(self._root)}",
                remedy='say where in its snapshots the media folder stands: inside = "…" in its [[media.repository]]',
            )
        yield self._walk()

    def _walk(self) -> Iterator[Entry]:
        for path, found in walk(bytes(self._root)):
            try:
                status = found.stat(follow_symlinks=False)
                target = os.readlink(found.path) if stat.S_ISLNK(status.st_mode) else b""  # noqa: PTH115
            except FileNotFoundError:
                continue
            kind = {stat.S_IFDIR: "d", stat.S_IFLNK: "l", stat.S_IFREG: "f"}.get(stat.S_IFMT(status.st_mode))
            if kind is not None:
                size = 0 if kind == "d" else status.st_size
                mode = stat.S_IMODE(status.st_mode)
                ids = status.st_uid, status.st_gid
                yield Entry(kind, None, size, status.st_mtime_ns, mode, *ids, path, target)  # type: ignore[arg-type]

    def fetch(self, paths: Path, into: Path, say: Callable[[int, int], None]) -> None:
        raise NotImplementedError("its files can be read directly")
