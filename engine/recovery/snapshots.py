"""Which media snapshots a moment needs. The screens, the plan and the restore all ask here."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from engine.records.copies import MediaSnapshot
from engine.records.history import TransactionEnd
from engine.records.target import RecoveryTarget

_RESERVE = 20  # snapshots that are looked through for what the chosen ones do not have, or have damaged


def serving(snapshots: Sequence[MediaSnapshot], repositories: Sequence[str]) -> tuple[MediaSnapshot, ...]:
    """The snapshots of the first repository, in the site's order, that has one which can be used."""
    for name in repositories:
        of_one = tuple(each for each in snapshots if each.repository == name)
        if any(each.usable for each in of_one):
            return of_one
    return ()


def moment_of_files(
    target: RecoveryTarget, kept: TransactionEnd | None, consistent: datetime | None
) -> datetime | None:
    """The moment whose files match a recovery point: that of the target, else of the last transaction that it keeps,
    else when its backup was ``consistent``. None: the newest there is."""
    if target.kind == "latest":
        return None
    return target.time or (kept.at if kept is not None else consistent)


def reserve_for(
    snapshots: Sequence[MediaSnapshot], chosen: Sequence[MediaSnapshot], moment: datetime | None
) -> tuple[MediaSnapshot, ...]:
    """Other snapshots, of whatever repository, the nearest to the moment (None: the newest) first."""
    others = [each for each in snapshots if each.usable and each not in chosen]

    def distance(each: MediaSnapshot) -> tuple[bool, timedelta, str]:
        at = moment if moment is not None else each.started_at.max.replace(tzinfo=each.started_at.tzinfo)
        apart = max(at - each.stopped_at, each.started_at - at, timedelta(0))
        return not each.dated, apart, each.id

    return tuple(sorted(others, key=distance)[:_RESERVE])


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
