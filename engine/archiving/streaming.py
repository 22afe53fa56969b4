"""What the live server must be set to, so that its WAL is streamed; and the slot that the stream goes by.

A slot holds WAL back until the stream has it, for ever where max_slot_wal_keep_size is -1: a stream that stays away
fills the server's disk, and the server stops. Beyond that size the slot is lost instead, and the stream with it
(PostgreSQL's manual, "Replication Slots").
"""

from collections.abc import Mapping

from engine.archiving.settings import SUMMARIES_SINCE, differing
from engine.records.status import Change

_MEBIBYTE = 1 << 20
_SHARE = 2  # of what is free where pg_wal lies, half: the rest is everybody else's


def slot_of(site: str) -> str:
    """Lower-case letters, digits and underscores, 63 at most (ReplicationSlotValidateName in slot.c)."""
    return "reprise_" + "".join(c if c.isalnum() and c.isascii() else "_" for c in site.lower())[:50]


def unbounded(now: Mapping[str, str]) -> bool:
    """Whether slots hold back as much as they like."""
    return now.get("max_slot_wal_keep_size", "-1").startswith("-1")


def stream_changes(now: Mapping[str, str], free_bytes: int | None, version: int) -> list[Change]:
    """What must be changed. ``free_bytes``: on the file system of pg_wal (None: not known, and no size is proposed)."""
    wanted = []
    if now.get("wal_level") == "minimal":
        wanted.append(("wal_level", "replica", True))
    for setting in ("max_wal_senders", "max_replication_slots"):
        if now.get(setting) == "0":
            wanted.append((setting, "10", True))  # PostgreSQL's own default
    if unbounded(now) and free_bytes is not None:
        wanted.append(("max_slot_wal_keep_size", f"{max(1, free_bytes // _SHARE // _MEBIBYTE)}MB", False))
    if version >= SUMMARIES_SINCE:
        wanted.append(("summarize_wal", "on", False))
    return differing(now, wanted)
