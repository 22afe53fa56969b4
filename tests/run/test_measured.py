"""What a run leaves for later estimates, and the limits that it keeps to: real engines over toy steps."""

import os
import shutil
from pathlib import Path

import psutil
from msgspec.structs import replace

from engine.records.plan import Limits
from engine.run.control import send
from engine.run.folder import create_run, list_runs, read_run
from engine.run.history import all_measured
from tests.run.toys import ended, files, kill, new_run, planned, site, start, toy, wait_for, wait_until


def names(state: Path) -> list[str]:
    return [each.run for each in all_measured(state, list_runs(state)[0])]


def test_what_steps_took_counts_when_they_are_undone_and_when_their_run_is_gone(tmp_path: Path) -> None:
    work, state = tmp_path / "work", tmp_path / "state"
    work.mkdir()
    run = new_run(tmp_path, toy("one", work), toy("two", work))
    start(run)
    assert ended(run).outcome == "completed" and names(state) == [run.name] * 2
    start(run, "discard")
    assert ended(run).outcome == "discarded" and names(state) == [run.name] * 2
    shutil.rmtree(run)
    assert names(state) == [run.name] * 2
    (state / "measured" / f"{run.name}.json").write_text("[{")
    assert names(state) == []


def test_a_step_that_was_interrupted_or_held_is_no_measure(tmp_path: Path) -> None:
    work, state = tmp_path / "work", tmp_path / "state"
    work.mkdir()
    run = new_run(tmp_path, toy("one", work), toy("two", work, pause=0.02), toy("three", work, pause=0.02))
    start(run)
    wait_until(lambda: (work / "two" / "3").exists())
    kill(run)
    start(run)
    wait_until(lambda: (work / "three" / "3").exists())
    send(run, "hold")
    wait_for(run, lambda found: found.held)
    send(run, "go-on")
    assert ended(run).outcome == "completed" and len(files(work)) == 30
    assert [step.at_a_stretch for step in read_run(run).steps] == [True, False, False]
    assert names(state) == [run.name]


def test_an_engine_with_limits_and_all_that_it_starts_let_others_go_first(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    plan = replace(planned(tmp_path / "destination", toy("one", work, pause=5.0)), limits=Limits(nice=7, idle_io=True))
    run = create_run(tmp_path / "state", plan, site())
    start(run)
    wait_until(lambda: (work / "one" / "0").exists())
    pid = read_run(run).pid
    assert pid is not None
    process = psutil.Process(pid)
    assert (process.nice(), process.ionice().ioclass) == (7, psutil.IOPRIO_CLASS_IDLE)
    assert psutil.Process(os.getpid()).nice() < 7
    kill(run)
