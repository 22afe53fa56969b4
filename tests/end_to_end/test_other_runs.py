"""Two runs at once, a closed terminal, second thoughts: one run goes on, none is harmed."""

import os
import signal
from pathlib import Path

import pytest

from engine.records.lsn import Lsn
from engine.records.runs import RunState
from engine.run.folder import list_runs
from tests.clusters import Cluster, wait_until
from tests.end_to_end.large import MB, into, nothing_starts_below
from tests.end_to_end.middle import WORKER, document_of, open_command, start_run
from tests.end_to_end.operator import Operator, operator_for
from tests.histories import History

pytestmark = pytest.mark.slow


def test_a_second_run_is_refused_and_the_first_goes_on(history: History, open_dir: Path) -> None:
    operator = operator_for(history.cluster, open_dir)
    words = ["--latest", "--timeline", "2", "--into", str(operator.copy_to()), "--yes"]
    first = operator.call("restore", *words, "--action", "pause", expect=4).document
    second = operator.call("restore", *words, expect=3).document
    held = next(check for check in second["checks"] if check["name"] == "another-run")
    assert held["ok"] is False
    assert first["run"] in held["finding"]
    assert len(operator.call("runs", expect=0).document["runs"]) == 1
    assert operator.call("finish", first["run"], "--yes", expect=0).document["outcome"] == "completed"


def test_of_two_runs_started_at_once_one_completes_and_the_other_is_refused(history: History, open_dir: Path) -> None:
    operator = operator_for(history.cluster, open_dir)
    words = ["restore", "--latest", "--timeline", "2", "--into", str(operator.copy_to()), "--yes"]
    operator.call("catalog", expect=0)
    both = [open_command(operator, *words) for _ in range(2)]
    said = [document_of(each) for each in both]
    codes = sorted(each.returncode for each in both)
    assert codes in ([0, 1], [0, 3]), (codes, said)
    whole = next(document for document in said if document.get("outcome") == "completed")
    assert operator.rows(whole) == history.cluster.rows_before(Lsn(1 << 62), 2, history.fork)


def test_a_second_run_in_place_is_refused_and_the_first_goes_on(cluster: Cluster, open_dir: Path) -> None:
    cluster.write(10, seed=1)
    cluster.base_backup("one")
    cluster.switch()
    operator = operator_for(cluster, open_dir)
    first = operator.call("restore", "--latest", "--in-place", "--action", "pause", "--yes", expect=4).document
    second = operator.call("restore", "--latest", "--in-place", "--yes", expect=3).document
    assert next(check for check in second["checks"] if check["name"] == "another-run")["ok"] is False
    assert operator.call("finish", first["run"], "--yes", expect=0).document["outcome"] == "completed"
    assert {row[0] for row in cluster.sql("SELECT id FROM ledger")} == {row.id for row in cluster.rows}


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL])
def test_a_run_outlives_the_terminal_that_follows_it(history: History, open_dir: Path, number: signal.Signals) -> None:
    operator = operator_for(history.cluster, open_dir)
    terminal = open_command(operator, "restore", "--latest", "--timeline", "2", "--into", operator.copy_to(), "--yes")
    started: list[RunState] = []

    def begun() -> bool:
        started[:] = [run for run in list_runs(operator.home / "state")[0] if run.pid is not None]
        return bool(started)

    wait_until(begun, "no run was started")
    run, engine = started[0].run, started[0].pid
    assert engine is not None
    os.kill(engine, signal.SIGSTOP)  # else a quick run is over before its terminal goes
    os.killpg(terminal.pid, number)
    terminal.communicate(timeout=30)
    os.kill(engine, signal.SIGCONT)
    assert terminal.returncode == -number
    report = operator.call("attach", run, expect=0).document
    assert report["outcome"] == "completed"


def test_a_run_cancelled_in_mid_copy_is_interrupted_and_rollback_leaves_nothing(operator: Operator) -> None:
    run = start_run(operator, *into(operator))
    before = sorted(path.name for path in operator.home.iterdir() if path != operator.copy_to())
    with run.stopped_in("copy", WORKER, 20 * MB):
        operator.call("cancel", run.name, "--yes", expect=0)
    assert operator.call("report", run.name, expect=0).document["outcome"] == "interrupted"
    nothing_starts_below(operator.copy_to())
    assert operator.call("rollback", run.name, "--yes", expect=0).document["outcome"] == "rolled-back"
    assert not operator.copy_to().exists()
    assert sorted(path.name for path in operator.home.iterdir()) == before
