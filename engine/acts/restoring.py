"""From a target to a plan: the target resolved, the machine surveyed, every check asked."""

import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from msgspec.structs import replace

from engine.acts.adopting import unfinished_segments
from engine.acts.bringing import plan_beside_database
from engine.acts.desk import Desk
from engine.acts.following import measured
from engine.acts.looking import View, backup_cache, look, serving_media
from engine.catalog.directory import backup_settings, complete_backup
from engine.media.joining import with_files
from engine.postgres.programs import choose_programs, programs_for
from engine.records.errors import RepriseError
from engine.records.plan import Check, Destination, Plan, Resolution
from engine.records.survey import OsUser, Programs, Survey
from engine.records.target import RecoveryPoint, RecoveryTarget
from engine.recovery.checks import WalFacts
from engine.recovery.planning import SiteFacts, make_plan
from engine.recovery.resolving import resolve_in
from engine.recovery.wording import Wording
from engine.run.locks import folder_lock, lock_holder, site_lock
from engine.survey import take_survey
from engine.system.users import default_run_as, may_reach
from engine.wal.index import WalIndex

Action = Literal["finish", "pause"]


def plan(
    desk: Desk,
    target: RecoveryTarget,
    destination: Destination,
    *,
    action: Action = "finish",
    files: bool | None = None,
    view: View | None = None,
    command: str | None = None,
) -> Plan:
    """The plan for a target and a destination, with every check that can be made now. Changes nothing. ``files``:
    whether the users' files come back with it; None: in place they do, where the site says what the database refers to
    and has a snapshot. ``command``: what remedies shall name, where it is another one than `restore`."""
    view = view or look(desk)
    where = f"--into {shlex.quote(destination.path)}" if destination.kind == "side-copy" else "--in-place"
    resolution = whole_backups(
        desk,
        resolve_in(
            view.reach,
            target,
            live_timeline=view.live_timeline,
            media=serving_media(desk, view),
            wording=Wording(arguments=where) if command is None else Wording(command),
        ),
    )
    point, database = resolution.point, desk.site.database
    run_as = run_as_of(desk)
    programs, no_programs = _programs(desk, point, run_as)
    survey = _survey(desk, destination, view, point, run_as, programs)
    port = (survey.destination.port or database.port) if destination.kind == "side-copy" else database.port
    site = SiteFacts(
        desk.site.name,
        database.data_dir,
        has_application=bool(desk.site.application.stop or desk.site.application.start),
        verifies=len(desk.site.verify.sql),
        reads_pages=desk.site.verify.pages,
        zone=desk.site.zone,
    )
    planned = make_plan(
        site,
        target,
        replace(resolution, checks=(*resolution.checks, *no_programs)),
        survey,
        destination,
        action=action,
        created_at=datetime.now(UTC),
        port=port,
        wal=_wal_facts(desk, view, point),
        measured=measured(desk),
    )
    return _with_files(desk, planned, view, files)


def _with_files(desk: Desk, planned: Plan, view: View, wanted: bool | None) -> Plan:
    """The same with the users' files, where they come back too."""
    media, in_place = desk.site.media, planned.destination.kind == "in-place"
    if wanted is None:
        wanted = in_place and media is not None and media.references is not None and bool(_usable(view))
    if not wanted or planned.point is None or not planned.steps:
        return planned
    return with_files(planned, plan_beside_database(desk, planned, view))


def _usable(view: View) -> list[str]:
    return [each.id for each in view.catalog.media_snapshots if each.usable]


def whole_backups(desk: Desk, resolution: Resolution) -> Resolution:
    """The backups that were chosen, with all that their files tell: what a mere look left out is read now."""
    if resolution.point is None:
        return resolution
    chain = tuple(complete_backup(backup, cache=backup_cache(desk)) for backup in resolution.point.chain)
    return replace(resolution, point=replace(resolution.point, chain=chain))


def run_as_of(desk: Desk) -> OsUser:
    """Whose the recovered cluster will be. Raises RepriseError."""
    database = desk.site.database
    return default_run_as(database.run_as, database.data_dir, _backup_places(desk))


def _backup_places(desk: Desk) -> list[Path]:
    """The base backups, then the folders that hold them: whose they are says whose the cluster is."""
    places: list[Path] = []
    for repository in desk.site.database.repository:
        root = Path(repository.base_backups)
        try:
            places += [*sorted(root.iterdir())[-1:], root]
        except OSError:
            continue
    return places


def _programs(desk: Desk, point: RecoveryPoint | None, run_as: OsUser) -> tuple[Programs | None, tuple[Check, ...]]:
    """The programs for the backup's major version, where run_as can run them; or the check that says why none."""
    major = point.backup.version if point else None
    try:
        chosen = choose_programs(major, desk.site.database.bin_dir)
        below_state = desk.state / "programs"
        cache = below_state if may_reach(run_as, desk.state) else Path("/var/tmp") / f"reprise-programs-{run_as.uid}"
        return programs_for(run_as, chosen, cache), ()
    except RepriseError as error:
        finding = error.message + (f": {error.cause}" if error.cause else "")
        return None, (Check("major-version", "refuse", False, finding, error.remedy),)


def _survey(
    desk: Desk,
    destination: Destination,
    view: View,
    point: RecoveryPoint | None,
    run_as: OsUser,
    programs: Programs | None,
) -> Survey:
    index = _index_of(view, point)
    backup = point.backup if point else None
    return take_survey(
        desk.site,
        destination,
        backup,
        run_as=run_as,
        programs=programs,
        backup_settings=backup_settings(backup, cache=backup_cache(desk)) if backup else None,
        is_archived=index.is_whole if index else None,
        archived_timelines=tuple(index.timelines()) if index else (),
        site_lock=lock_holder(site_lock(desk.state, desk.site.name)),
        held_by=lock_holder(folder_lock(desk.state, Path(destination.path))),
    )


def _index_of(view: View, point: RecoveryPoint | None) -> WalIndex | None:
    """The index of the point's repository, or of any where there is no point."""
    found = view.histories.get(point.backup.repository) if point else next(iter(view.histories.values()), None)
    return found if isinstance(found, WalIndex) else None


def _wal_facts(desk: Desk, view: View, point: RecoveryPoint | None) -> WalFacts:
    index = _index_of(view, point)
    repository = point.backup.repository if point else next(iter(view.histories), "")
    if index is None or point is None:
        return WalFacts(unfinished=unfinished_segments(desk, view, repository))
    start = point.backup.start_lsn or 0
    stop = point.backup.stop_lsn or start
    timeline = point.backup.timeline or point.timeline
    return WalFacts(
        system_identifier=index.system_identifier,
        compression=tuple(sorted({method for piece in point.pieces for method in index.compression_methods(piece)})),
        overflowed=index.running_xacts_overflow(timeline, start, max(stop, start + 1)),
        unfinished=unfinished_segments(desk, view, repository),
        history_files=tuple(number for number, each in index.timelines().items() if each.parent is not None),
        timelines=tuple(index.timelines()),
    )
