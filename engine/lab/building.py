"""A lab built, or found again: its folder taken, its life lived, and nothing of it left running."""

import json
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from msgspec.structs import replace

from engine.lab import place
from engine.lab.copies import Copies
from engine.lab.lab import Lab
from engine.lab.living import Life, Progress, Step, live, whole_day
from engine.postgres.programs import choose_programs, describe_folder, programs_for
from engine.postgres.server import Server, free_port
from engine.records.errors import Refused, RepriseError
from engine.records.survey import OsUser, Programs
from engine.system.users import everyday_user, os_user


def build_lab(
    directory: Path | None,
    state: Path,
    copies: Copies,
    *,
    reset: bool,
    progress: Progress,
    programs: Programs | None = None,
    story: Callable[[Life], list[Step]] = whole_day,
) -> Lab:
    """The lab in ``directory`` (None: see place.lab_folder), its server stopped. A finished one is used again, a
    half-built one or, with ``reset``, any is built anew. ``copies`` takes its copies; ``progress`` hears steps done,
    steps, and what comes next. ``programs``: the PostgreSQL to build with, default the machine's newest, else the
    embedded one. ``story``: what happens in it.

    Raises RepriseError; whatever happens, no process is left behind.
    """
    user = everyday_user()
    folder = place.lab_folder(directory, state, user)
    place.check_ours(folder)
    if not reset and (folder / place.DONE).is_file():
        return found_lab(folder, programs)
    with place.taken(folder), _ended_by_signals() as check_signals:
        stop_all(folder, user, copies)
        place.emptied(folder)
        chosen = programs_for(user, programs or choose_programs(), folder / "programs")
        lab = Lab(folder, chosen, user, free_port())
        try:
            live(lab, copies, story, progress, check_signals)
        finally:
            stop_all(folder, user, copies)
    return lab


def found_lab(folder: Path, wanted: Programs | None = None) -> Lab:
    """A finished lab. Raises RepriseError where its PostgreSQL is gone, Refused where another is ``wanted``."""
    noted = json.loads((folder / place.DONE).read_text())
    try:
        programs = replace(describe_folder(noted["bin_dir"]), embedded=noted["embedded"])
    except RepriseError as failure:
        failure.remedy = "the lab's PostgreSQL is gone: build it anew with reprise demo --reset"
        raise
    if wanted is not None and wanted.version_text != programs.version_text:
        raise Refused(
            f"the lab in {folder} was built with PostgreSQL {programs.version_text}, not {wanted.version_text}",
            remedy="build it anew with --reset, or another one with --dir",
        )
    return Lab(folder, programs, os_user(noted["run_as"]), noted["port"])


def stop_all(folder: Path, user: OsUser, copies: Copies) -> None:
    """Stop the copies that are being taken, then every server whose data directory stands in the lab's folder: a
    half-built lab's, a set-aside cluster's. Nobody wants its data any more, and a backup of it that an interrupted
    building left would hold up a fast stop."""
    copies.stop(folder)
    for pid_file in folder.glob("*/postmaster.pid"):
        server = Server(_NO_PROGRAMS, pid_file.parent, user, folder, 0, folder / "log" / "postgresql.log")
        server.stop("immediate", timeout=20)


_NO_PROGRAMS = Programs("", 0, "")  # stopping needs none


@contextmanager
def _ended_by_signals() -> Iterator[Callable[[], None]]:
    """A hang-up or a polite kill ends the building as Ctrl-C does: with everything stopped. The check is for a signal
    that came in the middle of a fork: Python ignores what is raised in its hooks (os.register_at_fork)."""
    came: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        came.append(number)
        raise KeyboardInterrupt

    def check() -> None:
        if came:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield check
        return
    former = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield check
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
