"""`verify-copy`: the copy is read back from its draft before it gets its name: every byte that can be compared is.

Arguments: ``format`` (of a base backup).
"""

import json

from engine.records.errors import DamagedCopy
from engine.steps.copying.drafts import copying_of, grows_at, published
from engine.steps.protocol import RunningStep
from engine.steps.shared.children import Say, carried
from engine.transfer.verifying import verify_backup


def apply(step: RunningStep) -> None:
    copying = copying_of(step)
    grown = grows_at(copying)
    step.fact(verified=False)

    def work(say: Say) -> None:
        if published(copying):
            return
        if not verify_backup(grown, step.args["format"], lambda done, total: say(json.dumps([done, total]))):
            raise DamagedCopy(
                "the backup has no checksums to be verified by", cause="it has no manifest, or one without checksums"
            )

    def hear(line: str) -> None:
        done, total = json.loads(line)
        step.progress(done, total, "bytes", copying.id)

    carried(step, work, hear, on=copying.repository)
    step.fact(verified=True)


def undo(step: RunningStep) -> None:
    """Reading leaves nothing behind."""
