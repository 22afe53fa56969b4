"""The settings that replay needs: a standby must not undercut what the origin had.

PostgreSQL manual, "Hot Standby", Administrator's Overview: max_connections, max_prepared_transactions,
max_locks_per_transaction, max_wal_senders, max_worker_processes must be at least the primary's. They stand in the
backup's pg_control, and each change of them is an XLOG_PARAMETER_CHANGE record.
"""

import re

from engine.records.target import RecoveryPoint

DEFAULTS = {
    "max_connections": 100,
    "max_worker_processes": 8,
    "max_wal_senders": 10,
    "max_prepared_transactions": 0,
    "max_locks_per_transaction": 64,
}

_SIZE = re.compile(r"\s*([0-9]{1,12}(?:\.[0-9]{0,6})?)\s*(B|kB|MB|GB|TB)?\s*")
_UNITS = {"B": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}  # memory_unit_conversion_table, guc.c


def room_for_segments(segment_size: int) -> dict[str, str]:
    """What a server with large segments does not start without: min_wal_size and max_wal_size of two of them
    (ReadControlFile in xlog.c). Their defaults, 80 MB and 1 GB, are for segments of 16 MB; initdb
    raises them in a cluster's own configuration."""
    two = 2 * segment_size >> 20
    defaults = {"min_wal_size": 80, "max_wal_size": 1024}
    return {name: f"{two}MB" for name, megabytes in defaults.items() if two > megabytes}


def needed_settings(point: RecoveryPoint) -> dict[str, int]:
    """The highest value of each from the backup's start to the gate; empty where nothing is known."""
    needed: dict[str, int] = {}
    of_backup = {name: int(value) for name, value in point.backup.settings if name in DEFAULTS and value.isdigit()}
    for settings in (of_backup, *(change.settings for change in point.parameter_changes)):
        for name in DEFAULTS.keys() & settings.keys():
            needed[name] = max(needed.get(name, 0), settings[name])
    return needed


def raised_settings(point: RecoveryPoint) -> tuple[tuple[str, str], ...]:
    """What the recovery runs with: what is needed, never less than PostgreSQL's default. All that is known is named,
    since the restored files may set something lower."""
    needed = needed_settings(point)
    return tuple((name, str(max(needed[name], DEFAULTS[name]))) for name in DEFAULTS if name in needed)


def buffer_bytes(value: str) -> int | None:
    """A setting that counts buffers, such as shared_buffers, in bytes; None where it is no size. Without a unit it
    means pages of 8 kB."""
    found = _SIZE.fullmatch(value)
    return int(float(found[1]) * (_UNITS[found[2]] if found[2] else 8192)) if found else None
