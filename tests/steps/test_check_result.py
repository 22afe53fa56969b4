"""The checks of a recovered cluster, and what they are worth to a proof."""

from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from engine.records.plan import ProofDrill
from engine.recovery.proof_drills import disproving
from engine.steps import check_result, inspect, promote
from engine.steps.shared.reading_through import read_through
from tests.steps.ledger import Ledger, once
from tests.steps.rehearsal import Rehearsal


@once
def test_a_database_that_cannot_be_opened_disproves_the_copies_of_a_proof(
    ledger: Ledger, begun: Callable[..., Rehearsal]
) -> None:
    """Its pages are all as they should be, and everything else can be looked into."""
    step = begun(ledger.origin.point(ledger.ends[len(ledger.ends) // 2].lsn))
    step.plan = replace(step.plan, proof=ProofDrill(None, "not known"))
    inspect.apply(step)
    promote.apply(step)
    check_result.apply(step)
    assert disproving(step.checks) == ()
    with step.copy.connect() as connection:
        connection.execute("CREATE DATABASE other")
        row = connection.execute("SELECT oid FROM pg_database WHERE datname = 'other'").fetchone()
    assert row is not None
    filenodes = Path(step.copy.data_dir) / "base" / str(row[0]) / "pg_filenode.map"
    whole = filenodes.read_bytes()
    filenodes.write_bytes(bytes(len(whole)))
    check_result.apply(step)
    told = {check.name: check for check in disproving(step.checks)}
    assert "other: " in told["databases"].finding and "relation mapping file" in told["databases"].finding
    with_amcheck = (Path(step.copy.programs.bin_dir) / "pg_amcheck").exists() and step.copy.programs.version >= 14
    if with_amcheck:
        assert "other" in told["page-checksums"].finding
        assert read_through(step, step.copy, ["other"]).ok is None  # of a copy that somebody keeps
    filenodes.write_bytes(whole)
    check_result.apply(step)  # as a resumed run does: its last word counts
    assert disproving(step.checks) == ()
