"""What a plan is for, in few words: a restore, a dump that is loaded, a copy that is taken."""

from datetime import datetime, tzinfo

from engine.records.copying import CopyKind
from engine.records.plan import Plan
from engine.records.runs import RunState
from tui import words

COPIES: dict[CopyKind, str] = {
    "base": "base backup", "dump": "dump", "media": "files snapshot", "source": "source code", "image": "environment",
}  # fmt: skip

INTO: dict[str, str] = {
    "in-place": "in place of", "side-copy": "a copy in", "database": "database", "repository": "repository",
    "files": "files in",
}  # fmt: skip


def what_for(plan: Plan) -> str:
    """``restore``, ``proof``, ``restore of a dump``, ``copy: files snapshot``."""
    if plan.copying is not None:
        return f"copy: {COPIES[plan.copying.kind]}"
    if plan.destination.kind == "files":
        return "files brought back"
    if plan.proof is not None:
        return "proof"
    return "restore of a dump" if plan.loading is not None else "restore"


def heading(state: RunState, zone: tzinfo) -> str:
    """What a run's screen says at its top."""
    at = moment_of(state)
    if at is not None:
        to = "of" if state.plan.proof is not None else "to"
        return f"{what_for(state.plan)} {to} {words.short_moment(at, zone)}"
    if state.plan.loading is not None:
        return f"{what_for(state.plan)}: {state.plan.loading.dump}"
    if state.plan.files is not None:
        snapshots = state.plan.files.snapshots
        return f"{what_for(state.plan)}: " + ", ".join(each.id for each in snapshots)
    return what_for(state.plan) if state.plan.copying is not None else f"restore {state.run}"


def moment_of(state: RunState) -> datetime | None:
    """The last commit that a restore keeps: the reached one, else the planned one."""
    if state.reached is not None and state.reached.last_commit_at is not None:
        return state.reached.last_commit_at
    point = state.plan.point
    if state.plan.files is not None and point is None:
        return state.plan.files.moment
    return point.kept.at if point and point.kept else None


def where_to(plan: Plan) -> str:
    """Where the outcome stands, or will."""
    path = plan.destination.path
    match plan.destination.kind:
        case "in-place":
            return "in place"
        case "database":
            return f"database {path}"
        case "repository" | "side-copy" | "files":
            return path
