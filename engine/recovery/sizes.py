"""How much room a recovery takes, and where."""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from engine.records.copies import BaseBackup
from engine.records.plan import Layout
from engine.records.survey import Survey
from engine.records.target import RecoveryPoint

REPLAYED_WAL = 1 << 30  # max_wal_size's default: what a replaying server keeps in pg_wal before a restartpoint frees it
SPOOLED_SEGMENTS = 64  # the feed's prefetched segments, at most


def copied_bytes(backup: BaseBackup) -> int | None:
    """What a copy of this backup will occupy."""
    if backup.files_size_bytes is not None:
        return backup.files_size_bytes
    return backup.size_bytes if backup.format == "plain" else None


def bytes_to_copy(chain: Sequence[BaseBackup]) -> int | None:
    """What all copies of a chain will occupy; None where one is unknown."""
    sizes = [copied_bytes(backup) for backup in chain]
    return None if None in sizes else sum(size for size in sizes if size is not None)


class Need(NamedTuple):
    """Bytes that a path's file system must have free."""

    path: str
    bytes: int
    what: str


def space_needs(point: RecoveryPoint, layout: Layout, survey: Survey) -> list[Need] | None:
    """Those of the copy, and the salvaged tail; where production has its pg_wal elsewhere, the copy's goes there too.
    Setting production aside is a rename and takes nothing. None where the backup's unpacked size is unknown."""
    needs = copy_needs(point, layout)
    if needs is None or layout.set_aside is None:
        return needs
    if survey.cluster.wal_tail:
        needs.append(Need(layout.work, len(survey.cluster.wal_tail) * point.segment_size, "salvaged WAL"))
    link = survey.cluster.wal_link
    if any(each.path == each.nearest == link != each.mount_point for each in survey.file_systems):
        assert link is not None
        needs.append(Need(link, min(point.wal_bytes, REPLAYED_WAL), "its pg_wal"))
    return needs


def copy_needs(point: RecoveryPoint, layout: Layout) -> list[Need] | None:
    """Data, chain members, replayed and spooled WAL, each tablespace where it is built: those of a chain's members are
    staged in the container. None where the backup's unpacked size is unknown."""
    copied, first = bytes_to_copy(point.chain), copied_bytes(point.chain[0])
    if copied is None or first is None:
        return None
    sizes: dict[int, int] = {}
    for space in (space for backup in point.chain for space in backup.tablespaces):
        sizes[space.oid] = max(sizes.get(space.oid, 0), space.size_bytes or 0)
    apart = [
        Need(place.built_at, sizes.get(place.oid, 0), f"tablespace {place.oid}")
        for place in layout.tablespaces
        if not PurePosixPath(place.built_at).is_relative_to(layout.container)
    ]
    elsewhere = sum(need.bytes for need in apart)
    if len(point.chain) > 1:
        needs = [
            Need(layout.container, copied, "copied"),
            Need(layout.container, max(0, first - elsewhere), "combined"),
        ]
    else:
        needs = [Need(layout.container, max(0, copied - elsewhere), "copied")]
    needs += [need for need in apart if need.bytes]
    wal = min(point.wal_bytes, REPLAYED_WAL + SPOOLED_SEGMENTS * point.segment_size)
    needs.append(Need(layout.container, wal, "WAL"))
    return needs
