"""Looking: what there is, what can be reached, and what a moment means. Nothing here changes anything but the index,
and what is remembered of copies that runs have read."""

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from engine.acts.desk import Desk
from engine.acts.drilled import known_proofs
from engine.acts.following import runs
from engine.acts.mounted import remember
from engine.catalog.backups import unique_ids
from engine.catalog.directory import RepositoryContents, read_repository
from engine.catalog.media import MediaContents, read_media
from engine.catalog.waiting import PATIENCE, with_patience
from engine.environment.images import list_images
from engine.formats.control_file import ControlFile, read_control_file
from engine.records.copies import BaseBackup, Catalog, ImageCopy, MediaSnapshot, Problem, SourceCopy
from engine.records.errors import DamagedCopy, RepriseError, Unreachable
from engine.records.history import TransactionEnd, WalHistory
from engine.records.lsn import Lsn
from engine.records.plan import Estimate
from engine.records.target import AxisSpan, RecoveryPoint, RecoveryWindow
from engine.recovery.backups import consistent, doubted, of_cluster
from engine.recovery.estimates import Measured, estimate
from engine.recovery.planning import long_steps
from engine.recovery.points import moment as cut_meaning
from engine.recovery.reach import Reach
from engine.recovery.snapshots import serving
from engine.recovery.windows import axis_spans, recovery_windows
from engine.run.history import all_measured
from engine.site import DatabaseRepository, MediaRepository, Site
from engine.wal.index import WalIndex

T = TypeVar("T")


class View(Struct, frozen=True):
    """What there is and what can be reached, as far as the WAL index knows at this moment.

    ``histories`` answer questions about the WAL, by repository; they are safe to ask from several threads. ``spans``
    are each timeline's reachable and unreachable shares, for the axis.
    """

    catalog: Catalog
    histories: Mapping[str, WalHistory]
    windows: tuple[RecoveryWindow, ...]
    live_timeline: int | None
    server_version: str | None
    archived_to: datetime | None
    reach: Reach
    spans: tuple[AxisSpan, ...] = ()
    measured: tuple[Measured, ...] = ()  # steps of earlier runs


class Moment(Struct, frozen=True):
    """One cut between two transaction ends: what it means to recover to it, or why it cannot be reached."""

    timeline: int
    gate: Lsn
    reachable: bool
    point: RecoveryPoint | None
    why: str | None
    why_more: str | None
    before: TransactionEnd | None  # nearest reachable edges
    after: TransactionEnd | None
    kept: TransactionEnd | None
    lost: TransactionEnd | None
    estimate: Estimate | None


def _index(desk: Desk, repository: DatabaseRepository) -> WalIndex:
    key = hashlib.sha256(repository.wal.encode()).hexdigest()[:16]
    folder = desk.state / "index"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        remedy = "name another one (--state), or run this as its owner"
        told = f"the state folder {desk.state} cannot be written"
        raise RepriseError(told, cause=error.strerror, remedy=remedy) from None
    return WalIndex.open(folder / f"{key}.sqlite")


def read_archive(
    desk: Desk,
    progress: Callable[[int, int], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> None:
    """Bring the WAL index up to date: ``progress`` hears segments done and segments known, ``stop`` ends it early.

    An archive that does not answer leaves the index as it is; ``look`` says so.
    """
    for repository in desk.site.database.repository:
        contents = contents_of(desk, repository)
        if contents.archive_answers:
            remember(desk.state, repository.wal, contents)
            _index(desk, repository).refresh(contents.wal_files, contents.histories, progress=progress, stop=stop)


def look(desk: Desk, *, list_wal: bool = False) -> View:
    """What the repositories and the index know now. Quick: reads no WAL. A repository that does not answer becomes a
    problem of the catalog, and what the index knew of it stays. ``list_wal``: list the archive too, for what lies there
    and is no segment."""
    backups: list[list[BaseBackup]] = []
    problems: list[Problem] = []
    indexes: dict[str, WalIndex] = {}
    dumps = []
    for repository in desk.site.database.repository:
        name, index = repository.base_backups, _index(desk, repository)
        indexes[name] = index
        problems += index.problems()
        found = contents_of(desk, repository, list_wal=list_wal)
        own = [of_cluster(backup, index.system_identifier) for backup in found.base_backups]
        backups.append([consistent(backup, index.backup_end) for backup in own])
        dumps += found.dumps
        problems += found.problems
    media = []
    for place in desk.site.media.repository if desk.site.media else []:
        contents = media_of(desk, place)
        media += contents.snapshots
        problems += contents.problems
    sources, images, more = _other_copies(desk.site)
    problems += more
    states = runs(desk)
    proofs = known_proofs(desk, states)
    known = [
        doubted(backup, proofs.get(("base", backup.repository, backup.id)))
        for of_one in unique_ids(backups)
        for backup in of_one
    ]
    reach = Reach(known, indexes)
    live = live_timeline(desk.site)
    ranges = tuple(each for index in indexes.values() for each in index.wal_ranges())
    catalog = Catalog(
        site=desk.site.name,
        base_backups=tuple(sorted(known, key=lambda each: (each.start_lsn or 0, each.id))),
        timelines=tuple(timeline for index in indexes.values() for timeline in index.timelines().values()),
        wal_ranges=ranges,
        gaps=tuple(each for index in indexes.values() for each in index.gaps()),
        restore_points=tuple(each for index in indexes.values() for each in index.restore_points()),
        dumps=tuple(dumps),
        media_snapshots=tuple(sorted(media, key=lambda each: each.started_at)),
        sources=tuple(sources),
        images=tuple(images),
        problems=tuple(problems),
    )
    return View(
        catalog=catalog,
        histories=indexes,
        windows=tuple(recovery_windows(reach)),
        live_timeline=live,
        server_version=server_version(desk.site),
        archived_to=max((each.last_commit_at for each in ranges if each.last_commit_at), default=None),
        reach=reach,
        spans=tuple(
            span
            for name in indexes
            for timeline in reach.timelines(name)
            for span in axis_spans(reach, name, timeline, live)
        ),
        measured=tuple(all_measured(desk.state, states)),
    )


def _other_copies(site: Site) -> tuple[list[SourceCopy], list[ImageCopy], list[Problem]]:
    """The copies of the source code and of the environment."""
    sources: list[SourceCopy] = []
    problems: list[Problem] = []
    for each in site.source:
        from engine.source.copies import list_bundles, list_mirror  # with sh, which a site without any need not load

        place = Path(each.mirror or each.bundles or "")
        read = list_mirror if each.mirror is not None else list_bundles
        found, told = _patiently(place, partial(read, each.path, place))
        sources += found
        problems += told
    images: list[ImageCopy] = []
    if site.environment is not None:
        store = Path(site.environment.store)
        images, told = _patiently(store, partial(list_images, store))
        problems += told
    return sources, images, problems


def _patiently(place: Path, read: Callable[[], tuple[list[T], list[Problem]]]) -> tuple[list[T], list[Problem]]:
    """What is read, or a problem where the place does not answer."""
    try:
        return with_patience(lambda alive: read(), str(place), PATIENCE)
    except (Unreachable, OSError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        return [], [Problem(str(place), f"it cannot be listed: {why}", "see whether it is there and readable")]


def contents_of(desk: Desk, repository: DatabaseRepository, *, list_wal: bool = True) -> RepositoryContents:
    """What lies in a repository now; never raises for what lies there."""
    return read_repository(repository, repository.base_backups, cache=backup_cache(desk), list_wal=list_wal)


def media_of(desk: Desk, repository: MediaRepository) -> MediaContents:
    """The snapshots of the users' files in a repository now; never raises for what lies there."""
    return read_media(
        repository,
        repository.path,
        media_path=desk.site.media.path if desk.site.media else "/",
        zone=desk.site.zone,
        cache=desk.state / "index",
    )


def backup_cache(desk: Desk) -> Path:
    """Where it is remembered what was read of each base backup."""
    return desk.state / "index" / "backups.json"


def live_timeline(site: Site) -> int | None:
    """The timeline of the site's own cluster, from its pg_control; None where there is none to be read."""
    control = _control(site)
    return control.timeline if control else None


def server_version(site: Site) -> str | None:
    """What runs (or would run) the site's cluster, as its data directory says."""
    try:
        return Path(site.database.data_dir, "PG_VERSION").read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _control(site: Site) -> ControlFile | None:
    try:
        return read_control_file(Path(site.database.data_dir, "global", "pg_control").read_bytes())
    except (OSError, DamagedCopy):
        return None


def serving_media(desk: Desk, view: View) -> tuple[MediaSnapshot, ...]:
    """The snapshots from which a moment's files would come."""
    places = desk.site.media.repository if desk.site.media else []
    return serving(view.catalog.media_snapshots, [each.path for each in places])


def moment(desk: Desk, view: View, timeline: int, gate: Lsn) -> Moment:
    """What it means to recover to the cut in front of the record at ``gate`` on a timeline's line. Quick enough for
    each key press."""
    repository = view.reach.repository_of(timeline, gate)
    if repository is None:
        return Moment(timeline, gate, False, None, "no WAL was archived here", None, None, None, None, None, None)
    found = cut_meaning(view.reach, repository, timeline, gate, serving_media(desk, view))
    why, _, more = found.why_not.partition("; ")
    point = found.point
    return Moment(
        timeline,
        gate,
        point is not None,
        point,
        why or None,
        more or None,
        found.before,
        found.after,
        point.kept if point else None,
        point.lost if point else None,
        estimate(long_steps(point), view.measured) if point else None,
    )
