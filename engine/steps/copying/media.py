"""`take-media`: a snapshot of the users' files, with its catalogue and the note of its times, into the draft.

Arguments: ``live``, the media folder. The snapshot before, with which unchanged files are shared, is the plan's
``parent``; it must still be there with its catalogue, else everything is read.
"""

import json
from pathlib import Path

import msgspec

from engine.media.catalogue import catalogue_of
from engine.media.snapshot import Progress, Taken, take_snapshot
from engine.records.coding import to_builtins, to_json
from engine.records.copying import Copying
from engine.steps.copying.drafts import copying_of, grows_at, make_draft, record_draft, remove_draft
from engine.steps.protocol import RunningStep
from engine.steps.shared.children import Say, carried
from engine.transfer.failures import writing
from engine.transfer.noting import write_new


def apply(step: RunningStep) -> None:
    copying = copying_of(step)
    record_draft(step)
    live = Path(step.args["live"])

    def work(say: Say) -> object:
        make_draft(copying)
        taken = _take(copying, live, lambda files, bytes: say(json.dumps([files, bytes])))
        return to_builtins(taken)

    def hear(line: str) -> None:
        files, _ = json.loads(line)
        step.progress(files, step.args["files"], "files", copying.id)

    taken = msgspec.convert(carried(step, work, hear, on=f"{live} or {copying.repository}"), Taken)
    for finding in taken.findings:
        step.note(text=finding)
    if taken.more_findings:
        step.note(text=f"and {taken.more_findings} more of the kind")
    told = {"files": taken.files, "copied": taken.copied, "copied_bytes": taken.copied_bytes, "shared": taken.shared}
    step.fact(interval=[taken.started_at.isoformat(), taken.stopped_at.isoformat()], told=told, size=taken.bytes)


def _take(copying: Copying, live: Path, progress: Progress) -> Taken:
    """The snapshot with its catalogue, and its note beside it."""
    into = grows_at(copying)
    before = Path(copying.repository) / copying.parent if copying.parent else None
    if before is not None and not catalogue_of(before).is_file():
        before = None
    taken = take_snapshot(live, into, before, progress)
    note = {"started_at": taken.started_at, "stopped_at": taken.stopped_at, "files": taken.files, "bytes": taken.bytes}
    path = into.with_name(into.name + ".json")
    with writing(path):
        write_new(path, to_json({**note, "findings": taken.findings}, indent=1), 0o600)
    return taken


def undo(step: RunningStep) -> None:
    remove_draft(step)
