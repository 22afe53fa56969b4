"""Checks of the WAL and its archive."""

from datetime import UTC

from engine.records.copies import UnfinishedSegment
from engine.records.lsn import SegmentName
from engine.records.plan import Check
from engine.recovery.checks.question import Question, inform, refuse, warn


def wal_corrupt(question: Question) -> Check | None:
    point = question.point
    if point is None:
        return None
    number = point.wal_segments
    return refuse(
        "wal-corrupt", True, f"{number} of {number} segments: size, addresses and every record's CRC are right"
    )


def archive_unreachable(question: Question) -> Check | None:
    answers, problem = question.survey.archive_answers, question.survey.archive_problem
    remedy = "bring the repository back (mount, network), then plan again"
    if answers is None:
        return refuse("archive-unreachable", None, problem or "the repository was not asked", remedy)
    if not answers:
        return refuse("archive-unreachable", False, problem or "the repository does not answer", remedy)
    return refuse("archive-unreachable", True, "the repository answers")


def partial_segment(question: Question) -> Check | None:
    unfinished = question.wal.unfinished
    if not unfinished:
        return None
    told = [_unfinished(each) for each in sorted(unfinished, key=lambda each: each.why_not is not None)]
    shown = ", ".join(told[:3]) + (f" and {len(told) - 3} more" if len(told) > 3 else "")
    remedy = None
    if any(each.why_not is None for each in unfinished):
        remedy = "only where production is gone for good: reprise archiving adopt, then plan again"
        if question.in_place and question.survey.cluster.exists:
            remedy = f"production's own pg_wal holds more, and is salvaged; {remedy}"
    return inform("partial-segment", f"not used, since unfinished: {shown}", ok=False, remedy=remedy)


def _unfinished(segment: UnfinishedSegment) -> str:
    name = segment.path.name
    if segment.why_not is not None:
        return name
    number = f"{segment.commits} commits" if segment.commits != 1 else "one commit"
    at = segment.last_commit_at
    until = f" until {at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if at is not None else ""
    return f"{name} holds {number} more{until}"


def unarchived_tail(question: Question) -> Check | None:
    tail, point = question.survey.cluster.wal_tail, question.point
    if not question.survey.cluster.exists:
        return None
    if tail is None:
        finding = "production's pg_wal cannot be read: whether it holds WAL that the archive has not is not known"
        return warn("unarchived-tail", None, finding, "look at it before you discard what is set aside")
    if not tail:
        return warn("unarchived-tail", True, "production's pg_wal holds nothing that the archive has not")
    number = (
        f"{len(tail)} segments of production's pg_wal are" if len(tail) > 1 else "one segment of production's pg_wal is"
    )
    told = f"{number} not archived, {tail[0]}" + (f" to {tail[-1]}" if len(tail) > 1 else "")
    if question.in_place:
        again = "; --latest is resolved again then" if question.target.kind == "latest" else ""
        return warn("unarchived-tail", True, f"{told}: salvaged before production is set aside{again}")
    late = point is None or point.lost is None
    remedy = "archive them first (SELECT pg_switch_wal()), if the moment lies in them" if late else None
    return warn("unarchived-tail", not late, f"{told}: not reachable from a side copy", remedy)


def archive_clash(question: Question) -> Check | None:
    """PostgreSQL takes the first number above the target timeline's that has no ``.history`` file
    (findNewestTimeLine in timeline.c)."""
    point, known = question.point, question.wal.history_files
    if point is None:
        return None
    if known is None:
        return warn("archive-clash", None, "the archive's .history files were not listed", "look into the archive")
    new = point.timeline + 1
    while new in known:
        new += 1
    if new in question.wal.timelines:
        finding = (
            f"the new timeline would be {new}, and the archive has segments of a timeline {new} without its .history"
        )
        remedy = f"bring {SegmentName(new, 0).text(point.segment_size)[:8]}.history back, or move its segments away"
        return warn("archive-clash", False, finding, remedy)
    if question.in_place:
        return warn("archive-clash", True, f"the new timeline will be {new}; the archive has nothing of it")
    return warn("archive-clash", True, f"the copy's new timeline will be {new}; the copy archives nothing")


def pause_ignored(question: Question) -> Check | None:
    """PostgreSQL manual, "Hot Standby": with an overflowed snapshot no connection is possible until it is cleared."""
    overflowed, point = question.wal.overflowed, question.point
    if point is None:
        return None
    if overflowed is None:
        finding = (
            "not known whether more than 64 subtransactions were open at the backup's start; the gate holds anyway"
        )
        return inform("pause-ignored", finding, ok=None)
    if overflowed:
        finding = (
            "more than 64 subtransactions were open at the backup's start: at the gate nothing can be read; "
            "the gate itself holds"
        )
        return inform(
            "pause-ignored", finding, ok=False, remedy="to look at it, finish a side copy as a throw-away clone"
        )
    return inform("pause-ignored", "the recovering server can be read at the gate")


def hot_standby_locks(question: Question) -> Check | None:
    if not question.pauses or question.point is None:
        return None
    finding = "a table whose DROP or TRUNCATE is not committed at the gate is locked there; questions have a time limit"
    return inform("hot-standby-locks", finding, ok=None)
