"""The second places: brought up to date, and fetched back when the first is gone."""

from collections.abc import Callable
from pathlib import Path

from engine.acts.desk import Desk, writable
from engine.acts.looking import look
from engine.backup.planning import second_folder
from engine.records.copying import CopyKind, names_beside
from engine.records.errors import UsageError
from engine.remote.places import read_place
from engine.remote.pushing import fetch, push, push_mirror, push_wal, refuse_short

Progress = Callable[[str, int], None]


def push_all(desk: Desk, *, progress: Progress) -> list[str]:
    """Send every copy and all archived WAL that the second places have not yet; what was sent or found right there, by
    name. Raises UsageError where the site has no second place, DamagedCopy, Unreachable, RepriseError."""
    writable(desk)
    catalog, site = look(desk).catalog, desk.site
    done: list[str] = []
    short: list[str] = []

    def send(copy: Path, kind: CopyKind, second: str, parent: str | None = None) -> None:
        beside = [path for name in names_beside(kind, copy.name) if (path := copy.with_name(name)).exists()]
        into = read_place(second_folder(second, kind))
        push(copy, into, beside, parent, lambda sent: progress(copy.name, sent))
        done.append(copy.name)

    for repository in site.database.repository:
        if repository.second is None:
            continue
        wal = read_place(f"{repository.second.rstrip('/')}/wal")
        short += push_wal(Path(repository.wal), wal, lambda sent: progress("wal", sent))
        done.append("wal")
        for backup in catalog.base_backups:
            if backup.usable and backup.repository == repository.base_backups:
                send(backup.path, "base", repository.second)
        for dump in catalog.dumps:
            if dump.usable and dump.repository == repository.base_backups:
                send(dump.path, "dump", repository.second)
    for media in site.media.repository if site.media else []:
        before: str | None = None
        for snapshot in catalog.media_snapshots if media.second and media.kind == "directory" else ():
            if snapshot.usable and snapshot.repository == media.path:
                send(snapshot.path, "media", media.second or "", before)
                before = snapshot.path.name
    for source in site.source:
        for copy in catalog.sources if source.second else ():
            if copy.origin == source.path and copy.form == "mirror":
                into = read_place(source.second or "")
                push_mirror(copy.path, into, lambda sent: progress("source", sent))
                done.append(copy.path.name)
            elif copy.origin == source.path:
                send(copy.path, "source", source.second or "")
    if site.environment is not None and site.environment.second is not None:
        for image in catalog.images:
            if image.usable and image.form == "packed":
                note = image.path.with_name(f"{image.id}.json")
                into = read_place(site.environment.second)
                push(note, into, [image.path], None, lambda sent: progress("environment", sent))
                done.append(image.id)
    refuse_short(short)
    if not done:
        raise UsageError("the site names no second place", remedy='add second = "ssh://user@host/path" to a repository')
    return done


def fetch_back(address: str, into: Path, *, progress: Progress) -> None:
    """Everything at a second place into an absent or empty folder, held against it by checksum; goes on where it was
    interrupted.
    Raises UsageError, Refused, Unreachable, DamagedCopy, RepriseError."""
    try:
        place = read_place(address)
    except ValueError as error:
        raise UsageError(str(error), remedy="an address looks like ssh://backup@host/copies/docs") from None
    fetch(place, into, lambda done: progress(address, done))
