"""How the five protected things stand, for a glance, a monitor, or a screen."""

import os
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from engine.acts.desk import Desk
from engine.acts.drilled import known_proofs
from engine.acts.looking import View, look, read_archive
from engine.archiving.streaming import slot_of
from engine.keeping.proofs import read_refusal
from engine.keeping.status import LiveFacts, SetUp, judge, newest_copies
from engine.media.brought import Brought
from engine.records.errors import RepriseError
from engine.records.lsn import SegmentName, segment_of
from engine.records.status import THINGS, ArchiverFacts, SiteStatus, ThingName
from engine.records.survey import FileSystem
from engine.recovery.windows import goes_on
from engine.run.earlier import last_choices
from engine.site import Site
from engine.survey.archiver import ask_archiver
from engine.survey.changes import count_changed
from engine.survey.machine import file_system
from engine.survey.patience import within
from engine.system.users import default_run_as

_COUNTING_SECONDS = 20.0
_GRACE_SECONDS = 5.0  # for a file system that does not answer the last question


def status(desk: Desk) -> SiteStatus:
    """All five things as of now. Reads the archive's new segments. How far the server and its stream are is asked
    before that: else they would be segments ahead of what was read."""
    site = desk.site
    archiver, no_archiver = _ask_archiver(site)
    read_archive(desk)
    view, now = look(desk), datetime.now(UTC)
    places = {name: _places(site, name) for name in THINGS}
    archived_to = max((window.to_at for window in view.windows if window.to_at), default=None)
    newest = newest_copies(view.catalog, archived_to).get("files")
    policy: dict[ThingName, int | None] = {name: site.policy.seconds(name) for name in THINGS}
    live = replace(
        _live(site, places, newest.at if newest else None, desk.state),
        archiver=archiver,
        no_archiver=no_archiver,
        reached=archiver is not None and _reaches(view, archiver.segment, archiver.waiting),
        joins=archiver is not None and archiver.stream is not None and _reaches(view, archiver.stream.segment),
    )
    setup = SetUp(site.name, places, policy, [each.path for each in site.source])
    refused = read_refusal(desk.state, site.name)
    return judge(setup, view.catalog, archived_to, known_proofs(desk), live, now, refused)


def _places(site: Site, name: ThingName) -> list[str]:
    """The folders that the copies of a thing lie in."""
    repositories = site.database.repository
    if name == "database-full":
        return [place for each in repositories for place in (each.base_backups, each.dumps) if place]
    if name == "database-incremental":
        return [each.wal for each in repositories]
    if name == "files":
        return [each.path for each in site.media.repository] if site.media else []
    if name == "source":
        return [str(Path(each.mirror).parent) if each.mirror else each.bundles or "" for each in site.source]
    return [site.environment.store] if site.environment else []


def _ask_archiver(site: Site) -> tuple[ArchiverFacts | None, str | None]:
    """How the server's archiving stands, else why that is not known."""
    try:
        run_as = default_run_as(site.database.run_as, site.database.data_dir)
        return ask_archiver(site, run_as, slot_of(site.name)), None
    except RepriseError as error:
        return None, ": ".join(filter(None, (error.message, error.cause)))


def _live(site: Site, places: dict[ThingName, list[str]], since: datetime | None, state: Path) -> LiveFacts:
    """What the folders say."""
    rooms: dict[str, FileSystem] = {}
    beside, away = set(), set()
    for name, folders in places.items():
        for folder, original in zip(folders, _originals(site, name, len(folders)), strict=True):
            if not folder.startswith("/"):
                continue  # a repository of restic's or borg's elsewhere: the catalog says whether it answers
            room = file_system(folder)
            if room is None or room.nearest != folder:
                away.add(folder)
                continue
            rooms[folder] = room
            if (device := _device(original)) is not None and room.device == device:
                beside.add(folder)
    changed, uncounted = _changed_files(site, since, state) if places["files"] else (None, None)
    return LiveFacts(
        changed_files=changed, uncounted=uncounted, rooms=rooms, beside=frozenset(beside), away=frozenset(away)
    )


def _reaches(view: View, segment: str | None, waiting: int = 0) -> bool:
    """Whether WAL of ``segment`` goes on where the WAL ends that a backup reaches."""
    if segment is None:
        return False
    timeline = int(segment[:8], 16)
    windows = [each for each in view.windows if each.timeline == timeline]
    window = max(windows, key=lambda each: each.to_lsn, default=None)
    if window is None or window.ended_by is not None:
        return False
    size = view.histories[window.repository].segment_size
    end = SegmentName(window.timeline, segment_of(window.to_lsn, size)).text(size)
    return goes_on(segment, view.catalog.wal_ranges, end, size, waiting=waiting)


def _originals(site: Site, name: ThingName, count: int) -> list[str | None]:
    """What each of the ``count`` folders of a thing protects, where that lies on this machine."""
    if name == "source":
        return [each.path if each.path.startswith("/") else None for each in site.source]
    if name == "files":
        return [site.media.path if site.media else None] * count
    if name == "environment":
        return [(site.environment.path or site.environment.image) if site.environment else None] * count
    return [site.database.data_dir] * count


def _device(path: str | None) -> int | None:
    room = file_system(path) if path is not None else None
    return room.device if room is not None and Path(path or "").exists() else None


def _changed_files(site: Site, since: datetime | None, state: Path) -> tuple[int | None, str | None]:
    """How many of the users' files changed since, else why that is not known; neither where there is no snapshot."""
    if site.media is None or since is None:
        return None, None
    path, limit = site.media.path, since.timestamp()

    def counting() -> tuple[int, str | None]:
        choices = last_choices(state, site.name, os.path.realpath(path))
        kept = (Brought(*choices).has,) if choices is not None else ()
        return count_changed(path, limit, _COUNTING_SECONDS, *kept)

    counted = within(_COUNTING_SECONDS + _GRACE_SECONDS, counting, None)
    if counted is None:
        return None, f"changed files were not counted: {path} does not answer"
    count, problem = counted
    if problem is None:
        return count, None
    return None, f"at least {count} files changed since the newest copy: {problem}"
