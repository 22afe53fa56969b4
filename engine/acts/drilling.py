"""Guided drills: begun, helped, checked, ended."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from engine.acts.practising import LabHands, SiteCopies
from engine.drill import base
from engine.drill import folder as folders
from engine.drill.ending import conclude, decide, write_marks
from engine.drill.folder import Card, Marked, Truth
from engine.drill.keeper import Keeper, is_kept, start_keeper
from engine.drill.marking import mark
from engine.drill.reading import find_scenario, list_scenarios
from engine.drill.scenario import Named
from engine.drill.staging import Stage, standing
from engine.drill.telling import read_drill
from engine.lab.building import found_lab
from engine.postgres.programs import describe_folder
from engine.records.copies import Problem
from engine.records.drills import DrillScenario, DrillState
from engine.records.errors import Refused, RepriseError, UsageError
from engine.run.folder import list_runs
from engine.run.locks import take_lock
from engine.site import state_dir

_BLIND = "Something is wrong with the document system. Find out what it is, and bring back what can be brought back."

Progress = Callable[[int, int, str], None]


class HeldDrill(Struct, frozen=True):
    """A drill that was begun, and that ends with its holder unless it stands by itself."""

    drill: str
    keeper: Keeper

    def close(self) -> None:
        """Let it go: returns when nothing of it runs, or at once where it stands by itself."""
        self.keeper.close()


def drill_scenarios(state: Path | None, scenarios: Path | None = None) -> tuple[list[DrillScenario], list[Problem]]:
    """What can be practised, with what came of it so far; and the scenario files that are wrong."""
    found, problems = list_scenarios(scenarios)
    past = [drill for drill in drills(state) if drill.ended_at is not None]
    return [_with_past(named, [drill for drill in past if drill.scenario == named.name]) for named in found], problems


def _with_past(named: Named, past: list[DrillState]) -> DrillScenario:
    scores = [drill.score or 0 for drill in past]
    scenario = named.scenario
    return DrillScenario(
        named.name,
        scenario.title,
        scenario.limit_seconds,
        scenario.points,
        named.own,
        len(past),
        sum(drill.outcome == "solved" for drill in past),
        max(scores) if scores else None,
        scores[0] if scores else None,
    )


def drills(state: Path | None) -> list[DrillState]:
    """All drills, newest first. A folder that is no whole drill is passed over."""
    found = []
    for folder in folders.folders(_state(state)):
        with suppress(RepriseError):
            found.append(read_drill(folder))
    return found


def drill_state(state: Path | None, drill: str | None = None) -> DrillState:
    """How a drill stands: the open one, or any by its name. Raises UsageError where there is none."""
    return read_drill(_folder(_state(state), drill))


def begin_drill(
    state: Path | None,
    name: str | None,
    *,
    blind: bool = False,
    scenarios: Path | None = None,
    bin_dir: str | None = None,
    stays: bool = False,
    progress: Progress = lambda done, steps, what: None,
) -> HeldDrill:
    """Prepare a lab, let the disaster happen, and call the operator. ``name`` None: one is drawn, and which one is not
    said before the end; ``blind``: the call does not tell either. ``stays``: the drill stands by itself until it is
    ended, or its time is over; else it ends with this process, or with ``close``.

    Raises UsageError where there is no such scenario or it is wrong, Refused where a drill is open already.
    """
    at = _state(state)
    named = _drawn(scenarios) if name is None else find_scenario(name, scenarios)
    at.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = take_lock(at / "locks" / "drill.lock", "drill", "another drill is being prepared now")
    try:
        _clear_the_last(at)
        folder = folders.create(at, Card(str(base.lab_place(at)), name is None or blind))
        keeper = start_keeper(folder)
        try:
            _prepare(folder, named, blind, bin_dir, progress)
            if stays:
                keeper.leave()
        except BaseException:
            keeper.close()
            raise
        return HeldDrill(folder.name, keeper)
    finally:
        lock.release()


def _drawn(scenarios: Path | None) -> Named:
    found, _ = list_scenarios(scenarios)
    if not found:
        raise UsageError("there is no scenario to draw from")
    return random.choice(found)


def _clear_the_last(at: Path) -> None:
    """No drill is open, and nothing of the last one runs. Raises Refused."""
    for folder in folders.folders(at)[:1]:
        if not is_kept(folder):
            conclude(folder, "its keeper was gone")
        elif not folders.is_over(folder):
            raise Refused(f"the drill {folder.name} is open", remedy="end it first: reprise drill end")
        else:
            raise Refused(f"the drill {folder.name} is being ended", remedy="try again in a moment")


def _prepare(folder: Path, named: Named, blind: bool, bin_dir: str | None, progress: Progress) -> None:
    scenario, at = named.scenario, folder.parent.parent
    programs = describe_folder(bin_dir) if bin_dir is not None else None
    lab = base.lay_out(at, SiteCopies(folder / folders.PREPARING), progress, programs)
    hands = hands_of(folder)
    stage = Stage(lab, hands)
    steps = [*scenario.prepare, *scenario.break_]
    done = iter(range(len(steps)))
    lab.start_server()
    try:
        stage.play(steps, lambda: progress(next(done), len(steps), "life goes on in the document system"))
        stage.rest()
    finally:
        stage.end()
    progress(len(steps), len(steps), "the telephone rings")
    folders.write(
        folder,
        folders.TRUTH,
        Truth(named, {**stage.facts, "lab.directory": str(lab.directory)}, stage.files, standing(lab)),
    )
    card = folders.read_card(folder)
    called = Card(
        card.lab,
        card.hidden,
        _BLIND if blind else scenario.briefing.strip(),
        scenario.limit_seconds,
        scenario.points,
        len(scenario.hints),
        datetime.now(UTC),
    )
    folders.write(folder, folders.CARD, called)
    folders.note(folder, "called")


def drill_hint(state: Path | None) -> tuple[str | None, DrillState]:
    """The open drill's next hint, which costs; None where there is none left."""
    folder = open_drill(state)
    with _acting(folder):
        hints = folders.read_truth(folder).named.scenario.hints
        taken = sum(entry["kind"] == "hint" for entry in folders.read_record(folder))
        if taken >= len(hints):
            return None, read_drill(folder)
        given = hints[taken]
        folders.note(folder, "hint", {"text": given.text, "cost": given.cost})
    return given.text, read_drill(folder)


def check_drill(state: Path | None) -> DrillState:
    """Mark the open drill as it stands now. Solved, its clock has stopped."""
    folder = open_drill(state)
    with _acting(folder):
        marked = _marked(folder)
        if marked is not None:
            write_marks(folder, marked)
    return read_drill(folder)


def end_drill(state: Path | None, *, why: str = "it was ended") -> DrillState:
    """Mark the open drill, and end it: nothing of it runs any more, its lab is gone, its record stays."""
    folder = open_drill(state)
    with _acting(folder):
        decide(folder, why, _marked(folder))
    _wait_for_keeper(folder)
    return read_drill(folder)


def _marked(folder: Path) -> Marked | None:
    """A marking, until it is solved: what is done to the lab afterwards spoils nothing. None: it is solved."""
    former = folders.read(folder, folders.MARKS, Marked)
    if former is not None and former.solved:
        return None
    card, truth = folders.read_card(folder), folders.read_truth(folder)
    assert card.called_at is not None
    seconds = (datetime.now(UTC) - card.called_at).total_seconds()
    runs = list_runs(folder / folders.STATE)[0]
    return mark(truth, found_lab(Path(card.lab)), hands_of(folder), runs, seconds)


def hands_of(folder: Path) -> LabHands:
    """What an operator does on a drill's lab: his runs lie in its ``state``, the scenario's copies beside them."""
    lab = Path(folders.read_card(folder).lab)
    return LabHands(folder / folders.PREPARING, lab / "site.toml", folder / folders.STATE)


@contextmanager
def _acting(folder: Path) -> Iterator[None]:
    """One at a time says something to a drill. Raises RepriseError, also where its folder cannot be written to."""
    lock = take_lock(folder / "act.lock", "drill", "somebody else is at this drill now")
    try:
        yield
    except OSError as failure:
        raise RepriseError(
            f"the folder of the drill {folder.name} cannot be written to",
            cause=str(failure),
            remedy="make room there; reprise drill end takes the drill's lab away",
        ) from None
    finally:
        lock.release()


def _wait_for_keeper(folder: Path) -> None:
    """It ends the rest; where it cannot, we do."""
    deadline = time.monotonic() + 60
    while is_kept(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    conclude(folder, "it was ended")


def _state(state: Path | None) -> Path:
    return state_dir(state).absolute()


def _folder(at: Path, drill: str | None) -> Path:
    found = [each for each in folders.folders(at) if drill is None or each.name == drill]
    if not found:
        raise UsageError("there is no such drill" if drill else "there is no drill", remedy="reprise drill history")
    return found[0]


def open_drill(state: Path | None) -> Path:
    """The open drill's folder. Raises UsageError where none is open."""
    for folder in folders.folders(_state(state))[:1]:
        if not folders.is_over(folder) and not is_kept(folder):
            conclude(folder, "its keeper was gone")
        elif not folders.is_over(folder):
            if folders.read_card(folder).called_at is None:
                raise UsageError("the drill is being prepared", remedy="wait for the call")
            return folder
    raise UsageError("no drill is open", remedy="begin one: reprise drill list, then reprise drill start NAME")
