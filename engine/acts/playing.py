"""Guided drills that play by themselves: the lines of a scenario's reference solution, one after the other."""

from collections.abc import Callable, Sequence
from pathlib import Path

from engine.acts.drilling import begin_drill, end_drill, hands_of, open_drill
from engine.drill import folder as folders
from engine.drill.facts import fill_in
from engine.drill.scenario import BY_HAND
from engine.drill.staging import bring_table, execute
from engine.lab.building import found_lab
from engine.records.drills import DrillState
from engine.records.errors import UsageError
from engine.run.folder import list_runs

_LOOKING = ("verify", "status", "plan")
_SAID = 200  # characters of its complaint that the record keeps

Progress = Callable[[int, int, str], None]


def play_drill(
    state: Path | None,
    name: str,
    *,
    scenarios: Path | None = None,
    bin_dir: str | None = None,
    progress: Progress = lambda done, steps, what: None,
) -> DrillState:
    """A drill whose reference solution is played: every scenario can be solved."""
    held = begin_drill(state, name, scenarios=scenarios, bin_dir=bin_dir, progress=progress)
    try:
        solution = folders.read_truth(open_drill(state)).named.scenario.solution
        for number, words in enumerate(solution):
            progress(number, len(solution), "the reference solution")
            if not goes_on(words, carry_out(state, words)):
                break
        return end_drill(state)
    finally:
        held.close()


def carry_out(state: Path | None, words: Sequence[str]) -> int:
    """A line of a scenario's solution on the open drill's lab, the facts that it names filled in: a command line of
    this program, whose exit code is returned; or ``sql`` and a statement, ``bring-table`` and a table. Raises
    RepriseError."""
    folder = open_drill(state)
    facts = folders.read_truth(folder).facts
    if words[0] not in BY_HAND:
        folders.note(folder, "command", {"line": "reprise " + " ".join(words)})
        code, said = hands_of(folder).call(fill_in(words, facts))
        if not goes_on(words, code):
            folders.note(folder, "answered", {"code": code, "said": said.removeprefix("reprise: ")[:_SAID]})
        return code
    folders.note(folder, "command", {"line": f"by hand: {' '.join(words)}"})
    lab = found_lab(Path(folders.read_card(folder).lab))
    if words[0] == "sql":
        execute(lab, words[1], facts)
    else:
        copy = _newest_side_copy(folder)
        bring_table(lab, words[1], copy[0], copy[1])
    return 0


def goes_on(words: Sequence[str], code: int) -> bool:
    """Whether a line of a solution has done its thing: the exit code of a command that looks is its answer."""
    return code in (0, 4) or (words[0] in _LOOKING and code in (1, 3))


def _newest_side_copy(folder: Path) -> tuple[str, int]:
    for run in list_runs(folder / folders.STATE)[0]:
        if run.plan.destination.kind == "side-copy" and run.outcome == "completed" and run.host and run.port:
            return run.host, run.port
    raise UsageError("no side copy stands ready", remedy="restore one with --into")
