"""`verify-dump`: a dump read back to its end, the roles beside it too, before it gets its name."""

from engine.dumps.layout import CONTENTS, GLOBALS
from engine.dumps.whole import read_globals_through, read_through
from engine.records.errors import RunFailed
from engine.steps.copying.drafts import copying_of, grows_at, published
from engine.steps.protocol import RunningStep
from engine.steps.shared.children import Say, carried


def apply(step: RunningStep) -> None:
    copying, format = copying_of(step), step.args["format"]
    folder = grows_at(copying)
    programs = copying.programs
    if programs is None:
        raise RunFailed("the plan names no PostgreSQL programs", remedy="plan again")

    def work(say: Say) -> None:
        if published(copying):
            return
        read_globals_through(folder / GLOBALS)
        read_through(programs, folder / CONTENTS[format], format, copying.owner)

    carried(step, work, on=f"what reads {folder}")


def undo(step: RunningStep) -> None:
    """Reading leaves nothing behind."""
