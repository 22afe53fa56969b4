"""The engine over toy steps: real processes, killed from outside."""

import json
import os
import random
import signal
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from engine.records.errors import RepriseError, Unreachable
from engine.run.control import send
from engine.run.folder import create_run, follow, list_runs, read_run
from engine.run.journal import read_entries
from tests.run.toys import ended, files, gate, kill, new_run, site, start, toy, wait_for, wait_until


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Path]:
    """A folder for the toys' files; no engine outlives the test."""
    folder = tmp_path / "work"
    folder.mkdir()
    yield folder
    for state in list_runs(tmp_path / "state")[0]:
        if state.pid is not None:
            os.kill(state.pid, signal.SIGKILL)


def whole(*names: str, count: int = 10) -> dict[str, str]:
    return {f"{name}/{number}": name for name in names for number in range(count)}


def test_an_undisturbed_run_completes_and_reports(tmp_path: Path, work: Path) -> None:
    run = new_run(tmp_path, toy("one", work), toy("two", work))
    start(run)
    state = ended(run)
    assert (state.outcome, [step.outcome for step in state.steps]) == ("completed", ["done", "done"])
    assert state.finished_at is not None and state.finished_at >= state.started_at
    assert files(work) == whole("one", "two")
    assert state.answers == ("stop", "start", "discard")
    assert json.loads((run / "report.json").read_text())["state"]["outcome"] == "completed"
    assert "| Make one | done |" in (run / "report.md").read_text()


def test_the_runs_folder_is_for_its_owner_alone(tmp_path: Path, work: Path) -> None:
    run = new_run(tmp_path, toy("one", work))
    start(run)
    ended(run)
    assert stat.S_IMODE(run.stat().st_mode) == 0o700
    assert {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in run.iterdir()} == {
        path.name: "0o600" for path in run.iterdir()
    }


def test_the_engine_is_its_own_session_without_a_terminal(tmp_path: Path, work: Path) -> None:
    run = new_run(tmp_path, gate())
    pid = start(run)
    assert os.getsid(pid) != os.getsid(0)
    assert Path(f"/proc/{pid}/fd/0").readlink() == Path("/dev/null")
    os.kill(pid, signal.SIGHUP)
    wait_for(run, lambda state: state.outcome == "paused")
    assert send(run, "status")["pid"] == pid
    send(run, "finish")
    assert ended(run).outcome == "completed"


def test_a_failing_step_leaves_all_as_it_is_and_can_be_resumed(tmp_path: Path, work: Path) -> None:
    run = new_run(tmp_path, toy("one", work), toy("two", work, wrong=5, mended=str(tmp_path / "mended")))
    start(run)
    state = ended(run)
    assert state.outcome == "failed"
    assert state.error is not None
    assert (state.error.message, state.error.cause, state.error.remedy) == ("this went wrong", "a cause", "a remedy")
    assert [step.outcome for step in state.steps] == ["done", "failed"]
    assert state.answers == ("resume", "rollback")
    assert len(files(work)) == 15
    (tmp_path / "mended").touch()
    start(run)
    state = ended(run)
    assert (state.outcome, state.error, files(work)) == ("completed", None, whole("one", "two"))
    begun = [entry["step"] for entry in read_entries(run / "journal.jsonl").entries if entry["kind"] == "begin"]
    assert begun == ["one", "two", "two"]


def test_a_bug_in_a_step_is_one_line_and_its_traceback_is_in_the_log(tmp_path: Path, work: Path) -> None:
    run = new_run(tmp_path, toy("one", work, bug=3))
    start(run)
    state = ended(run)
    assert state.outcome == "failed" and state.error is not None
    assert "\n" not in state.error.message and "ZeroDivisionError" in state.error.message
    assert "Traceback" in (run / "engine.log").read_text()
    assert "Traceback" not in (run / "report.md").read_text()


@pytest.mark.parametrize("seed", range(5))
def test_killed_in_mid_step_resume_ends_as_undisturbed(tmp_path: Path, work: Path, seed: int) -> None:
    chance = random.Random(seed)
    run = new_run(tmp_path, toy("one", work, pause=0.01), toy("two", work, pause=0.01))
    for _ in range(2):
        start(run)
        time.sleep(chance.uniform(0, 0.15))  # anywhere
        if (pid := read_run(run).pid) is None:
            break
        with suppress(ProcessLookupError):  # it came to its end at this very moment
            os.kill(pid, signal.SIGKILL)
        state = ended(run)
        if state.outcome == "completed":
            return
        assert (state.outcome, state.pid) == ("interrupted", None)
        assert state.answers == ("resume", "rollback")
    if read_run(run).outcome != "completed":
        start(run)
    assert ended(run).outcome == "completed"
    assert files(work) == whole("one", "two")


@pytest.mark.parametrize("seed", range(5))
def test_killed_in_mid_undo_rollback_ends_in_the_state_before(tmp_path: Path, work: Path, seed: int) -> None:
    chance = random.Random(seed)
    (work / "before").write_text("stays")
    run = new_run(tmp_path, toy("one", work), toy("two", work, pause=0.01))
    start(run)
    wait_until(lambda: len(files(work)) > 11 + chance.randrange(8))
    kill(run)
    start(run, "rollback")
    wait_until(lambda: not (work / "two").exists() or len(files(work / "two")) < 8)
    if read_run(run).pid is not None:
        kill(run)
    if read_run(run).outcome == "interrupted":
        assert read_run(run).answers == ("rollback",)
        with pytest.raises(RepriseError, match="cannot be taken by resume"):
            start(run)
        start(run, "rollback")
    state = ended(run)
    assert (state.outcome, state.answers) == ("rolled-back", ())
    assert [step.outcome for step in state.steps] == ["undone", "undone"]
    assert files(work) == {"before": "stays"}


def test_a_run_that_completed_is_not_resumed(tmp_path: Path, work: Path) -> None:
    run = new_run(tmp_path, toy("one", work))
    start(run)
    ended(run)
    with pytest.raises(RepriseError, match="cannot be taken by resume") as refused:
        start(run)
    assert refused.value.remedy is not None and "discard" in refused.value.remedy
    assert read_run(run).outcome == "completed"


def test_discarding_a_side_copy_undoes_all_of_it(tmp_path: Path, work: Path) -> None:
    run = new_run(tmp_path, toy("one", work), toy("two", work))
    start(run)
    ended(run)
    start(run, "discard")
    state = ended(run)
    assert (state.outcome, state.answers, files(work)) == ("discarded", (), {})


def test_a_held_run_stands_still_until_it_goes_on(tmp_path: Path, work: Path) -> None:
    run = new_run(tmp_path, toy("one", work, count=100, pause=0.02))
    start(run)
    wait_until(lambda: len(files(work)) > 2)
    send(run, "hold")
    state = read_run(run)
    assert (state.held, state.outcome, "go-on" in state.answers) == (True, "running", True)
    made = -1
    wait_until(lambda: send(run, "status")["held"])
    made = len(files(work))
    time.sleep(0.3)  # fifteen files' worth
    assert len(files(work)) <= made + 1
    send(run, "go-on")
    wait_until(lambda: len(files(work)) > made + 1)
    assert not read_run(run).held
    send(run, "cancel")
    assert ended(run).outcome == "interrupted"


@pytest.mark.parametrize("how", ["command", "signal"])
def test_cancel_stops_at_the_next_safe_point_and_leaves_all(tmp_path: Path, work: Path, how: str) -> None:
    run = new_run(tmp_path, toy("one", work, count=500, pause=0.01), toy("two", work))
    pid = start(run)
    wait_until(lambda: len(files(work)) > 2)
    if how == "command":
        send(run, "cancel")
    else:
        os.kill(pid, signal.SIGTERM)
    state = ended(run)
    assert (state.outcome, state.error) == ("interrupted", None)
    assert 2 < len(files(work)) < 500
    start(run, "rollback")
    assert ended(run).outcome == "rolled-back"
    assert files(work) == {}


def test_at_the_gate_the_run_is_paused_advances_and_finishes(tmp_path: Path, work: Path) -> None:
    run = new_run(tmp_path, gate(), toy("one", work))
    start(run)
    state = wait_for(run, lambda state: state.outcome == "paused")
    assert (state.answers, state.steps[0].outcome) == (("finish", "advance", "cancel"), "waiting")
    with pytest.raises(RepriseError, match="resolved target"):
        send(run, "advance")
    send(run, "advance", target={"gate": 77})
    entries, offset = follow(run)
    while [entry["kind"] for entry in entries].count("gate") < 2:
        more, offset = follow(run, offset)
        entries += more
    assert [entry["finding"] for entry in entries if entry["kind"] == "gate"] == [{"stands_at": 1}, {"stands_at": 77}]
    assert files(work) == {}
    send(run, "finish")
    assert ended(run).outcome == "completed"
    assert files(work) == whole("one")


def test_a_paused_run_whose_engine_died_is_interrupted_and_asks_again(tmp_path: Path, work: Path) -> None:
    run = new_run(tmp_path, gate())
    start(run)
    wait_for(run, lambda state: state.outcome == "paused")
    kill(run)
    assert read_run(run).outcome == "interrupted"
    with pytest.raises(Unreachable, match="not alive") as dead:
        send(run, "finish")
    assert dead.value.remedy is not None and f"reprise resume {run.name}" in dead.value.remedy
    start(run)
    wait_for(run, lambda state: state.outcome == "paused")
    send(run, "finish")
    assert ended(run).outcome == "completed"


def test_a_cancelled_gate_can_be_resumed(tmp_path: Path, work: Path) -> None:
    run = new_run(tmp_path, gate())
    start(run)
    wait_for(run, lambda state: state.outcome == "paused")
    send(run, "cancel")
    assert ended(run).outcome == "interrupted"
    start(run)
    wait_for(run, lambda state: state.outcome == "paused")
    send(run, "finish")
    assert ended(run).outcome == "completed"


def test_a_running_run_declines_an_answer_for_a_gate(tmp_path: Path, work: Path) -> None:
    run = new_run(tmp_path, toy("one", work, count=200, pause=0.01))
    start(run)
    with pytest.raises(RepriseError, match="does not wait at a gate"):
        send(run, "finish")


def test_two_restores_in_place_exclude_each_other(tmp_path: Path, work: Path) -> None:
    first = new_run(tmp_path, gate(), in_place=True)
    second = new_run(tmp_path, toy("one", work), in_place=True)
    pid = start(first)
    with pytest.raises(RepriseError, match="another run holds the site 'archive'") as refused:
        start(second)
    assert refused.value.cause is not None and first.name in refused.value.cause and str(pid) in refused.value.cause
    assert files(work) == {}
    wait_for(first, lambda state: state.outcome == "paused")
    kill(first)
    start(second)
    assert ended(second).outcome == "completed"


def test_two_state_folders_do_not_let_two_restores_work_on_one_cluster(tmp_path: Path, work: Path) -> None:
    (tmp_path / "destination").mkdir()
    first = new_run(tmp_path, gate(), in_place=True)
    plan = read_run(first).plan
    second = create_run(tmp_path / "another state", plan, site())
    start(first)
    wait_for(first, lambda state: state.outcome == "paused")
    with pytest.raises(RepriseError, match=r"another run holds .*destination"):
        start(second)
    send(first, "finish")
    assert ended(first).outcome == "completed"
    assert (tmp_path / "destination").exists() and not list((tmp_path / "destination").iterdir())


def test_one_run_has_one_engine(tmp_path: Path, work: Path) -> None:
    run = new_run(tmp_path, gate())
    start(run)
    with pytest.raises(RepriseError, match=r"an engine of .* lives"):
        start(run)


def test_progress_is_told_with_its_rate_and_not_journalled(tmp_path: Path, work: Path) -> None:
    run = new_run(tmp_path, toy("one", work, count=400, pause=0.01))
    start(run)
    state = wait_for(run, lambda state: bool(state.steps[0].progress and state.steps[0].progress.rate))
    progress = state.steps[0].progress
    assert progress is not None and 0 < progress.done < 400 and progress.total == 400
    assert progress.seconds_left is not None and progress.seconds_left > 0
    kinds = {entry["kind"] for entry in read_entries(run / "journal.jsonl").entries}
    assert kinds == {"created", "engine", "begin", "before"}
    assert not (run / "progress.new").exists() or (run / "progress.json").exists()


def test_a_deep_folder_has_a_control_socket_too(tmp_path: Path, work: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 60)
    deep.mkdir(parents=True)
    run = new_run(deep, gate())
    start(run)
    wait_for(run, lambda state: state.outcome == "paused")
    send(run, "finish")
    assert ended(run).outcome == "completed"
