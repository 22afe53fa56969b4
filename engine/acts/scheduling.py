"""What runs by itself: shown, installed, removed."""

import os
import sys
from datetime import datetime
from pathlib import Path

import msgspec

from engine.acts.desk import Desk, writable
from engine.records.errors import UsageError
from engine.records.status import ScheduleState
from engine.schedule import cron, systemd
from engine.schedule.wanted import By, entries, who_keeps_time


def show_schedule(desk: Desk) -> ScheduleState:
    """What the site file wants, and whether it is installed. Raises UsageError, RepriseError."""
    by = who_keeps_time()
    text = _text(desk, by)
    installed = _installed(desk, by)
    return ScheduleState(
        tuple(entries(_wanted(desk), _program(), _options(desk), by, datetime.now().astimezone())),
        by,
        bool(_wanted(desk)) and installed == text,
        text,
    )


def install_schedule(desk: Desk) -> ScheduleState:
    """Install what the site file wants, in place of what was installed before. Raises UsageError, RepriseError."""
    writable(desk)
    if not _wanted(desk):
        raise UsageError("the site file has no schedule", remedy='add [schedule] to it: base = "*-*-* 02:00"')
    by, site = who_keeps_time(), desk.site.name
    if by == "systemd":
        files = systemd.units(site, _wanted(desk), _program(), _options(desk))
        systemd.install_units(site, files, systemd.unit_folder())
    else:
        block = cron.crontab_block(site, _wanted(desk), _program(), _options(desk))
        cron.write_crontab(cron.with_block(cron.read_crontab(), site, block))
    return show_schedule(desk)


def remove_schedule(desk: Desk) -> ScheduleState:
    """Take away all of this site's that is installed. Raises RepriseError."""
    writable(desk)
    by, site = who_keeps_time(), desk.site.name
    if by == "systemd":
        systemd.install_units(site, {}, systemd.unit_folder())
    elif cron.our_block(crontab := cron.read_crontab(), site):
        cron.write_crontab(cron.with_block(crontab, site, ""))
    return show_schedule(desk)


def _text(desk: Desk, by: By) -> str:
    if by == "cron":
        return cron.crontab_block(desk.site.name, _wanted(desk), _program(), _options(desk))
    return _joined(systemd.units(desk.site.name, _wanted(desk), _program(), _options(desk)))


def _installed(desk: Desk, by: By) -> str:
    if by == "cron":
        return cron.our_block(cron.read_crontab(), desk.site.name)
    return _joined(systemd.installed_units(desk.site.name, systemd.unit_folder()))


def _joined(files: dict[str, str]) -> str:
    return "\n".join(f"# {name}\n{text}" for name, text in sorted(files.items()))


def _wanted(desk: Desk) -> list[tuple[str, str]]:
    return [(what, when) for what, when in msgspec.structs.asdict(desk.site.schedule).items() if when is not None]


def _program() -> list[str]:
    """How this program is started again: by its own command, else by its interpreter."""
    started = Path(sys.argv[0])
    if started.name == "reprise" and started.is_absolute() and os.access(started, os.X_OK):
        return [str(started)]
    return [sys.executable, "-m", "tui"]


def _options(desk: Desk) -> list[str]:
    return ["--site", str(desk.site_file), "--state", str(desk.state)]
