"""`push`: the copy, under its name by now, sent to the repository's second place and verified there by checksum.

A copy that could not be pushed stands in its own repository all the same; the run fails and says so, and `resume` sends
it again. What is sent is remembered (`engine/remote/sent.py`). Arguments: ``into`` (a folder at the second place),
``wal`` (the archive that is sent along, or None), and ``wal_into``.
"""

import json
from pathlib import Path

from engine.environment.images import IMAGE, read_image
from engine.records.copying import names_beside
from engine.records.errors import RepriseError
from engine.remote.places import read_place
from engine.remote.pushing import push, push_mirror
from engine.remote.sent import Memory
from engine.remote.wal import push_wal, refuse_short
from engine.steps.copying.drafts import copying_of
from engine.steps.protocol import RunningStep
from engine.steps.shared.children import Say, carried


def apply(step: RunningStep) -> None:
    copying, args = copying_of(step), step.args
    copy = Path(copying.path)

    def work(say: Say) -> None:
        def tell(done: int) -> None:
            say(json.dumps(done))

        # The copy last: a chain's older members and its WAL are there before somebody relies on it.
        short: list[str] = []
        memory = Memory(step.run_dir.parents[1], step.plan.site, copying.second or "")  # the run's folder is runs/<run>
        memory.expect(copying.kind, copy.name)
        if args["wal"] is not None:
            sent, short = push_wal(Path(args["wal"]), read_place(args["wal_into"]), tell)
            memory.keep_wal(sent)
        beside = [path for name in names_beside(copying.kind, copy.name) if (path := copy.with_name(name)).exists()]
        into = read_place(args["into"])
        if copying.kind == "image" and (image := read_image(copy)).form == "registered":
            push(image.path, into, [], None, tell, name=copying.id + IMAGE)
        if copying.kind == "source" and copy.is_dir():
            push_mirror(copy, into, tell)
        else:
            push(copy, into, beside, copying.parent if copying.kind == "media" else None, tell)
        refuse_short(short)

    on = f"rsync, between {copying.repository} and {args['into']}"
    try:
        carried(step, work, lambda line: step.progress(json.loads(line), None, "bytes", "rsync"), on=on)
    except RepriseError as error:
        error.message = f"the copy is complete in {copying.repository}, but not at its second place: {error.message}"
        raise
    step.note(text=f"pushed to {args['into']}, and verified there by checksum")


def undo(step: RunningStep) -> None:
    """What was pushed is a copy like any other, and stays."""
