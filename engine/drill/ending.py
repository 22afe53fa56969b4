"""How a drill ends: its result, then nothing of it that runs, and its lab emptied. The folder with the record stays."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

from engine.drill import base
from engine.drill import folder as folders
from engine.drill.folder import Marked, Result
from engine.drill.sweeping import sweep
from engine.records.recoveries import Recovery
from engine.run.learnt import RECOVERY


def decide(folder: Path, why: str) -> None:
    """The result, by what the last marking found; nothing where there is one already. Its keeper then ends the rest."""
    if folders.is_over(folder):
        return
    marked = folders.read(folder, folders.MARKS, Marked)
    outcome = "solved" if marked is not None and marked.solved else "failed"
    _keep_what_it_took(folder, marked)
    folders.note(folder, "ended", {"outcome": outcome, "why": why})
    folders.write(folder, folders.RESULT, Result(outcome, datetime.now(UTC), why))


def _keep_what_it_took(folder: Path, marked: Marked | None) -> None:
    """From the call to the solution, and what was lost."""
    called, solved = folders.read_card(folder).called_at, folders.solved_at(folders.read_record(folder))
    if called is not None:
        took = round((solved - called).total_seconds(), 3) if solved is not None else None
        lost = marked.rpo_seconds if marked is not None else None
        folders.write(folder, RECOVERY, Recovery("drill", called, folder.name, solved is not None, took, lost))


def conclude(folder: Path, why: str) -> None:
    """End a drill; done again, it goes on where it had come to. One that nobody was called to leaves nothing. Raises
    RepriseError where something of it cannot be ended."""
    called = folders.read_card(folder).called_at is not None
    if called:
        decide(folder, why)
    sweep(folder)
    base.clear(folder.parent.parent)
    if not called:
        shutil.rmtree(folder)
