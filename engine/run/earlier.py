"""What earlier runs have moved away, told by their plans: it may be the only place where something still is."""

from contextlib import suppress
from pathlib import Path

import msgspec

from engine.records.errors import RepriseError
from engine.run.folder import PLAN, newest_runs, read_run
from engine.steps.files.common import CHOICES


class _Files(msgspec.Struct):
    live: str
    building: str
    set_aside: str | None
    snapshots: list[msgspec.Raw] = []
    reserve: list[msgspec.Raw] = []


class _Aim(msgspec.Struct):
    """A plan, as far as it tells whose files it brings back: most runs take copies."""

    site: str
    files: _Files | None = None


def moved_files(state: Path, site: str, live: str) -> list[str]:
    """Folders into which runs of this site have moved files of its live media folder, the newest first: what was set
    aside, and after a rollback what had stood in its place. Whether they are still there is not looked at. A run that
    cannot be read is passed over: `runs` names it."""
    found: list[str] = []
    for folder in newest_runs(state):
        with suppress(OSError, msgspec.DecodeError, RepriseError):
            aim = msgspec.json.decode((folder / PLAN).read_bytes(), type=_Aim)
            files = aim.files
            if files is None or aim.site != site or files.live != live or files.set_aside is None:
                continue
            found.append(files.set_aside)
            if read_run(folder).outcome == "rolled-back":
                found.append(files.building)
    return found


def last_choices(state: Path, site: str, live: str) -> tuple[Path, int] | None:
    """What the newest run that brought files into the live media folder has chosen (a file of `engine.media.choices`),
    and how many of its sources are snapshots. None where there is none."""
    for folder in newest_runs(state):
        with suppress(OSError, msgspec.DecodeError):
            aim = msgspec.json.decode((folder / PLAN).read_bytes(), type=_Aim)
            files, choices = aim.files, folder / CHOICES
            if files is None or aim.site != site or files.live != live or files.set_aside is None:
                continue
            if choices.is_file():
                return choices, len(files.snapshots) + len(files.reserve)
    return None
