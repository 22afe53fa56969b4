"""What the live server must be set to, so that its WAL is archived; and what stands against changing that."""

from collections.abc import Iterable, Mapping, Sequence

from engine.archiving.command import is_ours
from engine.records.status import Change

_LONGEST_TIMEOUT, _SHORTEST_TIMEOUT = 300, 30  # seconds
SUMMARIES_SINCE = 17

ASKED = (
    "wal_level", "archive_mode", "archive_command", "archive_library", "archive_timeout", "summarize_wal",
    "max_slot_wal_keep_size", "max_wal_senders", "max_replication_slots",
)  # fmt: skip


def changes(now: Mapping[str, str], command: str, policy_seconds: int | None, version: int) -> list[Change]:
    """What must be changed. ``now`` are the server's settings by name (archive_timeout in seconds); settings that are
    good enough stay as they are."""
    wanted = []
    if now.get("wal_level") == "minimal":
        wanted.append(("wal_level", "replica", True))
    if now.get("archive_mode") == "off":
        wanted.append(("archive_mode", "on", True))
    wanted.append(("archive_command", command, False))
    longest = max(_SHORTEST_TIMEOUT, min(_LONGEST_TIMEOUT, (policy_seconds or 2 * _LONGEST_TIMEOUT) // 2))
    if not 0 < int(now.get("archive_timeout", "0")) <= longest:
        wanted.append(("archive_timeout", str(longest), False))
    if version >= SUMMARIES_SINCE:
        wanted.append(("summarize_wal", "on", False))
    return differing(now, wanted)


def differing(now: Mapping[str, str], wanted: Iterable[tuple[str, str, bool]]) -> list[Change]:
    """Of settings with their values, and whether those want a restart, what the server has and has otherwise."""
    return [
        Change(setting, now[setting], new, restart)
        for setting, new, restart in wanted
        if setting in now and now[setting] != new
    ]


def obstacles(now: Mapping[str, str], in_recovery: bool) -> Sequence[str]:
    """Why nothing may be changed; empty: nothing stands against it."""
    found = []
    if in_recovery:
        found.append("the server is a standby: set archiving up on its primary")
    if library := now.get("archive_library"):
        found.append(f"archive_library is {library!r}: another program archives this cluster's WAL")
    command = now.get("archive_command", "")
    if command not in ("", "(disabled)") and not is_ours(command):
        found.append(f"archive_command is another program's: {command}")
    if now.get("archive_mode") == "always":
        found.append("archive_mode is always, which archives on standbys too: set it to on first")
    return found
