"""What a site's schedule comes to: each entry is a command of Reprise, and systemd keeps its time where systemd runs,
else cron. Nothing is installed that was not shown.
"""

import shlex
import shutil
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

from msgspec import Struct

from engine.records.errors import UsageError
from engine.records.status import ScheduleEntry
from engine.schedule.calendar import Calendar, read_calendar

By = Literal["systemd", "cron"]

COMMANDS = {
    "base": ("backup", "base"),
    "incremental": ("backup", "base", "--incremental"),
    "dump": ("backup", "dump"),
    "files": ("backup", "media"),
    "source": ("backup", "source"),
    "environment": ("backup", "image"),
    "push": ("push",),
    "verify": ("verify", "--all"),
    "expire": ("expire", "--apply", "--yes"),
    "proof": ("drill", "proof", "--yes"),
}


class Wanted(Struct, frozen=True):
    """One entry: the command line that runs, and when."""

    what: str
    when: str
    calendar: Calendar | None  # None: systemd understands it, we do not
    words: tuple[str, ...]


def entries(
    wanted: Sequence[tuple[str, str]], program: Sequence[str], options: Sequence[str], by: By, now: datetime
) -> list[ScheduleEntry]:
    """What a site's schedule comes to. ``wanted`` are pairs of what and when. Raises UsageError where a time cannot be
    said to cron."""
    return [
        ScheduleEntry(
            each.what,
            each.when,
            each.calendar.next_after(now) if each.calendar else None,
            shlex.join(each.words),
        )
        for each in read_wanted(wanted, program, options, by)
    ]


def read_wanted(
    wanted: Sequence[tuple[str, str]], program: Sequence[str], options: Sequence[str], by: By
) -> list[Wanted]:
    """Raises UsageError where a time cannot be said to cron."""
    found = []
    for what, when in wanted:
        calendar = None
        try:
            calendar = read_calendar(when)
        except ValueError as error:
            if by == "cron":
                raise UsageError(f"schedule.{what}: {when!r}: {error}") from None
        found.append(Wanted(what, when, calendar, (*program, *options, *COMMANDS[what])))
    return found


def who_keeps_time() -> By:
    """systemd, where it is the machine's first process (sd_booted(3)), else cron."""
    return "systemd" if Path("/run/systemd/system").is_dir() and shutil.which("systemctl") else "cron"
