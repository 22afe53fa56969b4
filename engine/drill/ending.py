"""How a drill ends: its result, then nothing of it that runs, and its lab emptied. The folder with the record stays."""

import shutil
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from engine.drill import base
from engine.drill import folder as folders
from engine.drill.folder import Marked, Result
from engine.drill.sweeping import sweep
from engine.records.errors import RepriseError
from engine.records.recoveries import Recovery
from engine.run.learnt import RECOVERY


def write_marks(folder: Path, marked: Marked) -> None:
    """What a marking found. Raises OSError."""
    folders.write(folder, folders.MARKS, marked)
    folders.note(folder, "checked", {"points": marked.points, "solved": marked.solved})
    if marked.solved:
        folders.note(folder, "solved")


def decide(folder: Path, why: str, marked: Marked | None = None) -> None:
    """The result, by what was ``marked`` now, else by the last marking; nothing where there is one already. Its keeper
    then ends the rest. Where the result cannot be written down, the lab goes first: on a full disk that makes room.
    Raises RepriseError."""
    if folders.is_over(folder):
        return
    try:
        _write_down(folder, why, marked)
    except OSError:
        _clear(folder)
        try:
            _write_down(folder, why, marked)
        except OSError as failure:
            raise RepriseError(
                f"nothing of the drill {folder.name} runs any more, but its result cannot be written down",
                cause=str(failure),
                remedy=f"make room for {folder}, then: reprise drill end",
            ) from None


def _write_down(folder: Path, why: str, marked: Marked | None) -> None:
    if marked is not None:
        write_marks(folder, marked)
    known = marked or folders.read(folder, folders.MARKS, Marked)
    outcome = "solved" if known is not None and known.solved else "failed"
    _keep_what_it_took(folder, known)
    folders.write(folder, folders.RESULT, Result(outcome, datetime.now(UTC), why))
    folders.note(folder, "ended", {"outcome": outcome, "why": why})


def _keep_what_it_took(folder: Path, marked: Marked | None) -> None:
    """From the call to the solution, and what was lost."""
    called, solved = folders.read_card(folder).called_at, folders.solved_at(folders.read_record(folder))
    if called is not None:
        took = round((solved - called).total_seconds(), 3) if solved is not None else None
        lost = marked.rpo_seconds if marked is not None else None
        folders.write(folder, RECOVERY, Recovery("drill", called, folder.name, solved is not None, took, lost))


def conclude(folder: Path, why: str) -> None:
    """End a drill; done again, it goes on where it had come to, and does nothing to one that came to its end: what
    stands in its places by then is not its own. One that nobody was called to leaves nothing. Raises RepriseError where
    something of it cannot be ended, or its result not be written down."""
    if (folder / folders.SWEPT).exists():
        return
    called = folders.read_card(folder).called_at is not None
    try:
        if called:
            decide(folder, why)
    finally:
        _clear(folder)
    if called:
        with suppress(OSError):  # the disk is full: then it is swept once more
            (folder / folders.SWEPT).touch(mode=0o600)
    else:
        shutil.rmtree(folder)


def _clear(folder: Path) -> None:
    sweep(folder)
    base.clear(folder.parent.parent)
