"""Users' files brought back, alone."""

import os
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from engine.acts.desk import Desk
from engine.acts.following import measured
from engine.acts.looking import View, look, read_archive, serving_media
from engine.media.planning import FilesAsked, Place
from engine.media.planning import plan_files as make_plan
from engine.media.selecting import Selected, count_selected
from engine.media.sources import Held, open_snapshot
from engine.media.younger import Younger, count_younger
from engine.records.copies import MediaSnapshot
from engine.records.errors import RepriseError, Unreachable, UsageError
from engine.records.files import Files
from engine.records.plan import Plan
from engine.records.target import RecoveryPoint, RecoveryTarget
from engine.recovery.resolving import resolve_in
from engine.recovery.snapshots import moment_of_files, reserve_for, snapshots_for
from engine.run.earlier import moved_files
from engine.run.locks import lock_holder, site_lock
from engine.survey.machine import FSTAB, UNITS, file_system, is_mount_point, mounts_below, unmounted_above
from engine.survey.patience import within
from engine.survey.server import ask_databases
from engine.system.users import current_user, default_run_as, may_write

_PATIENCE = 10  # seconds
_COUNTING = 3.0  # seconds for what is only told


def plan_files(
    desk: Desk,
    target: RecoveryTarget | None,
    *,
    into: Path | None = None,
    delta: bool = False,
    fast: bool = False,
    only: str | None = None,
    snapshot: str | None = None,
    view: View | None = None,
) -> Plan:
    """The plan that brings the users' files to a target's moment; ``snapshot``: exactly what this one holds. Into their
    place (``delta``: only what differs is changed there), or into an absent or empty folder. ``only``: one file or
    folder, relative to the media folder. Changes nothing. Raises UsageError."""
    media = desk.site.media
    if media is None or not media.repository:
        raise UsageError("the site names no media repository", remedy="add [media] and [[media.repository]] to it")
    if into is not None and delta:
        raise UsageError("--delta changes the live folder; --into fills another one", remedy="leave one of them out")
    if only is not None:
        only = _within(only)
        delta = into is None  # nothing else is to change
    view = view or look(desk)
    why_not = ""
    if snapshot is not None:
        chosen = _named(view, snapshot)
        moment = None
    else:
        assert target is not None
        moment, why_not = _moment(desk, view, target)
        chosen = snapshots_for(serving_media(desk, view), moment)
    place: Place = "into" if into is not None else "delta" if delta else "beside"
    live = _live(desk)
    narrowed = _narrowed(desk, target, snapshot)
    asked = _asked(desk, live, place, into, fast=fast, only=only, narrowed=narrowed)
    asked = replace(
        asked,
        unasked=not narrowed and target is not None and target.kind == "latest" and media.references is not None,
        reserve=reserve_for(view.catalog.media_snapshots, chosen, moment),
        earlier=_earlier(desk, live),
        selected=_selected(desk, chosen, only),
        younger=_younger(desk, live, moment, place, only),
    )
    now = datetime.now(UTC)
    return make_plan(asked, target, moment, chosen, now=now, why_not=why_not, measured=measured(desk))


def plan_beside_database(desk: Desk, restore: Plan, view: View) -> Plan:
    """The plan of the files for a restore of the database: to its moment; in place by a swap (a mount point: by delta),
    else into the side copy's folder. Raises UsageError."""
    media, point = desk.site.media, restore.point
    if media is None or not media.repository:
        raise UsageError("the site names no media repository", remedy="add [media] and [[media.repository]] to it")
    assert point is not None
    moment, chosen = _beside(desk, point, view)
    into = Path(restore.destination.path) / "media" if restore.destination.kind == "side-copy" else None
    live = _live(desk)
    mounted = within(_PATIENCE, lambda: is_mount_point(Path(live)), False)
    place: Place = "into" if into is not None else "delta" if mounted else "beside"
    asked = _asked(desk, live, place, into, fast=False, only=None, narrowed=media.references is not None)
    asked = replace(
        asked,
        reserve=reserve_for(view.catalog.media_snapshots, chosen, moment),
        earlier=_earlier(desk, live),
        selected=_selected(desk, chosen, None),
        younger=_younger(desk, live, moment, place, None),
        held_by=None,  # the restore's own checks see to these
        has_application=False,
    )
    return make_plan(asked, restore.target, moment, chosen, now=restore.created_at)


def look_up_beside_database(desk: Desk, restore: Plan, view: View) -> Files:
    """The snapshots in which what the database of a side copy refers to is looked up; nothing of them is copied."""
    media, point = desk.site.media, restore.point
    assert media is not None and point is not None
    moment, chosen = _beside(desk, point, view)
    nowhere = os.path.join(restore.destination.path, "media")  # noqa: PTH118
    counts = [each.files for each in chosen]
    files = None if None in counts else sum(count or 0 for count in counts)
    return Files(moment, chosen, "into", media.path, nowhere, nowhere, None, "gate", files=files)


def _beside(desk: Desk, point: RecoveryPoint, view: View) -> tuple[datetime | None, tuple[MediaSnapshot, ...]]:
    """The moment that a database's recovery point means for the files, and the snapshots for it."""
    moment = moment_of_files(point.target, point.kept, point.backup.stopped_at)
    return moment, snapshots_for(serving_media(desk, view), moment)


def _asked(
    desk: Desk, live: str, place: Place, into: Path | None, *, fast: bool, only: str | None, narrowed: bool
) -> FilesAsked:
    """What is asked for, and how the machine stands."""
    above = live if place == "delta" else os.path.dirname(os.path.normpath(live))  # noqa: PTH120
    above = str(into.absolute()) if into is not None else above
    user = current_user()
    return FilesAsked(
        site=desk.site.name,
        live=live,
        place=place,
        into=str(into.absolute()) if into is not None else None,
        asked="live" if narrowed else None,
        fast=fast,
        only=only,
        live_exists=within(_PATIENCE, lambda: os.path.isdir(live), None),  # noqa: PTH112
        mounted=within(_PATIENCE, lambda: is_mount_point(Path(live)), False),
        mounted_in_it=tuple(map(str, mounts_below(Path(live)))),
        unmounted=within(_PATIENCE, lambda: _unmounted(live), None),
        into_free=within(_PATIENCE, lambda: _free(into), None) if into is not None else None,
        room=file_system(above),
        writable=within(_PATIENCE, lambda: may_write(user, _nearest(above)), False),
        has_application=bool(desk.site.application.stop or desk.site.application.start),
        held_by=lock_holder(site_lock(desk.state, desk.site.name)),
    )


def _live(desk: Desk) -> str:
    """The live folder itself, where the site names a link to it: what is built for it, and what is set aside, belong
    beside it, on its own file system, and the link goes on leading there."""
    assert desk.site.media is not None
    named = os.path.normpath(desk.site.media.path)
    return within(_PATIENCE, lambda: os.path.realpath(named), named)


def _unmounted(live: str) -> str | None:
    """The mount point that the live folder should lie on, where nothing is mounted there."""
    found = unmounted_above(Path(live), FSTAB, UNITS)
    return os.fspath(found.place) if found is not None else None


def _earlier(desk: Desk, live: str) -> tuple[str, ...]:
    """Folders into which earlier runs have moved files of the live folder, and that still stand."""
    folders = moved_files(desk.state, desk.site.name, live)
    return tuple(each for each in folders if within(_PATIENCE, partial(os.path.isdir, each), False))


def _within(only: str) -> str:
    """A path below the media folder. Raises UsageError."""
    path = os.path.normpath(only)
    if path.startswith(("/", "../")) or path in ("..", "."):
        raise UsageError(f"--path: {only!r} is no path in the media folder", remedy="such as 2026/11/22/scan.pdf")
    return path


def _selected(desk: Desk, chosen: tuple[MediaSnapshot, ...], only: str | None) -> Selected | None:
    """How much the snapshots hold together, there; None where they do not tell it soon, or one tells it itself."""
    media = desk.site.media
    assert media is not None
    if only is None and (len(chosen) < 2 or not all(each.has_catalogue for each in chosen)):
        return None
    places = {each.path: each for each in media.repository}
    held = [Held(each, open_snapshot(each, places[each.repository], media.path)) for each in chosen]
    below, seconds = (os.fsencode(only), _PATIENCE) if only is not None else (None, _COUNTING)

    def count() -> Selected | None:
        try:
            return count_selected(held, below, seconds)
        except RepriseError:  # the run says it, where it matters
            return None

    return within(_PATIENCE, count, None)


def _younger(desk: Desk, live: str, moment: datetime | None, place: Place, only: str | None) -> Younger | None:
    """What of the live folder may be moved out of it."""
    if moment is None or place == "into":
        return None
    folders = moved_files(desk.state, desk.site.name, live)
    skip = frozenset(os.fsencode(os.path.basename(each)) for each in folders)  # noqa: PTH119  # of a mount point, in it
    count = partial(count_younger, Path(live), moment, below=only, skip=skip, seconds=_COUNTING)
    return within(_PATIENCE, count, None)


def _named(view: View, snapshot: str) -> tuple[MediaSnapshot, ...]:
    found = tuple(each for each in view.catalog.media_snapshots if each.id == snapshot)
    if not found:
        raise UsageError(f"there is no media snapshot {snapshot!r}", remedy="list them with: reprise catalog")
    return found[-1:]


def _moment(desk: Desk, view: View, target: RecoveryTarget) -> tuple[datetime | None, str]:
    """The moment that a target means, and why it means none. The newest there is has none."""
    if target.kind == "time":
        assert target.time is not None
        return target.time.astimezone(UTC), ""
    if target.kind == "latest":
        return None, ""
    read_archive(desk)
    found = resolve_in(look(desk).reach, target, live_timeline=view.live_timeline)
    if found.point is None:
        told = next((check.finding for check in found.checks if check.refuses), "the target cannot be resolved")
        return None, told
    return moment_of_files(target, found.point.kept, found.point.backup.stopped_at), ""


def _narrowed(desk: Desk, target: RecoveryTarget | None, snapshot: str | None) -> bool:
    """Whether the live database says what is wanted: it does for the newest state, where it can be asked."""
    media, database = desk.site.media, desk.site.database
    if snapshot is not None or target is None or target.kind != "latest" or media is None or not media.references:
        return False
    try:
        ask_databases(desk.site, default_run_as(database.run_as, database.data_dir))
    except Unreachable:
        return False
    return True


def _free(folder: Path | None) -> bool:
    return folder is None or not os.path.lexists(folder) or (folder.is_dir() and not any(os.scandir(folder)))


def _nearest(folder: str) -> str:
    while not os.path.isdir(folder):  # noqa: PTH112
        folder = os.path.dirname(folder)  # noqa: PTH120
    return folder
