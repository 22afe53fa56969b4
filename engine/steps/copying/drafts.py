"""The folder in which a copy grows: ``.draft-<id>`` in its repository, 0700, the copy's owner's.

The folder is touched by children only (`engine/steps/shared/children.py`): its file system may hang.

The copy grows in it under its own name; what belongs beside it (a catalogue, a note of times) under names that begin
with the copy's. Readers of a repository pass over names with a dot, so nothing half done is ever listed.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from engine.postgres.processes import end_strays
from engine.records.copying import Copying
from engine.records.errors import RunFailed
from engine.steps.prepare import owner_ids
from engine.steps.protocol import RunningStep
from engine.steps.shared.children import Say, carried
from engine.transfer.removing import make_folder, remove_tree


def copying_of(step: RunningStep) -> Copying:
    """The copy that the run takes. Raises RunFailed where its plan is another's."""
    if step.plan.copying is None:
        raise RunFailed("the plan takes no copy", remedy="plan again")
    return step.plan.copying


def record_draft(step: RunningStep) -> None:
    """Write the draft down, before a child makes it."""
    if not step.undo_records:
        step.before(made=copying_of(step).draft)


def make_draft(copying: Copying, *programs: str) -> None:
    """The draft's folder, empty; where the copy grows is ``grows_at``. What an engine that died left running there of
    ``programs`` is ended first. For a child."""
    draft = Path(copying.draft)
    _end_strays(draft, programs)
    remove_tree(draft)
    make_folder(draft, owner_ids(copying.owner))


def grows_at(copying: Copying) -> Path:
    """Where the copy stands until it is published."""
    return Path(copying.draft) / Path(copying.path).name


def published(copying: Copying) -> bool:
    """Whether the copy has its name by now. For a child."""
    return not grows_at(copying).exists() and Path(copying.path).exists()


def now() -> str:
    """The moment, as the fact ``interval`` keeps a copy's beginning and end."""
    return datetime.now(UTC).isoformat()


def remove_draft(step: RunningStep, *programs: str) -> None:
    """Take an unfinished copy away, in a child; one that was published is not in its draft any more, and stays."""
    copying = copying_of(step)

    def work(say: Say) -> None:
        _end_strays(Path(copying.draft), programs)
        remove_tree(Path(copying.draft))

    carried(step, work, on=copying.repository)


def _end_strays(draft: Path, programs: Iterable[str]) -> None:
    for program in programs:
        end_strays(program, draft)
