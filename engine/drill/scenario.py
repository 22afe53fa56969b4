"""What a scenario's TOML file may say. Steps and marks are small closed vocabularies; no text of theirs is a shell's.

``{name.thing}`` in SQL and in command lines stands for a fact that an earlier step noted (facts). Fingerprints name a
table of the document system, or some of its columns, the ``id`` among them: ``documents(id, owner)``.
"""

from typing import Literal, TypeAlias

import msgspec

from engine.lab.copies import LabCopy
from engine.site.durations import read_duration
from engine.site.tables import Table

BY_HAND = ("sql", "bring-table")  # first words of lines that are no command of this program


class Step(Table, frozen=True, tag_field="do"):
    """One step of the preparation or of the disaster."""


class Work(Step, frozen=True, tag="work"):
    """The document system's users work for so many seconds, and go on until ``rest``, ``stop`` or the end. ``pause``:
    a writer's mean pause in seconds."""

    seconds: float
    pause: float = 0.02


class Rest(Step, frozen=True, tag="rest"):
    """The users finish their transactions and go home."""


class Sql(Step, frozen=True, tag="sql"):
    """Statements in one transaction. Noted as facts of ``name``: ``xid`` (where it has written), ``lsn`` (just before
    its commit), ``at`` (its clock, before the statements), every column of a statement that returns a row, and of each
    table of ``fingerprint`` how it stands before the statements: ``TABLE.rows``, ``TABLE.last``, ``TABLE.digest``. The
    tables are locked against writers until the commit, so nothing comes in between."""

    name: str
    statements: tuple[str, ...] = ()
    fingerprint: tuple[str, ...] = ()


class RestorePoint(Step, frozen=True, tag="restore-point"):
    name: str


class Copy(Step, frozen=True, tag="copy"):
    """A copy, taken as `reprise backup` takes it."""

    what: LabCopy


class NoteFiles(Step, frozen=True, tag="note-files"):
    """Every file in the media folder, with its hash, under ``name``."""

    name: str


class ArchiveRest(Step, frozen=True, tag="archive-rest"):
    """The running WAL segment is closed, and the archive has it."""


class Stop(Step, frozen=True, tag="stop"):
    """The server stops; ``immediate`` is a crash."""

    mode: Literal["fast", "immediate"] = "immediate"


class DeleteData(Step, frozen=True, tag="delete-data"):
    """The data directory is deleted, but for these folders in it; ``new_disk``: an empty one stands there, as where a
    dead disk was replaced. The server must be stopped."""

    keep: tuple[Literal["pg_wal"], ...] = ()
    new_disk: bool = False


class DeleteSegment(Step, frozen=True, tag="delete-segment"):
    """One archived segment behind the newest base backup is deleted; ``NAME.segment`` is its name. ``holds`` names the
    ``sql`` step at whose ``lsn`` it lies; without it, it is the one in the middle."""

    name: str
    holds: str | None = None


class FlipBit(Step, frozen=True, tag="flip-bit"):
    """One bit of the newest base backup changes; ``NAME.backup``, ``NAME.file``."""

    name: str


class DeleteFiles(Step, frozen=True, tag="delete-files"):
    """So much of the media folder's files is deleted; ``NAME.count``."""

    name: str
    share: float = 0.5


class Reprise(Step, frozen=True, tag="reprise"):
    """A colleague has been here before: a command line of this program, to its end."""

    words: tuple[str, ...]


AnyStep: TypeAlias = (
    Work
    | Rest
    | Sql
    | RestorePoint
    | Copy
    | NoteFiles
    | ArchiveRest
    | Stop
    | DeleteData
    | DeleteSegment
    | FlipBit
    | DeleteFiles
    | Reprise
)


class Later(Table, frozen=True, tag_field="do"):
    """Something that happens while the operator is at work; the keeper does it."""


class RepositoryAway(Later, frozen=True, tag="repository-away"):
    """As a mount that goes away: base backups and WAL are gone for so many seconds when a restore of the operator is at
    work on a step of this kind; at each of his restores once."""

    seconds: float
    when: str = "replay"


class MarkOf(Table, frozen=True, tag_field="check", kw_only=True):
    """One question, asked after the operator's work. ``needed``: not solved without it."""

    name: str
    points: int
    needed: bool = True


class Accepts(MarkOf, frozen=True, tag="accepts-writes"):
    """The site's server runs at its own address and is open for writes."""


class SqlTrue(MarkOf, frozen=True, tag="sql"):
    """A query whose one row and column is true."""

    sql: str


class SameTable(MarkOf, frozen=True, tag="table"):
    """The rows that a fingerprint saw are all there, as they were. Rows that came later do not count."""

    table: str
    like: str


class NothingLost(MarkOf, frozen=True, tag="nothing-lost"):
    """Every act of the users that the fingerprint ``like`` of audit_trail saw is there: no commit lost needlessly."""

    like: str


class SameFiles(MarkOf, frozen=True, tag="files"):
    """The files that ``note-files`` saw are there, as they were."""

    like: str


class FilesMatch(MarkOf, frozen=True, tag="files-match"):
    """Each file that the database refers to is there, and right: `reprise files check`."""


class Kept(MarkOf, frozen=True, tag="kept"):
    """What stood there at the call stands there still, or was set aside: data directory, media folder, copies."""


class Proven(MarkOf, frozen=True, tag="proven"):
    """The newest restore of the operator that completed has proven where it ended; one of the files alone: is clean."""


class InTime(MarkOf, frozen=True, tag="in-time", kw_only=True):
    """Within the scenario's limit."""

    needed: bool = False


AnyMark: TypeAlias = Accepts | SqlTrue | SameTable | NothingLost | SameFiles | FilesMatch | Kept | Proven | InTime


class Hint(Table, frozen=True):
    text: str
    cost: int


class Scenario(Table, frozen=True):
    """One scenario. ``briefing`` is the phone call, ``debriefing`` what is better next time. ``solution`` and ``wrong``
    are lines, one after another: command lines of this program, ``["sql", "STATEMENT"]``, or
    ``["bring-table", "TABLE"]``: the rows that production lacks, out of the newest side copy. The first is the
    reference; the other a plausible mistake that the marking must refuse, and from which the reference still leads to
    the solution. ``{lab.directory}`` is known there too.
    """

    title: str
    briefing: str
    limit: str
    marks: tuple[AnyMark, ...]
    solution: tuple[tuple[str, ...], ...]
    debriefing: str
    wrong: tuple[tuple[str, ...], ...] = ()
    hints: tuple[Hint, ...] = ()
    prepare: tuple[AnyStep, ...] = ()
    break_: tuple[AnyStep, ...] = msgspec.field(name="break", default=())
    later: tuple[RepositoryAway, ...] = ()

    @property
    def limit_seconds(self) -> int:
        return read_duration(self.limit)

    @property
    def points(self) -> int:
        return sum(mark.points for mark in self.marks)


class Named(msgspec.Struct, frozen=True):
    """A scenario by its name, and where it was read from. ``own``: the team's."""

    name: str
    file: str
    own: bool
    scenario: Scenario
