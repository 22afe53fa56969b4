"""SIGKILL from outside to the engine, in the middle of every step; then resume, or rollback. No third outcome.

One run is killed once in each of its steps (seeded moments), and resumed each time: it must end as an undisturbed run
does. For rollback each step is killed in a run of its own: all must be as it was before.
"""

import hashlib
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.records.lsn import format_lsn
from engine.run.folder import find_run, follow, read_run
from tests.clusters import Cluster, processes_below, wait_until
from tests.end_to_end.operator import Operator, operator_for
from tests.histories import History

SEEDS = range(int(os.environ.get("REPRISE_TEST_SEEDS", "2")))
QUICK = 0.05  # seconds: how long a step is at least given before it is killed, at most


@dataclass
class Killer:
    """Kills the engine of one run in the middle of a named step."""

    operator: Operator
    run: str
    random: random.Random

    @property
    def folder(self) -> Path:
        return find_run(self.operator.home / "state", self.run)

    def kill_in(self, step: str, pid: int) -> bool:
        """Wait until the step has begun, kill the engine at a random moment; whether that fell into the step."""
        offset, deadline = 0, time.monotonic() + 120
        while time.monotonic() < deadline:
            entries, offset = follow(self.folder, offset)
            if any(entry["kind"] == "begin" and entry.get("step") == step for entry in entries[-40:]):
                break
            if any(entry["kind"] == "finished" for entry in entries[-3:]) and read_run(self.folder).pid is None:
                return False
            time.sleep(0.001)
        before = read_run(self.folder)
        progress = next((each.progress for each in before.steps if each.name == step), None)
        if self.random.random() < 0.5 and progress is None:
            time.sleep(self.random.random() * QUICK)
        elif before.steps and step in ("copy", "replay"):
            self._wait_for_progress(step, self.random.random() * 0.8)
        self.operator.kill_engine(pid)
        wait_until(lambda: read_run(self.folder).pid is None, "the engine's lock was not released")
        return any(each.name == step and each.outcome in ("running", "waiting") for each in read_run(self.folder).steps)

    def _wait_for_progress(self, step: str, share: float) -> None:
        """Until the step has come further than ``share``, strictly before its end."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            state = next(each for each in read_run(self.folder).steps if each.name == step)
            if state.outcome != "running":
                return
            if state.progress and state.progress.total and state.progress.done > share * state.progress.total:
                return
            time.sleep(0.002)


def _fingerprint(folder: Path) -> dict[str, str]:
    """Every file's content, owner and mode, and every link, below a folder; logs and locks of the moment left out."""
    found = {}
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place) / name
            status = path.lstat()
            what = f"{status.st_mode:o} {status.st_uid}:{status.st_gid}"
            if path.is_symlink():
                what += f" -> {path.readlink()}"
            elif path.is_file():
                what += " " + hashlib.sha256(path.read_bytes()).hexdigest()
            found[str(path.relative_to(folder))] = what
    return found


def _start(operator: Operator, *words: str | Path) -> tuple[str, int]:
    document = operator.call("restore", *words, "--detach", "--yes", expect=0).document
    return document["run"], document["pid"]


def _resume(operator: Operator, run: str) -> int | None:
    """Go on in the background; the new engine's pid."""
    from engine.run.starting import start_engine

    return start_engine(find_run(operator.home / "state", run))


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["tar.gz", "incremental"])
def test_a_side_copy_killed_in_every_step_and_resumed_equals_an_undisturbed_one(
    history: History, open_dir: Path, seed: int, kind: str
) -> None:
    if kind not in history.backups:
        pytest.skip(f"this PostgreSQL {history.cluster.programs.version} cannot make a backup of the kind {kind}")
    operator, archived = operator_for(history.cluster, open_dir), _fingerprint(history.cluster.archive)
    gate = [end for end in history.cluster.ends(1) if end.kind == "COMMIT" and end.lsn < history.before_accident][-3]
    words = ["--lsn", format_lsn(gate.lsn), "--exclusive", "--timeline", "1", "--backup", history.backups[kind]]
    words += ["--into", str(operator.copy_to())]
    planned = operator.call("plan", *words, expect=0).document
    run, pid = _start(operator, *words)
    killer, hits = Killer(operator, run, random.Random(seed)), 0
    for step in planned["steps"]:
        if killer.kill_in(step["name"], pid):
            hits += 1
        state = read_run(killer.folder)
        if state.outcome == "completed":
            break
        assert state.outcome == "interrupted", state.error
        pid = _resume(operator, run) or 0
    report = operator.call("attach", run, expect=0).document
    assert hits >= len(planned["steps"]) // 2
    assert report["outcome"] == "completed"
    assert report["reached"]["proven"] is True
    assert report["reached"]["new_timeline"] == 3
    assert operator.rows(report) == history.cluster.rows_before(gate.lsn, 1, history.fork)
    assert not (Path(report["data_dir"]) / "standby.signal").exists()
    assert _fingerprint(history.cluster.archive) == archived


@pytest.fixture
def stopped(cluster: Cluster) -> Cluster:
    """A stopped production cluster with an accident in it, and its archive."""
    cluster.write(20, seed=1)
    cluster.base_backup("one", "tar.gz")
    cluster.write(20, seed=2)
    cluster.accident()
    cluster.switch()
    cluster.stop()
    return cluster


def _before_the_drop(cluster: Cluster) -> str:
    commits = [end for end in cluster.ends(1) if end.kind == "COMMIT"]
    return format_lsn(commits[-1].lsn)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_in_place_killed_in_every_step_and_resumed_ends_on_the_new_timeline_alone(
    stopped: Cluster, open_dir: Path, seed: int
) -> None:
    operator, archived = operator_for(stopped, open_dir), _fingerprint(stopped.archive)
    words = ["--lsn", _before_the_drop(stopped), "--exclusive", "--in-place"]
    planned = operator.call("plan", *words, expect=0).document
    run, pid = _start(operator, *words)
    killer, hits = Killer(operator, run, random.Random(seed)), 0
    for step in planned["steps"]:
        if killer.kill_in(step["name"], pid):
            hits += 1
        state = read_run(killer.folder)
        if state.outcome == "completed":
            break
        assert state.outcome == "interrupted", state.error
        pid = _resume(operator, run) or 0
    report = operator.call("attach", run, expect=0).document
    assert hits >= len(planned["steps"]) // 2
    assert report["outcome"] == "completed"
    assert report["reached"]["new_timeline"] == 2
    assert {row[0] for row in stopped.sql("SELECT id FROM ledger")} == {row.id for row in stopped.rows}
    after = _fingerprint(stopped.archive)
    assert {name: what for name, what in after.items() if name in archived} == archived
    assert not [name for name in after if name not in archived and not name.startswith("00000002")]


@pytest.mark.slow
@pytest.mark.parametrize(
    "step",
    [
        "prepare",
        "copy",
        "settings",
        "replay",
        "prove",
        "inspect",
        "salvage",
        "set-aside",
        "switch-over",
        "take-over",
        "open",
    ],
)
def test_in_place_killed_in_a_step_and_rolled_back_leaves_the_state_before_it(
    stopped: Cluster, open_dir: Path, step: str
) -> None:
    operator = operator_for(stopped, open_dir)
    before, archived = _fingerprint(stopped.data_dir), _fingerprint(stopped.archive)
    neighbours = sorted(path.name for path in stopped.root.iterdir())
    run, pid = _start(operator, "--lsn", _before_the_drop(stopped), "--exclusive", "--in-place")
    Killer(operator, run, random.Random(step)).kill_in(step, pid)
    document = operator.call("rollback", run, "--yes", expect=0).document
    assert document["outcome"] == "rolled-back"
    assert not processes_below(stopped.root / "data")
    assert _fingerprint(stopped.data_dir) == before
    after = _fingerprint(stopped.archive)
    assert {name: what for name, what in after.items() if name in archived} == archived
    if step != "open":  # a cluster that others may have written into is kept beside the old one
        assert sorted(path.name for path in stopped.root.iterdir()) == neighbours
