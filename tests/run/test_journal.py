"""The journal: whole entries only, whatever a crash left behind."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from engine.records.errors import DamagedCopy, RepriseError
from engine.records.runs import RunState
from engine.run import folder as folders
from engine.run.journal import Journal, read_entries
from engine.run.story import Story
from tests.run.toys import new_run, toy


def journal_of(path: Path, entries: int) -> list[dict[str, Any]]:
    heard: list[dict[str, Any]] = []
    journal = Journal(path, heard.append)
    for number in range(entries):
        journal.append("fact", {"step": "one", "found": {"number": number, "text": "ä\n☃"}})
    journal.close()
    return heard


def test_what_was_appended_is_read_back_in_order(tmp_path: Path) -> None:
    heard = journal_of(tmp_path / "j", 20)
    assert [entry["found"]["number"] for entry in heard] == list(range(20))
    assert read_entries(tmp_path / "j").entries == heard


def test_following_gives_each_entry_once_and_waits_for_torn_ones(tmp_path: Path) -> None:
    heard = journal_of(tmp_path / "whole", 7)
    data = (tmp_path / "whole").read_bytes()
    growing = tmp_path / "growing"
    followed, offset = [], 0
    for end in range(0, len(data) + 1, 5):
        growing.write_bytes(data[:end])
        entries, offset = read_entries(growing, offset)
        followed += entries
    growing.write_bytes(data)
    followed += read_entries(growing, offset).entries
    assert followed == heard


@pytest.mark.parametrize(
    "tail", [b"", b"\0" * 40, b'{"at": "x"}', b'{"at": "x", "kind": 3}\n', b"\xff\xfe\n", b"[1]\n"]
)
@pytest.mark.parametrize("seed", range(8))
def test_a_torn_end_is_no_entry_and_the_next_engine_cuts_it_off(tmp_path: Path, tail: bytes, seed: int) -> None:
    whole = journal_of(tmp_path / "j", 5)
    data = (tmp_path / "j").read_bytes()
    cut = random.Random(seed).randrange(1, len(data) + 1)
    kept = data[:cut]
    (tmp_path / "j").write_bytes(kept + (tail if kept.endswith(b"\n") else b""))
    expected = whole[: kept.count(b"\n")]
    assert read_entries(tmp_path / "j").entries == expected
    heard: list[dict[str, Any]] = []
    journal = Journal(tmp_path / "j", heard.append)
    journal.append("held")
    journal.close()
    assert heard[:-1] == expected
    lines = (tmp_path / "j").read_bytes().splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["fact"] * len(expected) + ["held"]


def test_damage_in_the_middle_is_named_and_not_passed_over(tmp_path: Path) -> None:
    journal_of(tmp_path / "j", 3)
    lines = (tmp_path / "j").read_bytes().splitlines(keepends=True)
    lines[1] = lines[1][:-10] + b"#########\n"
    (tmp_path / "j").write_bytes(b"".join(lines))
    with pytest.raises(DamagedCopy, match=f"at byte {len(lines[0])}"):
        read_entries(tmp_path / "j")


@pytest.mark.parametrize("seed", range(60))
def test_any_damage_to_a_runs_folder_is_told_and_never_a_traceback(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    run = new_run(tmp_path, toy("one", tmp_path))
    journal = Journal(run / folders.JOURNAL, Story().hear)
    journal.append("engine", {"act": "apply", "pid": 1})
    journal.append("begin", {"step": "one"})
    journal.append("before", {"step": "one", "record": {"made": "x"}})
    journal.append("check", {"step": "one", "check": {"name": "a", "level": "info", "ok": True, "finding": "f"}})
    journal.append("failed", {"step": "one", "seconds": 1.0, "error": {"message": "m"}})
    journal.append("finished", {"outcome": "failed"})
    journal.close()
    for name in chance.sample([folders.PLAN, folders.SITE, folders.JOURNAL], chance.randrange(1, 3)):
        data = bytearray((run / name).read_bytes())
        for _ in range(chance.randrange(1, 6)):
            match chance.randrange(4):
                case 0:
                    del data[chance.randrange(len(data) + 1) :]
                case 1 if data:
                    data[chance.randrange(len(data))] = chance.randrange(256)
                case 2:
                    at = chance.randrange(len(data) + 1)
                    data[at:at] = chance.choice([b"\n", b"null", b"[" * 2000, b'"', b"{}\n", b"\0"])
                case _:
                    data += data[: chance.randrange(len(data) + 1)]
        (run / name).write_bytes(data)
    runs, problems = folders.list_runs(tmp_path / "state")
    assert len(runs) + len(problems) == 1
    assert all(isinstance(state, RunState) for state in runs)
    if problems:
        with pytest.raises(RepriseError):
            folders.read_run(run)


def test_a_foreign_folder_among_the_runs_is_passed_over_or_told(tmp_path: Path) -> None:
    run = new_run(tmp_path, toy("one", tmp_path))
    (run.parent / "notes").mkdir()
    (run.parent / "20200101T000000Z-empty").mkdir()
    (run.parent / "20200101T000001Z-file").write_text("x")
    runs, problems = folders.list_runs(tmp_path / "state")
    assert [state.run for state in runs] == [run.name]
    assert sorted(Path(problem.where).name for problem in problems) == [
        "20200101T000000Z-empty",
        "20200101T000001Z-file",
    ]


def test_runs_of_one_second_get_names_of_their_own_and_the_newest_comes_first(tmp_path: Path) -> None:
    made = [new_run(tmp_path, toy("one", tmp_path)) for _ in range(3)]
    assert len({run.name for run in made}) == 3
    assert folders.find_run(tmp_path / "state", "latest") == folders.find_run(tmp_path / "state", made[-1].name)
    with pytest.raises(RepriseError, match="names no run"):
        folders.find_run(tmp_path / "state", "../../etc")
