"""The lab before any disaster. Built once and kept beside the drills' lab; each drill gets a copy of it in the very
place where it was built, so that all paths in its files stay right."""

import shutil
from pathlib import Path

from engine.lab import place
from engine.lab.building import build_lab, found_lab
from engine.lab.copies import Copies
from engine.lab.lab import Lab
from engine.lab.living import Progress, until_the_drill
from engine.records.errors import RepriseError
from engine.records.survey import Programs
from engine.system.programs import run_program
from engine.system.users import everyday_user, is_root

_STORY = 1  # of living.until_the_drill: a base of another one is built anew


def lab_place(state: Path) -> Path:
    """Where the drills' lab lies: one for each state folder."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    return place.lab_folder(None, state, everyday_user(), "drill-lab")


def lay_out(state: Path, copies: Copies, progress: Progress, programs: Programs | None = None) -> Lab:
    """A fresh lab in its place, its server stopped; built where there is no base yet, or one of another PostgreSQL
    than is asked for. What stood in the place is gone. Raises RepriseError."""
    where = lab_place(state)
    base = where.with_name(f"{where.name}.base")
    if not _fits(base, programs):
        build_lab(where, state, copies, reset=True, progress=progress, programs=programs, story=until_the_drill)
        _keep(where, base)
    with place.taken(where):
        place.emptied(where)
        parts = sorted(entry for entry in base.iterdir() if entry.name not in (place.MARK, place.DONE, "story"))
        run_program(["/bin/cp", "-a", "--reflink=auto", "--", *map(str, parts), str(where)], timeout=300)
        shutil.copy2(base / place.DONE, where / place.DONE)
    return found_lab(where)


def clear(state: Path) -> None:
    """Nothing is left in the lab's place. No server of it may run."""
    where = lab_place(state)
    if where.is_dir():
        with place.taken(where):
            place.emptied(where)


def _fits(base: Path, wanted: Programs | None) -> bool:
    try:
        if (base / "story").read_text() != str(_STORY):
            return False
        found = found_lab(base).programs
    except (OSError, RepriseError):
        return False
    return wanted is None or wanted.version_text == found.version_text


def _keep(where: Path, base: Path) -> None:
    """What was built becomes the base; it counts once its story is told."""
    with place.taken(where), place.taken(base):
        place.emptied(base)
        for entry in where.iterdir():
            if entry.name != place.MARK:
                entry.rename(base / entry.name)
        (base / "story").write_text(str(_STORY))
        base.chmod(0o711 if is_root() else 0o700)
