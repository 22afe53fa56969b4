"""The lab: built for the demo, and what an operator does on it, handed to the lab and to the drills in it."""

import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from engine.acts.checking import check_site_files
from engine.acts.copying import plan_base_backup, plan_dump, plan_image, plan_media_snapshot, plan_source_copies
from engine.acts.desk import Desk, open_desk
from engine.acts.following import follow, runs
from engine.acts.running import start, stop_server
from engine.lab.building import build_lab
from engine.lab.copies import LabCopy
from engine.lab.lab import Lab
from engine.postgres.programs import describe_folder
from engine.records.errors import Refused, RepriseError, RunFailed, Unreachable
from engine.records.plan import Plan
from engine.run.control import send
from engine.run.folder import list_runs
from engine.run.starting import wait_for_end
from engine.site import state_dir
from engine.system.ours import our_environment, our_program

_COMMAND_LIMIT = 900  # seconds for one command line of a scenario

_PLANS: dict[LabCopy, Callable[[Desk], Plan]] = {
    "base": plan_base_backup,
    "base-plain": lambda desk: plan_base_backup(desk, format="plain"),
    "base-incremental": lambda desk: plan_base_backup(desk, incremental=True),
    "dump": plan_dump,
    "media": plan_media_snapshot,
    "source": lambda desk: plan_source_copies(desk)[0],
    "image": plan_image,
}


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
    at = state_dir(state).absolute()
    return build_lab(directory, at, SiteCopies(at), reset=reset, progress=progress, programs=programs)


class SiteCopies(Struct, frozen=True):
    """The lab's copies, taken as `reprise backup` takes them; their runs lie in the state folder like all others."""

    state: Path

    def take(self, site_file: Path, what: LabCopy) -> str:
        desk = open_desk(site_file, self.state)
        planned = _PLANS[what](desk)
        refusal = next((check for check in planned.checks if check.refuses), None)
        if refusal is not None:
            raise Refused(f"{refusal.name}: {refusal.finding}", remedy=refusal.remedy)
        state = follow(desk, start(desk, planned), lambda state: None)
        if state.taken is None or state.outcome != "completed":
            error = state.error
            told = error.message if error is not None else f"the run is {state.outcome}"
            raise RunFailed(f"a copy of the lab was not taken: {told}", cause=error.cause if error else None)
        return state.taken.id

    def stop(self, folder: Path) -> None:
        for run in list_runs(self.state)[0]:
            copying = run.plan.copying
            if run.pid is not None and copying is not None and Path(copying.repository).is_relative_to(folder):
                with suppress(RepriseError):  # it has just ended
                    send(Path(run.folder), "cancel")
                wait_for_end(Path(run.folder), 60)


class LabHands(SiteCopies, frozen=True):
    """What an operator does on a drill's lab: his runs lie in ``runs``, the scenario's copies in ``state``."""

    site_file: Path
    runs: Path

    def call(self, words: Sequence[str]) -> tuple[int, str]:
        line = our_program("engine.cli", "--site", self.site_file, "--state", self.runs, *words)
        try:
            ended = subprocess.run(
                line, stdin=subprocess.DEVNULL, capture_output=True, timeout=_COMMAND_LIMIT, env=our_environment()
            )
        except subprocess.TimeoutExpired:
            raise Unreachable(f"reprise {words[0]} did not end within {_COMMAND_LIMIT} seconds") from None
        said = [text for text in ended.stderr.decode(errors="replace").splitlines() if text.strip()]
        return ended.returncode, next((text for text in said if text.startswith("reprise: ")), said[-1] if said else "")

    def files_match(self) -> tuple[bool, str]:
        found = check_site_files(open_desk(self.site_file, self.state))
        return found.ok, found.as_check().finding


def leave_demo(lab: Lab, state: Path | None) -> None:
    """Stop the servers of the demo: the site's, and those of finished side copies. What a run is still at work on is
    its own: it goes on."""
    desk = open_desk(lab.site_file, state)
    of_lab = [run for run in runs(desk) if run.plan.site == desk.site.name]
    for run in of_lab:
        if run.plan.destination.kind == "side-copy" and "stop" in run.answers:
            stop_server(desk, run.run)
    if not any(run.pid is not None and run.plan.destination.kind != "side-copy" for run in of_lab):
        lab.stop_server()
