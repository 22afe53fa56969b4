"""A run is a folder: ``runs/<UTC time>-<site>/`` under the state folder, for its owner alone (0700, files 0600).

``plan.json`` and ``site.json`` say what to do, ``journal.jsonl`` what was done, ``progress.json`` how far the running
step is, ``engine.log`` what the engine said, ``report.json``, ``.md`` and ``.html`` how it ended, ``engine.lock``
whether an engine lives, ``control`` is its socket. How a run stands is derived from these and from nothing else.
"""

import os
import re
import shutil
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from engine.records.coding import from_json, to_json
from engine.records.copies import Problem
from engine.records.copying import Proof, TakenCopy
from engine.records.errors import DamagedCopy, RepriseError, UsageError
from engine.records.plan import Plan
from engine.records.recoveries import Recovery
from engine.records.runs import Progress, RunState, StepState
from engine.records.target import RecoveryPoint
from engine.recovery.recoveries import recovery_of
from engine.run.answers import answers, outcome_of
from engine.run.journal import Entry, now_text, read_entries
from engine.run.locks import lock_holder
from engine.run.story import Story
from engine.site import Site
from engine.steps import DAMAGED, POINT, RECOVERY, SALVAGED_WAL, TAKEN
from engine.transfer.durable import sync_folder

PLAN, SITE, JOURNAL, PROGRESS = "plan.json", "site.json", "journal.jsonl", "progress.json"
LOG, LOCK, CONTROL = "engine.log", "engine.lock", "control"
T = TypeVar("T")
_NAME = re.compile(r"\d{8}T\d{6}Z-[A-Za-z0-9_.-]+\Z")


def create_run(state: Path, plan: Plan, site: Site) -> Path:
    """Make the folder of a new run, whole or not at all. Raises RepriseError where the state folder cannot take it."""
    runs = state / "runs"
    try:
        runs.mkdir(mode=0o700, parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=".new-", dir=runs))
        try:
            _write(building / PLAN, to_json(plan, indent=2))
            _write(building / SITE, to_json(site, indent=2))
            _write(building / JOURNAL, to_json({"at": now_text(), "kind": "created"}) + b"\n")
            return _settle(building, runs, site.name)
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            raise
    except OSError as error:
        raise RepriseError(
            f"no run can be kept in {runs}", cause=str(error), remedy="name another state folder with --state"
        ) from error


def _settle(building: Path, runs: Path, site: str) -> Path:
    """Give the finished folder its name; two runs in one second get two names."""
    stem = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{re.sub(r'[^A-Za-z0-9_.-]', '-', site)[:40]}"
    for number in range(1, 1000):
        folder = runs / (stem if number == 1 else f"{stem}-{number}")
        with suppress(OSError):  # ENOTEMPTY: taken
            if not folder.exists():
                building.rename(folder)
                sync_folder(folder)
                sync_folder(runs)
                return folder
    raise OSError(f"too many runs named {stem}")


def _write(path: Path, data: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def state_of(folder: Path) -> Path:
    """The state folder that a run's folder lies in."""
    return folder.absolute().parent.parent


def find_run(state: Path, run: str) -> Path:
    """The folder of a run by its name, or by an unambiguous beginning or end of it; ``latest`` is the newest. Raises
    UsageError."""
    names = [path.name for path in newest_runs(state)]
    matching = names[:1] if run == "latest" else [name for name in names if name == run]
    matching = matching or [name for name in names if run and (name.startswith(run) or name.endswith(run))]
    if len(matching) != 1:
        raise UsageError(
            f"{run!r} names {'several runs' if matching else 'no run'}",
            cause=", ".join(matching[:5]) or None,
            remedy="list them with: reprise runs",
        )
    return state / "runs" / matching[0]


def newest_runs(state: Path) -> list[Path]:
    """All runs' folders, newest first, whole or not."""
    with suppress(OSError):
        return sorted((path for path in (state / "runs").iterdir() if _NAME.match(path.name)), reverse=True)
    return []


def list_runs(state: Path) -> tuple[list[RunState], list[Problem]]:
    """All runs, newest first, and the folders that cannot be read as one."""
    runs, problems = [], []
    for folder in newest_runs(state):
        try:
            runs.append(read_run(folder))
        except RepriseError as error:
            problems.append(Problem(str(folder), ": ".join(filter(None, [error.message, error.cause])), error.remedy))
    return runs, problems


def read_plan(folder: Path) -> Plan:
    """The run's plan. Raises DamagedCopy."""
    return _read(folder / PLAN, Plan)


def read_run_site(folder: Path) -> Site:
    """The site as it was when the run was planned. Raises DamagedCopy."""
    return _read(folder / SITE, Site)


def _read(path: Path, kind: type[T]) -> T:
    try:
        return from_json(path.read_bytes(), kind)
    except OSError as error:
        raise DamagedCopy(f"{path.parent.name} is no whole run", cause=f"{path.name}: {error.strerror}") from error
    except (msgspec.DecodeError, ValueError, TypeError, RecursionError) as error:
        raise DamagedCopy(f"{path.parent.name} is no whole run", cause=f"{path.name}: {error}") from error


def read_story(folder: Path) -> Story:
    """What the run's journal adds up to. Raises RepriseError."""
    return tell(folder, read_entries(folder / JOURNAL).entries)


def tell(folder: Path, entries: list[Entry]) -> Story:
    """Fold entries. Raises DamagedCopy where one of them is not what its kind promises."""
    story = Story()
    for entry in entries:
        try:
            story.hear(entry)
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedCopy(
                f"the journal of {folder.name} cannot be understood",
                cause=f"an entry {entry['kind']!r} lacks or garbles {error}",
            ) from error
    return story


def follow(folder: Path, offset: int = 0) -> tuple[list[Entry], int]:
    """New journal entries since ``offset`` (0: all), and the offset for the next call. Raises RepriseError."""
    entries, offset = read_entries(folder / JOURNAL, offset)
    return entries, offset


def read_run(folder: Path) -> RunState:
    """How a run stands now. ``checks`` are those of the result; the plan has its own. Raises RepriseError where the
    folder is damaged, DamagedCopy where it is no run's."""
    plan = read_plan(folder)
    site = read_run_site(folder)
    holder = lock_holder(folder / LOCK)  # before the journal: an engine that ends in between has written its end
    story = read_story(folder)
    outcome = outcome_of(story, alive=holder is not None)
    progress = _read_progress(folder / PROGRESS) if holder is not None else {}
    steps = []
    for planned in plan.steps:
        told = story.steps.get(planned.name)
        if told is None:
            steps.append(StepState(planned.name, planned.kind, planned.title, "to do", bytes=planned.bytes))
            continue
        steps.append(
            StepState(
                planned.name,
                planned.kind,
                planned.title,
                told.outcome,
                told.started_at,
                told.seconds,
                planned.bytes if told.bytes is None else told.bytes,
                progress.get(planned.name) if told.outcome in ("running", "waiting") else None,
                told.at_a_stretch,
            )
        )
    started = story.started_at or story.created_at
    if started is None:
        raise DamagedCopy(f"the journal of {folder.name} has no beginning")
    state = RunState(
        run=folder.name,
        folder=str(folder),
        plan=plan,
        outcome=outcome,
        pid=holder.pid if holder else None,
        started_at=started,
        finished_at=story.finished_at,
        steps=tuple(steps),
        checks=tuple(check for planned in plan.steps for check in story.step(planned.name).checks),
        data_dir=story.data_dir,
        host=story.host,
        port=story.port,
        reached=story.reached,
        error=story.error,
        held=story.held and holder is not None,
        server_log=story.server_log,
        answers=answers(plan, site, story, outcome),
        notes=tuple(story.notes),
        taken=_fact(folder, story, TAKEN, TakenCopy),
        files=story.facts.get("files"),
        deeds=tuple(story.deeds),
        waited=story.waited,
        completed_at=story.completed_at,
        point=_fact(folder, story, POINT, RecoveryPoint) or plan.point,
        salvaged=story.facts.get(SALVAGED_WAL) is True,
        told=_fact(folder, story, RECOVERY, Recovery),
        damaged=_fact(folder, story, DAMAGED, Proof),
    )
    return replace(state, recovery=recovery_of(state))


def _fact(folder: Path, story: Story, name: str, kind: type[T]) -> T | None:
    """A record that a step found out, None as long as it has not. Raises DamagedCopy."""
    try:
        return from_json(to_json(story.facts[name]), kind) if name in story.facts else None
    except (msgspec.ValidationError, ValueError) as error:
        raise DamagedCopy(f"the journal of {folder.name} cannot be understood", cause=str(error)) from error


def _read_progress(path: Path) -> dict[str, Progress]:
    with suppress(OSError, msgspec.DecodeError):
        return from_json(path.read_bytes(), dict[str, Progress])
    return {}
