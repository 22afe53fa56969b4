"""`copy`: one backup of the chain, copied and verified in one pass.

Arguments: ``backup``, its index in the plan's chain, and ``into``: the data directory itself, or for the members of an
incremental chain a folder below staging. A data directory gets its pg_control last, when the step ends.
"""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from engine.records.coding import to_builtins
from engine.records.copies import BaseBackup
from engine.records.copying import Proof
from engine.records.errors import DamagedCopy, RunFailed
from engine.steps import DAMAGED
from engine.steps.protocol import RunningStep
from engine.steps.shared.layout import layout_of
from engine.transfer.contents import CONTROL
from engine.transfer.copying import copy_backup, release_control
from engine.transfer.removing import empty_tree, missing_parents, remove_if_empty, remove_tree


def apply(step: RunningStep) -> None:
    layout = layout_of(step.plan)
    backup = _backup_of(step)
    into = Path(step.args["into"])
    is_data_dir = into == Path(layout.data_dir)
    if is_data_dir and step.undo_records and (into / CONTROL).exists():
        release_control(into)  # it was released already, and nothing is left to do but to say so
        return
    if is_data_dir:
        tablespaces = {place.oid: Path(place.built_at) for place in layout.tablespaces}
    else:
        tablespaces = staged_tablespaces(into, backup)
    record_folders(step, [into, *tablespaces.values()])
    doing = backup.id

    def waiting(why: str) -> None:
        nonlocal doing
        doing = why or backup.id

    try:
        result = copy_backup(
            backup,
            into,
            tablespaces=tablespaces,
            owner=layout.run_as,
            progress=lambda done, total: step.progress(done, total, "bytes", doing),
            safe_point=step.safe_point,
            waiting=waiting,
            hold_back_control=is_data_dir,
            bytes_per_second=step.plan.bytes_per_second,
        )
    except DamagedCopy as error:
        told = f"{error.message}: {error.cause}" if error.cause else error.message
        proof = Proof(backup.id, "base", backup.repository, datetime.now(UTC), False, (told,))
        step.fact(**{DAMAGED: to_builtins(proof)})  # so that the next plan takes another one
        raise
    if not result.verified:
        step.log(f"backup {backup.id} has no checksums: it was copied, but it could not be verified")
    step.fact(**{f"copied {backup.id}": {"files": result.files, "bytes": result.bytes, "verified": result.verified}})
    if is_data_dir:
        release_control(into)


def undo(step: RunningStep) -> None:
    remove_recorded(step)


def record_folders(step: RunningStep, folders: Sequence[Path]) -> None:
    """Write down which of these folders the step will make, with those above them, and which it will fill."""
    if step.undo_records:
        return
    parents = {parent: None for folder in folders for parent in missing_parents(folder)}
    step.before(
        made=[os.fspath(folder) for folder in folders if not folder.exists()],
        filled=[os.fspath(folder) for folder in folders if folder.exists()],
        parents=[os.fspath(parent) for parent in parents],
    )


def remove_recorded(step: RunningStep) -> None:
    """Undo what ``record_folders`` wrote down."""
    for record in reversed(step.undo_records):
        for folder in record["made"]:
            remove_tree(Path(folder))
        for folder in record["filled"]:
            empty_tree(Path(folder))
        for folder in reversed(record["parents"]):
            remove_if_empty(Path(folder))


def staged_tablespaces(into: Path, backup: BaseBackup) -> dict[int, Path]:
    """Where the tablespaces of a chain's member lie in staging."""
    return {place.oid: into.with_name(f"{into.name}-tablespaces") / str(place.oid) for place in backup.tablespaces}


def _backup_of(step: RunningStep) -> BaseBackup:
    chain = step.plan.point.chain if step.plan.point is not None else ()
    index = step.args["backup"]
    if not isinstance(index, int) or not 0 <= index < len(chain):
        raise RunFailed(f"the plan's chain has no backup number {index}", remedy="plan again")
    return chain[index]
