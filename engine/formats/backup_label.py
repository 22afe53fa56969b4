"""`backup_label`, `tablespace_map`, and the backup history file (`*.backup`) that lies in the archive.

Written by `build_backup_content` in `src/backend/access/transam/xlogbackup.c`, read by `read_backup_label` and
`read_tablespace_map` in `xlogrecovery.c`.
"""

import re
from datetime import UTC, datetime, timedelta, timezone

from msgspec import Struct

from engine.records.copies import Tablespace
from engine.records.errors import DamagedCopy
from engine.records.lsn import Lsn, parse_lsn

_PLACE = re.compile(r"([0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}) \(file ([0-9A-Fa-f]{24})\)\Z")
_OFFSET = re.compile(r"([+-])(\d{2})(?::?(\d{2}))?\Z")
_OID_LIMIT = 1 << 32


class BackupLabel(Struct, frozen=True):
    """Where a backup starts. Times are PostgreSQL's text (whole seconds, the log's zone): for display only."""

    start_lsn: Lsn
    start_segment: str
    checkpoint_lsn: Lsn
    timeline: int
    method: str = ""
    from_standby: bool = False
    start_time_text: str = ""
    label: str = ""
    incremental_from_lsn: Lsn | None = None
    incremental_from_timeline: int | None = None

    @property
    def incremental(self) -> bool:
        return self.incremental_from_lsn is not None

    @property
    def started_at(self) -> datetime | None:
        return read_label_time(self.start_time_text)


class BackupHistory(Struct, frozen=True):
    """A backup history file: a backup_label, and where and when the backup stopped."""

    label: BackupLabel
    stop_lsn: Lsn
    stop_segment: str
    stop_time_text: str
    stop_timeline: int | None

    @property
    def stopped_at(self) -> datetime | None:
        return read_label_time(self.stop_time_text)


def read_backup_label(text: str) -> BackupLabel:
    """Read a backup_label. Raises DamagedCopy where PostgreSQL would call its data invalid."""
    return _label(_lines(text), "backup_label")


def read_backup_history(text: str) -> BackupHistory:
    """Read a backup history file (``<segment>.<offset>.backup``). Raises DamagedCopy."""
    lines = _lines(text)
    name = "the backup history file"
    stop_lsn, stop_segment = _place(lines, "STOP WAL LOCATION", name)
    timeline = lines.get("STOP TIMELINE")
    return BackupHistory(
        label=_label(lines, name),
        stop_lsn=stop_lsn,
        stop_segment=stop_segment,
        stop_time_text=lines.get("STOP TIME", ""),
        stop_timeline=None if timeline is None else _number(timeline, "STOP TIMELINE", name),
    )


def read_tablespace_map(text: str) -> tuple[Tablespace, ...]:
    """Read a tablespace_map: ``OID location`` lines, with line ends and backslashes of the location behind a
    backslash. Raises DamagedCopy."""
    found: list[Tablespace] = []
    line: list[str] = []
    characters = iter(text if text.endswith(("\n", "\r")) else text + "\n")
    for character in characters:
        if character == "\\":
            line.append(next(characters, ""))
        elif character not in "\n\r":
            line.append(character)
        elif line:
            found.append(_tablespace("".join(line)))
            line.clear()
    if line:
        raise DamagedCopy("tablespace_map is cut off within a line")
    if len({tablespace.oid for tablespace in found}) != len(found):
        raise DamagedCopy("tablespace_map names one tablespace twice")
    return tuple(found)


def read_label_time(text: str) -> datetime | None:
    """A time of a label, in UTC. None where its zone is an abbreviation that can mean several zones."""
    clock, _, zone = text.rpartition(" ")
    try:
        at = datetime.fromisoformat(clock)
        if zone in ("UTC", "GMT"):
            return at.replace(tzinfo=UTC)
        if found := _OFFSET.match(zone):
            offset = timedelta(hours=int(found[2]), minutes=int(found[3] or 0))
            return at.replace(tzinfo=timezone(offset if found[1] == "+" else -offset)).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    return None


def _lines(text: str) -> dict[str, str]:
    """``KEY: value`` lines; the first of a name counts, for a label may hold anything, line ends too."""
    lines: dict[str, str] = {}
    for line in text.split("\n"):
        key, colon, value = line.partition(": ")
        if colon:
            lines.setdefault(key, value)
    return lines


def _label(lines: dict[str, str], name: str) -> BackupLabel:
    start_lsn, start_segment = _place(lines, "START WAL LOCATION", name)
    timeline = int(start_segment[:8], 16)
    said = lines.get("START TIMELINE")
    if said is not None and _number(said, "START TIMELINE", name) != timeline:
        raise DamagedCopy(f"{name} is contradictory: timeline {said}, but segment {start_segment}")
    origin = lines.get("INCREMENTAL FROM LSN")
    origin_timeline = lines.get("INCREMENTAL FROM TLI")
    return BackupLabel(
        start_lsn=start_lsn,
        start_segment=start_segment,
        checkpoint_lsn=_lsn(lines.get("CHECKPOINT LOCATION", ""), "CHECKPOINT LOCATION", name),
        timeline=timeline,
        method=lines.get("BACKUP METHOD", ""),
        from_standby=lines.get("BACKUP FROM") == "standby",
        start_time_text=lines.get("START TIME", ""),
        label=lines.get("LABEL", ""),
        incremental_from_lsn=None if origin is None else _lsn(origin, "INCREMENTAL FROM LSN", name),
        incremental_from_timeline=(
            None if origin_timeline is None else _number(origin_timeline, "INCREMENTAL FROM TLI", name)
        ),
    )


def _place(lines: dict[str, str], key: str, name: str) -> tuple[Lsn, str]:
    found = _PLACE.match(lines.get(key, ""))
    if found is None:
        raise DamagedCopy(f"{name} has no readable {key}")
    return parse_lsn(found[1]), found[2].upper()


def _lsn(text: str, key: str, name: str) -> Lsn:
    try:
        return parse_lsn(text)
    except ValueError as error:
        raise DamagedCopy(f"{name} has no readable {key}", cause=str(error)) from error


def _number(text: str, key: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise DamagedCopy(f"{name} has no readable {key}")
    return int(text)


def _tablespace(line: str) -> Tablespace:
    oid, space, location = line.partition(" ")
    if not (space and location and oid.isascii() and oid.isdigit() and len(oid) <= 10 and 0 < int(oid) < _OID_LIMIT):
        raise DamagedCopy(f"tablespace_map has a line that names no tablespace: {line[:80]!r}")
    return Tablespace(int(oid), location)
