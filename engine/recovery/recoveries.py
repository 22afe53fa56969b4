"""What runs took and lost: their times against the objectives (RTO, RPO), honest where something is not known."""

from collections.abc import Iterable

from msgspec import Struct

from engine.records.recoveries import Recovery
from engine.records.runs import RunState
from engine.records.target import RecoveryPoint


class Loss(Struct, frozen=True):
    """What the recovered database lacks: ``commits`` that the repository still holds behind the gate, and ``seconds``
    from the last kept commit to the last lost one; None: not known, and ``why`` says why."""

    seconds: float | None
    commits: int | None
    why: str


def data_loss(state: RunState) -> Loss:
    """What a run's recovery point gives up."""
    point, proof = state.point, state.plan.proof
    commits = point.lost_commits if point is not None else None
    if proof is not None:  # where it recovers to is chosen: what would have been lost was known when it was planned
        return Loss(proof.rpo_seconds, commits, proof.rpo_why)
    if state.told is not None:
        return Loss(state.told.rpo_seconds, commits, "measured by the run itself")
    if point is None:
        return Loss(None, None, "nothing was replayed: what was written since the copy was taken is not known")
    if point.lost_commits:
        return Loss(
            _seconds(point), point.lost_commits, "from the last commit kept to the last one lost in the archive"
        )
    if state.salvaged and point.target.kind == "latest":
        return Loss(0.0, 0, "the archive and production's own WAL were replayed to their end")
    return Loss(None, 0, "the archive holds nothing later; what was written and never archived is not known")


def _seconds(point: RecoveryPoint) -> float | None:
    """Commit times may jump back: what would come out below nothing is nothing."""
    if point.kept_commit is None or point.last_lost_commit is None:
        return None
    return max(0.0, (point.last_lost_commit.at - point.kept_commit.at).total_seconds())


def recovery_seconds(state: RunState) -> float | None:
    """From the run's first beginning to its first end, without the time in which it waited for answers; None where it
    never came to its end."""
    if state.told is not None:
        return state.told.rto_seconds
    if state.completed_at is None:
        return None
    return max(0.0, (state.completed_at - state.started_at).total_seconds() - state.waited)


def recovery_of(state: RunState) -> Recovery | None:
    """A run as a recovery; None where it is none (a copy was taken, users' files alone came back: how long those took
    says nothing of the system), or came to no end: it goes on, or somebody stopped it."""
    if state.told is not None:
        return state.told
    files_alone = state.plan.files is not None and state.plan.point is None
    if files_alone or state.plan.copying is not None or not (state.completed_at or state.outcome == "failed"):
        return None
    proven = state.reached is None or state.reached.proven
    return Recovery(
        "proof" if state.plan.proof is not None else "restore",
        state.started_at,
        state.run,
        state.completed_at is not None and proven,
        recovery_seconds(state),
        data_loss(state).seconds,
    )


def in_order(found: Iterable[Recovery]) -> tuple[Recovery, ...]:
    """Oldest first."""
    return tuple(sorted(found, key=lambda each: (each.at, each.name)))
