"""`take-image`: the environment packed into the draft, or a VM image registered: read once, with its checksum noted.

Arguments: ``origin``, ``form`` (packed, registered), ``left_out`` (what lies in the folder and has copies of its own).
"""

import json
from datetime import datetime
from pathlib import Path

from engine.environment.images import NOTE, PACKED, Note, digest_of, pack, write_note
from engine.records.copying import Copying
from engine.steps.copying.drafts import copying_of, make_draft, now, record_draft, remove_draft
from engine.steps.protocol import RunningStep
from engine.steps.shared.children import Say, carried


def apply(step: RunningStep) -> None:
    copying, args = copying_of(step), step.args
    draft = Path(copying.draft)
    record_draft(step)
    origin = Path(args["origin"])
    started = now()

    def work(say: Say) -> int:
        make_draft(copying)
        take = _pack if args["form"] == "packed" else _register
        return take(copying, draft, origin, [Path(each) for each in args["left_out"]], started, say)

    def hear(line: str) -> None:
        told = json.loads(line)
        if isinstance(told, int):
            step.progress(told, None, "bytes", copying.id)
        else:
            step.note(text=told)

    size = carried(step, work, hear, on=f"{origin} or {copying.repository}")
    step.fact(interval=[started, now()], size=size, told={"origin": str(origin), "form": args["form"]})


def undo(step: RunningStep) -> None:
    remove_draft(step)


def _pack(copying: Copying, draft: Path, origin: Path, left_out: list[Path], started: str, say: Say) -> int:
    name = copying.id + PACKED
    sha256, size, findings = pack(origin, draft / name, left_out, lambda read: say(json.dumps(read)))
    for finding in findings:
        say(json.dumps(finding))
    _note(copying, draft, "packed", name, origin, size, sha256, left_out, started)
    return size


def _register(copying: Copying, draft: Path, origin: Path, left_out: list[Path], started: str, say: Say) -> int:
    sha256, size = digest_of(origin, lambda read: say(json.dumps(read)))
    _note(copying, draft, "registered", str(origin), origin, size, sha256, left_out, started)
    return size


def _note(
    copying: Copying, draft: Path, form: str, file: str, origin: Path, size: int, sha256: str, left_out: list[Path],
    started: str,
) -> None:  # fmt: skip
    times = datetime.fromisoformat(started), datetime.fromisoformat(now())
    note = Note(form, file, str(origin), size, sha256, *times, tuple(map(str, left_out)))  # type: ignore[arg-type]
    write_note(draft / (copying.id + NOTE), note)
