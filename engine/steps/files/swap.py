"""`swap-files`: what was built takes the live folder's place, or goes into it. All of it by renames; what it replaces
is set aside, and stays until the operator discards the run.

The live folder is looked at once more first: what was changed since it was looked at (an application was at work) is
copied again, and moved out where it came after the moment.
"""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from engine.media.bringing import Bringer, take_anew
from engine.media.choices import Choices
from engine.media.dressing import dress_live, undress_live
from engine.media.swapping import Swap, plan_moves, swap_back, swap_whole, written_since
from engine.records.errors import RunFailed
from engine.records.files import Files
from engine.steps.files.common import choices_path, files_of, heard, held_by, look, moment_of, summary
from engine.steps.protocol import RunningStep
from engine.steps.shared.children import Say, carried
from engine.transfer.naming import shown
from engine.transfer.removing import remove_tree

_NAMED = 20  # files in a note


def apply(step: RunningStep) -> None:
    files = files_of(step)
    if not step.undo_records:
        _look_again(step, files)
        step.before(swap=files.place, live=files.live, building=files.building, set_aside=files.set_aside)

    def work(say: Say) -> object:
        with Choices(choices_path(step)) as choices:
            if files.place == "beside":
                swap_whole(Path(files.live), Path(files.building), _aside(files))
            else:
                plan_moves(choices)
                with swap_of(choices, files, say) as swap:
                    swap.apply()
                    dress_live(choices, swap)
                tidy(files)
            return os.path.lexists(files.set_aside or "")

    there = carried(step, work, lambda line: step.progress(json.loads(line), None, "files"))
    _tell_aside(step, files, files.set_aside if there else None)


def _tell_aside(step: RunningStep, files: Files, aside: str | None) -> None:
    """Beside what other steps of the run have set aside."""
    others = [each for each in step.facts.get("set_aside", []) if each != files.set_aside]
    step.fact(set_aside=[*others, *([aside] if aside else [])])
    step.fact(files={**step.facts.get("files", {}), "set_aside": aside})


def _look_again(step: RunningStep, files: Files) -> None:
    held, moment = held_by(step), moment_of(step)

    def work(say: Say) -> object:
        with Choices(choices_path(step)) as choices:
            look(choices, files, moment, held, say)
            take_anew(choices)
            Bringer(
                choices, held, Path(files.live), Path(files.building),
                whole=files.place != "delta", share=files.place == "beside",
                say=lambda count, size: say(json.dumps([count, size])),
            ).bring()  # fmt: skip
            return summary(choices, files)

    step.fact(files=carried(step, work, heard(step, "looking again")))


def undo(step: RunningStep) -> None:
    """All back. What others wrote into the new folder meanwhile is kept, in the folder that was built; what they wrote
    into files that both folders share is told."""
    files = files_of(step)
    if not step.undo_records:
        return

    def work(say: Say) -> list[str]:
        with Choices(choices_path(step)) as choices:
            if files.place == "beside":
                swap_back(Path(files.live), Path(files.building), _aside(files))
                return list(_told_of_shared(written_since(choices, Path(files.live))))
            plan_moves(choices)
            with swap_of(choices, files, say) as swap:
                undress_live(choices, swap.live)
                swap.undo()
        if files.set_aside is not None:
            _remove_empty(files.set_aside)
            if os.path.lexists(files.set_aside):
                return [f"what others wrote while files moved stays in {files.set_aside}"]
        return []

    for told in carried(step, work):
        step.note(text=told)
    _tell_aside(step, files, None)


def _told_of_shared(paths: Iterator[bytes]) -> Iterator[str]:
    named = [shown(os.fsdecode(path)) for path in islice(paths, _NAMED)]
    if more := sum(1 for _ in paths):
        named.append(f"and {more} more")
    if named:
        told = "written into in place since the folders changed places, and so in both of them, which share these files"
        yield f"{told}: {', '.join(named)}; what was right before stands in its snapshot as it was"


def discard(step: RunningStep) -> None:
    """Delete what was set aside, and in a run that was rolled back what stands in its place."""
    files = files_of(step)

    def work(say: Say) -> None:
        aside = _aside(files)
        if aside is not None:
            remove_tree(aside)
        remove_tree(Path(files.building))

    if step.undo_records:
        carried(step, work)
    _tell_aside(step, files, None)


def _aside(files: Files) -> Path | None:
    return Path(files.set_aside) if files.set_aside is not None else None


def swap_of(choices: Choices, files: Files, say: Say) -> Swap:
    if files.set_aside is None:
        raise RunFailed("the plan names no place for what is moved out", remedy="plan again")
    live, building, aside = map(os.fsencode, (files.live, files.building, files.set_aside))
    return Swap(choices, live, building, aside, lambda count: say(json.dumps(count)))


def tidy(files: Files) -> None:
    """What was only on the way for a while goes."""
    _remove_empty(files.building)
    with suppress(OSError):
        os.rmdir(files.set_aside or "")  # noqa: PTH106  # nothing went out


def _remove_empty(folder: str) -> None:
    """Folders that hold nothing any more."""
    for place, _, _ in sorted(os.walk(folder), reverse=True):
        try:
            os.rmdir(place)  # noqa: PTH106
        except OSError:
            continue
