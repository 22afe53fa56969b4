"""Snapshots that restic or borg keeps, listed by their programs, and remembered: the screen looks every few seconds.

A listing is good as long as the repository's own files say that nothing was added (one on this machine), or for ten
minutes (one elsewhere). What went wrong is asked again after a minute; one that is only locked, or does not answer,
keeps the snapshots that it had.
"""

import hashlib
import os
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from engine.catalog.files import read_small
from engine.media import borg, restic
from engine.records.coding import from_json, to_json
from engine.records.copies import MediaSnapshot, Problem
from engine.records.errors import DamagedCopy, RepriseError, Unreachable
from engine.site import MediaRepository

_GOOD_SECONDS = 600.0  # for a repository elsewhere
_BAD_SECONDS = 60.0
_LONGEST = 64 << 20  # bytes of a listing


class Listing(msgspec.Struct, frozen=True):
    """What was listed at a time (seconds of the epoch); ``key`` is what it depends on."""

    key: str
    at: float
    snapshots: list[MediaSnapshot]
    problems: list[Problem] = []
    answers: bool = True
    failed: bool = False


def list_foreign(repository: MediaRepository, media_path: str, cache: Path | None) -> Listing:
    """Its snapshots, from ``cache`` (a folder; None: nothing is remembered) where that is still right. Raises nothing
    for what the repository and its program say."""
    here = _location(repository.path)
    if here is not None and not here.is_dir():
        problem = Problem(repository.path, "there is no such folder", "see whether it is mounted and readable")
        return Listing("", time.time(), [], [problem], answers=False, failed=True)
    key = _key(repository, media_path, here)
    place = cache / f"media-{hashlib.sha256(_who(repository).encode()).hexdigest()[:16]}.json" if cache else None
    known = _remembered(place)
    if known is not None and known.key == key and _still_good(known, here is not None):
        return known
    found = _ask(repository, media_path, key, known)
    if place is not None:
        _remember(place, found)
    return found


def _ask(repository: MediaRepository, media_path: str, key: str, known: Listing | None) -> Listing:
    try:
        if repository.kind == "restic":
            return Listing(key, time.time(), restic.list_snapshots(repository, media_path))
        snapshots, problems = borg.list_snapshots(repository)
        return Listing(key, time.time(), snapshots, problems)
    except RepriseError as error:
        what = f"{error.message}: {error.cause}" if error.cause else error.message
        before = known.snapshots if known is not None and "locked" in error.message else []
        answers = bool(before) or not isinstance(error, Unreachable)
        return Listing(key, time.time(), before, [Problem(repository.path, what, error.remedy)], answers, failed=True)


def _still_good(known: Listing, here: bool) -> bool:
    age = time.time() - known.at
    if age < 0:
        return False
    return age < _BAD_SECONDS if known.failed else here or age < _GOOD_SECONDS


def _location(path: str) -> Path | None:
    """The folder of a repository on this machine."""
    if path.startswith("local:"):
        path = path.removeprefix("local:")
    if path.startswith("file://"):
        path = path.removeprefix("file://")
    return Path(path) if path.startswith("/") else None


def _who(repository: MediaRepository) -> str:
    return f"{repository.kind}\0{repository.path}"


def _key(repository: MediaRepository, media_path: str, here: Path | None) -> str:
    """All that a listing depends on, in one short text."""
    parts = [_who(repository), repository.inside or "", repository.program or "", media_path]
    parts += [repository.password_command or "", repository.password_file or ""]
    with suppress(OSError):
        parts.append(str(os.stat(repository.password_file or "").st_mtime_ns))  # noqa: PTH116
    if here is not None:
        watched = here / "snapshots" if repository.kind == "restic" else here
        with suppress(OSError):
            names = [entry.name for entry in os.scandir(watched) if not entry.name.startswith("lock")]
            parts += sorted(names)
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


def _remembered(place: Path | None) -> Listing | None:
    if place is not None:
        with suppress(OSError, DamagedCopy, msgspec.DecodeError, ValueError, RecursionError):
            return from_json(read_small(place, _LONGEST), Listing)
    return None


def _remember(place: Path, listing: Listing) -> None:
    draft = place.with_name(f".{place.name}.{os.getpid()}")
    with suppress(OSError):  # the next look asks again
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.write_bytes(to_json(listing))
        draft.chmod(0o600)
        draft.replace(place)
