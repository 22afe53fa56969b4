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
    folders.note(folder, "ended", {"outcome": outcome, "why": why})
    folders.write(folder, RECOVERY, _recovery(folder, marked))
    folders.write(folder, folders.RESULT, Result(outcome, datetime.now(UTC), why))


def _recovery(folder: Path, marked: Marked | None) -> Recovery:
    """What the drill tells of recoveries (run.learnt): from the call until it was solved."""
    called = folders.read_card(folder).called_at
    assert called is not None
    solved = [entry["at"] for entry in folders.read_record(folder) if entry["kind"] == "solved"]
    took = (datetime.fromisoformat(solved[0]) - called).total_seconds() if solved else None
    rpo = marked.rpo_seconds if marked is not None else None
    return Recovery("drill", called, folder.name, bool(solved), took, rpo)


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
