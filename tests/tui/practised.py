"""The stand-in's drills: a fixed list of scenarios, and one drill that is open, helped, checked and ended."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from engine.acts import Desk
from engine.records.copies import Problem
from engine.records.drills import DrillScenario, DrillState, Mark, Minute
from engine.records.recoveries import Objectives, Recovery
from engine.site import Database, DatabaseRepository, Identity, Media, Site
from tests.tui.history import NOW, utc
from tests.tui.protected import Protected

CALLED = NOW - timedelta(minutes=4, seconds=10)
_BRIEFING = (
    "\"Good afternoon. The attachments do not open any more. None of them, for nobody, the page says 'relation does "
    "not exist'. Cards and search work, people go on working. It must have happened today, but nobody can say when.\""
)
_NEXT_TIME = (
    "The moment is found on the time axis by what the transaction did, not by the clock: the last one before the DROP "
    "is the target. A side copy beside production shows at its gate whether the table is there, before anything is "
    "touched."
)
_NAMES = (
    "A table was dropped, and life went on", "An UPDATE without its WHERE", "A TRUNCATE, found hours later",
    "The data directory is gone", "The disk is dead, the WAL's tail with it", "The disk is dead, but not its WAL",
    "A WAL segment is missing in the middle", "The newest base backup is damaged", "Half of the files are deleted",
    "The database and its files are out of step", "Once recovered, to the wrong time",
    "The repository goes away during the replay",
)  # fmt: skip
_HINTS = (
    "What is lost for certain is what a side copy must show: where does the table still exist?",
    "On the time axis a single transaction can be the target: just before it.",
)


def scenarios() -> list[DrillScenario]:
    past = {0: (3, 2, 96, 71), 1: (1, 1, 85, 85), 8: (2, 0, 40, 40)}
    return [
        DrillScenario(f"scenario-{n}", title, 1200, 100, False, *past.get(n, (0, 0, None, None)))
        for n, title in enumerate(_NAMES)
    ]


def marks(*, solved: bool = True) -> tuple[Mark, ...]:
    return (
        Mark("the database is open for writes", True, 15, 15, True, "open for writes", "accepts-writes"),
        Mark("the attachments are back, all of them", True, 30, 30, True, "1204 rows, as they were", "table"),
        Mark(
            "no work from before the accident is lost", solved, 20 * solved, 20, True, "812 of 840 rows", "nothing-lost"
        ),
        Mark("each attachment has its file", True, 10, 10, True, "1204 files", "files-match"),
        Mark("nothing was destroyed on the way", True, 10, 10, True, "all kept", "kept"),
        Mark("the restore has proven where it ended", None, 0, 5, False, "no restore has completed", "proven"),
        Mark("in time", True, 10, 10, False, "250 of 1200 seconds", "in-time"),
    )


def drill(name: str = "20261123T133550Z-kwen", **changes: Any) -> DrillState:
    """An open drill, four minutes old."""
    state = DrillState(
        drill=name, folder=f"/var/lib/reprise/drills/{name}", scenario="scenario-0", title=_NAMES[0],
        briefing=_BRIEFING, outcome="open", score=None, of=100, limit_seconds=1200, seconds=250.0, called_at=CALLED,
        ended_at=None, marks=(), hints=(), hints_cost=0, hints_left=2, site="/var/lib/reprise/drill-lab/site.toml",
        state=f"/var/lib/reprise/drills/{name}/state", command="reprise --site … --state …", running=True,
        minutes=(Minute(CALLED, 0.0, "drill", "the call"),),
    )  # fmt: skip
    return replace(state, **changes)


def ended(state: DrillState, *, solved: bool = True) -> DrillState:
    """How a drill ends."""
    run = "20261123T133705Z-archive"
    what = (
        (75, "engine", f"restore begun: {run}"), (110, "engine", "it stands at the gate and can be read"),
        (130, "operator", "asked for a hint (-5)"), (188, "engine", f"completed: {run}"),
        (250, "operator", "checked: 95 points, solved"), (252, "drill", "ended, solved: it was ended"),
    )  # fmt: skip
    minutes = tuple(Minute(CALLED + timedelta(seconds=n), float(n), who, text) for n, who, text in what)
    found = marks(solved=solved)
    return replace(
        state, outcome="solved" if solved else "failed", score=sum(m.points for m in found) - state.hints_cost,
        ended_at=NOW, marks=found, minutes=(*state.minutes, *minutes), debriefing=_NEXT_TIME, title=_NAMES[0],
        scenario="scenario-0", found_seconds=75.0, readable_seconds=110.0, rto_seconds=250.0 if solved else None,
        lost=0 if solved else 28, rpo_seconds=0.0 if solved else 31.0, running=False,
    )  # fmt: skip


def past() -> list[DrillState]:
    """Newest first."""
    earlier = ended(drill("20261109T100000Z-abcd", called_at=utc(9, 10), seconds=182.0))
    failed = ended(drill("20261102T100000Z-efgh", called_at=utc(2, 10), seconds=1500.0), solved=False)
    return [replace(earlier, score=71, ended_at=utc(9, 11)), replace(failed, score=40, ended_at=utc(2, 11))]


@dataclass(frozen=True)
class Learnt:
    """As `engine.acts.Learnt`."""

    recoveries: tuple[Recovery, ...]
    objectives: Objectives


def learnt() -> Learnt:
    """A year of them; the last one is a proof of 8 Nov."""
    minutes = (190, 171, 240, 160, 152, 166, 140, 121, 118, 260, 115, 110)
    found = [
        Recovery(
            "drill" if n % 3 else "proof", utc(8, 10) - timedelta(days=30 * (len(minutes) - 1 - n)), f"r{n}", n != 2,
            took * 60.0, 0.0 if n % 4 else took * 2.0,
        )
        for n, took in enumerate(minutes)
    ]  # fmt: skip
    found[-1] = replace(found[-1], kind="proof", at=utc(8, 10))
    return Learnt(tuple(found), Objectives(4 * 3600.0, 300.0))


class Held:
    """As `engine.acts.HeldDrill`."""

    def __init__(self, drill: str) -> None:
        self.drill, self.closed = drill, False

    def close(self) -> None:
        self.closed = True


class Practised(Protected):
    """The drills of `engine.acts` from memory. ``drill`` is the one that is open or has ended last."""

    asked: list[tuple[Any, ...]]

    def __init__(self) -> None:
        super().__init__()
        self.drill: DrillState | None = None
        self.held: Held | None = None
        self.past = past()
        self.wrong: list[Problem] = []
        self.solved = True
        self.may_begin: Callable[[], None] = lambda: None

    def recoveries(self, desk: Desk) -> Learnt:
        return learnt()

    def open_desk(self, site_file: Path | None, state: Path | None) -> Desk:
        site = Site(
            Identity("archive", "Europe/Vienna"),
            Database("/var/lib/reprise/drill-lab/data", [DatabaseRepository("directory", "/lab/base", "/lab/wal")]),
            Media("/var/lib/reprise/drill-lab/media"),
        )
        return Desk(site, site_file or Path(), state or Path())

    def drill_scenarios(self, state: Path | None) -> tuple[list[DrillScenario], list[Problem]]:
        return scenarios(), self.wrong

    def drills(self, state: Path | None) -> list[DrillState]:
        return [self.drill, *self.past] if self.drill is not None else self.past

    def drill_state(self, state: Path | None, drill: str | None = None) -> DrillState:
        assert self.drill is not None
        return self.drill

    def begin_drill(
        self, state: Path | None, name: str | None, *, blind: bool = False, progress: Callable[[int, int, str], None]
    ) -> Held:
        self.asked.append(("begin_drill", state, name, blind))
        progress(3, 9, "life goes on in the document system")
        self.may_begin()
        progress(9, 9, "the telephone rings")
        self.drill = drill(title=None, scenario=None) if name is None else drill()
        self.held = Held(self.drill.drill)
        return self.held

    def drill_hint(self, state: Path | None) -> tuple[str | None, DrillState]:
        self.asked.append(("drill_hint",))
        assert self.drill is not None
        hints = _HINTS[: len(self.drill.hints) + 1]
        self.drill = replace(self.drill, hints=hints, hints_cost=5 * len(hints), hints_left=2 - len(hints))
        return hints[-1], self.drill

    def check_drill(self, state: Path | None) -> DrillState:
        self.asked.append(("check_drill",))
        assert self.drill is not None
        found = marks(solved=self.solved)
        score = sum(mark.points for mark in found) - self.drill.hints_cost
        self.drill = replace(self.drill, marks=found, score=score, outcome="solved" if self.solved else "open")
        return self.drill

    def end_drill(self, state: Path | None) -> DrillState:
        self.asked.append(("end_drill",))
        assert self.drill is not None
        self.drill = ended(self.drill, solved=self.solved)
        return self.drill
