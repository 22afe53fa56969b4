"""The folder in which a copy grows: ``.draft-<id>`` in its repository, 0700, the copy's owner's.

The copy grows in it under its own name; what belongs beside it (a catalogue, a note of times) under names that begin
with the copy's. Readers of a repository pass over names with a dot, so nothing half done is ever listed.
"""

import os
from datetime import UTC, datetime
from pathlib import Path

from engine.records.copying import Copying
from engine.records.errors import RunFailed
from engine.steps.prepare import owner_ids
from engine.steps.protocol import RunningStep
from engine.transfer.removing import make_folder, remove_tree


def copying_of(step: RunningStep) -> Copying:
    """The copy that the run takes. Raises RunFailed where its plan is another's."""
    if step.plan.copying is None:
        raise RunFailed("the plan takes no copy", remedy="plan again")
    return step.plan.copying


def fresh_draft(step: RunningStep) -> Path:
    """The draft's folder, empty; where the copy grows is ``grows_at``. Written down before it is made."""
    copying = copying_of(step)
    draft = Path(copying.draft)
    if not step.undo_records:
        step.before(made=os.fspath(draft))
    remove_tree(draft)
    make_folder(draft, owner_ids(copying.owner))
    return draft


def grows_at(copying: Copying) -> Path:
    """Where the copy stands until it is published."""
    return Path(copying.draft) / Path(copying.path).name


def now() -> str:
    """The moment, as the fact ``interval`` keeps a copy's beginning and end."""
    return datetime.now(UTC).isoformat()


def remove_draft(step: RunningStep) -> None:
    """Take an unfinished copy away; one that was published is not in its draft any more, and stays."""
    remove_tree(Path(copying_of(step).draft))
