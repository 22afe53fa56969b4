"""Keeping copies as long as the policy says, and no longer: what goes is judged (`judging`), then deleted."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from engine.acts.apart import refuse_one_place_for_two
from engine.acts.desk import Desk, writable
from engine.acts.judging import judge, places_of
from engine.acts.judging_there import clear_there
from engine.catalog.waiting import PATIENCE, with_patience
from engine.keeping.expiring import sweep, take_away
from engine.records.errors import RepriseError, Unreachable
from engine.records.keeping import Expiry
from engine.run.locks import hold_folder, repository_lock, second_lock, site_lock, take_lock
from engine.site import Site


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
