"""Whatever goes wrong, the command line says it once, without a traceback, and with --json as one document."""

import hashlib
import io
import json
import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn
from zoneinfo import ZoneInfo

import pytest

from engine import __version__, acts, cli
from engine.cli import commands, following, monitoring, printing
from engine.records.coding import to_builtins
from engine.records.errors import RepriseError
from engine.records.plan import Check
from engine.records.status import Level, SiteStatus, Thing
from engine.run import folder as folders
from engine.run.journal import Journal
from engine.run.story import Story
from tests.run.toys import new_run, site, toy
from tests.site_files import site_text

PROGRAM = [sys.executable, "-c", "import sys; from tui.command import main; sys.exit(main())"]


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    (tmp_path / "site.toml").write_text(site_text("/nowhere"))
    return ["--site", str(tmp_path / "site.toml"), "--state", str(tmp_path / "state")]


def test_the_version_is_told() -> None:
    done = subprocess.run([*PROGRAM, "--version"], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == f"reprise {__version__}\n" and not done.stderr


def raising(error: BaseException) -> Callable[..., NoReturn]:
    def carry_out(*_: object) -> NoReturn:
        raise error

    return carry_out


def said(monkeypatch: pytest.MonkeyPatch, error: BaseException, words: list[str]) -> int:
    monkeypatch.setattr(commands, "carry_out", raising(error))
    return cli.main(words, open_screen=lambda: 0)


@pytest.mark.parametrize(
    ("error", "code", "outcome"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (EOFError(), 2, "failed"),
        (ZeroDivisionError("x"), 1, "failed"),
        (RepriseError("m", cause="c", remedy="r"), 1, "failed"),
    ],
)
def test_every_end_has_one_document(
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
    error: BaseException,
    code: int,
    outcome: str,
) -> None:
    assert said(monkeypatch, error, ["--json", "restore", "--latest", "--into", "/srv/copy"]) == code
    document = json.loads(capfdbinary.readouterr().out)
    assert (document["run"], document["outcome"]) == (None, outcome)
    assert document["error"]["message"]


def test_an_error_after_a_run_was_made_names_it(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    error = RepriseError("m")
    error.run = "20261122T000000Z-archive"
    said(monkeypatch, error, ["--json", "restore", "--latest", "--into", "/srv/copy"])
    assert json.loads(capfdbinary.readouterr().out)["run"] == error.run


def test_a_wrong_restore_has_a_document_with_run_and_outcome(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert cli.main(["--json", "restore", "--latest"], open_screen=lambda: 0) == 2
    document = json.loads(capfdbinary.readouterr().out)
    assert (document["run"], document["outcome"]) == (None, "failed")


@pytest.mark.parametrize("words", [["runs", "--json"], ["--json", "report", "nothing"], ["runs", "--help"]])
@pytest.mark.parametrize("output", ["closed pipe", "full"])
def test_an_output_that_takes_nothing_gives_no_traceback(options: list[str], words: list[str], output: str) -> None:
    if output == "full":
        writing = os.open("/dev/full", os.O_WRONLY)
    else:
        reading, writing = os.pipe()
        os.close(reading)
    try:
        done = subprocess.run([*PROGRAM, *options, *words], stdout=writing, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(writing)
    assert b"Traceback" not in done.stderr and b"Exception ignored" not in done.stderr


def test_a_damaged_run_is_told_among_the_runs(options: list[str], tmp_path: Path) -> None:
    damaged = tmp_path / "state" / "runs" / "20200101T000000Z-archive"
    damaged.mkdir(parents=True)
    done = subprocess.run([*PROGRAM, *options, "runs", "--json"], capture_output=True, check=True)
    document = json.loads(done.stdout)
    assert document["runs"] == [] and [each["where"] for each in document["problems"]] == [str(damaged)]
    plain = subprocess.run([*PROGRAM, *options, "runs"], capture_output=True, check=True, text=True)
    assert str(damaged) in plain.stdout


def a_run(tmp_path: Path, outcome: str | None, odd: str = "") -> tuple[acts.Desk, str]:
    """A run of toys, as its journal tells it; None: its engine died. ``odd``: a name that it found."""
    run = new_run(tmp_path, toy("one", tmp_path))
    journal = Journal(run / folders.JOURNAL, Story().hear)
    journal.append("engine", {"act": "apply", "pid": 1})
    if odd:
        journal.append("check", {"step": "one", "check": to_builtins(Check("indexes", "warn", False, odd, odd))})
        journal.append("note", {"step": "one", "text": odd})
    if outcome is not None:
        journal.append("finished", {"outcome": outcome, "error": {"message": f"it went wrong{odd}", "cause": odd}})
    journal.close()
    return acts.Desk(site(), tmp_path / "site.toml", tmp_path / "state"), run.name


def test_what_others_named_does_nothing_to_the_terminal_and_passes_for_no_line_of_ours(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Any user may name an index like that; the program's own lines and what it asks hold it, and its documents."""
    odd = "\x1b]0;owned\x07 \x9b31m \x7f \u202e \r+ all is well\n+ all is well \t ü \U0001f600"
    _, run = a_run(tmp_path, "failed", odd)
    attached, listed = (cli.main([*options, *words], open_screen=lambda: 0) for words in (["attach", run], ["runs"]))
    assert (attached, listed) == (1, 0)
    error = RepriseError(f"no {odd}", cause=odd, remedy=odd)
    with monkeypatch.context() as patch:
        assert said(patch, error, ["runs"]) == 1
        patch.setattr(sys, "stdin", io.StringIO(" yes \n"))
        assert printing.ask(f"Replace {odd}? ") == "yes"
        printing.say_passing(odd)
    told = capfdbinary.readouterr()
    assert cli.main([*options, "report", run, "--json"], open_screen=lambda: 0) == 0
    document = capfdbinary.readouterr().out
    for where, count in ((told.out, 6), (told.err, 4)):
        assert where.count(rb"\x1b]0;owned\x07 \x9b31m \x7f \u202e \r+") == count
        assert all(char.isprintable() for char in where.decode().replace("\n", "").replace("\r", "", 1))
        assert b"\n+" not in where and where.count("ü \U0001f600".encode()) >= 3
    assert json.loads(document)["error"]["cause"] == odd and document.decode().replace("\n", "").isprintable()


def test_a_report_is_written_into_files_that_do_not_exist_yet(options: list[str], tmp_path: Path) -> None:
    """And its document says what an auditor asks: who, how long, and the journal's digest."""
    _, run = a_run(tmp_path, "completed")
    page, text = tmp_path / "report.html", tmp_path / "report.md"
    words = [*PROGRAM, *options, "report", run, "--json", "--html", str(page), "--markdown", str(text)]
    document = json.loads(subprocess.run(words, capture_output=True, check=True).stdout)
    assert document["written"] == [str(page), str(text)] and page.read_text().startswith("<!DOCTYPE html>")
    assert document["who"][0]["act"] == "apply" and document["rto_seconds"] is not None
    assert (document["rpo_seconds"], document["objectives"]) == (None, {"rto_seconds": None, "rpo_seconds": None})
    journal = (tmp_path / "state" / "runs" / run / "journal.jsonl").read_bytes()
    assert document["journal"] == {"bytes": len(journal), "sha256": hashlib.sha256(journal).hexdigest()}
    assert f"head -c {len(journal)} journal.jsonl" in text.read_text()
    before = text.read_bytes()
    assert subprocess.run(words, capture_output=True, check=False).returncode == 3
    assert text.read_bytes() == before


def test_a_runbook_says_where_it_is_and_what_it_cannot_bring_back(options: list[str], tmp_path: Path) -> None:
    words = [*PROGRAM, *options, "runbook"]
    plain = subprocess.run(words, capture_output=True, check=True, cwd=tmp_path, text=True)
    page = next(tmp_path.glob("runbook-*.md"))
    assert str(page) in plain.stdout and "no base backup can be used" in plain.stdout
    assert subprocess.run(words, capture_output=True, check=False, cwd=tmp_path).returncode == 3  # it is there already
    paper = [*words, "--json", "--html", "--out", str(tmp_path / "safe.html")]
    document = json.loads(subprocess.run(paper, capture_output=True, check=True).stdout)
    assert (document["path"], document["format"], document["backup"]) == (str(tmp_path / "safe.html"), "html", None)


@pytest.mark.parametrize(("outcome", "code"), [("failed", 1), (None, 1), ("completed", 0)])
def test_a_run_that_is_left_alone_is_not_called_running_where_it_ended(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], outcome: str | None, code: int
) -> None:
    desk, run = a_run(tmp_path, outcome)
    assert following.leave(Namespace(json=True), desk, run) == code
    document = json.loads(capfdbinary.readouterr().out)
    assert (document["run"], document["outcome"], document["pid"]) == (run, outcome or "interrupted", None)


def test_ctrl_c_while_following_still_gives_the_runs_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    desk, run = a_run(tmp_path, "completed")
    monkeypatch.setattr(acts, "follow", raising(KeyboardInterrupt()), raising=False)
    assert following.follow(Namespace(json=True), desk, run) == 130
    assert json.loads(capfdbinary.readouterr().out)["run"] == run


def test_a_status_that_cannot_be_told_is_unknown_to_a_monitor_and_no_warning(
    options: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "state").touch()  # no folder
    assert cli.main(["status", *options], open_screen=lambda: 0) == 3
    out = capfd.readouterr().out
    assert out.startswith("REPRISE UNKNOWN - ") and "cannot be written" in out and out.count("\n") == 1
    assert cli.main(["status", "--json", *options], open_screen=lambda: 0) == 3
    assert json.loads(capfd.readouterr().out)["outcome"] == "failed"


def test_nothing_in_a_finding_passes_for_the_numbers_behind_the_bar(capfd: pytest.CaptureFixture[str]) -> None:
    thing = Thing("files", Level.WARNING, "m1", datetime.now(UTC), 60.0, 3600, findings=("a|files=0s",))
    monitoring.tell(SiteStatus("docs", datetime.now(UTC), (thing,), (), None), ZoneInfo("UTC"))
    line = capfd.readouterr().out.splitlines()[0]
    assert line == "REPRISE WARNING - docs: files: a/files=0s | files=60s;3600;7200"
