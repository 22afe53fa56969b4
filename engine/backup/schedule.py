"""What runs when: systemd's timers where systemd runs, else a block in the user's crontab.

Each entry is a command of Reprise. Nothing is installed that was not shown; what is installed is only ever our own:
units named ``reprise-<site>-…``, and the lines between our two marks in the crontab.
"""

import os
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from engine.backup.calendar import Calendar, read_calendar
from engine.records.errors import RepriseError, UsageError
from engine.records.status import ScheduleEntry
from engine.system.programs import run_program
from engine.system.users import is_root

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
_UNIT_FOLDER = Path("/etc/systemd/system")


@dataclass(frozen=True, slots=True)
class _Wanted:
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
        for each in _read(wanted, program, options, by)
    ]


def _read(wanted: Sequence[tuple[str, str]], program: Sequence[str], options: Sequence[str], by: By) -> list[_Wanted]:
    found = []
    for what, when in wanted:
        calendar = None
        try:
            calendar = read_calendar(when)
        except ValueError as error:
            if by == "cron":
                raise UsageError(f"schedule.{what}: {when!r}: {error}") from None
        found.append(_Wanted(what, when, calendar, (*program, *options, *COMMANDS[what])))
    return found


def who_keeps_time() -> By:
    """systemd, where it is the machine's first process (sd_booted(3)), else cron."""
    return "systemd" if Path("/run/systemd/system").is_dir() and shutil.which("systemctl") else "cron"


# systemd


def unit_folder() -> Path:
    if is_root():
        return _UNIT_FOLDER
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user"


def units(
    site: str, wanted: Sequence[tuple[str, str]], program: Sequence[str], options: Sequence[str]
) -> dict[str, str]:
    """Unit files by name (systemd.service(5), systemd.timer(5))."""
    files = {}
    for each in _read(wanted, program, options, "systemd"):
        name = f"reprise-{site}-{each.what}"
        files[f"{name}.service"] = (
            f"[Unit]\nDescription=Reprise: {each.what} of {site}\n\n"
            f"[Service]\nType=oneshot\nExecStart={' '.join(map(_unit_word, each.words))}\n"
            "Nice=10\nIOSchedulingClass=idle\n"
        )
        files[f"{name}.timer"] = (
            f"[Unit]\nDescription=Reprise: when to run {each.what} of {site}\n\n"
            f"[Timer]\nOnCalendar={each.calendar.on_calendar if each.calendar else each.when}\nPersistent=true\n\n"
            "[Install]\nWantedBy=timers.target\n"
        )
    return files


def _unit_word(word: str) -> str:
    """A word of a command line (systemd.service(5), "Command lines"; systemd.syntax(7), "Quoting")."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if any(c.isspace() or c in "\"'\\;" for c in word) or not word else escaped


def install_units(site: str, files: dict[str, str], folder: Path) -> None:
    """Write them, take away ours that are no more, and start the timers. Raises RepriseError."""
    old = {path.name for path in _our_units(site, folder)}
    gone = sorted(name for name in old - files.keys() if name.endswith(".timer"))
    if gone:
        _systemctl("disable", "--now", *gone)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in old - files.keys():
            (folder / name).unlink()
        for name, text in files.items():
            draft = folder / f".{name}.new"
            draft.write_text(text)
            draft.chmod(0o644)
            draft.replace(folder / name)
    except OSError as error:
        raise RepriseError(f"the units cannot be written into {folder}", cause=error.strerror) from None
    _systemctl("daemon-reload")
    timers = sorted(name for name in files if name.endswith(".timer"))
    if timers:
        _systemctl("enable", "--now", *timers)


def installed_units(site: str, folder: Path) -> dict[str, str]:
    return {path.name: path.read_text("utf-8", "replace") for path in _our_units(site, folder)}


def _our_units(site: str, folder: Path) -> list[Path]:
    try:
        names = {f"reprise-{site}-{what}{suffix}" for what in COMMANDS for suffix in (".service", ".timer")}
        return sorted(path for path in folder.iterdir() if path.name in names)
    except OSError:
        return []


def _systemctl(*words: str) -> None:
    run_program(["systemctl", *([] if is_root() else ["--user"]), *words], timeout=60)


# cron


def crontab_block(site: str, wanted: Sequence[tuple[str, str]], program: Sequence[str], options: Sequence[str]) -> str:
    """Our lines of a crontab(5), marks included. Raises UsageError."""
    lines = [_begin(site)]
    for each in _read(wanted, program, options, "cron"):
        assert each.calendar is not None
        command = shlex.join(each.words).replace("%", "\\%")  # an unescaped one is a newline to cron
        lines.append(f"{each.calendar.cron} {command} >/dev/null")
    return "\n".join([*lines, _end(site)]) + "\n"


def _begin(site: str) -> str:
    return f"# reprise {site}: begin (made by `reprise schedule install`; do not edit between the marks)"


def _end(site: str) -> str:
    return f"# reprise {site}: end"


def read_crontab() -> str:
    """The user's crontab; empty where there is none. Raises RepriseError."""
    program = _crontab()
    try:
        return run_program([program, "-l"], timeout=20)
    except RepriseError as error:
        if "no crontab" in (error.cause or ""):
            return ""
        raise


def write_crontab(text: str) -> None:
    run_program([_crontab(), "-"], timeout=20, input=text)


def _crontab() -> str:
    program = shutil.which("crontab")
    if program is None:
        raise RepriseError(
            "neither systemd nor cron keeps time on this machine", remedy="install the package cron, or run systemd"
        )
    return program


def with_block(crontab: str, site: str, block: str) -> str:
    """A crontab with our lines replaced by ``block`` (empty: taken away); every other line stays as it is."""
    kept, inside = [], False
    for line in crontab.splitlines():
        if line.startswith(f"# reprise {site}: begin"):
            inside = True
        elif inside and line == _end(site):
            inside = False
        elif not inside:
            kept.append(line)
    if inside:
        raise RepriseError(
            f"the crontab has a beginning of Reprise's lines for {site} and no end",
            remedy="mend it with: crontab -e",
        )
    return "".join(f"{line}\n" for line in kept) + block


def our_block(crontab: str, site: str) -> str:
    """Our lines of a crontab; empty where there are none."""
    lines = crontab.splitlines()
    begin = next((n for n, line in enumerate(lines) if line.startswith(f"# reprise {site}: begin")), None)
    if begin is None:
        return ""
    end = next((n for n, line in enumerate(lines) if n > begin and line == _end(site)), len(lines) - 1)
    return "\n".join(lines[begin : end + 1]) + "\n"
