"""What only the recovered cluster can tell; the plan says that it will be looked at, and the report what was found."""

from engine.records.plan import Check
from engine.recovery.checks.question import Question, inform, warn


def collation(question: Question) -> Check | None:
    if question.point is None:
        return None
    return inform("collation", "collation versions are compared with this machine's after the recovery", ok=None)


def unlogged(question: Question) -> Check | None:
    if question.point is None:
        return None
    return inform("unlogged", "unlogged tables come back empty; the report lists them", ok=None)


def large_jobs(question: Question) -> Check | None:
    if question.point is None:
        return None
    if question.in_place:
        finding = (
            "the application stays stopped and the server private until you open it; jobs and subscriptions are listed"
        )
    else:
        finding = "jobs and subscriptions do not start in the copy; the report lists them"
    return inform("large-jobs", finding, ok=None)


def files_behind(question: Question) -> Check | None:
    """A snapshot from after the moment has all files of then but those that were deleted or changed in between, which
    the one before has; without one, what came since the last is in none."""
    point = question.point
    if point is None or not point.media or point.kept is None:
        return None
    told = []
    for snapshot in point.media:
        late = snapshot.started_at > point.kept.at
        age = _age((point.kept.at - snapshot.stopped_at).total_seconds())
        told.append(f"{snapshot.id}: {'begun after this moment' if late else f'older by {age}'}")
    ok = any(snapshot.started_at > point.kept.at for snapshot in point.media)
    return warn("files-behind", ok, "snapshot " + "; ".join(told), "files written after the snapshot are not in it")


def _age(seconds: float) -> str:
    if seconds < 60:
        return f"{max(0, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def rebuild(question: Question) -> Check | None:
    if question.point is None or not question.in_place:
        return None
    finding = "standbys, slots, subscribers and poolers need work after this recovery; the report lists them"
    return inform("rebuild", finding, ok=None)
