"""The report of a run: for programs, for people, for auditors."""

import hashlib
import json
import os
import subprocess
import time
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from engine.acts.desk import Desk
from engine.acts.reporting import recoveries, write_report
from engine.records.coding import to_json
from engine.records.copying import Copying
from engine.records.errors import Refused
from engine.records.recoveries import Recovery
from engine.records.runs import RunState
from engine.records.survey import OsUser
from engine.run.control import send
from engine.run.folder import create_run, read_run
from engine.run.journal import Entry, read_entries
from engine.site import Objectives
from tests.run.toys import ended, gate, kill, new_run, planned, site, start, toy, wait_for

HOSTILE = '<script>alert("1")</script> & `x` | [y](z) **bold**'


class Tags(HTMLParser):
    """What a page is made of, and whether every tag is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.attributes: set[str] = set()
        self.texts: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_who_started_and_answered_it_with_what_and_how_long_it_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "192.0.2.7 50122 192.0.2.1 22")
    monkeypatch.setenv("SUDO_USER", "anna")
    run = new_run(tmp_path, gate(), toy("one", tmp_path / "work"))
    (tmp_path / "work").mkdir()
    start(run)
    wait_for(run, lambda state: state.outcome == "paused")
    monkeypatch.setenv("SUDO_USER", "boris")
    send(run, "finish")
    state = ended(run)
    begun, answered = state.deeds
    assert (begun.act, begun.operator and begun.operator.sudo_user) == ("apply", "anna")
    assert (answered.act, answered.operator and answered.operator.sudo_user) == ("finish", "boris")
    assert {"reprise", "Python", "operating system"} <= begun.versions.keys()

    at = {entry["kind"]: entry for entry in read_entries(run / "journal.jsonl").entries}
    waited = (_time(at["answer"]) - _time(at["gate"])).total_seconds()
    assert state.waited == pytest.approx(waited) and waited > 0
    whole = (_time(at["finished"]) - _time(at["engine"])).total_seconds()
    assert state.recovery is not None and state.recovery.rto_seconds == pytest.approx(whole - waited)
    for name in ("report.md", "report.html"):
        told = (run / name).read_text()
        assert "192.0.2.7" in told and "by sudo from anna" in told and "by sudo from boris" in told


def test_an_auditor_can_recompute_the_digest_of_the_journal(tmp_path: Path) -> None:
    """By the very line that the report says."""
    (tmp_path / "work").mkdir()
    run = new_run(tmp_path, toy("one", tmp_path / "work"))
    start(run)
    ended(run)
    told = json.loads((run / "report.json").read_text())["journal"]
    line = f"head -c {told['bytes']} journal.jsonl | sha256sum"
    assert line in (run / "report.md").read_text() and line in (run / "report.html").read_text()
    assert (
        subprocess.run(["sh", "-c", line], cwd=run, capture_output=True, text=True).stdout.split()[0] == told["sha256"]
    )
    journal = (run / "journal.jsonl").read_bytes()
    assert hashlib.sha256(journal[: told["bytes"]]).hexdigest() == told["sha256"]
    assert [json.loads(line)["kind"] for line in journal[told["bytes"] :].splitlines()] == ["finished"]


def test_a_page_needs_nothing_beside_it_and_every_text_in_it_is_only_text(tmp_path: Path) -> None:
    """Whatever a step, a site or an archive is called."""
    work = tmp_path / "work"
    work.mkdir()
    odd = os.fsdecode(b"\xff") + HOSTILE
    step = replace(toy("one", work, wrong=3, mended="/nowhere"), title=HOSTILE)
    plan = replace(planned(tmp_path / odd.replace("/", "-"), step), site=HOSTILE)
    run = create_run(tmp_path / "state", replace(plan, destination=replace(plan.destination, path=HOSTILE)), site())
    start(run)
    assert ended(run).outcome == "failed"
    page = (run / "report.html").read_text()
    tags = Tags(page)
    assert not tags.seen & {"script", "link", "img", "a", "iframe", "b"}
    assert not tags.attributes & {"src", "href", "onload", "style"} and "url(" not in page
    assert sum(HOSTILE in text for text in tags.texts) >= 3
    told = (run / "report.md").read_text()
    assert "<script>" not in told.replace("\\<script>", "").replace(f"``{HOSTILE}``", "")
    row = next(line for line in told.splitlines() if line.startswith("| ") and "alert" in line)
    assert row.replace("\\|", "").count("|") == 5  # four cells


def test_a_report_is_written_once_and_shows_how_it_went_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two recoveries and a drill are a history; objectives say which of them were in time."""
    (tmp_path / "work").mkdir()
    for _ in range(2):
        run = new_run(tmp_path, toy("one", tmp_path / "work"))
        start(run)
        state = ended(run)
    drill = tmp_path / "state" / "drills" / "20260101T000000Z-drop"
    drill.mkdir(parents=True)
    lesson = Recovery("drill", state.started_at.replace(year=2025), "20260101T000000Z-drop", False, 99.0, 7.0)
    (drill / "recovery.json").write_bytes(to_json(lesson))
    (drill.parent / "torn").mkdir()
    (drill.parent / "torn" / "recovery.json").write_bytes(b"{")
    copying = Copying("dump", "1", "/copies", "/copies/1", "/copies/.draft-1", OsUser("nobody", 1, 1))
    copied = create_run(tmp_path / "state", replace(read_run(run).plan, copying=copying), site())
    wanted = wanting_a_minute(tmp_path, state)
    with monkeypatch.context() as patched:  # copies are many: their journals are not even read
        patched.setattr("engine.run.learnt.read_run", lambda folder: read_run(folder) if folder != copied else None)
        learnt = recoveries(wanted)
    assert learnt.recoveries[0] == lesson and [each.kind for each in learnt.recoveries[1:]] == ["restore", "restore"]
    assert learnt.objectives.rto_seconds == 60

    file = tmp_path / "report.html"
    write_report(wanted, state.run, file, "html")
    tags = Tags(file.read_text())
    assert "svg" in tags.seen and sum("objective" in text for text in tags.texts) >= 1
    with pytest.raises(Refused):
        write_report(wanted, state.run, file, "markdown")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "state", "work"]


def test_a_gate_at_which_the_engine_died_was_waiting_too(tmp_path: Path) -> None:
    run = new_run(tmp_path, gate())
    start(run)
    wait_for(run, lambda state: state.outcome == "paused")
    kill(run)
    assert read_run(run).recovery is None  # it came to no end
    start(run)
    wait_for(run, lambda state: state.outcome == "paused")
    send(run, "finish")
    state = ended(run)
    entries = read_entries(run / "journal.jsonl").entries
    gates = [_time(entry) for entry in entries if entry["kind"] == "gate"]
    ends = [_time(entry) for entry in entries if entry["kind"] in ("engine", "answer")][1:]
    assert state.waited == pytest.approx(
        sum((end - begun).total_seconds() for begun, end in zip(gates, ends, strict=True))
    )
    assert [deed.act for deed in state.deeds] == ["apply", "apply", "finish"]


def test_the_time_in_which_the_operator_held_it_is_none_of_the_recovery(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    run = new_run(tmp_path, toy("one", tmp_path / "work", count=60, pause=0.02))
    start(run)
    wait_for(run, lambda state: state.steps[0].outcome == "running")
    send(run, "hold")
    time.sleep(0.3)
    send(run, "go-on")
    state = ended(run)
    at = {entry["kind"]: entry for entry in read_entries(run / "journal.jsonl").entries}
    assert state.waited == pytest.approx((_time(at["going-on"]) - _time(at["held"])).total_seconds())
    assert state.waited >= 0.3
    whole = (_time(at["finished"]) - _time(at["engine"])).total_seconds()
    assert state.recovery is not None and state.recovery.rto_seconds == pytest.approx(whole - state.waited)


def wanting_a_minute(tmp_path: Path, state: RunState) -> Desk:
    """A desk whose site wants a recovery to take a minute at most; the run's own site file says so too."""
    wanted = msgspec.structs.replace(site(), objectives=Objectives(rto="60s", rpo="5min"))
    (Path(state.folder) / "site.json").write_bytes(to_json(wanted))
    return Desk(wanted, tmp_path / "site.toml", tmp_path / "state")


def _time(entry: Entry) -> datetime:
    return datetime.fromisoformat(entry["at"])


def test_a_run_whose_report_cannot_be_made_has_come_to_its_end_all_the_same(tmp_path: Path) -> None:
    """What its step tells as a recovery's files is none."""
    (tmp_path / "work").mkdir()
    run = new_run(tmp_path, toy("one", tmp_path / "work", content="files"))
    start(run)
    state = ended(run)
    assert state.outcome == "completed"
    assert not (run / "report.json").exists()
    log = (run / "engine.log").read_text()
    assert "the report could not be written: Traceback" in log
    assert "apply: completed" in log
