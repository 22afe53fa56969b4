"""systemd's timers: of all units only our own are touched, those named ``reprise-<site>-…``."""

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from engine.records.errors import RepriseError, UsageError
from engine.schedule.wanted import COMMANDS, read_wanted
from engine.system.programs import run_program
from engine.system.users import is_root

_UNIT_FOLDER = Path("/etc/systemd/system")


def unit_folder() -> Path:
    if is_root():
        return _UNIT_FOLDER
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user"


def units(
    site: str, wanted: Sequence[tuple[str, str]], program: Sequence[str], options: Sequence[str]
) -> dict[str, str]:
    """Unit files by name (systemd.service(5), systemd.timer(5)). Raises UsageError where systemd would not take a
    time."""
    files = {}
    for each in read_wanted(wanted, program, options, "systemd"):
        if each.calendar is None:
            _refuse_no_calendar(each.what, each.when)
        name = _unit_name(site, each.what)
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


def _unit_name(site: str, what: str) -> str:
    """ASCII alone, all else escaped byte by byte (systemd.unit(5), "String escaping for inclusion in unit names")."""
    escaped = "".join(c if c.isascii() else "".join(f"\\x{byte:02x}" for byte in c.encode()) for c in site)
    return f"reprise-{escaped}-{what}"


def _refuse_no_calendar(what: str, when: str) -> None:
    """Where systemd can be asked; else it says so when the timer is started."""
    program = shutil.which("systemd-analyze")
    if program is not None:
        try:
            run_program([program, "calendar", "--", when], timeout=20)
        except RepriseError:
            remedy = 'such as "*-*-* 02:00", "Mon..Fri 02:00" or "hourly"; try: systemd-analyze calendar'
            raise UsageError(f"schedule.{what}: {when!r} is no calendar time of systemd's", remedy=remedy) from None


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


def timers_run(files: Iterable[str]) -> bool:
    """Whether systemd has enabled and started each timer among these units."""
    timers = [name for name in files if name.endswith(".timer")]
    try:
        answers = [_systemctl(question, *timers).split() for question in ("is-enabled", "is-active")]
    except RepriseError:
        return False
    return answers == [["enabled"] * len(timers), ["active"] * len(timers)]


def _our_units(site: str, folder: Path) -> list[Path]:
    try:
        names = {f"{_unit_name(site, what)}{suffix}" for what in COMMANDS for suffix in (".service", ".timer")}
        return sorted(path for path in folder.iterdir() if path.name in names)
    except OSError:
        return []


def _systemctl(*words: str) -> str:
    return run_program(["systemctl", *([] if is_root() else ["--user"]), *words], timeout=60)
