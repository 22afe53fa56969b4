"""What every act stands on."""

from pathlib import Path

from msgspec import Struct

from engine.records.errors import UsageError
from engine.site import Site, find_site, read_site, state_dir


class Desk(Struct, frozen=True):
    """The site, its file, and where runs and the WAL index are kept."""

    site: Site
    site_file: Path
    state: Path
    read_only: bool = False


def open_desk(site_file: Path | None, state: Path | None, *, read_only: bool = False) -> Desk:
    """Find and read the site file. Raises SiteError."""
    found = find_site(site_file)
    return Desk(read_site(found), found.absolute(), state_dir(state).absolute(), read_only)


def writable(desk: Desk) -> Desk:
    """The desk, for an act. Raises UsageError where this session may only look."""
    if desk.read_only:
        raise UsageError("this session may only look (--read-only)", remedy="start again without --read-only")
    return desk
