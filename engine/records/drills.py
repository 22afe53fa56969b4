"""Drills: what can be practised, and how one that is practised stands."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

DrillOutcome = Literal["open", "solved", "failed"]


class DrillScenario(Struct, frozen=True):
    """A disaster that can be practised. ``own``: the team's, not one of ours. ``best`` and ``last`` are scores of
    drills that have ended, ``of`` the most that can be reached."""

    name: str
    title: str
    limit_seconds: int
    of: int
    own: bool
    played: int = 0
    solved: int = 0
    best: int | None = None
    last: int | None = None


class Mark(Struct, frozen=True):
    """One question of the marking, answered. ``ok`` None: it could not be asked; it then gives no points. ``needed``:
    without it the drill is not solved. ``check`` is the scenario's word for it, empty where it is not to be said."""

    name: str
    ok: bool | None
    points: int
    of: int
    needed: bool
    told: str = ""
    check: str = ""


class Minute(Struct, frozen=True):
    """A line of a drill's record: when, ``seconds`` after the call, and what happened. ``who``: ``drill``, ``operator``
    or ``engine``."""

    at: datetime
    seconds: float
    who: str
    what: str


class DrillState(Struct, frozen=True):
    """How a drill stands. While it is open and it is not to be said which one it is, ``scenario`` and ``title`` are
    None. ``seconds`` run from the call to the solution, else to the end, else to now. ``marks`` are those of the last
    check. ``hints`` were asked for and cost ``hints_cost`` points. ``found_seconds`` and ``readable_seconds`` are until
    the operator had found the moment (a restore was begun) and until a recovered server could be read; ``rto_seconds``
    until it was solved. ``rpo_seconds`` and ``lost`` tell of the work that was lost, None where nothing tells.
    ``debriefing`` comes with the end.
    """

    drill: str
    folder: str
    scenario: str | None
    title: str | None
    briefing: str
    outcome: DrillOutcome
    score: int | None
    of: int
    limit_seconds: int
    seconds: float
    called_at: datetime | None
    ended_at: datetime | None
    marks: tuple[Mark, ...]
    hints: tuple[str, ...]
    hints_cost: int
    hints_left: int
    site: str
    state: str
    command: str
    running: bool
    minutes: tuple[Minute, ...] = ()
    debriefing: str | None = None
    found_seconds: float | None = None
    readable_seconds: float | None = None
    rpo_seconds: float | None = None
    lost: int | None = None
    rto_seconds: float | None = None
    problem: str | None = None
