"""Scenario files: what is wrong in one is named by file, key, and what would be right."""

from pathlib import Path

import pytest

from engine.drill.facts import as_query, fill_in
from engine.drill.reading import find_scenario, list_scenarios, read_scenario
from engine.records.errors import RepriseError, UsageError

GOOD = """
title = "A table"
briefing = "It is gone."
limit = "10min"
solution = [["restore", "--xid", "{accident.xid}", "--exclusive", "--in-place", "--yes"]]
debriefing = "Look first."
break = [{ do = "sql", name = "accident", statements = ["DROP TABLE users"], fingerprint = ["documents(id, owner)"] }]
marks = [{ check = "table", name = "back", points = 1, table = "documents(id, owner)", like = "accident" }]
"""


def test_ours_are_right_and_each_sums_up_to_100_points_within_one_limit() -> None:
    """So that a hidden drill's card does not tell which one it is."""
    found, problems = list_scenarios(None)
    assert problems == []
    ours = [named.scenario for named in found if not named.own]
    assert {(scenario.points, scenario.limit, len(scenario.wrong) > 0) for scenario in ours} == {(100, "20min", True)}


def test_a_team_adds_its_own_by_name_and_ours_stay(tmp_path: Path) -> None:
    (tmp_path / "30-our-own.toml").write_text(GOOD)
    assert find_scenario("our-own", tmp_path).own
    (tmp_path / "bad.toml").write_text("title = 3")
    found, problems = list_scenarios(tmp_path)
    assert [named.name for named in found if named.own] == ["our-own"] and len(found) > 1
    assert [problem.where for problem in problems] == [str(tmp_path / "bad.toml")]
    with pytest.raises(UsageError) as wrong:
        find_scenario("our-onw", tmp_path)
    assert wrong.value.remedy == "meant our-own?"
    (tmp_path / "table-dropped.toml").write_text(GOOD)
    taken = [each for each in list_scenarios(tmp_path)[0] if each.name == "table-dropped"]
    assert [(each.own, each.scenario.title) for each in taken] == [(True, "A table")]  # as find_scenario has it


@pytest.mark.parametrize(
    ("change", "key", "right"),
    [
        (('do = "sql"', 'do = "shell"'), "break[0].do", "delete-data"),
        (('check = "table"', 'check = "hope"'), "marks[0].check", "nothing-lost"),
        (('limit = "10min"', 'limit = "soon"'), "limit", "5min"),
        (("points = 1", 'points = "1"'), "marks[0].points", "a whole number"),
        (("points = 1", "points = 0"), "marks", "at least one mark"),
        (('limit = "10min"', 'limits = "10min"'), "limits", "meant limit?"),
        (('briefing = "It is gone."', 'briefing = ""'), "briefing", "some words"),
        (('like = "accident"', 'like = "acident"'), "marks[0].like", "noted are: accident"),
        (('table = "documents(id, owner)"', 'table = "users"'), "marks[0].like", 'add "users"'),
        (('"documents(id, owner)"', '"documents; DROP"'), "break[0].fingerprint", "a table, or columns"),
        (
            ('{ do = "sql"', '{ do = "delete-segment", name = "d", holds = "d" }, { do = "sql"'),
            "break[0].holds",
            "accident",
        ),
        (("{accident.xid}", "{accidnt.xid}"), "solution[0]", "noted are: accident"),
        (("DROP TABLE users", "SELECT {acident.xid}"), "break[0]", "noted are: accident"),
        (("DROP TABLE users", "SELECT {lab.directory}"), "break[0]", "noted are: accident"),  # not yet known there
        (('{ do = "sql"', '{ do = "copy", what = "tape" }, { do = "sql"'), "break[0].what", "base-plain"),
        (('{ do = "sql"', '{ do = "rest", seconds = 3 }, { do = "sql"'), "break[0].seconds", "leave it out"),
        (('solution = [["restore"', 'solution = [["sql"'), "solution[0]", "STATEMENT"),
    ],
)
def test_what_is_wrong_is_named(change: tuple[str, str], key: str, right: str, tmp_path: Path) -> None:
    assert change[0] in GOOD
    path = tmp_path / "wrong.toml"
    path.write_text(GOOD.replace(*change))
    with pytest.raises(UsageError) as wrong:
        read_scenario(path)
    assert wrong.value.message.startswith(f"{path}: {key}: ")
    assert right in str(wrong.value.remedy)


def test_facts_become_words_and_parameters_never_sql() -> None:
    facts = {"accident.xid": 700, "accident.word": "x'; DROP TABLE users --"}
    assert fill_in(["--xid", "{accident.xid}"], facts) == ["--xid", "700"]
    query = as_query("SELECT title LIKE '%a' AND title = {accident.word} FROM documents", facts)
    assert query == ("SELECT title LIKE '%%a' AND title = %s FROM documents", ["x'; DROP TABLE users --"])
    with pytest.raises(RepriseError, match="no step has noted"):
        fill_in(["{accident.lsn}"], facts)
