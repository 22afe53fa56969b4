"""`choose-files`: which file from which snapshot, narrowed to what a database refers to where the plan says so, and
what the live folder has right already. Reads only; what is decided stands in the run's folder.

At a gate the database may not be able to say: a table that the next transaction drops is locked already. Then all that
the snapshots hold is wanted, which is more than is needed and never less.
"""

import json
import os
from pathlib import Path

from engine.media.choices import Choices
from engine.media.choosing import choose
from engine.media.references import References
from engine.media.trying import note_what_is_left
from engine.records.errors import DamagedCopy, RepriseError, RunFailed
from engine.records.lsn import format_lsn
from engine.steps.files.asking import ask
from engine.steps.files.common import (
    NARROWED,
    REFERENCES,
    choices_path,
    files_of,
    heard,
    held_by,
    look,
    moment_of,
    summary,
)
from engine.steps.protocol import RunningStep
from engine.steps.shared.children import Say, carried
from engine.steps.shared.points import current_point, gate_lsn
from engine.transfer.naming import shown

EMPTY = "the snapshots hold no file of the media folder"
INSIDE = "look into one: reprise files list; of restic and borg, set where in it the media folder stands (inside)"
ALL_CAME = "by their times, all files in the snapshots came after the moment: nothing would be left"
ANOTHER = (
    "roll back, and choose another snapshot: reprise files restore --snapshot ID (the database alone comes back with "
    "--no-files)"
)
NOT_NARROWED = "the database could not say what it refers to: all that the snapshots hold is brought back"


CHOSEN_AT = "files_chosen_at"
"""The fact that says for which gate they were chosen."""


def apply_again(step: RunningStep) -> None:
    """Choose anew where the run stands at another gate than when it was chosen last; where files were not chosen yet,
    nothing."""
    if CHOSEN_AT in step.facts and step.facts[CHOSEN_AT] != _gate(step):
        apply(step)


def _gate(step: RunningStep) -> str | None:
    """None: the files come back alone."""
    return format_lsn(gate_lsn(current_point(step))) if step.plan.point is not None else None


def apply(step: RunningStep) -> None:
    files, held, moment = files_of(step), held_by(step), moment_of(step)
    only = os.fsencode(files.only) if files.only else None
    path = step.run_dir / REFERENCES

    def work(say: Say) -> object:
        references, why_not = _references(step, path)
        with Choices(choices_path(step)) as choices:
            try:
                found = choose(choices, held, moment, references, only, lambda count: say(json.dumps([count, 0])))
            except DamagedCopy as problem:
                remedy = ANOTHER if problem.remedy is None else f"{problem.remedy}; or {ANOTHER}"
                raise DamagedCopy(problem.message, cause=problem.cause, remedy=remedy) from None
            if not found and files.asked != "gate":
                raise RunFailed(EMPTY, remedy=INSIDE)
            if not found:
                choices.find(f"{EMPTY}: {INSIDE}")
            if files.only is not None and not choices.number("SELECT count(*) FROM wanted WHERE needed"):
                _refuse(files.only, choices)
            if (
                files.asked is None
                and files.only is None
                and not choices.number("SELECT count(*) FROM wanted WHERE kind <> 'd'")
            ):
                raise RunFailed(ALL_CAME, remedy="choose a later moment, or name a snapshot: --snapshot")
            note_what_is_left(choices, held)
            if references is not None:
                choices.keep(NARROWED, "yes")
            if why_not:
                choices.find(f"{NOT_NARROWED} ({why_not})")
            look(choices, files, moment, held, say)
            return summary(choices, files)

    gate = _gate(step)
    step.fact(files=carried(step, work, heard(step, "looking")), **{CHOSEN_AT: gate})


def _refuse(only: str, choices: Choices) -> None:
    """Nothing of the only path that was asked for is in a snapshot. Raises RunFailed."""
    if not choices.number("SELECT count(*) FROM lost"):
        raise RunFailed(f"no snapshot that serves here has {shown(only)}", remedy="look into one: reprise files list")


def _references(step: RunningStep, into: Path) -> tuple[References | None, str]:
    """What the database refers to, where one is asked; at a gate, None and why where it cannot say."""
    files = files_of(step)
    if files.asked is None:
        return None, ""
    try:
        return ask(step, into, production=False), ""
    except RepriseError as problem:
        if files.asked == "live":
            raise
        return None, ": ".join(filter(None, (problem.message, problem.cause)))


def undo(step: RunningStep) -> None:
    """What was decided stays with the run."""
