"""`take-source`: a git repository's mirror made or brought up to date, or a bundle of it; checked to the last object.

A mirror that is there is brought up to date where it stands: git changes refs only when all that they lead to is there.
A new one, and a bundle, grow in the draft. Arguments: ``origin``, ``form`` (mirror, bundle).
"""

from datetime import datetime
from pathlib import Path

from engine.records.copying import Copying
from engine.records.errors import RunFailed
from engine.source.copies import (
    BUNDLE,
    BUNDLE_NOTE,
    NOTE,
    Note,
    check_bundle,
    check_repository,
    head_of,
    make_bundle,
    make_mirror,
    update_mirror,
    write_note,
)
from engine.steps.copying.drafts import copying_of, grows_at, make_draft, now, record_draft, remove_draft
from engine.steps.protocol import RunningStep
from engine.steps.shared.children import Say, carried
from engine.transfer.removing import remove_tree


def apply(step: RunningStep) -> None:
    copying, origin = copying_of(step), step.args["origin"]
    take = {"mirror": _mirror, "bundle": _bundle}.get(step.args["form"])
    if take is None:
        raise RunFailed(f"no copy of source code has the form {step.args['form']!r}", remedy="plan again")
    record_draft(step)
    started = now()

    def work(say: Say) -> None:
        make_draft(copying)
        take(copying, origin, started, say)

    carried(step, work, step.log, on=f"git, which writes into {copying.repository}")
    step.fact(interval=[started, now()], told={"origin": origin, "form": step.args["form"]})


def undo(step: RunningStep) -> None:
    remove_draft(step)


def _mirror(copying: Copying, origin: str, started: str, say: Say) -> None:
    mirror = Path(copying.path)
    if mirror.exists():
        update_mirror(origin, mirror, copying.owner, say)
    else:
        mirror = grows_at(copying)
        make_mirror(origin, mirror, copying.owner, say)
    check_repository(mirror, copying.owner, say)
    write_note(mirror / NOTE, _note(origin, started, head_of(mirror, copying.owner)))


def _bundle(copying: Copying, origin: str, started: str, say: Say) -> None:
    bundle, draft = grows_at(copying), Path(copying.draft)
    between, scratch = draft / "between.git", draft / "scratch.git"
    make_mirror(origin, between, copying.owner, say)
    make_bundle(between, bundle, copying.owner, say)
    check_bundle(bundle, scratch, copying.owner, say)
    write_note(
        draft / (bundle.name.removesuffix(BUNDLE) + BUNDLE_NOTE),
        _note(origin, started, head_of(between, copying.owner)),
    )
    remove_tree(between)
    remove_tree(scratch)


def _note(origin: str, started: str, head: str | None) -> Note:
    return Note(origin, datetime.fromisoformat(started), datetime.fromisoformat(now()), head)
