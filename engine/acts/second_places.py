"""The second places: brought up to date, and fetched back when the first is gone."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from msgspec import Struct, field

from engine.acts.desk import Desk, writable
from engine.acts.looking import look
from engine.backup.planning import second_folder
from engine.environment.images import IMAGE, NOTE, verify_image
from engine.records.copying import CopyKind, names_beside
from engine.records.errors import UsageError
from engine.remote.fetching import Fetched, fetch
from engine.remote.places import read_place
from engine.remote.pushing import push, push_mirror
from engine.remote.sent import Memory
from engine.remote.wal import push_wal, refuse_short
from engine.run.locks import second_lock, take_lock
from engine.site import DatabaseRepository, Environment, MediaRepository, Site, Source

Progress = Callable[[str, int], None]


def push_all(desk: Desk, *, progress: Progress) -> list[str]:
    """Send every copy and all archived WAL that the second places have not yet; what was sent or found right there, by
    name. `expire` deletes nothing at a second place meanwhile. Raises UsageError where the site has no second place,
    DamagedCopy, Unreachable, RepriseError."""
    pushing = _Pushing(writable(desk), progress)
    with ExitStack() as stack:
        for address in sorted({each.second for each in _places(desk.site) if each.second is not None}):
            lock = take_lock(second_lock(desk.state, address), "push", f"somebody works on {address}")
            stack.callback(lock.release)
        pushing.all()
    refuse_short(pushing.short)
    if not pushing.done:
        raise UsageError("the site names no second place", remedy='add second = "ssh://user@host/path" to a repository')
    return pushing.done


def _places(site: Site) -> Iterator[DatabaseRepository | MediaRepository | Source | Environment]:
    """All that may have a second place."""
    yield from site.database.repository
    yield from site.media.repository if site.media else ()
    yield from site.source
    yield from [site.environment] if site.environment is not None else ()


class _Pushing(Struct):
    """One push of everything; ``done`` are the names of what is there, ``short`` the segments that were not sent."""

    desk: Desk
    progress: Progress
    done: list[str] = field(default_factory=list)
    short: list[str] = field(default_factory=list)

    def all(self) -> None:
        catalog, site = look(self.desk).catalog, self.desk.site
        for repository in site.database.repository:
            if repository.second is None:
                continue
            self._wal(repository.wal, repository.second)
            for backup in catalog.base_backups:
                if backup.usable and backup.repository == repository.base_backups:
                    self._send(backup.path, "base", repository.second)
            for dump in catalog.dumps:
                if dump.usable and dump.repository == repository.base_backups:
                    self._send(dump.path, "dump", repository.second)
        for media in site.media.repository if site.media else []:
            before: str | None = None
            for snapshot in catalog.media_snapshots if media.second and media.kind == "directory" else ():
                if snapshot.usable and snapshot.repository == media.path:
                    self._send(snapshot.path, "media", media.second or "", before)
                    before = snapshot.path.name
        for source in site.source:
            for copy in catalog.sources if source.second else ():
                if copy.origin == source.path and copy.form == "mirror":
                    into = read_place(source.second or "")
                    push_mirror(copy.path, into, lambda sent: self.progress("source", sent))
                    self.done.append(copy.path.name)
                elif copy.origin == source.path:
                    self._send(copy.path, "source", source.second or "")
        if site.environment is not None and site.environment.second is not None:
            into = read_place(site.environment.second)

            def tell(sent: int) -> None:
                self.progress("environment", sent)

            for image in catalog.images:
                if image.usable and not (
                    image.form == "registered" and verify_image(image)
                ):  # else it is another by now
                    packed = [image.path] if image.form == "packed" else []
                    if not packed:
                        push(image.path, into, [], None, tell, name=image.id + IMAGE)
                    push(Path(site.environment.store) / f"{image.id}{NOTE}", into, packed, None, tell)
                    self.done.append(image.id)

    def _wal(self, folder: str, second: str) -> None:
        into = read_place(f"{second.rstrip('/')}/wal")
        sent, short = push_wal(Path(folder), into, lambda done: self.progress("wal", done))
        self._memory(second).keep_wal(sent)
        self.short += short
        self.done.append("wal")

    def _send(self, copy: Path, kind: CopyKind, second: str, parent: str | None = None) -> None:
        beside = [path for name in names_beside(kind, copy.name) if (path := copy.with_name(name)).exists()]
        into = read_place(second_folder(second, kind))
        self._memory(second).expect(kind, copy.name)
        push(copy, into, beside, parent, lambda sent: self.progress(copy.name, sent))
        self.done.append(copy.name)

    def _memory(self, second: str) -> Memory:
        return Memory(self.desk.state, self.desk.site.name, second)


def fetch_back(address: str, into: Path, *, progress: Progress) -> Fetched:
    """Everything at a second place into an absent or empty folder, held against it by checksum; goes on where it was
    interrupted.
    Raises UsageError, Refused, Unreachable, DamagedCopy, RepriseError."""
    try:
        place = read_place(address)
    except ValueError as error:
        raise UsageError(str(error), remedy="an address looks like ssh://backup@host/copies/docs") from None
    return fetch(place, into, lambda done: progress(address, done))
