"""Places that must not be one folder, nor lie in each other.

`expire` judges a folder by the rules of one repository: in a folder that two share it would delete what the other one
needs. A media repository inside the media folder is copied into itself; copies inside the data directory go with it.
A proof drill makes and deletes folders in its own, which therefore lies in none of all these.
"""

import os
from collections.abc import Callable, Iterator

from msgspec import Struct

from engine.site.tables import Site


class Place(Struct, frozen=True):
    """A folder that the site file names, and its key there."""

    key: str
    path: str


class Clash(Struct, frozen=True):
    """``inner`` is ``outer`` itself or lies in it."""

    inner: Place
    outer: Place

    def __str__(self) -> str:
        return f"{self.inner.key} and {self.outer.key}: {self.inner.path} is, or lies in, {self.outer.path}"


def clashes(site: Site, lies_in: Callable[[str, str], bool] | None = None) -> Iterator[Clash]:
    """Pairs of places that must be apart. ``lies_in``: whether a path is another or lies in it; as the site file
    writes them, where nothing else is said."""
    within = lies_in or written_in
    for one, other in _apart(site):
        if within(one.path, other.path):
            yield Clash(one, other)
        elif within(other.path, one.path):
            yield Clash(other, one)
    data = Place("database.data_dir", site.database.data_dir)
    for place in _copies(site):
        if within(place.path, data.path):
            yield Clash(place, data)
    if site.proof.into is not None:
        proof = Place("proof.into", site.proof.into)
        live = [Place("media.path", site.media.path)] if site.media is not None else []
        for place in (data, *live, *_copies(site)):
            if within(proof.path, place.path):
                yield Clash(proof, place)


def written_in(path: str, folder: str) -> bool:
    """Whether a path is a folder or lies in it, by what is written: no link is followed, ``..`` is worked out."""
    inner, outer = (os.path.normpath(f"//{each}") for each in (path, folder))  # three slashes are one, two are not
    return inner == outer or inner.startswith(f"{outer.rstrip('/')}/")


def _apart(site: Site) -> Iterator[tuple[Place, Place]]:
    """Places that may neither be one folder nor lie in each other: those of two repositories, whatever their kind, and
    the media folder and each repository of it."""
    groups = _repositories(site)
    for number, group in enumerate(groups):
        for other in groups[number + 1 :]:
            yield from ((one, two) for one in group for two in other)
    if site.media is not None:
        live = Place("media.path", site.media.path)
        for number, media in enumerate(site.media.repository):
            if media.path.startswith("/"):  # else another program's address
                yield Place(f"media.repository[{number}].path", media.path), live


def _repositories(site: Site) -> list[list[Place]]:
    """The folders of each repository that is ours to delete from."""
    groups = []
    for number, repository in enumerate(site.database.repository):
        key = f"database.repository[{number}]"
        named = (("base_backups", repository.base_backups), ("wal", repository.wal), ("dumps", repository.dumps))
        groups.append([Place(f"{key}.{name}", path) for name, path in named if path is not None])
    for number, media in enumerate(site.media.repository if site.media else []):
        if media.kind == "directory":
            groups.append([Place(f"media.repository[{number}].path", media.path)])
    return groups


def _copies(site: Site) -> Iterator[Place]:
    """Every place that holds copies of ours."""
    for group in _repositories(site):
        yield from group
    for number, source in enumerate(site.source):
        for name, path in (("mirror", source.mirror), ("bundles", source.bundles)):
            if path is not None:
                yield Place(f"source[{number}].{name}", path)
    if site.environment is not None:
        yield Place("environment.store", site.environment.store)
