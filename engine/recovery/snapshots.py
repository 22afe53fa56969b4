"""Which media snapshots a moment needs."""

from collections.abc import Sequence
from datetime import datetime

from engine.records.copies import MediaSnapshot


def snapshots_for(snapshots: Sequence[MediaSnapshot], moment: datetime | None) -> tuple[MediaSnapshot, ...]:
    """The usable snapshots of one repository that hold the files as they were at ``moment`` (None: now), by their
    start: the last that ended before it has what was deleted since, every one that overlaps it may have either, the
    first that starts at or after it has all that still stood then. Empty where the repository has none.

    Undated ones serve only where there is no other: when they were taken is a guess.
    """
    usable = sorted((each for each in snapshots if each.usable), key=lambda each: (each.started_at, each.id))
    usable = [each for each in usable if each.dated] or usable
    if moment is None:
        return tuple(usable[-1:])
    before = [each for each in usable if each.stopped_at < moment]
    overlapping = [each for each in usable if each.started_at < moment <= each.stopped_at]
    after = [each for each in usable if each.started_at >= moment]
    last = max(before, key=lambda each: (each.stopped_at, each.id), default=None)
    chosen = (*([last] if last else []), *overlapping, *after[:1])
    return tuple(sorted(chosen, key=lambda each: (each.started_at, each.id)))
