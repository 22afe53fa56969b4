"""What a snapshot of the users' files holds, and what differs between two, or live."""

import hashlib
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime
from pathlib import Path

from engine.acts.desk import Desk
from engine.acts.listing_child import make_listing
from engine.catalog.media import read_media
from engine.catalog.waiting import with_patience
from engine.media.catalogue import Entry as Entry
from engine.media.catalogue import catalogue_of
from engine.media.differing import Difference as Difference
from engine.media.differing import differences, live_entries, live_entry
from engine.media.listing import Listed as Listed
from engine.media.listing import Listing as Listing
from engine.media.listing import build_listing, open_listing
from engine.media.references import Reference as Reference
from engine.media.references import collect
from engine.media.sources import open_snapshot
from engine.postgres.asking import rows_with
from engine.postgres.server import connect_site
from engine.records.copies import MediaSnapshot
from engine.records.errors import RepriseError, Unreachable, UsageError
from engine.site import Media, MediaRepository
from engine.system.users import default_run_as

LIVE = "live"
_MOST_ROWS = 1000  # of the database, that are looked up in a snapshot
_ROWS_SECONDS = 10
Progress = Callable[[int], None]


def file_snapshots(desk: Desk) -> list[MediaSnapshot]:
    """The snapshots that can be looked into, oldest first. Raises UsageError where the site has no users' files."""
    found = [each for place in _media(desk).repository for each in read_media(place, place.path).snapshots]
    return sorted((each for each in found if each.usable), key=lambda each: (each.started_at, each.id))


def snapshot_at(snapshots: list[MediaSnapshot], at: datetime) -> MediaSnapshot | None:
    """The snapshot that belongs to a moment: the last that began by then, else the first of all."""
    before = [each for each in snapshots if each.started_at <= at]
    return before[-1] if before else snapshots[0] if snapshots else None


def list_files(desk: Desk, snapshot: str, progress: Progress = lambda done: None) -> Listing:
    """The listing of a snapshot, made where there is none yet: ``progress`` hears entries done. Close it. Raises
    UsageError for a snapshot that is not there, DamagedCopy, Unreachable."""
    found, path, identity = _listing_of(desk, snapshot)
    known = open_listing(path, identity)
    if known is not None:
        return known
    make_listing(desk, snapshot, progress, str(found.path))
    made = open_listing(path, identity)
    if made is None:
        raise RepriseError(
            f"the files of {found.id} cannot be listed", cause="it changed meanwhile", remedy="try again"
        )
    return made


def write_listing(desk: Desk, snapshot: str, progress: Progress) -> None:
    """Make the listing of a snapshot here and now. Raises RepriseError."""
    found, path, identity = _listing_of(desk, snapshot)
    try:
        with open_snapshot(found, _snapshot(desk, snapshot)[1], _media(desk).path).entries() as entries:
            build_listing(path, identity, entries, progress)
    except (OSError, sqlite3.Error) as error:
        remedy = "see whether the snapshot can be read, and whether the state folder has room"
        raise RepriseError(f"the files of {found.id} cannot be listed", cause=str(error), remedy=remedy) from error


def _listing_of(desk: Desk, snapshot: str) -> tuple[MediaSnapshot, Path, str]:
    """The snapshot, where its listing stands, and what that is made from."""
    found, _ = _snapshot(desk, snapshot)
    return found, *_kept(desk, found)


def _kept(desk: Desk, found: MediaSnapshot) -> tuple[Path, str]:
    key = hashlib.sha256(f"{found.repository}\0{found.id}".encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return desk.state / "files" / f"{key}.sqlite", _identity(found)


def content_in(desk: Desk, snapshots: list[MediaSnapshot], sha256: bytes) -> list[tuple[str, list[bytes] | None]]:
    """Where a content stands in each of these snapshots: its paths, the first hundred; None for a snapshot that has no
    listing yet (it is not made for this). Raises DamagedCopy."""
    found: list[tuple[str, list[bytes] | None]] = []
    for each in snapshots:
        try:
            known = open_listing(*_kept(desk, each))
        except OSError:  # of its catalogue
            known = None
        if known is None:
            found.append((each.id, None))
            continue
        with closing(known):
            found.append((each.id, sorted(known.path(row) for row in known.holds(sha256))))
    return found


@contextmanager
def compare_files(desk: Desk, a: str, b: str) -> Iterator[Iterator[Difference]]:
    """What makes ``b`` of ``a``, each a snapshot's id or ``live``, as a stream; of the live folder no content is read.
    Raises UsageError, DamagedCopy, Unreachable."""
    if a == b:
        raise UsageError(f"{a} is compared with itself", remedy="name two snapshots, or one and 'live'")
    with _entries(desk, a) as (before, one), _entries(desk, b) as (after, other):
        yield differences(_told(before, a), _told(after, b), max(one, other))


def _told(entries: Iterator[Entry], which: str) -> Iterator[Entry]:
    """The entries; what the disk says against them becomes an error of ours, and nothing that their reader does."""
    try:
        yield from entries
    except OSError as error:
        raise Unreachable(f"not all of {which} could be read", cause=str(error)) from error


def live_file(desk: Desk, path: bytes) -> Entry | None:
    """What stands at a path in the live folder now; None where nothing does. Raises Unreachable."""
    root = os.fsencode(_media(desk).path)
    try:
        return with_patience(lambda alive: live_entry(root, path), _media(desk).path)
    except OSError as error:
        raise Unreachable("the live file cannot be looked at", cause=str(error)) from error


def files_of_rows(desk: Desk, text: str) -> tuple[list[Reference], bool]:
    """The files that rows of the live database with these words in them refer to, in a catalogue's order; and whether
    these are all. Raises UsageError where the site does not say what the database refers to, Unreachable, RepriseError
    where the query fails."""
    media, database = _media(desk), desk.site.database
    if media.references is None:
        remedy = "name them in the site file: [media] references"
        raise UsageError("the site does not say which files the database refers to", remedy=remedy)
    run_as = default_run_as(database.run_as, database.data_dir)
    with closing(connect_site(database, run_as)) as connection:
        name = "[media] references"
        columns, rows = rows_with(
            connection, media.references, text.split(), name, most=_MOST_ROWS, seconds=_ROWS_SECONDS
        )
    with tempfile.TemporaryDirectory() as folder:
        found = collect(rows, Path(folder) / "references", media.strip_prefix, columns)
        return list(found), len(rows) < _MOST_ROWS


@contextmanager
def _entries(desk: Desk, which: str) -> Iterator[tuple[Iterator[Entry], int]]:
    """With the resolution of their times, in nanoseconds."""
    if which == LIVE:
        yield live_entries(os.fsencode(_media(desk).path)), 1
        return
    found, repository = _snapshot(desk, which)
    files = open_snapshot(found, repository, _media(desk).path)
    with ExitStack() as stack:
        try:
            entries = stack.enter_context(files.entries())
        except OSError as error:
            raise Unreachable(f"{found.id} cannot be read", cause=str(error)) from error
        yield entries, files.resolution


def _media(desk: Desk) -> Media:
    if desk.site.media is None:
        raise UsageError("this site has no users' files", remedy="name them in the site file: [media]")
    return desk.site.media


def _snapshot(desk: Desk, id: str) -> tuple[MediaSnapshot, MediaRepository]:
    for place in _media(desk).repository:
        for each in read_media(place, place.path).snapshots:
            if each.id == id:
                if not each.usable:
                    raise UsageError(f"{id} cannot be used", cause=each.reason)
                return each, place
    raise UsageError(f"there is no snapshot {id!r}", remedy="list them with: reprise catalog")


def _identity(snapshot: MediaSnapshot) -> str:
    """What a listing was made from: it is made anew where this changes."""
    told = f"{snapshot.started_at.isoformat()} {snapshot.stopped_at.isoformat()}"
    if not snapshot.has_catalogue:
        return told
    status = catalogue_of(Path(snapshot.path)).stat()
    return f"{told} {status.st_size} {status.st_mtime_ns} {status.st_ino}"
