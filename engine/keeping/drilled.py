"""What a run says of the copies that it restored: that of a proof drill of all, any other of one that was damaged."""

from collections.abc import Iterator, Sequence

from engine.records.copying import Proof
from engine.records.runs import RunState
from engine.recovery.proof_drills import disproving

_NOT_SAID = ("running", "paused", "interrupted", "rolled-back", "discarded")  # of a run that came to no end of its own


def proofs_of(state: RunState, archives: Sequence[tuple[str, str]]) -> tuple[Proof, ...]:
    """Of any run what it found damaged. Of a proof drill a proof for each backup of the chain and for the archive, and
    for the snapshots in which files were looked up, where that told yes or no; none where it came to no end.
    ``archives`` are the folders of base backups and of WAL of each repository, in the site's order."""
    point = state.plan.point
    if state.plan.proof is None:
        return (state.damaged,) if state.damaged is not None else ()
    if point is None or state.outcome in _NOT_SAID or state.finished_at is None:
        return ()
    return tuple(_proofs(state, archives))


def _proofs(state: RunState, archives: Sequence[tuple[str, str]]) -> Iterator[Proof]:
    point, at = state.plan.point, state.finished_at
    assert point is not None and at is not None
    of_database, of_files = _findings(state)
    took = sum(step.seconds or 0.0 for step in state.steps)

    def proof(id: str, kind: object, repository: str, findings: Sequence[str]) -> Proof:
        return Proof(id, kind, repository, at, not findings, tuple(findings), round(took, 3), state.run)  # type: ignore[arg-type]

    for backup in point.chain:
        yield proof(backup.id, "base", backup.repository, of_database)
    for number, (backups, wal) in enumerate(archives):
        if backups == point.backup.repository:
            yield proof("wal" if number == 0 else f"wal-{number + 1}", "wal", wal, of_database)
    looked_up = any(step.kind == "look-up-files" and step.outcome == "done" for step in state.steps)
    looked_up = looked_up and not _undecided(state)
    if state.plan.files is not None and (looked_up or of_files):
        for snapshot in state.plan.files.snapshots:
            yield proof(snapshot.id, "media", snapshot.repository, of_files)


def _undecided(state: RunState) -> bool:
    """Whether the last word about the files is neither yes nor no."""
    said = [check.ok for check in state.checks if check.name == "files"]
    return bool(said) and said[-1] is None


def _findings(state: RunState) -> tuple[list[str], list[str]]:
    """What disproves the copies of the database, and those of the files."""
    found = disproving(state.checks)
    of_files = [check.finding for check in found if check.name == "files"]
    of_database = [f"{check.name}: {check.finding}" for check in found if check.name != "files"]
    for step in state.steps:
        if step.outcome == "failed" and step.kind != "verdict":
            why = f"{step.title}: {state.error.message if state.error is not None else 'failed'}"
            (of_files if step.kind == "look-up-files" else of_database).append(why)
    return of_database, of_files
