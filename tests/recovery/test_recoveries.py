"""What a run took and lost: measured where it is known, nothing where it is not."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from engine.records.files import Files
from engine.records.plan import ProofDrill
from engine.records.recoveries import Recovery
from engine.records.runs import Reached, RunError, RunState
from engine.records.target import RecoveryPoint, RecoveryTarget
from engine.recovery.recoveries import data_loss, recovery_of
from tests.recovery.scenes import END, LOST, POINT
from tests.recovery.test_planning import plan

START = datetime(2026, 11, 22, 13, tzinfo=UTC)
LATER = replace(LOST, at=END.at + timedelta(minutes=90))
CUT = replace(POINT, kept_commit=END, lost_commit=LOST, last_lost_commit=LATER)
END_OF_ALL = replace(
    CUT, target=RecoveryTarget("latest"), lost=None, lost_commit=None, last_lost_commit=None, lost_commits=0
)


def run(point: RecoveryPoint | None = CUT, **how: Any) -> RunState:
    """Completed after 20 minutes, five of which it waited for an answer."""
    after = START + timedelta(minutes=20)
    state = RunState("r", "/runs/r", plan(), "completed", None, START, after, (), completed_at=after, waited=300.0)
    return replace(state, point=point, **how)


@pytest.mark.parametrize(
    ("state", "seconds", "commits"),
    [
        (run(), 5400.0, 3),  # from the last one kept to the last one lost, not to the first
        (run(replace(CUT, last_lost_commit=replace(LATER, at=END.at - timedelta(seconds=1)))), 0.0, 3),  # a clock set
        (run(replace(CUT, last_lost_commit=None)), None, 3),  # planned by an older version
        (run(replace(CUT, kept_commit=None)), None, 3),
        (run(END_OF_ALL), None, 0),  # what was never archived is not known
        (run(END_OF_ALL, salvaged=True), 0.0, 0),
        (run(replace(END_OF_ALL, target=POINT.target), salvaged=True), None, 0),
        (run(None), None, None),
        (run(told=Recovery("proof", START, "r", True, 9.0, 4.0)), 4.0, 3),
    ],
)
def test_data_loss_is_what_is_known_of_it(state: RunState, seconds: float | None, commits: int | None) -> None:
    loss = data_loss(state)
    assert (loss.seconds, loss.commits) == (seconds, commits) and loss.why


def test_a_recovery_takes_its_time_without_the_waiting_whatever_became_of_it_later() -> None:
    assert recovery_of(run()) == Recovery("restore", START, "r", True, 900.0, 5400.0)
    later = START + timedelta(days=3)
    assert recovery_of(run(outcome="rolled-back", finished_at=later)) == recovery_of(run())


def test_a_proof_is_a_proof_also_where_it_died_before_its_verdict() -> None:
    proof = ProofDrill(7.0, "since the newest archived commit")
    died = run(plan=replace(plan(), proof=proof), outcome="failed", completed_at=None, error=RunError("no room"))
    assert recovery_of(died) == Recovery("proof", START, "r", False, None, 7.0)


def test_what_failed_or_was_not_proven_is_no_success() -> None:
    failed = recovery_of(run(outcome="failed", completed_at=None, error=RunError("it broke")))
    assert failed is not None and (failed.ok, failed.rto_seconds) == (False, None)
    unproven = recovery_of(run(reached=Reached(POINT.gate, None, None, 1, None, proven=False)))
    assert unproven is not None and not unproven.ok


def test_users_files_alone_are_no_recovery_of_the_system() -> None:
    """Else one scan that was brought back would be how long all of it takes."""
    files = Files(None, (), "delta", "/srv/media", "/srv/media", "/srv/.building", "/srv/.aside", None)
    alone = run(plan=replace(plan(), point=None, files=files))
    assert recovery_of(alone) is None
    assert recovery_of(run(plan=replace(plan(), point=POINT, files=files))) is not None


@pytest.mark.parametrize("outcome", ["running", "paused", "interrupted", "rolled-back"])
def test_what_came_to_no_end_is_no_recovery(outcome: Any) -> None:
    assert recovery_of(run(outcome=outcome, completed_at=None)) is None
