"""What is heard of an engine that does not begin."""

import sys
from pathlib import Path

import pytest

from engine.records.errors import RepriseError, Unreachable
from engine.run import folder as folders
from engine.run.folder import read_run
from engine.run.journal import Journal
from engine.run.starting import start_engine
from engine.run.story import Story
from tests.run.toys import PROGRAM, ended, gate, new_run, toy


def test_an_engine_that_says_nothing_in_time_is_not_called_dead(tmp_path: Path) -> None:
    run = new_run(tmp_path, toy("one", tmp_path))
    patient = (sys.executable, "-c", "import sys; sys.stdin.read(); import time; time.sleep(3)")
    with pytest.raises(Unreachable, match="did not say") as failure:
        start_engine(run, program=patient, timeout=0.2)
    assert failure.value.remedy is not None and "reprise attach" in failure.value.remedy


def test_an_engine_that_dies_is_called_dead(tmp_path: Path) -> None:
    run = new_run(tmp_path, toy("one", tmp_path))
    with pytest.raises(RepriseError, match="ended before it began") as failure:
        start_engine(run, program=(sys.executable, "-c", "import sys; sys.exit('its last words')"))
    assert failure.value.cause == "its last words"


def test_a_folder_that_cannot_be_written_is_told_in_one_message(tmp_path: Path) -> None:
    run = new_run(tmp_path, toy("one", tmp_path))
    (run / folders.CONTROL).mkdir()  # the control socket cannot be bound, as on a full disk
    with pytest.raises(RepriseError) as failure:
        start_engine(run, program=PROGRAM)
    assert "control" in failure.value.message and "ended before" not in failure.value.message
    assert "Traceback" not in (run / folders.LOG).read_text()


def test_why_an_answer_at_the_gate_was_not_followed_stands_in_the_notes(tmp_path: Path) -> None:
    run = new_run(tmp_path, gate())
    journal = Journal(run / folders.JOURNAL, Story().hear)
    journal.append("engine", {"act": "apply", "pid": 1})
    journal.append("begin", {"step": "gate"})
    journal.append("gate", {"step": "gate", "finding": {"note": None}})
    journal.append("gate", {"step": "gate", "finding": {"note": "not advanced: it lies before the gate"}})
    journal.close()
    assert [note["text"] for note in read_run(run).notes] == ["not advanced: it lies before the gate"]


def test_a_disk_that_fills_up_ends_the_run_in_one_message(tmp_path: Path) -> None:
    run = new_run(tmp_path, toy("one", tmp_path), toy("two", tmp_path), toy("three", tmp_path))
    journal = Journal(run / folders.JOURNAL, Story().hear)
    journal.append("note", {"text": "x" * 100_000})  # more than engine.log needs
    journal.close()
    room = (run / folders.JOURNAL).stat().st_size + 500  # bytes: the start goes in, the steps do not
    limited = f"import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))"
    program = f"{limited}; sys.argv[0] = {PROGRAM[1]!r}; runpy.run_path({PROGRAM[1]!r}, run_name='__main__')"
    start_engine(run, program=(sys.executable, "-c", program))
    state = ended(run)
    assert state.outcome in ("failed", "interrupted") and state.answers == ("resume", "rollback")
    last = (run / folders.LOG).read_text().splitlines()[-1]
    assert f"{run / folders.JOURNAL}: File too large" in last
