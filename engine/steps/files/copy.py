"""`copy-files`: what is wanted and not there, copied and verified on its way into the folder that is being built.

Before production is touched: what goes wrong with a copy is seen while nothing has changed yet."""

import json
import os
from pathlib import Path

from engine.media.bringing import Bringer
from engine.media.choices import Choices
from engine.records.errors import RunFailed
from engine.steps.files.common import choices_path, files_of, heard, held_by, summary
from engine.steps.protocol import RunningStep
from engine.steps.shared.children import Say, carried
from engine.transfer.naming import shown
from engine.transfer.removing import remove_tree

SEEKING = "seeking what is lost by its content"


def apply(step: RunningStep) -> None:
    files, held = files_of(step), held_by(step)
    building, choices = Path(files.building), choices_path(step)
    begun = bool(step.undo_records)

    def make(say: Say) -> object:
        """Whether there was nothing yet: what is there already is somebody's."""
        if begun or not os.path.lexists(building) or (files.place == "into" and not any(os.scandir(building))):
            return os.path.lexists(building)
        raise RunFailed(f"{shown(building)} is there already", remedy="see what it is, and move it away")

    was_there = carried(step, make)
    if not begun:
        step.before(made=os.fspath(building), was_there=was_there)

    def work(say: Say) -> object:
        building.mkdir(0o700, exist_ok=True)
        with Choices(choices) as decided:
            Bringer(
                decided, held, Path(files.live), building,
                whole=files.place != "delta", share=files.place == "beside",
                say=lambda count, size: say(json.dumps([count, size])),
                last_hope=True, seeking=lambda count, size: say(json.dumps([count, size, SEEKING])),
            ).bring()  # fmt: skip
            return summary(decided, files)

    told = carried(step, work, heard(step, "copying"))
    step.fact(files=told)
    if files.place == "into":
        step.note(text=f"{told['copied']} files stand in {files.folder}")


def undo(step: RunningStep) -> None:
    """Take away what was built; a folder that was there before, and empty, stays."""
    for record in step.undo_records:
        building = Path(record["made"])

        def work(say: Say, building: Path = building, stays: bool = record["was_there"]) -> None:
            if stays and building.is_dir():
                for entry in list(building.iterdir()):
                    remove_tree(entry)
            else:
                remove_tree(building)

        carried(step, work)
