"""A log, a server's or the engine's, as the screens show it: the time in the site's zone, the level, the words."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from typing import NamedTuple

_LINE = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.\d+)? (GMT|UTC) \[\d+\] (?:\S+ )?([A-Z]+\d?):\s+(.*)")
_ENGINES = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?Z (.*)")
_RESTORED = re.compile(r'restored log file "[0-9A-F]{24}" from archive')
_LOUD = ("FATAL", "PANIC", "ERROR", "CRITICAL")
# What a server answers to those who ask whether it is up yet (src/backend/tcop/backend_startup.c): our own engine does.
_NOT_YET = ("the database system is starting up", "the database system is not yet accepting connections")


class LogLine(NamedTuple):
    """When it was written, its level (both empty where it does not say), what it says."""

    time: str
    level: str
    text: str

    @property
    def loud(self) -> bool:
        return self.level in _LOUD and self.text not in _NOT_YET


def read_line(line: str, zone: tzinfo) -> LogLine:
    """PostgreSQL's default log_line_prefix of our own servers (``%m [%p] ``, in UTC), or what our own engine writes;
    anything else stays as it is."""
    if (found := _LINE.match(line)) is not None:
        return LogLine(_clock(found[1], zone), found[3], found[4])
    level = next((word for word in _LOUD if word in line), "")
    if (found := _ENGINES.match(line)) is not None:
        return LogLine(_clock(f"{found[1]} {found[2]}", zone), level, found[3])
    return LogLine("", level, line)


def _clock(stamp: str, zone: tzinfo) -> str:
    try:
        at = datetime.strptime(stamp, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).astimezone(zone)
    except (ValueError, OverflowError):
        return ""
    return f"{at:%H:%M:%S}"


def read_lines(lines: Sequence[str], zone: tzinfo) -> list[LogLine]:
    """As ``read_line``; WAL files restored one after another are told in one line, the last of them: a hundred alike
    would push out of sight what matters, and cost the line to the operator as much as all the rest."""
    read: list[LogLine] = []
    run = 0
    for line in lines:
        found = read_line(line, zone)
        run = run + 1 if _RESTORED.fullmatch(found.text) else 0
        if run > 1:
            read[-1] = found._replace(text=f"{found.text}, and {run - 1} before it")
        else:
            read.append(found)
    return read
