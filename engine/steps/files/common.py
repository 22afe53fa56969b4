"""What the steps that bring users' files back share. The folders are touched by children alone: they may hang."""

import json
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.media.choices import Choices
from engine.media.dressing import TO_DRESS
from engine.media.looking import look_at_live
from engine.media.references import open_references
from engine.media.sources import Held, open_set_aside, open_snapshot
from engine.media.trying import still_sought, where_sought
from engine.records.errors import RunFailed
from engine.records.files import Files
from engine.records.rows import NAMELESS, NamedRow
from engine.steps import POINT
from engine.steps.protocol import RunningStep
from engine.steps.shared.children import Say
from engine.steps.shared.points import current_point
from engine.transfer.naming import shown

CHOICES = "files.sqlite"  # in the run's folder
REFERENCES = "references.sqlite"
_FAST = "size and time were trusted (--fast): a file whose content changed without them is not seen"
NARROWED = "narrowed"  # the fact that a database said what is wanted
_SAMPLE = 100  # files that a report names


def files_of(step: RunningStep) -> Files:
    """The files of the run's plan. Raises RunFailed where its plan is another's."""
    if step.plan.files is None:
        raise RunFailed("the plan brings no files back", remedy="plan again")
    return step.plan.files


def held_by(step: RunningStep) -> Sequence[Held]:
    """The plan's snapshots with their files, behind them those in reserve, behind these what earlier runs have moved
    away. Their numbers stand in what was decided."""
    media, files = step.site.media, files_of(step)
    repositories = {each.path: each for each in media.repository} if media is not None else {}
    held = []
    for snapshot in (*files.snapshots, *files.reserve):
        if media is None or snapshot.repository not in repositories:
            raise RunFailed(f"the site has no media repository {snapshot.repository}", remedy="plan again")
        opened = open_snapshot(snapshot, repositories[snapshot.repository], media.path)
        held.append(Held(snapshot, opened, in_reserve=snapshot not in files.snapshots))
    return [*held, *(open_set_aside(Path(each)) for each in files.earlier)]


def moment_of(step: RunningStep) -> datetime | None:
    """The moment that the files shall be of: the plan's, or that of the point to which a run went on."""
    files = files_of(step)
    if files.moment is None or POINT not in step.facts:
        return files.moment
    point = current_point(step)
    return point.kept.at if point.kept is not None else files.moment


def look(choices: Choices, files: Files, moment: datetime | None, held: Sequence[Held], say: Say) -> None:
    """The live folder, held against what is wanted."""
    own = (files.building, files.set_aside, *files.earlier)  # beside it, or of a mount point in it
    skip = {os.fsencode(os.path.basename(each)) for each in own if each and os.path.dirname(each) == files.live}  # noqa: PTH119, PTH120
    look_at_live(
        choices,
        os.fsencode(files.live),
        held,
        moment,
        fast=files.fast,
        only=os.fsencode(files.only) if files.only else None,
        narrowed=choices.kept(NARROWED) is not None,
        stays=files.place == "delta",
        skip=frozenset(skip),
        say=lambda count, size: say(json.dumps([count, size])),
    )


def heard(step: RunningStep, what: str) -> Any:
    """Progress as the children say it: files and bytes, and what else they do, where it is not ``what``."""

    def hear(line: str) -> None:
        count, size, *other = json.loads(line)
        if other:
            step.waiting(f"{other[0]}: {count} files")
        else:
            step.progress(size, step.args.get("bytes"), "bytes", f"{what}: {count} files")

    return hear


def summary(choices: Choices, files: Files) -> dict[str, Any]:
    """What a report says of the files."""
    whole = files.place != "delta"
    right = "EXISTS (SELECT 1 FROM live WHERE live.key = wanted.key AND verdict = 'right')"
    shared = f"AND NOT {right}" if files.place != "into" else ""
    wanted = "FROM wanted WHERE kind = 'f' AND needed"
    lost, nameless = _lost(choices)
    sought, sought_rows = still_sought(choices)
    seeking = f"{sought} that no snapshot has under {'its name' if sought == 1 else 'their names'}"
    told = f"sought by content while files are copied: {seeking}"
    moved = "SELECT count(*) FROM live WHERE verdict = 'after' AND kind <> 'd'"
    orphans = "SELECT count(*) FROM live WHERE verdict = 'orphan' AND kind <> 'd'"
    return {
        "place": files.place,
        "folder": files.folder,
        "copied": choices.number(f"SELECT count(*) {wanted} {shared}"),
        "bytes": choices.number(f"SELECT sum(size) {wanted} {shared}"),
        "kept": choices.number(f"SELECT count(*) {wanted} AND {right}") if files.place != "into" else 0,
        "wrong": choices.number("SELECT count(*) FROM live WHERE verdict = 'wrong'"),
        "out": 0 if files.place == "into" else choices.number(moved),
        "out_bytes": 0 if files.place == "into" else choices.number(moved.replace("count(*)", "sum(size)")),
        "out_sample": choices.paths("SELECT key FROM live WHERE verdict = 'after' AND kind <> 'd' ORDER BY key",
                                    limit=_SAMPLE),
        "orphans": 0 if files.place == "into" else choices.number(orphans),
        "unrecoverable": choices.number("SELECT count(*) FROM lost") - sought,
        "unrecoverable_rows": choices.number("SELECT sum(rows) FROM lost") - sought_rows,
        "unrecoverable_sample": lost,
        "unrecoverable_note": NAMELESS if nameless else None,
        "sought": sought,
        "dressed": choices.number(f"SELECT count(*) FROM {TO_DRESS}") if files.place == "delta" else 0,
        "unsure": choices.number("SELECT count(*) FROM wanted WHERE kind = 'f' AND NOT sure"),
        "findings": [*([_FAST] if files.fast else []), *([told] if sought else []), *choices.findings()],
        "list": str(choices.path),
        "whole": whole,
    }  # fmt: skip


def _lost(choices: Choices) -> tuple[list[dict[str, Any]], bool]:
    """The first files that nobody has, with the rows that refer to them; and whether the query does not name those."""
    lost = list(choices.lost(f"NOT ({where_sought(choices)}) ORDER BY key LIMIT ?", _SAMPLE))
    rows: list[tuple[NamedRow, ...]] = [()] * len(lost)
    nameless = False
    if any(each.rows for each in lost):
        references = open_references(choices.path.with_name(REFERENCES))
        rows, nameless = list(references.named(each.path for each in lost)), not references.names_rows
    return [
        {"path": shown(os.fsdecode(each.path)), "rows": each.rows, "why": each.why, "row_samples": named}
        for each, named in zip(lost, rows, strict=True)
    ], nameless


def choices_path(step: RunningStep) -> Path:
    return step.run_dir / CHOICES
