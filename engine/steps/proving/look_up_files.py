"""`look-up-files`: every file that the recovered database refers to is looked for in the catalogues of the snapshots,
with its size and content, as a recovery would choose it. Nothing is copied.

A file that was written after the newest snapshot is in none rightly, as long as the live folder has it: such ones are
counted. One whose content is older came since, or stood there unseen, with other attributes now (chown, chmod): that
cannot be told, and the check says so.
"""

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.media.choices import Choices, Lost
from engine.media.choosing import choose
from engine.records.errors import RepriseError, Unreachable
from engine.records.files import Files
from engine.records.plan import Check
from engine.steps.files.asking import ask
from engine.steps.files.common import REFERENCES, choices_path, files_of, held_by, moment_of
from engine.steps.protocol import RunningStep
from engine.steps.shared.children import Say, carried
from engine.transfer.naming import shown

_NAMED = 5  # files in the finding


def apply(step: RunningStep) -> None:
    """What no snapshot has is told, and stops nothing here: the verdict counts it."""
    files, held, moment = files_of(step), held_by(step), moment_of(step)

    def work(say: Say) -> object:
        references = ask(step, step.run_dir / REFERENCES, production=False)
        with Choices(choices_path(step)) as choices:
            choose(choices, held, moment, references, None, lambda count: say(json.dumps(count)))
            counts = _counts(choices, files, moment)
        return counts | {"asked": references.count(), "problems": list(references.problems)}

    def hear(line: str) -> None:
        # Entries of all snapshots and references, merged: how many there will be nobody knows.
        step.progress(json.loads(line), None, "files", "looking them up")

    try:
        found = carried(step, work, hear, on="the snapshots of the users' files")
    except Unreachable:
        raise
    except RepriseError as problem:  # also an answer: the copy is thrown away, and the verdict says no
        told = problem.message + (f": {problem.cause}" if problem.cause else "")
        step.check(Check("files", "warn", False, f"the files cannot be looked up: {told}", problem.remedy))
        return
    step.fact(looked_up=found)
    step.check(_check(found, files))


def undo(step: RunningStep) -> None:
    """What was found stays with the run."""


def _counts(choices: Choices, files: Files, moment: datetime | None) -> dict[str, Any]:
    since = _uncopied_since(files, moment)
    late = doubtful = lost = 0
    names: list[str] = []
    for each in choices.all_lost():
        came = _came_since(files.live, each, since) if since is not None else False
        if came is not False:
            late, doubtful = late + (came is True), doubtful + (came is None)
            continue
        lost += 1
        if len(names) < _NAMED:
            names.append(f"{shown(os.fsdecode(each.path))} ({each.why})")
    return {"late": late, "doubtful": doubtful, "lost": lost, "names": names}


def _uncopied_since(files: Files, moment: datetime | None) -> float | None:
    """From when on no snapshot can have what came (seconds since 1970); None where one follows the moment."""
    begun = [each.started_at for each in files.snapshots if each.dated]
    if not begun or (moment is not None and max(begun) >= moment):
        return None
    return max(begun).timestamp()


def _came_since(live: str, lost: Lost, since: float) -> bool | None:
    """Whether the live folder has got a file ``since`` then (seconds since 1970). None where only its inode changed
    since: it was brought with its old time, or was there before."""
    try:
        status = (Path(live) / os.fsdecode(lost.path)).lstat()
    except OSError:
        return False
    if status.st_ctime < since or lost.size not in (None, status.st_size):
        return False
    return True if status.st_mtime >= since else None


def _check(found: dict[str, Any], files: Files) -> Check:
    names = ", ".join(each.id for each in files.snapshots) or "no snapshot"
    there = found["asked"] - found["late"] - found["doubtful"] - found["lost"]
    told = [f"{there} of {found['asked']} files that the database refers to are in {names}"]
    if found["late"]:
        told.append(f"{found['late']} came after the newest snapshot, and only the live folder has them")
    if found["doubtful"]:
        told.append(
            f"{found['doubtful']} that only the live folder has were changed after the newest snapshot, but not their "
            "content: whether they came since cannot be told"
        )
    if found["lost"]:
        more = f" and {found['lost'] - len(found['names'])} more" if found["lost"] > len(found["names"]) else ""
        told.append(f"{found['lost']} cannot be brought back: {', '.join(found['names'])}{more}")
    told += [f"the database: {each}" for each in found["problems"][:1]]
    ok = False if found["lost"] or found["problems"] else None if found["doubtful"] else True
    remedy = None if ok else "see which of them are still there: reprise files check; then take a snapshot"
    return Check("files", "warn", ok, "; ".join(told), remedy)
