"""Whether the five protected things are copied and proven as the policy wants."""

from datetime import datetime
from enum import IntEnum
from typing import Literal

from msgspec import Struct

from engine.records.copies import UnfinishedSegment

ThingName = Literal["database-full", "database-incremental", "files", "source", "environment"]

THINGS: tuple[ThingName, ...] = ("database-full", "database-incremental", "files", "source", "environment")


class Level(IntEnum):
    """The exit codes of Nagios' plug-ins (its plug-in development guidelines, "Plugin Return Codes")."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


_WORSE = (Level.OK, Level.WARNING, Level.UNKNOWN, Level.CRITICAL)


def worst(levels: "list[Level]") -> Level:
    """The level of several things together."""
    return max(levels, key=_WORSE.index, default=Level.OK)


class Thing(Struct, frozen=True):
    """One of the five. ``newest`` is its newest usable copy and the moment that it holds, ``proven_at`` and
    ``proof_ok`` the last time that any of its copies was verified and how that went; ``proof_drill`` is the run that
    did, where it was a proof drill. ``lose_seconds`` and ``lose_files``: what would be lost if the machine died now
    (of the full way, source and environment at most what changed since the newest copy); None where it is not known or
    does not apply."""

    name: ThingName
    level: Level
    newest: str | None
    newest_at: datetime | None
    age_seconds: float | None
    policy_seconds: int | None
    proven_at: datetime | None = None
    proof_ok: bool | None = None
    lose_seconds: float | None = None
    lose_files: int | None = None
    findings: tuple[str, ...] = ()
    proof_drill: str | None = None


class Advice(Struct, frozen=True):
    """What to do about one thing: take a copy, verify its newest one, or look into what the title says."""

    thing: ThingName
    act: Literal["copy", "verify", "look"]
    title: str
    why: str


class SiteStatus(Struct, frozen=True):
    """All five, as of one moment. ``to_do``: the most urgent first. ``archived_to``: the last commit that the archive
    can bring back."""

    site: str
    at: datetime
    things: tuple[Thing, ...]
    to_do: tuple[Advice, ...] = ()
    archived_to: datetime | None = None

    @property
    def level(self) -> Level:
        return worst([thing.level for thing in self.things])


class Stream(Struct, frozen=True):
    """`archiving stream` as the server sees it, by its slot. ``active``: somebody streams with it now; ``lost``: the
    server has given up WAL that it needs; ``held_bytes``: of WAL, held back for it. ``segment`` is the file of the last
    byte that the stream has put on disk, ``behind_bytes`` is what the server has on disk and the stream has not;
    ``lag_seconds``: what the server wrote before that the stream has. None: not known."""

    slot: str
    active: bool
    lost: bool = False
    held_bytes: int = 0
    segment: str | None = None
    behind_bytes: int | None = None
    lag_seconds: float | None = None


class ArchiverFacts(Struct, frozen=True):
    """How the live server's archiving stands (pg_stat_archiver, pg_replication_slots, pg_wal). ``waiting`` segments
    are not archived yet; ``segment`` is the one that the server writes now, and ``begun`` whether anything stands in
    it. ``slots``: name and the bytes of WAL that it holds back, of all but the one of our ``stream`` (None: there is
    none)."""

    mode: str
    command: str
    failed_at: datetime | None
    failed_segment: str | None
    archived_at: datetime | None
    archived_segment: str | None
    waiting: int
    segment: str
    begun: bool
    wal_bytes: int
    max_wal_bytes: int
    slots: tuple[tuple[str, int], ...] = ()
    stream: Stream | None = None


class ScheduleEntry(Struct, frozen=True):
    """One thing that runs by itself: ``what`` as in the site file's ``[schedule]``, ``when`` as written there,
    ``next_at`` in the machine's own zone (None: not known), the whole ``command`` line."""

    what: str
    when: str
    next_at: datetime | None
    command: str


class ScheduleState(Struct, frozen=True):
    """What a site's schedule comes to, and whether just that is installed, and runs (``installed``); ``text`` is what
    is, or would be, written; ``findings``: what of it does not run, or not always."""

    entries: tuple[ScheduleEntry, ...]
    by: Literal["systemd", "cron"]
    installed: bool
    text: str
    findings: tuple[str, ...] = ()


class Change(Struct, frozen=True):
    """One setting that changes; ``restart``: only a restart of the server makes it hold."""

    setting: str
    old: str
    new: str
    restart: bool


class Archiving(Struct, frozen=True):
    """What came of setting archiving up, or of testing it. ``segment`` and ``seconds``: which one arrived in a test,
    and how long that took."""

    ok: bool
    changes: tuple[Change, ...] = ()
    segment: str | None = None
    seconds: float | None = None
    findings: tuple[str, ...] = ()


class Adoption(Struct, frozen=True):
    """Unfinished segments: those that can be adopted, or were, and those that are left as they are. ``findings`` is
    what else an operator should know."""

    adopting: tuple[UnfinishedSegment, ...] = ()
    leaving: tuple[UnfinishedSegment, ...] = ()
    findings: tuple[str, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether nothing is adopted, because somebody may still write what could be."""
        return not self.adopting and any(each.refused for each in self.leaving)
