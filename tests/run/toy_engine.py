"""The engine of ``python -m engine.run``, with toy steps in the registry: files in one folder, nothing else.

``toy`` makes the files ``0`` to ``count-1`` in ``args["folder"]``, slowly, and its undo deletes them. It converges as a
step must. ``toy-gate`` waits for an answer and writes each one down.
"""

import sys
import time
import types
from pathlib import Path
from typing import Any

from engine.records.errors import RepriseError
from engine.run.__main__ import main
from engine.steps import STEPS


def make(step: Any) -> None:
    folder, count = Path(step.args["folder"]), step.args["count"]
    step.before(made=str(folder))
    folder.mkdir(exist_ok=True)
    for number in range(count):
        step.safe_point()
        if step.args.get("wrong") == number and not Path(step.args["mended"]).exists():
            raise RepriseError("this went wrong", cause="a cause", remedy="a remedy")
        if step.args.get("bug") == number:
            raise ZeroDivisionError("two\nlines")
        (folder / str(number)).write_text(step.args["content"])
        step.progress(number + 1, count, "files")
        time.sleep(step.args.get("pause", 0.0))
    step.fact(**{step.args["content"]: count})


def unmake(step: Any) -> None:
    for record in step.undo_records:
        folder = Path(record["made"])
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            step.safe_point()
            path.unlink()
            time.sleep(step.args.get("pause", 0.0))
        if folder.is_dir():
            folder.rmdir()


def gate(step: Any) -> None:
    while True:
        answer = step.wait_for_answer({"stands_at": step.facts.get("stands_at", 1)})
        if answer.act == "finish":
            return
        step.fact(stands_at=answer.target["gate"])


def nothing(step: Any) -> None:
    pass


def module(**functions: Any) -> str:
    name = f"toy_{len(STEPS)}"
    sys.modules[name] = types.ModuleType(name)
    vars(sys.modules[name]).update(functions)
    return name


STEPS["toy"] = module(apply=make, undo=unmake)
STEPS["toy-gate"] = module(apply=gate, undo=nothing)

if __name__ == "__main__":
    sys.exit(main())
