"""What runs by itself: shown, installed, removed."""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec

from engine.acts.desk import Desk, writable
from engine.backup.base import INCREMENTAL_SINCE
from engine.records.errors import UsageError
from engine.records.status import ScheduleState
from engine.schedule import cron, systemd
from engine.schedule.wanted import By, entries, who_keeps_time
from engine.survey.patience import within
from engine.system.users import current_user, is_root, lingers


def show_schedule(desk: Desk) -> ScheduleState:
    """What the site file wants, and whether it is installed. Raises UsageError, RepriseError."""
    by, wanted = who_keeps_time(), _wanted(desk)
    text = _text(desk, by)
    installed = bool(wanted) and _installed(desk, by) == text
    if installed and by == "systemd":
        installed = systemd.timers_run(systemd.installed_units(desk.site.name, systemd.unit_folder()))
    found = entries(wanted, _program(), _options(desk), by, datetime.now().astimezone())
    return ScheduleState(tuple(found), by, installed, text, tuple(_findings(desk, by)))


def _findings(desk: Desk, by: By) -> Iterator[str]:
    """What of the schedule does not run, or not always."""
    if desk.site.schedule.incremental is not None and not _takes_increments(desk):
        told = f"PostgreSQL {_version(desk)} has no incremental base backups, each would be a full one"
        yield f"incremental is left out: {told} ({INCREMENTAL_SINCE} and later have them)"
    if not _wanted(desk):
        return
    if by == "cron" and not cron.cron_runs():
        yield "no cron is seen to run on this machine, and without it nothing of this runs"
    if by == "systemd" and not is_root() and not lingers(current_user()):
        yield "these timers run while you are logged in; that they always do: loginctl enable-linger"


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
    """What is to run, and when. Hourly full backups would fill the disk of who asked for incremental ones."""
    wanted = msgspec.structs.asdict(desk.site.schedule)
    if not _takes_increments(desk):
        del wanted["incremental"]
    return [(what, when) for what, when in wanted.items() if when is not None]


def _takes_increments(desk: Desk) -> bool:
    """Also where the cluster's version is not known."""
    version = _version(desk)
    return version is None or version >= INCREMENTAL_SINCE


def _version(desk: Desk) -> int | None:
    """The cluster's major version, by its data directory."""

    def ask() -> int | None:
        with suppress(ValueError):
            return int(Path(desk.site.database.data_dir, "PG_VERSION").read_text("ascii"))
        return None

    return within(5, ask, None)


def _program() -> list[str]:
    """How this program is started again: by its own command, else by its interpreter."""
    started = Path(sys.argv[0])
    if started.name == "reprise" and started.is_absolute() and os.access(started, os.X_OK):
        return [str(started)]
    return [sys.executable, "-m", "tui"]


def _options(desk: Desk) -> list[str]:
    return ["--site", str(desk.site_file), "--state", str(desk.state)]
