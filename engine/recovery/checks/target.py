"""Checks of the target that are not answered by resolving it."""

from engine.records.plan import Check
from engine.recovery.checks.question import Question, refuse


def target_offset(question: Question) -> Check | None:
    at = question.target.time
    if at is None:
        return None
    if at.utcoffset() is None:
        finding = f"{at.isoformat()} has no UTC offset"
        return refuse("target-offset", False, finding, "write the offset or Z, for example 2026-11-22T12:03:10+01:00")
    return refuse("target-offset", True, "the time has a UTC offset")


def backup_fits(question: Question) -> Check | None:
    """Whether the backup is of the segment size that its WAL is."""
    point = question.point
    if point is None or point.backup.segment_size in (None, point.segment_size):
        return None
    finding = f"the backup's segments have {point.backup.segment_size} bytes, the archive's {point.segment_size}"
    return refuse("major-version", False, finding, "the archive is of another cluster; correct the site file")
