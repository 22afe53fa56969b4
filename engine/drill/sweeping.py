"""Everything of a drill that runs is ended: its servers, its runs' engines with their children, its users."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from engine.drill.folder import PREPARING, STATE, read_card
from engine.records.errors import DamagedCopy, RepriseError
from engine.run.folder import list_runs
from engine.steps.prepare import run_of

_KEEPER = "engine.drill.keeper"
_POLITE, _PATIENCE = 8.0, 20.0  # seconds: after the first no process is asked any more, after the second we give up


def sweep(folder: Path) -> None:
    """End all processes of a drill; returns when the last is gone. Raises RepriseError where one cannot be ended."""
    places = [folder, *_places(folder)]
    began = time.monotonic()
    told: set[int] = set()
    while found := list(_processes(places)):
        waited = time.monotonic() - began
        if waited > _PATIENCE:
            left = ", ".join(str(process.pid) for process, _ in found)
            raise RepriseError(f"processes of the drill {folder.name} cannot be ended: {left}", remedy="end them")
        for process, is_server in found:
            polite = is_server and waited < _POLITE
            if polite and process.pid in told:
                continue
            told.add(process.pid)
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                process.send_signal(signal.SIGQUIT if polite else signal.SIGKILL)
        time.sleep(0.05)


def _places(folder: Path) -> Iterator[Path]:
    """The lab, and wherever the operator's runs have put something, as long as that is theirs: a folder without their
    marker may be anybody's by now."""
    with suppress(DamagedCopy):
        yield Path(read_card(folder).lab)
    for state in (folder / STATE, folder / PREPARING):
        for run in list_runs(state)[0]:
            if run.plan.layout is not None and run_of(Path(run.plan.layout.container)) == run.run:
                yield Path(run.plan.layout.container)


def _processes(places: list[Path]) -> Iterator[tuple[psutil.Process, bool]]:
    """What is to end, and whether it is PostgreSQL's. Engines and whatever else of ours names one of these places;
    servers and programs of PostgreSQL that work in one. Not a shell or an editor that somebody has open there, not
    ourselves and whom we were started by."""
    roots = [str(place).rstrip("/") + "/" for place in places]
    ours = {os.getpid()}
    with suppress(psutil.Error):
        ours.update(parent.pid for parent in psutil.Process().parents())
    for process in psutil.process_iter():
        if process.pid in ours:
            continue
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            if _is_postgres(process):
                where = f"{process.cwd().removesuffix(' (deleted)')}/"
                if any(where.startswith(root) for root in roots):
                    yield process, True
            elif any(root in word for word in _words_of_ours(process) for root in roots):
                yield process, False


def _words_of_ours(process: psutil.Process) -> list[str]:
    """The command line of a program of ours, ``python -m engine.…``; empty for anything else."""
    words = process.cmdline()
    module = words[words.index("-m") + 1] if "-m" in words[:-1] else ""
    return [f"{word}/" for word in words] if module.startswith("engine.") and module != _KEEPER else []


def _is_postgres(process: psutil.Process) -> bool:
    name = process.name()
    return name == "postgres" or name.startswith("pg_")
