"""`verify-copy`: the copy is read back from its draft before it gets its name: every byte that can be compared is. Of a
media snapshot the files that it shares with the snapshot before are not read again: this run did not write them.

Arguments: ``format`` (of a base backup; none for the other kinds).
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from engine.environment.images import NOTE, read_image, verify_image
from engine.media.verifying import verify_snapshot
from engine.records.copying import Copying
from engine.records.errors import DamagedCopy, RunFailed
from engine.steps.copying.drafts import copying_of, grows_at, published
from engine.steps.protocol import RunningStep
from engine.steps.shared.children import Say, carried
from engine.transfer.verifying import verify_backup

_Tell = Callable[[int, int | None], None]


def apply(step: RunningStep) -> None:
    copying = copying_of(step)
    verify = {"base": _base, "media": _media, "image": _image}.get(copying.kind)
    if verify is None:
        raise RunFailed(f"a copy of the kind {copying.kind} is not verified by this step", remedy="plan again")
    unit = "files" if copying.kind == "media" else "bytes"
    step.fact(verified=False)

    def work(say: Say) -> None:
        if not published(copying):
            verify(step, copying, lambda done, total: say(json.dumps([done, total])))

    def hear(line: str) -> None:
        done, total = json.loads(line)
        step.progress(done, total, unit, copying.id)  # type: ignore[arg-type]

    carried(step, work, hear, on=copying.repository)
    step.fact(verified=True)


def undo(step: RunningStep) -> None:
    """Reading leaves nothing behind."""


def _base(step: RunningStep, copying: Copying, tell: _Tell) -> None:
    if not verify_backup(grows_at(copying), step.args["format"], tell):
        raise DamagedCopy(
            "the backup has no checksums to be verified by", cause="it has no manifest, or one without checksums"
        )


def _media(step: RunningStep, copying: Copying, tell: _Tell) -> None:
    before = Path(copying.repository) / copying.parent if copying.parent else None
    files: Any = step.facts["told"]["files"]
    _refuse(copying, verify_snapshot(grows_at(copying), lambda done, _: tell(done, files), shared_with=before))


def _image(step: RunningStep, copying: Copying, tell: _Tell) -> None:
    try:
        image = read_image(Path(copying.draft) / (copying.id + NOTE))
    except (msgspec.DecodeError, ValueError) as problem:
        return _refuse(copying, [f"its note cannot be read: {problem}"])
    _refuse(copying, verify_image(image, lambda done: tell(done, image.size_bytes)))


def _refuse(copying: Copying, findings: list[str]) -> None:
    if findings:
        more = f", and {len(findings) - 1} more findings" if len(findings) > 1 else ""
        raise DamagedCopy(
            f"what was written into {copying.repository} is not what comes back from there",
            cause=findings[0] + more,
            remedy="see to that disk (its kernel messages); give the copy up with: reprise rollback; then take another",
        )
