"""The lab: a real cluster with history, to look around and to practise."""

from collections.abc import Callable
from pathlib import Path

from engine.acts.desk import open_desk
from engine.acts.following import runs
from engine.acts.running import stop_server
from engine.lab.building import build_lab
from engine.lab.lab import Lab
from engine.postgres.programs import describe_folder
from engine.site import state_dir


def demo(
    directory: Path | None,
    state: Path | None,
    *,
    reset: bool,
    progress: Callable[[int, int, str], None],
    bin_dir: str | None = None,
) -> Lab:
    """The demo site, built if need be (with the PostgreSQL in ``bin_dir``, where one is named); its server is
    stopped."""
    programs = describe_folder(bin_dir) if bin_dir is not None else None
    return build_lab(directory, state_dir(state).absolute(), reset=reset, progress=progress, programs=programs)


def leave_demo(lab: Lab, state: Path | None) -> None:
    """Stop the servers of the demo: the site's, and those of finished side copies. What a run is still at work on is
    its own: it goes on."""
    desk = open_desk(lab.site_file, state)
    of_lab = [run for run in runs(desk) if run.plan.site == desk.site.name]
    for run in of_lab:
        if run.plan.destination.kind == "side-copy" and "stop" in run.answers:
            stop_server(desk, run.run)
    if not any(run.pid is not None and run.plan.destination.kind == "in-place" for run in of_lab):
        lab.stop_server()
