"""How the five protected things stand, for a glance, a monitor, or a screen."""

import os
from datetime import UTC, datetime
from pathlib import Path

from engine.acts.desk import Desk
from engine.acts.looking import View, look, read_archive
from engine.backup.proofs import read_proofs
from engine.backup.status import LiveFacts, SetUp, judge, newest_copies
from engine.records.errors import RepriseError
from engine.records.status import THINGS, ArchiverFacts, SiteStatus, ThingName
from engine.records.survey import FileSystem
from engine.site import Site
from engine.survey.archiver import ask_archiver
from engine.survey.machine import file_system
from engine.survey.patience import within
from engine.system.users import default_run_as

_COUNTING_SECONDS = 20.0


def status(desk: Desk, view: View | None = None) -> SiteStatus:
    """All five things as of now. Reads the archive's new segments first, unless a view is given."""
    if view is None:
        read_archive(desk)
        view = look(desk)
    site, now = desk.site, datetime.now(UTC)
    places = {name: _places(site, name) for name in THINGS}
    archived_to = max((window.to_at for window in view.windows if window.to_at), default=None)
    newest = newest_copies(view.catalog, archived_to).get("files")
    policy: dict[ThingName, int | None] = {name: site.policy.seconds(name) for name in THINGS}
    live = _live(site, places, newest.at if newest else None)
    return judge(SetUp(site.name, places, policy), view.catalog, archived_to, read_proofs(desk.state), live, now)


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


def _live(site: Site, places: dict[ThingName, list[str]], since: datetime | None) -> LiveFacts:
    archiver: ArchiverFacts | None = None
    no_archiver = None
    try:
        archiver = ask_archiver(site, default_run_as(site.database.run_as, site.database.data_dir))
    except RepriseError as error:
        no_archiver = ": ".join(filter(None, (error.message, error.cause)))
    originals: dict[ThingName, str | None] = {
        "database-full": site.database.data_dir,
        "database-incremental": site.database.data_dir,
        "files": site.media.path if site.media else None,
        "source": next((each.path for each in site.source if each.path.startswith("/")), None),
        "environment": (site.environment.path or site.environment.image) if site.environment else None,
    }
    rooms: dict[str, FileSystem] = {}
    beside, away = set(), set()
    for name, folders in places.items():
        original = originals[name]
        device = _device(original)
        for folder in folders:
            if not folder.startswith("/"):
                continue  # a repository of restic's or borg's elsewhere: the catalog says whether it answers
            room = file_system(folder)
            if room is None or room.nearest != folder:
                away.add(folder)
                continue
            rooms[folder] = room
            if device is not None and room.device == device:
                beside.add(folder)
    return LiveFacts(
        archiver,
        no_archiver,
        _changed_files(site, since) if places["files"] else None,
        rooms,
        frozenset(beside),
        frozenset(away),
    )


def _device(path: str | None) -> int | None:
    room = file_system(path) if path is not None else None
    return room.device if room is not None and Path(path or "").exists() else None


def _changed_files(site: Site, since: datetime | None) -> int | None:
    """How many of the users' files changed since; None where there is no snapshot, or counting takes too long."""
    if site.media is None or since is None:
        return None
    path, limit = site.media.path, since.timestamp()
    return within(_COUNTING_SECONDS, lambda: _count_newer(path, limit), None)


def _count_newer(folder: str, limit: float) -> int:
    count = 0
    ahead = [folder]
    while ahead:
        with os.scandir(ahead.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    ahead.append(entry.path)
                elif entry.stat(follow_symlinks=False).st_ctime >= limit:
                    count += 1
    return count
