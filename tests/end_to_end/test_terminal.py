"""The program in a real terminal on a real site: from the first key to the recovered server, through a hang-up."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from engine.acts import open_desk, runs
from engine.records.lsn import format_lsn
from engine.records.runs import RunState
from tests.clusters import wait_until
from tests.end_to_end.operator import CHECKOUT, Operator, operator_for
from tests.end_to_end.terminal import terminal
from tests.histories import History

_NO_COLOURS = {b"", b"0", b"1", b"2", b"7", b"22", b"27", b"39", b"49"}  # attributes, and back to the default


@pytest.fixture
def operator(history: History, open_dir: Path) -> Operator:
    """With the WAL read already: else the screen shows what it knows so far, and that changes under the keys."""
    operator = operator_for(history.cluster, open_dir)
    operator.call("catalog", expect=0)
    return operator


def _words(operator: Operator, *options: str) -> list[str]:
    return ["-m", "tui", "--site", str(operator.site), "--state", str(operator.home / "state"), *options]


def _commit(history: History) -> tuple[int, int]:
    """A commit in the middle of the second timeline: its xid and its record's LSN."""
    ends = history.cluster.ends(2)
    commits = [end for end in ends if end.timeline == 2 and end.lsn > history.fork and end.kind == "COMMIT"]
    chosen = commits[len(commits) // 2]
    return chosen.xid, chosen.lsn


def _standing(operator: Operator) -> Callable[[], list[RunState]]:
    desk = open_desk(operator.site, operator.home / "state")
    return lambda: list(runs(desk))


@pytest.mark.slow
def test_a_restore_outlives_its_terminal_and_is_finished_from_another(operator: Operator, history: History) -> None:
    xid, lsn = _commit(history)
    standing = _standing(operator)
    with terminal(*_words(operator)) as shown:
        shown.until("● REACHABLE")
        shown.press("g")
        shown.until("yesterday 18:00")
        shown.press(str(xid))
        shown.until(f"just before transaction {xid}: it is the first that is lost")
        shown.press("\r")
        shown.until(f"xid {xid}")
        shown.settle()
        shown.press("\r")
        shown.until("Nothing is changed before Enter")
        assert standing() == []
        shown.press("\r")
        shown.until("server log")
        assert "PAUSED" not in shown.text
        shown.hang_up()
    (run,) = standing()
    assert run.outcome in ("running", "paused")
    assert run.pid is not None and Path(f"/proc/{run.pid}").exists()
    wait_until(lambda: standing()[0].outcome != "running", "the run did not come to its gate")
    assert standing()[0].outcome == "paused"
    with terminal(*_words(operator)) as shown:
        shown.until("attach?")
        assert run.run in shown.text
        shown.press("\r")
        shown.until("PAUSED AT THE TARGET")
        shown.until("proven")
        shown.press("P")
        shown.until("COMPLETED")
        shown.press("q")
        assert shown.ended() == 0
    report = operator.call("report", run.run, expect=0).document
    assert report["outcome"] == "completed"
    assert report["reached"]["proven"] is True
    expected = history.cluster.rows_before(lsn, 2, history.fork)
    assert len(expected) < len(history.cluster.rows_before(lsn + 1, 2, history.fork))
    assert operator.rows(report) == expected


@pytest.mark.slow
def test_psql_gets_the_terminal_at_the_gate_and_gives_it_back(operator: Operator, history: History) -> None:
    _, lsn = _commit(history)
    operator.call(
        "restore", "--lsn", format_lsn(lsn), "--exclusive", "--timeline", "2", "--into", operator.copy_to(),
        "--action", "pause", "--yes", expect=4,
    )  # fmt: skip
    (run,) = _standing(operator)()
    assert run.plan.layout is not None
    for option, read_only in ((), "off"), (("--read-only",), "on"):
        with terminal(*_words(operator, *option)) as shown:
            shown.until("attach?")
            shown.press("\r")
            shown.until("PAUSED AT THE TARGET")
            shown.press("o")
            shown.until("postgres=#")
            shown.press("SHOW statement_timeout;\r")
            shown.until("1min")
            shown.press("SHOW default_transaction_read_only;\r")
            shown.until(f" {read_only}")
            shown.press("CREATE TABLE t ();\r")
            shown.until("read-only transaction")
            shown.press("\\! id -un\r")
            shown.until(f"\n{run.plan.layout.run_as.name} ")
            shown.press("SELECT pg_sleep(50);\r")
            shown.settle()
            shown.press("\x03")  # for psql, not for the screen
            shown.until("canceling statement due to user request")
            shown.press("\\q\r")
            shown.until("PAUSED AT THE TARGET")
            shown.until("back from psql")
            if not option:
                shown.press("q")
                assert shown.ended() == 0
                continue
            shown.press("o")
            shown.until("postgres=#")
            children = psutil.Process(shown.pid).children(recursive=True)
            assert [child.name() for child in children] == ["psql"]
            shown.hang_up()
            wait_until(
                lambda left=children: not any(child.is_running() for child in left), "psql outlives its terminal"
            )
    operator.call("cancel", run.run, "--yes", expect=0)
    wait_until(lambda: _standing(operator)()[0].pid is None, "the run did not end")


def test_a_dumb_terminal_gets_plain_lines(operator: Operator) -> None:
    with terminal(*_words(operator), TERM="dumb") as shown:
        assert shown.ended() == 0
    assert b"\x1b" not in shown.sent
    assert b"base backups" in shown.sent and b"recovery windows" in shown.sent


def test_without_a_terminal_there_are_plain_lines(operator: Operator, history: History) -> None:
    done = subprocess.run(
        operator.command()[:3] + _words(operator)[2:],
        stdin=subprocess.DEVNULL, capture_output=True, cwd=CHECKOUT, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\x1b" not in done.stdout
    for name in history.backups.values():
        assert name.encode() in done.stdout


def test_read_only_says_why_nothing_starts(operator: Operator) -> None:
    with terminal(*_words(operator, "--read-only")) as shown:
        shown.until("● REACHABLE")
        shown.press("\r")
        shown.until("Nothing is changed before Enter")
        shown.press("\r")
        shown.until("read-only: this program was started with --read-only")
        shown.press("q")
        assert shown.ended() == 0
    assert _standing(operator)() == []


def test_no_color_sends_no_colour_on_a_real_site(operator: Operator) -> None:
    with terminal(*_words(operator), NO_COLOR="1", COLORTERM="truecolor") as shown:
        shown.until("● REACHABLE")
        shown.press("\r")
        shown.until("Nothing is changed before Enter")
        shown.settle()
        shown.press("q")
        assert shown.ended() == 0
    assert b"\x1b[" in shown.sent
    codes = {code for found in re.findall(rb"\x1b\[([0-9;:]*)m", shown.sent) for code in found.split(b";")}
    assert codes <= _NO_COLOURS
