"""systemd's timers: of all units only our own are touched, those named ``reprise-<site>-…``."""

import os
from collections.abc import Sequence
from pathlib import Path

from engine.records.errors import RepriseError
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
    """Unit files by name (systemd.service(5), systemd.timer(5))."""
    files = {}
    for each in read_wanted(wanted, program, options, "systemd"):
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
