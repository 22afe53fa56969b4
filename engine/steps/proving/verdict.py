"""`verdict`: whether what was recovered is well, and what that took. Comes when the copy is gone already: a proof that
fails leaves nothing but its report.
"""

from engine.records.errors import RunFailed
from engine.records.lsn import format_lsn
from engine.records.recoveries import Recovery
from engine.recovery.proof_drills import disproving, seconds_to_open
from engine.steps import RECOVERY
from engine.steps.protocol import RunningStep
from engine.steps.shared.points import current_point


def apply(step: RunningStep) -> None:
    """Raises RunFailed where a check of the result says no."""
    failed = disproving(step.checks)
    proof = step.plan.proof
    told = Recovery(
        "proof",
        step.plan.created_at,
        step.run_dir.name,
        not failed,
        seconds_to_open(step.plan, step.seconds),
        proof.rpo_seconds if proof is not None else None,
    )
    step.fact(**{RECOVERY: told})
    if failed:
        raise RunFailed(
            "the copies are not proven: " + ", ".join(dict.fromkeys(check.name for check in failed)),
            cause="; ".join(f"{check.name}: {check.finding}" for check in failed),
            remedy=f"look at the same moment in a side copy that stays: {_restore(step)}",
        )


def undo(step: RunningStep) -> None:
    """It was said."""


def _restore(step: RunningStep) -> str:
    point = current_point(step)
    return f"reprise restore --lsn {format_lsn(point.gate)} --backup {point.backup.id} --into DIR"
