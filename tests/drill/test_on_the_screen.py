"""A whole drill in a real terminal of 80x24, by the keyboard alone; and a terminal that goes away in one."""

from pathlib import Path

import pytest

from engine import acts
from engine.drill import folder as folders
from tests.clusters import wait_until
from tests.drill.standing import left_behind
from tests.end_to_end.terminal import Terminal, terminal
from tests.site_files import site_text

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ended")]


@pytest.fixture
def words(state: Path, tmp_path: Path) -> list[str]:
    """The program on a site that has nothing yet: a drill needs nothing of it."""
    site = tmp_path / "site.toml"
    site.write_text(site_text(tmp_path, timezone="Europe/Moscow"))
    return ["-m", "tui", "--site", str(site), "--state", str(state)]


def begin(shown: Terminal, title: str) -> None:
    """From the first screen to the call, choosing the drill by its title."""
    shown.until("archive ")
    shown.press("4")
    shown.until("by lot, blind")
    while not any(row.startswith("▶") and title in row for row in shown.text.splitlines()):
        shown.press("j")
        shown.settle(0.1)
    shown.press("\r")
    shown.until("Enter to work", seconds=180)  # the first drill of a run builds the base of its lab


def test_from_the_drills_to_the_marks_by_the_keyboard_alone(words: list[str], state: Path) -> None:
    with terminal(*words) as shown:
        begin(shown, "A table was dropped")
        drill = acts.drill_state(state)
        xid = folders.read_truth(Path(drill.folder)).facts["accident.xid"]  # an operator finds it on the time axis
        shown.until("relation does not", "exist'")
        shown.press("\r")
        shown.until("● REACHABLE")
        shown.press(f"g{xid}\r\r")
        shown.until("Nothing is changed before Enter")
        shown.until(f"first of them xid {xid}")
        shown.press("d\t\r")
        shown.until("in place /")
        shown.until("Nothing is changed before Enter")
        shown.press("\r")
        shown.until("PAUSED AT THE TARGET")
        shown.press("C")
        shown.until("not solved yet")
        shown.press("Plab\r")
        shown.until("COMPLETED")
        shown.press("C")
        shown.until("solved: 100 of 100 points")
        shown.press("E\r")
        shown.until("next time")
        assert "● SOLVED" in shown.text and "100 / 100" in shown.text
        assert shown.text.splitlines()[0].startswith(" archive ")  # at the site's own desk again
        shown.press("w")
        shown.until("restore begun")
        assert left_behind(state) == []
        shown.press("q")
        assert shown.ended() == 0
    ended = acts.drill_state(state, drill.drill)
    assert (ended.outcome, ended.score, ended.problem) == ("solved", 100, None)
    learnt = acts.recoveries(acts.open_desk(Path(words[3]), state)).recoveries[-1]
    assert (learnt.kind, learnt.name, learnt.ok) == ("drill", drill.drill, True)
    assert learnt.rto_seconds == pytest.approx(ended.rto_seconds, abs=0.001)


def test_a_terminal_that_goes_away_in_a_drill_leaves_nothing_that_runs(words: list[str], state: Path) -> None:
    with terminal(*words) as shown:
        begin(shown, "A table was dropped")
        drill = acts.drill_state(state)
        assert left_behind(state)
        shown.hang_up()
    wait_until(lambda: left_behind(state) == [], "something of the drill runs on")
    assert acts.drill_state(state, drill.drill).problem == "whoever began it is gone"
