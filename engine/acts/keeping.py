"""Keeping copies as long as the policy says, and no longer: what goes is judged by what is read now, then deleted.

Nothing goes anywhere while it is not known what runs read, or whether the folders that are there are the copies'.
"""

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from engine.acts.apart import refuse_one_place_for_two
from engine.acts.desk import Desk, writable
from engine.acts.following import damaged_runs, runs
from engine.acts.looking import contents_of, look, read_archive
from engine.acts.mounted import not_mounted, not_the_archive
from engine.catalog.media import read_media
from engine.catalog.waiting import PATIENCE, with_patience
from engine.keeping.expiring import sweep, take_away
from engine.keeping.judging import Judged, Judging, in_use, places_of
from engine.keeping.judging_there import clear_there
from engine.keeping.proofs import read_proofs
from engine.records.errors import RepriseError, Unreachable
from engine.records.keeping import Expiry
from engine.run.locks import hold_folder, repository_lock, second_lock, site_lock, take_lock
from engine.site import DatabaseRepository, Site


def expire(desk: Desk, *, apply: bool = False) -> Expiry:
    """What the policy lets go, at the second places too; with ``apply`` it is deleted, under the locks of the site, its
    repositories and its second places.

    Raises Refused where two places are one on disk, RepriseError where a run holds one of them, or something cannot be
    deleted.
    """
    refuse_one_place_for_two(desk.site)
    if not apply:
        return judge(desk).expiry
    writable(desk)
    with locked(desk) as away:
        sweep((place, kind) for place, kind in places_of(desk.site) if str(place) not in away)
        judged = judge(desk, away)
        take_away(each for each in judged.expiry.leaving if each.verdict.place is None)
        for second in judged.seconds:
            clear_there(second)
    return judged.expiry


def judge(desk: Desk, away: Collection[str] = ()) -> Judged:
    """``away``: folders and second places that are not to be touched."""
    if damaged := damaged_runs(desk):  # nobody knows what they read
        return Judged(findings=[f"the run {each.where} cannot be read: all stays" for each in damaged])
    strange = (_strange(desk, each) for each in desk.site.database.repository)
    if told := [*_not_mounted(desk.site), *(why for why in strange if why is not None)]:
        return Judged(findings=told)
    read_archive(desk)
    site, view, proofs = desk.site, look(desk), read_proofs(desk.state)
    reach, dumps, live = view.reach, view.catalog.dumps, view.live_timeline
    judging = Judging(site, desk.state, away, reach, dumps, live, now(), proofs, in_use(runs(desk)))
    for repository in site.database.repository:
        contents = contents_of(desk, repository)
        answers = contents.backups_answer and contents.archive_answers
        judging.database(repository, contents.wal_files, contents.unread, answers=answers)
    for media in site.media.repository if site.media else ():
        if media.kind == "directory":  # what leaves another program's is that program's to say
            found = read_media(media, media.path)
            judging.media(media, found.snapshots, answers=found.answers)
    return judging.judged


def _strange(desk: Desk, repository: DatabaseRepository) -> str | None:
    """Why the folder that is there now cannot be the archive. Asked before the index forgets what is gone. None also
    where it does not answer."""
    wal, contents = repository.wal, contents_of(desk, repository)
    if not contents.archive_answers:
        return None
    indexed = bool(look(desk).histories[repository.base_backups].timelines())
    why = not_the_archive(desk.state, wal, contents, indexed=indexed)
    return f"{why}: all stays" if why is not None else None


def _not_mounted(site: Site) -> Iterator[str]:
    """Folders of copies that are empty because their file system is away: what they promise is not known."""
    for place, _ in places_of(site):
        if (why := not_mounted(str(place))) is not None:
            yield f"{why}: all stays"


def now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def locked(desk: Desk, patience: float = PATIENCE) -> Iterator[frozenset[str]]:
    """Nobody else works on the site's copies meanwhile. Told are the places that are not to be touched: folders that
    do not answer within ``patience`` seconds, second places to which somebody pushes. Raises RepriseError where a run
    holds the site or a repository."""
    wanted = [(site_lock(desk.state, desk.site.name), f"the site {desk.site.name!r}")]
    wanted += [(repository_lock(desk.state, place), place) for place in desk.site.repositories]
    away: set[str] = set()
    with ExitStack() as stack:
        for path, what in wanted:
            stack.callback(take_lock(path, "expire", f"a run holds {what}").release)
        folders = [*desk.site.repositories, *(each.wal for each in desk.site.database.repository)]
        for place in dict.fromkeys(folders):  # against a run of another state folder
            try:
                with_patience(partial(_look_at, place), place, patience)
            except (Unreachable, OSError):
                away.add(place)
                continue
            held = hold_folder(Path(place), f"another run holds {place}")
            if held is not None:
                stack.callback(held.release)
        for address in dict.fromkeys(_seconds(desk.site)):
            try:
                stack.callback(take_lock(second_lock(desk.state, address), "expire", "").release)
            except RepriseError:
                away.add(address)
        yield frozenset(away)


def _look_at(place: str, alive: object) -> None:
    Path(place).is_dir()


def _seconds(site: Site) -> Iterator[str]:
    """The second places of what leaves by a rule."""
    yield from (each.second for each in site.database.repository if each.second is not None)
    for media in site.media.repository if site.media else ():
        if media.kind == "directory" and media.second is not None:
            yield media.second
