"""What a proof drill's run says of the copies that it restored, by how it ended."""

from datetime import timedelta
from pathlib import Path

from msgspec.structs import replace

from engine.keeping.drilled import proofs_of
from engine.keeping.proofs import failed_ids, keep_proof, key_of, one_for_each, read_proofs
from engine.records.copies import MediaSnapshot
from engine.records.copying import Proof
from engine.records.files import Files
from engine.records.plan import Check, Limits, Plan, ProofDrill, Resolution
from engine.records.runs import RunError, RunOutcome, RunState, StepState
from engine.recovery.planning import make_plan
from engine.recovery.proof_drills import as_proof
from tests.recovery.scenes import BACKUP, NOW, POINT, SIDE_COPY, SITE, SURVEY

ARCHIVES = [("/other/base", "/other/wal"), (BACKUP.repository, "/backup/wal")]
SHOT = MediaSnapshot("m1", "/backup/media", Path("/backup/media/m1"), NOW, NOW)
NO = Check("verify", "warn", False, "SELECT 1 = 2: False")
LOST = Check("files", "warn", False, "1 cannot be brought back")


def drill() -> Plan:
    files = Files(NOW, (SHOT,), "into", "/srv/media", "/x/media", "/x/media", None, "gate")
    plan = make_plan(SITE, POINT.target, Resolution(POINT, ()), SURVEY, SIDE_COPY, created_at=NOW, port=5432)
    return as_proof(plan, ProofDrill(0.0, "covered"), Limits(), files, (), ())


def state(outcome: RunOutcome, *checks: Check, failed: str | None = None) -> RunState:
    """``failed``: the step that did; those behind it were not begun."""
    plan = drill()
    names = [step.name for step in plan.steps]
    end = names.index(failed) if failed is not None else len(names)
    steps = tuple(
        StepState(step.name, step.kind, step.title, "done" if number < end else "failed" if number == end else "to do")
        for number, step in enumerate(plan.steps)
    )
    error = RunError("it went wrong") if failed is not None else None
    return RunState("r1", "/runs/r1", plan, outcome, None, NOW, NOW, steps, checks, error=error)


def told(of: RunState) -> dict[str, tuple[bool | None, tuple[str, ...]]]:
    return {f"{proof.kind} {proof.id}": (proof.ok, proof.findings) for proof in proofs_of(of, ARCHIVES)}


def test_database_archive_and_snapshots_are_told_apart() -> None:
    well: tuple[bool, tuple[str, ...]] = (True, ())
    base, wal, media = f"base {BACKUP.id}", "wal wal-2", "media m1"
    assert told(state("completed")) == {base: well, wal: well, media: well}
    no = (False, ("verify: SELECT 1 = 2: False",))
    assert told(state("failed", NO, failed="verdict")) == {base: no, wal: no, media: well}
    lost = (False, ("1 cannot be brought back",))
    assert told(state("failed", LOST, failed="verdict")) == {base: well, wal: well, media: lost}
    assert told(state("completed", LOST, Check("files", "warn", None, "1 cannot be told"))).keys() == {base, wal}
    copied = told(state("failed", failed="copy"))
    assert copied.keys() == {base, wal} and copied[base][0] is False and "it went wrong" in copied[base][1][0]


def test_a_drill_that_came_to_no_end_of_its_own_says_nothing() -> None:
    for outcome in ("running", "interrupted", "rolled-back"):
        assert proofs_of(state(outcome), ARCHIVES) == ()
    whole = state("completed")
    assert proofs_of(replace(whole, plan=replace(whole.plan, proof=None)), ARCHIVES) == ()


def test_any_run_tells_of_a_copy_that_it_found_damaged_whatever_became_of_it() -> None:
    found = Proof(BACKUP.id, "base", BACKUP.repository, NOW, False, ("base/5/16396: checksum",))
    for outcome in ("failed", "rolled-back", "running"):
        run = replace(state(outcome), damaged=found)
        assert proofs_of(replace(run, plan=replace(run.plan, proof=None)), ARCHIVES) == (found,)
    assert failed_ids({key_of(found): found}, "base", BACKUP.repository) == {BACKUP.id}


def test_a_drills_proof_stands_beside_that_of_a_verifying(tmp_path: Path) -> None:
    damaged = Proof("b", "base", "/backup/base", NOW, False, ("base.tar: checksum",))
    restored = replace(damaged, ok=True, findings=(), at=NOW + timedelta(hours=1), drill="r1")
    for proof in (damaged, restored):
        keep_proof(tmp_path, proof)
    kept = read_proofs(tmp_path)
    assert kept == {key_of(damaged): damaged, key_of(restored): restored}
    assert one_for_each(kept) == [damaged]  # whatever was restored of it later, bytes of it are wrong
    assert one_for_each({key_of(each): each for each in (replace(damaged, ok=True), restored)}) == [restored]
    failed = replace(restored, ok=False)
    assert failed_ids({key_of(failed): failed}, "base", "/backup/base") == frozenset()  # another one may be to blame
