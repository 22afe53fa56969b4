"""`take-media`: a snapshot of the users' files, with its catalogue and the note of its times, into the draft.

Arguments: ``live``, the media folder. The snapshot before, with which unchanged files are shared, is the plan's
``parent``; it must still be there with its catalogue, else everything is read.
"""

import json
import os
from pathlib import Path

from engine.media.catalogue import catalogue_of
from engine.media.snapshot import Taken, take_snapshot
from engine.records.coding import from_json, to_json
from engine.steps.copying.drafts import copying_of, fresh_draft, grows_at, remove_draft
from engine.steps.protocol import RunningStep
from engine.steps.shared.children import Say, carried


def apply(step: RunningStep) -> None:
    copying = copying_of(step)
    draft = fresh_draft(step)
    live, into = Path(step.args["live"]), grows_at(copying)
    before = Path(copying.repository) / copying.parent if copying.parent else None
    if before is not None and not catalogue_of(before).is_file():
        before = None
    result = draft / "result.json"

    def work(say: Say) -> None:
        taken = take_snapshot(live, into, before, lambda files, bytes: say(json.dumps([files, bytes])))
        result.write_bytes(to_json(taken))

    def hear(line: str) -> None:
        files, _ = json.loads(line)
        step.progress(files, step.args["files"], "files", copying.id)

    carried(step, work, hear)
    taken = from_json(result.read_bytes(), Taken)
    result.unlink()
    note = into.with_name(into.name + ".json")
    note.write_bytes(
        to_json({"started_at": taken.started_at, "stopped_at": taken.stopped_at, "files": taken.files,
                 "bytes": taken.bytes, "findings": taken.findings}, indent=1)
    )  # fmt: skip
    os.chmod(note, 0o600)  # noqa: PTH101
    for finding in taken.findings:
        step.note(text=finding)
    if taken.more_findings:
        step.note(text=f"and {taken.more_findings} more of the kind")
    told = {"files": taken.files, "copied": taken.copied, "copied_bytes": taken.copied_bytes, "shared": taken.shared}
    step.fact(interval=[taken.started_at.isoformat(), taken.stopped_at.isoformat()], told=told, size=taken.bytes)


def undo(step: RunningStep) -> None:
    remove_draft(step)
