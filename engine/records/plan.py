"""Checks, planned steps, a plan. What a plan holds of a step is data: its kind and its arguments."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from engine.records.copying import Copying
from engine.records.files import Files
from engine.records.loading import Loading
from engine.records.survey import OsUser, Programs
from engine.records.target import RecoveryPoint, RecoveryTarget

Level = Literal["refuse", "warn", "info"]


class Check(Struct, frozen=True):
    """One row of PITFALLS.md, answered. ``ok`` None: could not be decided; a refusing one then refuses."""

    name: str
    level: Level
    ok: bool | None
    finding: str
    remedy: str | None = None

    @property
    def refuses(self) -> bool:
        return self.level == "refuse" and self.ok is not True


class Resolution(Struct, frozen=True):
    """What a target resolves to, and the checks that belong to it. ``choices``: the timelines among which the operator
    must choose, where several hold the target."""

    point: RecoveryPoint | None
    checks: tuple[Check, ...]
    choices: tuple[int, ...] = ()


class Destination(Struct, frozen=True):
    """Where the outcome of a plan shall stand: a recovered cluster in place, or as a side copy in ``path`` (port None:
    a free one); a copy in the repository ``path``; a dump in the database ``path``; users' files in the folder
    ``path``."""

    kind: Literal["side-copy", "in-place", "repository", "database", "files"]
    path: str
    port: int | None = None


class TablespacePlace(Struct, frozen=True):
    """Where one tablespace of the copy lies while it is built (``built_at``), and where the finished cluster has it
    (``stands_at``; the same for a side copy). Both are the folders that hold ``PG_<version>_<catalog>``."""

    oid: int
    built_at: str
    stands_at: str


class Layout(Struct, frozen=True):
    """Where everything of a run lies, decided by the plan. All paths absolute.

    ``container`` holds ``data_dir`` (the recovered cluster), ``staging`` (members of a chain), ``work`` (the folder
    ``own``, which is run_as's: spool, restore script, server log). A side copy's container is the destination; in place
    it lies beside production's data directory, on the same file system, and ``set_aside`` is where that one goes.
    """

    container: str
    data_dir: str
    staging: str
    work: str
    socket_dir: str
    port: int
    run_as: OsUser
    programs: Programs
    tablespaces: tuple[TablespacePlace, ...] = ()
    production: str | None = None
    set_aside: str | None = None
    within_mount: bool = False  # production cannot be renamed: its contents are moved, not the folder


class PlannedStep(Struct, frozen=True):
    """One step: ``kind`` names its file in `engine/steps`, ``args`` are that step's own. ``bytes`` None: unknown or
    not a matter of bytes."""

    name: str
    kind: str
    title: str
    bytes: int | None
    args: Mapping[str, Any]


class Estimate(Struct, frozen=True):
    """Seconds, with their spread, and on how many measured runs they rest. ``limited``: some were proof drills, which
    let others go first; the plan does not, and may be faster."""

    low: float
    likely: float
    high: float
    runs: int
    limited: bool = False


class Limits(Struct, frozen=True):
    """What a run keeps to, so that production goes on undisturbed: ``nice`` as nice(1) has it, ``idle_io``: the disks
    only while nobody else wants them (ioprio_set(2)); ``bytes_per_second`` at most are read from the repositories (of
    packed copies as unpacked). None: as fast as it goes."""

    nice: int = 0
    idle_io: bool = False
    bytes_per_second: int | None = None


class ProofDrill(Struct, frozen=True):
    """What makes a plan a proof drill: its copy proves the copies that it is made from, and is thrown away.
    ``rpo_seconds``: the changes of how long a time would have been lost, had the machine died when it was planned;
    None where that is not known or another moment than the newest is proven, and ``rpo_why`` says why."""

    rpo_seconds: float | None
    rpo_why: str


class Plan(Struct, frozen=True):
    """The ordered steps from today's state to what was asked for: a recovery point (``target``), a dump's contents
    (``loading``), a copy that is taken (``copying``), or users' files brought back (``files``: alone, or together with
    the database; in a proof drill, ``proof``, only looked up). A target without a ``point`` could not be resolved, and
    the checks say why."""

    site: str
    created_at: datetime
    target: RecoveryTarget | None
    destination: Destination
    layout: Layout | None
    point: RecoveryPoint | None
    steps: tuple[PlannedStep, ...]
    checks: tuple[Check, ...]
    raised_settings: tuple[tuple[str, str], ...] = ()  # what settings-too-low mends: name, value for the recovery
    bytes_to_copy: int | None = None
    estimate: Estimate | None = None
    copying: Copying | None = None
    loading: Loading | None = None
    files: Files | None = None
    limits: Limits | None = None
    proof: ProofDrill | None = None

    @property
    def refused(self) -> bool:
        unresolved = self.copying is None and self.loading is None and self.files is None and self.point is None
        return unresolved or any(check.refuses for check in self.checks)

    @property
    def bytes_per_second(self) -> int | None:
        """What may be read from the repositories; None: as much as they give."""
        return self.limits.bytes_per_second if self.limits is not None else None
