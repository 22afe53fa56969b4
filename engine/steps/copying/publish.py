"""`publish`: a copy that is complete and verified gets its name in the repository.

All of it is put on disk first. What stands beside a copy is renamed before the copy itself: whoever sees the copy finds
the rest. A copy that has its name stays, also when the run is rolled back; what stands beside none is taken away.

The steps before have told ``interval`` (its beginning and end), and may have told ``size`` (bytes) and ``told`` (what
else a reader of the run should know of the copy).
"""

import os
from datetime import datetime
from pathlib import Path

from engine.records.copying import TakenCopy
from engine.records.errors import RunFailed
from engine.steps import TAKEN
from engine.steps.copying.drafts import copying_of, grows_at, remove_draft
from engine.steps.protocol import RunningStep
from engine.steps.shared.children import Say, carried
from engine.transfer.durable import FileSystems, fsync_path
from engine.transfer.failures import writing
from engine.transfer.incremental import size_on_disk
from engine.transfer.naming import shown
from engine.transfer.removing import remove_tree


def apply(step: RunningStep) -> None:
    copying = copying_of(step)
    draft, path = Path(copying.draft), Path(copying.path)
    grown = grows_at(copying)

    def sync(say: Say) -> list[str] | None:
        """Whatever is in the draft on disk; the names that stand beside the copy. None: it has its name."""
        if not grown.exists():
            if not path.exists():
                raise RunFailed(
                    f"the copy is neither in {shown(draft)} nor at {shown(path)}", remedy="take another one"
                )
            return None
        if path.exists():
            raise RunFailed(f"{shown(path)} is there already", remedy="see what it is; a new try takes a new name")
        with writing(draft):
            FileSystems([draft]).sync()
            return sorted(entry.name for entry in os.scandir(draft) if entry.name != grown.name)

    beside = carried(step, sync, on=copying.repository)
    if beside is not None:
        step.before(beside=[os.fspath(path.with_name(name)) for name in beside])

    def give_names(say: Say) -> int | None:
        if beside is not None:
            with writing(draft):
                for name in beside:
                    (draft / name).rename(path.with_name(name))
                fsync_path(path.parent)
                grown.rename(path)
                fsync_path(path.parent)
        remove_tree(draft)
        return None if "size" in step.facts else _size(path)

    size = carried(step, give_names, on=copying.repository)
    started, stopped = (datetime.fromisoformat(text) for text in step.facts["interval"])
    size = step.facts.get("size", size)
    told = step.facts.get("told", {})
    step.fact(**{TAKEN: TakenCopy(copying.id, copying.kind, copying.path, size, started, stopped, told)})


def _size(path: Path) -> int:
    return size_on_disk(path) if path.is_dir() else path.stat().st_size


def undo(step: RunningStep) -> None:
    copying = copying_of(step)

    def work(say: Say) -> None:
        if not Path(copying.path).exists():
            for record in step.undo_records:
                for name in record["beside"]:
                    remove_tree(Path(name))

    carried(step, work, on=copying.repository)
    remove_draft(step)
