"""What was proven of each copy: by verifying it, by the proof drills, and by restores that found it damaged."""

from collections.abc import Sequence
from contextlib import suppress

from engine.acts.desk import Desk
from engine.acts.following import runs
from engine.keeping.drilled import proofs_of
from engine.keeping.proofs import Proofs, keep_proof, key_of, read_proofs
from engine.records.errors import RepriseError
from engine.records.runs import RunState


def known_proofs(desk: Desk, states: Sequence[RunState] | None = None) -> Proofs:
    """The last proof of each copy, with what runs (``states``, else all) came to, whoever was there to see it. That is
    remembered where it can be: a run's own folder may be deleted."""
    known = read_proofs(desk.state)
    archives = [(each.base_backups, each.wal) for each in desk.site.database.repository]
    for run in runs(desk) if states is None else states:
        for proof in proofs_of(run, archives) if run.plan.site == desk.site.name else ():
            before = known.get(key_of(proof))
            if before is None or before.at < proof.at:
                known[key_of(proof)] = proof
                if not desk.read_only:
                    with suppress(RepriseError):
                        keep_proof(desk.state, proof)
    return known
