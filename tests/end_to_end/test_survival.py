"""SIGKILL from outside to the engine, in the middle of every step; then resume, or rollback. No third outcome.

`breaking` has the real engine stand still at a seeded moment of a step; there it is killed, its children stay as they
fall. Production runs, with a tablespace, a linked pg_wal and WAL that no archive has; where PostgreSQL can, its backup
is a chain of incremental ones. Resumed, one run is killed KILLS times in each of its steps, again and again in the same
one, and must end as the undisturbed run before it did. With rollback each step is killed in a run of its own, and all
must be as it was: once a step, as often as REPRISE_TEST_SEEDS says. A step that tells how far it is on its way is
killed strictly between 0 and 100 %; resumed, anywhere as well.

    REPRISE_TEST_SEEDS=5 ./run test tests/end_to_end/test_survival.py
"""

import json
import os
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine import acts
from engine.records.plan import Destination, Limits
from engine.records.runs import RunState
from engine.records.target import RecoveryTarget
from engine.run.control import send
from engine.run.folder import create_run, read_plan, read_run
from engine.run.starting import start_engine
from tests.clusters import Cluster, processes_below
from tests.end_to_end.breaking import Break, Course
from tests.end_to_end.dying import KILLS, MB, TRIES, Dying, Missed, another, step_of, without_its_line
from tests.end_to_end.production import Production, Tree, differences, fingerprint, make_production

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # a kill in each step of a run of its own takes its time

SEEDS = range(int(os.environ.get("REPRISE_TEST_SEEDS", "1")))

# What no two runs of PostgreSQL have in common: times, statistics, caches, its log, WAL behind the fork.
VOLATILE = re.compile(
    r"/global/pg_control$|/pg_internal\.init$|/pg_stat(_tmp)?/|/postmaster\.(opts|pid)$|/reprise-start\.log$"
    r"|/backup_manifest$|_fsm$|^wal-disk/"
)
VOLATILE_COPY = re.compile(VOLATILE.pattern + r"|/pg_wal/|^copy/own/|^copy/\.reprise$")  # the marker names the run


def _planned(production: Production, into: Path | None = None) -> Path:
    """A run to just before the accident, planned as the command line does it; not started."""
    desk = acts.open_desk(production.operator.site, production.operator.home / "state")
    acts.read_archive(desk)
    target = RecoveryTarget("lsn", lsn=production.accident, exclusive=True)
    where = (
        Destination("in-place", desk.site.database.data_dir) if into is None else Destination("side-copy", str(into))
    )
    plan = acts.plan(desk, target, where, action="finish" if into is None else "pause")
    assert not plan.refused, plan.checks
    slowly = replace(plan, limits=Limits(bytes_per_second=40 * MB))  # so that a small cluster has a middle, too
    return create_run(desk.state, slowly, desk.site)


def _undisturbed(folder: Path) -> Course:
    """Carry a run out."""
    said = folder / "events.json"
    start_engine(folder, program=Break(str(said)).command())
    while (state := read_run(folder)).pid is not None:
        if state.outcome == "paused":
            send(folder, "finish")
        time.sleep(0.05)
    assert state.outcome == "completed", state.error
    return Course(**json.loads(said.read_text()))


@pytest.fixture
def production(new_cluster: Callable[..., Cluster], open_dir: Path) -> Production:
    return make_production(new_cluster, open_dir)


def _take_back(production: Production, folder: Path) -> None:
    """Roll a run back; what was the recovered cluster, and what it archived, goes as well."""
    Dying(folder, random.Random()).take_back()
    without_its_line(production.cluster.archive, 2)
    if production.cluster.server.pid() is None:
        production.cluster.start()


def _through_all_steps(folder: Path, seed: int, course: Course, take_back: Callable[[Path], object]) -> Dying:
    """A run of the same plan, killed in all its steps and resumed. One that missed a middle is taken back."""
    for attempt in range(TRIES):
        dying = Dying(another(folder), random.Random(f"{seed} {attempt}"), course)
        try:
            dying.through_all_steps()
        except Missed as missed:
            print(f"{missed}: once more")
            take_back(dying.folder)
        else:
            return dying
    raise AssertionError("a middle was missed each time")


def _steps(folder: Path, course: Course, between: Counter[str]) -> Iterator[str]:
    """All steps of a plan; one with a middle again, as long as it was not killed in ``between``."""
    for step in read_plan(folder).steps:
        for _ in range(TRIES):
            yield step.name
            if between[step.name] or step.name not in course.middles:
                break


def _whole_copy(production: Production, folder: Path) -> Tree:
    """The files of a side copy, its server stopped. Its rows are right."""
    state = read_run(folder)
    assert state.reached is not None
    assert state.reached.proven
    report = {"host": state.host, "port": state.port}
    assert production.operator.rows(report) == {row.id for row in production.cluster.rows}
    production.operator.ask("stop", state.run, "--yes", expect=0)
    return fingerprint(production.operator.copy_to(), without=VOLATILE_COPY, masked=True)


def _is_untouched(before: Tree, after: Tree, timeline: int) -> None:
    """Nothing in the archive has changed, and nothing came but production's own WAL and the new timeline's."""
    assert not [line for line in differences(before, after) if not line.split(": ")[1].startswith("not there")]
    came = {Path(name).name for name in after.keys() - before.keys()}
    assert not [name for name in came if not name.startswith(("00000001", f"{timeline:08X}"))], came


@pytest.mark.chains
@pytest.mark.parametrize("seed", SEEDS)
def test_in_place_killed_in_every_step_and_resumed_equals_an_undisturbed_run(production: Production, seed: int) -> None:
    cluster, expected = production.cluster, {row.id for row in production.cluster.rows}
    folder = _planned(production)
    archived, neighbours = production.archived(), production.neighbours()
    course = _undisturbed(folder)
    cluster.stop()
    undisturbed = fingerprint(*production.places(), without=VOLATILE, masked=True)
    came = production.neighbours()
    _is_untouched(archived, production.archived(), 2)
    _take_back(production, folder)
    assert production.neighbours() == neighbours

    archived = production.archived()
    state = read_run(_through_all_steps(folder, seed, course, partial(_take_back, production)).folder)
    assert state.reached is not None
    assert state.reached.proven
    assert (state.reached.timeline, state.reached.new_timeline) == (1, 2)
    cluster.stop()
    assert differences(undisturbed, fingerprint(*production.places(), without=VOLATILE, masked=True)) == []
    assert production.neighbours() == came
    _is_untouched(archived, production.archived(), 2)
    cluster.start()
    assert production.rows() == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_in_place_killed_in_every_step_and_rolled_back_leaves_the_state_before(
    production: Production, seed: int
) -> None:
    """With every second seed production is down before: then each of its bytes is the same afterwards."""
    cluster, runs = production.cluster, seed % 2 == 0
    folder = _planned(production)
    course = _undisturbed(folder)
    _take_back(production, folder)
    production.settle()
    cluster.stop()
    if runs:
        cluster.start()
    volatile = VOLATILE if runs else None
    before, neighbours = fingerprint(*production.places(), without=volatile), production.neighbours()
    filled = production.filled() if runs else 0
    hits, between = Counter[str](), Counter[str]()
    for step in _steps(folder, course, between):
        archived, pid = production.archived(), cluster.server.pid()
        dying = Dying(another(folder), random.Random(f"{seed} {step} {hits[step]}"), course)
        with suppress(Missed):
            dying.kill_amid(step, seed % KILLS)
        dying.kill_in(step, act="rollback")
        state = dying.take_back()
        assert "discard" not in state.answers or step in ("open", "report")
        assert (cluster.server.pid() is not None) == runs
        assert cluster.server.pid() == pid or _was_stopped(state)
        if runs:
            assert production.filled() == filled
            cluster.sql("CHECKPOINT")
        assert differences(before, fingerprint(*production.places(), without=volatile)) == [], step
        assert production.neighbours() == neighbours
        _is_untouched(archived, production.archived(), 2)
        without_its_line(cluster.archive, 2)
        hits.update(dying.hits)
        between.update(dying.between)
    assert between.keys() >= set(course.middles)
    assert hits.keys() == {each.name for each in read_plan(folder).steps}
    assert min(hits.values()) >= 2, hits


def _was_stopped(state: RunState) -> bool:
    return step_of(state, "stop-server").outcome == "undone"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_side_copy_killed_in_every_step_and_resumed_equals_an_undisturbed_one(
    production: Production, seed: int
) -> None:
    copy = production.operator.copy_to()
    production.settle()
    folder = _planned(production, copy)
    archived, there = production.archived(), fingerprint(*production.places(), without=VOLATILE)
    course = _undisturbed(folder)
    copied = _whole_copy(production, folder)
    assert Dying(folder, random.Random(seed)).end("discard").outcome == "discarded"
    assert not copy.exists()

    dying = _through_all_steps(folder, seed, course, lambda missed: Dying(missed, random.Random()).take_back())
    assert differences(copied, _whole_copy(production, dying.folder)) == []
    assert production.archived() == archived
    assert differences(there, fingerprint(*production.places(), without=VOLATILE)) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_a_side_copy_killed_in_every_step_and_rolled_back_leaves_nothing(production: Production, seed: int) -> None:
    copy = production.operator.copy_to()
    production.settle()
    folder = _planned(production, copy)
    course = _undisturbed(folder)
    assert Dying(folder, random.Random()).end("discard").outcome == "discarded"
    archived, there = production.archived(), fingerprint(*production.places(), without=VOLATILE)
    hits, between = Counter[str](), Counter[str]()
    for step in _steps(folder, course, between):
        dying = Dying(another(folder), random.Random(f"{seed} {step} {hits[step]}"), course)
        with suppress(Missed):
            dying.kill_amid(step, seed % KILLS)
        dying.kill_in(step, act="rollback")
        dying.take_back()
        assert not copy.exists(), step
        assert processes_below(copy.parent) == [], step
        hits.update(dying.hits)
        between.update(dying.between)
    assert between.keys() >= set(course.middles)
    assert hits.keys() == {each.name for each in read_plan(folder).steps}
    assert min(hits.values()) >= 2, hits
    assert production.archived() == archived
    assert differences(there, fingerprint(*production.places(), without=VOLATILE)) == []
