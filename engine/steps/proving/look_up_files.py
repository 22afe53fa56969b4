"""`look-up-files`: every file that the recovered database refers to is looked for in the catalogues of the snapshots,
with its size and content, as a recovery would choose it. Nothing is copied.

A file that came after the newest snapshot is in none rightly, as long as the live folder has it: such ones are counted.
"""

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.media.choices import Choices, Lost
from engine.media.choosing import choose
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
        step.progress(json.loads(line), files.files, "files", "looking them up")

    found = carried(step, work, hear, on="the snapshots of the users' files")
    step.fact(looked_up=found)
    step.check(_check(found, files))


def undo(step: RunningStep) -> None:
    """What was found stays with the run."""


def _counts(choices: Choices, files: Files, moment: datetime | None) -> dict[str, Any]:
    since = _uncopied_since(files, moment)
    late = lost = 0
    names: list[str] = []
    for each in choices.all_lost():
        if since is not None and _came_since(files.live, each, since):
            late += 1
            continue
        lost += 1
        if len(names) < _NAMED:
            names.append(f"{shown(os.fsdecode(each.path))} ({each.why})")
    return {"late": late, "lost": lost, "names": names}


def _uncopied_since(files: Files, moment: datetime | None) -> float | None:
    """From when on no snapshot can have what came (seconds since 1970); None where one follows the moment."""
    begun = [each.started_at for each in files.snapshots if each.dated]
    if not begun or (moment is not None and max(begun) >= moment):
        return None
    return max(begun).timestamp()


def _came_since(live: str, lost: Lost, since: float) -> bool:
    try:
        status = (Path(live) / os.fsdecode(lost.path)).lstat()
    except OSError:
        return False
    return status.st_ctime >= since and lost.size in (None, status.st_size)


def _check(found: dict[str, Any], files: Files) -> Check:
    names = ", ".join(each.id for each in files.snapshots) or "no snapshot"
    told = [f"{found['asked'] - found['late'] - found['lost']} of {found['asked']} files that the database refers to"]
    told[0] += f" are in {names}"
    if found["late"]:
        told.append(f"{found['late']} came after the newest snapshot, and only the live folder has them")
    if found["lost"]:
        more = f" and {found['lost'] - len(found['names'])} more" if found["lost"] > len(found["names"]) else ""
        told.append(f"{found['lost']} cannot be brought back: {', '.join(found['names'])}{more}")
    told += [f"the database: {each}" for each in found["problems"][:1]]
    ok = not (found["lost"] or found["problems"])
    remedy = None if ok else "see which of them are still there: reprise files check; then take a snapshot"
    return Check("files", "warn", ok, "; ".join(told), remedy)
