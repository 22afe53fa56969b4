"""The page for the safe: all that it needs is asked, and it is written into a file."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from engine.acts.desk import Desk
from engine.acts.looking import View, backup_cache, look
from engine.acts.reporting import write_anew
from engine.acts.restoring import run_as_of, whole_backups
from engine.backup.planning import second_folder
from engine.catalog.beside import Beside, read_beside
from engine.catalog.directory import backup_settings
from engine.dumps.layout import CONTENTS, GLOBALS
from engine.paper.runbook import Book, SecondPlace, runbook_page
from engine.paper.runbook.facts import LogicalCopy
from engine.postgres.programs import choose_programs
from engine.records.copies import Dump, ImageCopy, MediaSnapshot, SourceCopy
from engine.records.errors import RepriseError
from engine.records.plan import Resolution
from engine.records.target import RecoveryPoint, RecoveryTarget
from engine.recovery.resolving import resolve_in
from engine.recovery.settings import raised_settings
from engine.recovery.wording import Wording
from engine.remote.places import read_place
from engine.run.report import Form, printed
from engine.site import DatabaseRepository, MediaRepository, Site
from engine.steps.settings import harmless_libraries


class WrittenRunbook(Struct, frozen=True):
    """Where it lies, the backup that it starts from, the last commit that could be reached when it was written, and
    what its reader should know of it now."""

    path: str
    backup: str | None
    reaches: datetime | None
    findings: tuple[str, ...]


def write_runbook(desk: Desk, file: Path, form: Form) -> WrittenRunbook:
    """The page, for the recovery point of now, in an absent file. Raises Refused, RepriseError."""
    view = look(desk)
    latest = RecoveryTarget("latest", accept_gap=True)
    resolution = resolve_in(view.reach, latest, live_timeline=view.live_timeline, wording=Wording())
    resolution = whole_backups(desk, resolution)
    findings: list[str] = [each.finding for each in resolution.checks if each.ok is not True and each.level != "info"]
    book = _book(desk, view, resolution, findings)
    try:
        write_anew(file, printed(runbook_page(book), form))
    except OSError as error:
        raise RepriseError(
            f"the runbook cannot be written to {file}", cause=error.strerror, remedy="name another file with --out"
        ) from error
    point = resolution.point
    last = point.kept_commit if point is not None else None
    backup = point.backup.id if point is not None else None
    return WrittenRunbook(str(file), backup, last.at if last else None, tuple(findings))


def _book(desk: Desk, view: View, resolution: Resolution, findings: list[str]) -> Book:
    site, point = desk.site, resolution.point
    repository = _repository_of(desk, point)
    beside = read_beside(point.backup.path) if point is not None else Beside()
    return Book(
        site=site,
        site_file=str(desk.site_file),
        state=str(desk.state),
        at=datetime.now(UTC),
        run_as=run_as_of(desk).name,
        bin_dir=_bin_dir(desk, point, findings),
        point=point,
        why_not="; ".join(each.finding for each in resolution.checks if each.refuses),
        wal=repository.wal if repository is not None else "",
        settings=raised_settings(point) if point is not None else (),
        libraries=_libraries(desk, point),
        outside=beside.files,
        extensions=beside.extensions,
        dumps=tuple(_newest_dumps(view.catalog.dumps)),
        snapshots=tuple(_newest_snapshots(desk, view.catalog.media_snapshots)),
        sources=tuple({each.origin: each for each in sorted(view.catalog.sources, key=_taken)}.values()),
        images=tuple([each for each in sorted(view.catalog.images, key=_taken) if each.usable][-1:]),
        seconds=tuple(_second_places(desk)),
    )


def _taken(copy: SourceCopy | ImageCopy) -> datetime:
    return copy.stopped_at


def _repository_of(desk: Desk, point: RecoveryPoint | None) -> DatabaseRepository | None:
    if point is None:
        return None
    return next(each for each in desk.site.database.repository if each.base_backups == point.backup.repository)


def _bin_dir(desk: Desk, point: RecoveryPoint | None, findings: list[str]) -> str:
    """Where PostgreSQL's programs lie here; where none are, where they would."""
    major = point.backup.version if point is not None else None
    try:
        return choose_programs(major, desk.site.database.bin_dir).bin_dir
    except RepriseError as error:
        findings.append(error.message)
        return desk.site.database.bin_dir or f"/usr/lib/postgresql/{major or 'VERSION'}/bin"


def _libraries(desk: Desk, point: RecoveryPoint | None) -> tuple[str, ...]:
    """What the server must preload, without what would start jobs of its own."""
    if point is None:
        return ()
    told = backup_settings(point.backup, cache=backup_cache(desk)).get("shared_preload_libraries", "")
    named = point.backup.preload_libraries or tuple(each.strip() for each in told.split(",") if each.strip())
    return tuple(harmless_libraries(named))


def _newest_dumps(dumps: Iterable[Dump]) -> Iterator[LogicalCopy]:
    """Of each database the newest one that can be used."""
    newest = {dump.database: dump for dump in sorted(dumps, key=lambda each: each.started_at) if dump.usable}
    for dump in newest.values():
        contents = dump.path / CONTENTS[dump.format] if dump.ours else dump.path
        yield LogicalCopy(dump, str(contents), str(dump.path / GLOBALS) if dump.ours else None)


def _newest_snapshots(
    desk: Desk, snapshots: Iterable[MediaSnapshot]
) -> Iterator[tuple[MediaSnapshot, MediaRepository]]:
    """Of each repository the newest one that can be used."""
    usable = [each for each in snapshots if each.usable]
    for repository in desk.site.media.repository if desk.site.media is not None else []:
        found = [each for each in usable if each.repository == repository.path]
        if found:
            yield max(found, key=lambda each: each.started_at), repository


def _second_places(desk: Desk) -> Iterator[SecondPlace]:
    """Which folder of copies lies on which other server."""
    for folder, address in _pushed(desk.site):
        place = read_place(address)
        yield SecondPlace(folder, f"{place.login}:{place.path}", place.port)


def _pushed(site: Site) -> Iterator[tuple[str, str]]:
    """Each folder of copies, with the address at which `reprise push` puts what lies in it."""
    for each in site.database.repository:
        if each.second is not None:
            yield each.base_backups, second_folder(each.second, "base")
            yield each.wal, f"{each.second.rstrip('/')}/wal"
            if each.dumps is not None:
                yield each.dumps, second_folder(each.second, "dump")
    for media in site.media.repository if site.media is not None else []:
        if media.second is not None and media.kind == "directory":
            yield media.path, media.second
    for source in site.source:
        if source.second is not None:
            mirror, name = source.mirror, Path(source.mirror or "").name
            yield (mirror, f"{source.second.rstrip('/')}/{name}") if mirror else (source.bundles or "", source.second)
    if site.environment is not None and site.environment.second is not None:
        yield site.environment.store, site.environment.second
