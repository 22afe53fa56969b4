"""The user's crontab: of all its lines only our own are touched, those between our two marks."""

import shlex
import shutil
from collections.abc import Sequence

import psutil

from engine.records.errors import RepriseError
from engine.schedule.wanted import read_wanted
from engine.system.programs import run_program

_DAEMONS = ("cron", "crond", "fcron", "systemd-cron")


def crontab_block(site: str, wanted: Sequence[tuple[str, str]], program: Sequence[str], options: Sequence[str]) -> str:
    """Our lines of a crontab(5), marks included. Raises UsageError."""
    lines = [_begin(site)]
    for each in read_wanted(wanted, program, options, "cron"):
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


def cron_runs() -> bool:
    """Whether any cron is seen among the machine's processes: without one a crontab is only text."""
    return any(process.info["name"] in _DAEMONS for process in psutil.process_iter(["name"]))


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
