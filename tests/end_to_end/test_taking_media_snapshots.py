"""Snapshots of the users' files from the command line."""

import json
import os
import time
from pathlib import Path

import pytest

from engine import acts
from engine.run.folder import find_run, read_run
from tests.end_to_end.middle import stopped
from tests.end_to_end.operator import Operator, operator_for
from tests.histories import History


@pytest.fixture
def operator(history: History, open_dir: Path) -> Operator:
    operator = operator_for(history.cluster, open_dir)
    for name in ("live", "copies"):
        (open_dir / name).mkdir()
    with operator.site.open("a") as file:
        file.write(f'[media]\npath = "{open_dir}/live"\n')
        file.write(f'[[media.repository]]\nkind = "directory"\npath = "{open_dir}/copies"\n')
    return operator


def fill(folder: Path, files: int, size: int) -> None:
    for number in range(files):
        place = folder / f"2026/11/{number % 28 + 1:02}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}.pdf").write_bytes(os.urandom(size))


def snapshots(operator: Operator) -> list[dict[str, object]]:
    found: list[dict[str, object]] = operator.ask("catalog", expect=0).document["media_snapshots"]
    return found


def test_a_snapshot_is_listed_with_its_interval_and_the_next_one_reads_only_what_changed(operator: Operator) -> None:
    fill(operator.home / "live", 40, 100)
    first = operator.ask("backup", "media", expect=0).document["copy"]
    assert (first["kind"], first["files"], first["copied"]) == ("media", 40, 40)
    (operator.home / "live" / "2026/11/01/0.pdf").write_bytes(b"another")
    second = operator.ask("backup", "media", expect=0).document["copy"]
    assert (second["copied"], second["shared"]) == (1, 39)
    listed = snapshots(operator)
    assert [each["id"] for each in listed] == [first["id"], second["id"]]
    assert all(each["usable"] and each["files"] == 40 for each in listed)
    assert listed[0]["stopped_at"] == first["stopped_at"]


def test_a_second_snapshot_within_one_second_gets_a_name_of_its_own(operator: Operator) -> None:
    fill(operator.home / "live", 1, 100)
    desk = acts.open_desk(operator.site, operator.home / "state")
    names = []
    for _ in range(3):
        copying = acts.plan_media_snapshot(desk).copying
        assert copying is not None
        Path(copying.path).mkdir()
        names.append(copying.id)
    assert names == sorted(set(names))


def test_an_absent_or_empty_media_folder_is_refused_and_nothing_is_made(operator: Operator) -> None:
    said = operator.ask("backup", "media", expect=3).document
    assert said["outcome"] == "refused" and said["copy"] is None
    assert "media-folder" in said["error"]["message"]
    assert list((operator.home / "copies").iterdir()) == []


@pytest.mark.parametrize("act", ["resume", "rollback"])
def test_killed_in_the_middle_nothing_half_done_is_listed_and_it_can_go_on_or_be_taken_back(
    operator: Operator, act: str
) -> None:
    fill(operator.home / "live", 3000, 2000)
    started = operator.ask("backup", "media", "--detach", expect=0).document
    folder = find_run(operator.home / "state", started["run"])
    while not any(step.progress and step.progress.done for step in read_run(folder).steps):
        assert read_run(folder).outcome == "running"
        time.sleep(0.002)
    operator.kill_engine(started["pid"])
    assert snapshots(operator) == []
    said = operator.ask(act, started["run"], "--yes", expect=0).document
    left = sorted(path.name for path in (operator.home / "copies").iterdir())
    if act == "rollback":
        assert (said["outcome"], left) == ("rolled-back", [])
        said = operator.ask("backup", "media", expect=0).document
    copy = said["copy"]
    assert copy["files"] == 3000
    assert sorted(path.name for path in (operator.home / "copies").iterdir()) == [
        copy["id"], f"{copy['id']}.catalogue.zst", f"{copy['id']}.json",
    ]  # fmt: skip
    assert json.loads((operator.home / "copies" / f"{copy['id']}.json").read_text())["files"] == 3000


def test_two_at_once_are_refused_and_the_first_goes_on(operator: Operator) -> None:
    fill(operator.home / "live", 6000, 2000)
    started = operator.ask("backup", "media", "--detach", expect=0).document
    with stopped(started["pid"]):
        refused = operator.ask("backup", "media")
    assert refused.code in (1, 3), refused
    assert "another run" in json.dumps(refused.document) or "another-run" in json.dumps(refused.document)
    attached = operator.ask("attach", started["run"], expect=0).document
    assert attached["copy"]["files"] == 6000


@pytest.mark.skipif(os.geteuid() != 0, reason="refused to root alone")
def test_root_copies_into_no_folder_in_which_everybody_may_rename(operator: Operator) -> None:
    fill(operator.home / "live", 1, 100)
    copies = operator.home / "copies"
    copies.chmod(0o777)
    refused = operator.ask("backup", "media", expect=3).document
    assert "repository-safe" in refused["error"]["message"]
    assert list(copies.iterdir()) == []
    copies.chmod(0o700)
    assert operator.ask("backup", "media", expect=0).document["copy"]["files"] == 1
