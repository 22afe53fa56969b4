"""Places that the site file writes as two and that are one on disk: by a symbolic link, by a bind mount."""

from functools import cache
from pathlib import Path

from engine.catalog.waiting import with_patience
from engine.records.errors import Refused, Unreachable
from engine.site import Site
from engine.site.nesting import clashes


def refuse_one_place_for_two(site: Site) -> None:
    """For what deletes by the rules of one repository. Raises Refused. A place that is absent or does not answer is no
    other's: what deletes leaves it alone anyway."""

    @cache
    def chain(path: str) -> tuple[tuple[int, int], ...]:
        try:
            return with_patience(lambda alive: _chain(path), path)
        except (Unreachable, OSError):
            return ()

    def lies_in(path: str, folder: str) -> bool:
        return bool(outer := chain(folder)) and outer[0] in chain(path)

    for clash in clashes(site, lies_in):
        raise Refused(
            f"{clash} on disk",
            cause="a symbolic link or a mount makes them one",
            remedy="give each a folder of its own",
        )


def _chain(path: str) -> tuple[tuple[int, int], ...]:
    """What a folder is on disk, and all above it."""
    real = Path(path).resolve(strict=True)
    return tuple((status.st_dev, status.st_ino) for status in (each.stat() for each in (real, *real.parents)))
