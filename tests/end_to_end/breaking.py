"""The real engine with one breakpoint: at a chosen moment of a chosen step it stands still (SIGSTOP), and whoever
waits for that kills it from outside. So every kill falls where it shall, and its seed brings it back. Without an order
it tells what there is to hit: the `Course` of the run.

``python -m tests.end_to_end.breaking ORDER …`` is ``python -m engine.run …``; ORDER is a `Break` as JSON. A moment is
the n-th event of a step: before a change of the file system, an fsync, or the start of a process; else the first
progress beyond a share, strictly before the end. A step that comes to its end first stands still in front of the
journal's word that it has ended: no order is missed.
"""

import json
import os
import re
import signal
import sys
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from engine.run import __main__ as program
from engine.run.carrying import Carrying
from engine.run.journal import Journal
from engine.run.runner import Engine

PROGRAM = [sys.executable, "-m", "tests.end_to_end.breaking"]
THE_END = "the end"
"""No step: all steps are done, the report is being written, and the journal does not say so yet."""

_CHANGES = re.compile(
    r"os\.(rename|mkdir|rmdir|remove|chmod|chown|symlink|link|truncate|utime|fork|kill)|subprocess\.Popen|socket\.connect"
)
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_OF_THE_MOMENT = ("/progress.json", "/progress.new", "/control", "/dev/null")  # written as time passes


@dataclass(frozen=True)
class Course:
    """What the steps of an undisturbed run come to: how many events each has, and which told that they were short of
    100 %, and so have a middle. (One that finds its work done tells only that.)"""

    events: dict[str, int] = field(default_factory=dict)
    middles: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Break:
    """Where to stand still; ``step`` None: nowhere, but ``said``, the file that tells it, has the `Course`."""

    said: str
    step: str | None = None
    event: int | None = None
    share: float | None = None  # of the progress
    undoing: bool = False

    def command(self) -> list[str]:
        return [*PROGRAM, json.dumps(asdict(self))]


class Breakpoint:
    """Hears all that the engine does."""

    def __init__(self, order: Break) -> None:
        self.order = order
        self.engine = 0
        self.step: str | None = None
        self.undoing = False
        self.events: Counter[str] = Counter()
        self.progress: tuple[int, int | None] = (0, None)
        self.middles: set[str] = set()
        self.busy = self.stood = False

    def boundary(self, kind: str, content: dict[str, Any]) -> None:
        if kind in ("begin", "undo-begin"):
            self.enter(content["step"], kind == "undo-begin")
        elif kind in ("end", "undone", "failed"):
            if self.wanted and kind != "failed":
                self.stand(kind)
            self.step = None
        elif kind == "finished":
            if self.wanted:
                self.stand(kind)
            self.step = None
            course = Course(dict(self.events), sorted(self.middles))
            Path(self.order.said).write_text(json.dumps(asdict(course)))

    def enter(self, step: str, undoing: bool = False) -> None:
        self.engine, self.step, self.undoing = os.getpid(), step, undoing
        self.progress = (0, None)
        self.events[step] = 0
        if self.wanted and self.order.event == 0:
            self.stand("begin")

    @property
    def wanted(self) -> bool:
        return self.step == self.order.step and self.undoing == self.order.undoing and not self.stood

    def event(self, name: str, about: object) -> None:
        if self.step is None or self.busy or os.getpid() != self.engine or str(about).endswith(_OF_THE_MOMENT):
            return
        self.events[self.step] += 1
        if self.wanted and self.order.event is not None and self.events[self.step] >= self.order.event:
            self.stand(f"{name} {about}")

    def progressed(self, done: int, total: int | None) -> None:
        self.progress = (done, total)
        if self.step is None or total is None or done >= total:
            return
        self.middles.add(self.step)
        share = self.order.share
        if self.wanted and share is not None and done > 0 and done >= share * total:
            self.stand("progress")

    def stand(self, at: str) -> None:
        self.busy = self.stood = True
        done, total = self.progress
        told = {"at": at, "done": done, "total": total}
        Path(self.order.said).write_text(json.dumps(told))
        os.kill(os.getpid(), signal.SIGSTOP)
        self.busy = False


def main() -> int:
    point = Breakpoint(Break(**json.loads(sys.argv.pop(1))))
    append, progress, report, fsync = Journal.append, Carrying.progress, Engine._report, os.fsync

    def appending(journal: Journal, kind: str, content: Any = None) -> None:
        starts = kind in ("begin", "undo-begin")
        if not starts:
            point.boundary(kind, content or {})
        append(journal, kind, content)
        if starts:
            point.boundary(kind, content)

    def progressing(step: Carrying, done: int, total: int | None, *more: Any, **named: Any) -> None:
        progress(step, done, total, *more, **named)
        point.progressed(done, total)

    def reporting(engine: Engine, *how: Any) -> None:
        point.enter(THE_END, undoing=how[0] != "completed")
        report(engine, *how)

    def syncing(file: Any) -> None:
        point.event("fsync", "")
        fsync(file)

    def heard(name: str, about: tuple[Any, ...]) -> None:
        if _CHANGES.fullmatch(name) or (name == "open" and isinstance(about[2], int) and about[2] & _WRITES):
            point.event(name, about[0] if about else "")

    Journal.append, Carrying.progress, os.fsync = appending, progressing, syncing  # type: ignore[method-assign]
    Engine._report = reporting  # type: ignore[method-assign]
    sys.addaudithook(heard)
    return program.main()


if __name__ == "__main__":
    sys.exit(main())
