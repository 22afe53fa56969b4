"""A drill on the screen, by keys: begun, practised at the lab's desk, ended; and the ways out of it."""

import pytest
from msgspec.structs import replace

from engine.records.errors import RepriseError
from tests.tui.driving import Driver, driving
from tests.tui.history import ACCIDENT, NOW, lsn_at
from tests.tui.practised import drill, ended
from tests.tui.walks import drill_beginning, drill_called
from tui.screens.drill import DrillScreen
from tui.screens.drill_marks import DrillMarksScreen
from tui.screens.drills import DrillsScreen
from tui.screens.proof_plan import ProofPlanScreen
from tui.screens.run import RunScreen
from tui.screens.timeline import TimelineScreen

SIZES = [(80, 24), (160, 50)]


async def test_a_proof_drill_is_planned_and_started_by_keys_alone() -> None:
    async with driving(80, 24) as driver:
        await driver.press("4", "down", "down", "enter")
        await driver.until(lambda: "Nothing is changed before Enter" in driver.text)
        assert "production is only read" in driver.text and "thrown away at its end" in driver.text
        await driver.press("m")
        await driver.until(lambda: driver.source.asked[-1] == ("plan_proof_drill", None))
        await driver.press("enter")  # that random moment, not another one
        await driver.until(lambda: isinstance(driver.screen, RunScreen) and "proof of 23 Nov 14:32:06" in driver.text)
        chosen = next(ask[1] for ask in driver.source.asked if ask[0] == "prepare_proof_drill")
        assert chosen.lsn == lsn_at(ACCIDENT) and driver.source.asked[-1][0] == "start"
        await driver.press("1", "p")
        await driver.until(lambda: isinstance(driver.screen, ProofPlanScreen))
        driver.source.refuse = True
        await driver.press("enter")  # planned well, but refused by now
        await driver.until(lambda: "Cannot start: 1 check fails" in driver.text)
    async with driving(80, 24, read_only=True) as driver:
        await driver.press("1", "p", "enter")
        assert "--read-only" in driver.text
        assert not [ask for ask in driver.source.asked if ask[0] in ("prepare_proof_drill", "start")]


def kinds(driver: Driver) -> list[str]:
    return [ask[0] for ask in driver.source.asked if "drill" in ask[0]]


def at_home(driver: Driver) -> bool:
    """The screens are at the site's own desk again, and nothing of the drill is held."""
    mine = {screen.desk.site.name for screen in driver.app.screens_here()}
    held = driver.source.held
    return driver.app.drilling is None and mine == {"orders-prod"} and (held is None or held.closed)


@pytest.mark.parametrize("size", SIZES)
async def test_the_main_way_through_a_drill_by_keys_alone(size: tuple[int, int]) -> None:
    async with driving(*size) as driver:
        await drill_called(driver)
        assert driver.source.asked[-1] == ("begin_drill", driver.app.screen_stack[0].desk.state, "scenario-0", False)
        assert "the live system is out of reach" in driver.text and "4:10 / 20 min" in driver.text
        await driver.press("enter")
        assert isinstance(driver.screen, TimelineScreen) and driver.screen is not driver.timeline
        assert driver.text.splitlines()[1].startswith(" archive")
        await driver.press("g")
        await driver.type("23 Nov 14:32:07")
        await driver.press("enter", "enter", "enter")
        await driver.until(lambda: isinstance(driver.screen, RunScreen) and "replay WAL" in driver.text)
        await driver.press("4", "4", "escape")  # the call again, and back to the run
        assert isinstance(driver.screen, RunScreen)
        await driver.press("H", "enter")
        await driver.until(lambda: "What is lost for certain" in driver.text)
        await driver.press("C")
        await driver.until(lambda: "solved: 90 of 100 points" in driver.text)
        assert "solved in 4:10" in driver.text.splitlines()[0]
        await driver.press("E", "enter")
        await driver.until(lambda: "next time" in driver.text)
        assert isinstance(driver.screen, DrillMarksScreen) and at_home(driver)
        assert "90 / 100" in driver.text and "last time 71" in driver.text and "3 min 2 s" in driver.text
        await driver.press("w")
        assert "asked for a hint" in driver.text
        await driver.press("escape", "d")
        assert isinstance(driver.screen, DrillsScreen)
        assert kinds(driver) == ["begin_drill", "drill_hint", "check_drill", "end_drill"]
        assert driver.app.left_run is None


async def test_leaving_a_drill_ends_it_and_asks_first() -> None:
    async with driving(80, 24) as driver:
        await drill_called(driver)
        await driver.press("escape")
        assert "end the drill?" in driver.text
        await driver.press("escape", "q")
        assert "the drill ends with this screen" in driver.text and "end_drill" not in kinds(driver)
        await driver.press("enter")
        await driver.until(lambda: not driver.app.is_running)
        assert kinds(driver)[-1] == "end_drill" and driver.source.held.closed
        assert driver.app.farewell == "the drill 20261123T133550Z-kwen is solved: 95 of 100 points"


async def test_by_lot_nothing_says_which_one_it_is_before_the_end() -> None:
    async with driving(80, 24) as driver:
        await driver.press("4", "enter")
        await driver.until(lambda: isinstance(driver.screen, DrillScreen))
        assert driver.source.asked[-1][2:] == (None, True)
        assert "which one is told at the end" in driver.text
        await driver.press("E", "enter")
        await driver.until(lambda: "next time" in driver.text)
        assert "A table was dropped" in driver.text


async def test_what_is_being_prepared_can_be_given_up_and_a_failure_says_why() -> None:
    async with driving(80, 24) as driver:
        await drill_beginning(driver)
        await driver.pilot.press("escape")
        await driver.until(lambda: "giving it up" in driver.text)
        driver.at_end()
        await driver.until(lambda: isinstance(driver.screen, DrillsScreen))
        assert driver.source.drill is None and driver.app.drilling is None

        def refuse() -> None:
            raise RepriseError("the drill 20261123T133550Z-kwen is open", remedy="end it first")

        driver.source.may_begin = refuse
        await driver.press("enter")
        await driver.until(lambda: "is open" in driver.text and "end it first" in driver.text)
        await driver.press("escape")
        assert isinstance(driver.screen, DrillsScreen)


async def test_a_drill_that_a_trainer_began_is_joined_and_goes_on_without_the_screen() -> None:
    async with driving(80, 24) as driver:
        driver.source.drill = drill()
        await driver.press("4", "enter")
        await driver.until(lambda: isinstance(driver.screen, DrillScreen))
        await driver.press("escape")
        assert isinstance(driver.screen, DrillsScreen) and "goes on without this screen" in driver.text
        assert at_home(driver) and kinds(driver) == []


async def test_a_drill_that_ends_by_itself_shows_its_marks_and_why() -> None:
    async with driving(80, 24) as driver:
        await drill_called(driver)
        await driver.press("enter")
        driver.source.drill = replace(ended(drill(), solved=False), problem="its time is over")
        await driver.until(lambda: isinstance(driver.screen, DrillMarksScreen))
        assert "NOT SOLVED" in driver.text and "its time is over" in driver.text and at_home(driver)


async def test_the_screens_below_a_drill_stay_at_the_sites_own_desk() -> None:
    async with driving(80, 24) as driver:
        await drill_called(driver)
        looked = []
        quick = driver.source.look
        driver.source.look = lambda desk: looked.append(desk.site.name) or quick(desk)  # type: ignore[method-assign]
        driver.timeline.look_again()
        await driver.until(lambda: looked == ["orders-prod"])


async def test_a_read_only_session_begins_no_drill_and_outside_of_one_its_keys_say_so() -> None:
    async with driving(80, 24, read_only=True) as driver:
        for key in ("H", "C", "E"):
            await driver.press(key)
            assert "no drill is open here" in driver.text
        await driver.press("4", "enter")
        assert "read-only" in driver.text and kinds(driver) == []


async def test_in_80x24_one_key_changes_the_chart_of_times_for_that_of_losses() -> None:
    async with driving(80, 24) as driver:
        await driver.press("4")
        await driver.until(lambda: "back in" in driver.text and "c losses" in driver.text)
        await driver.press("c")
        assert " lost " in driver.text and "back in" not in driver.text and "c times" in driver.text
        await driver.press("c")
        assert "back in" in driver.text and " lost " not in driver.text


async def test_a_tick_of_the_clock_may_meet_a_screen_that_is_still_being_set_up() -> None:
    async with driving(80, 24) as driver:
        await drill_called(driver)
        driver.app.push_screen(DrillScreen())
        driver.app._tick()
        driver.screen.say("a note")
        await driver.press("escape")
        assert "the call" in driver.text


async def test_the_clock_says_when_the_time_is_over() -> None:
    async with driving(80, 24) as driver:
        await drill_called(driver)
        driver.source.drill = drill(called_at=NOW.replace(hour=12))
        await driver.until(lambda: "1:00:00 / 20 min" in driver.text)
        grid = driver.screen.canvas.grid
        assert grid.role(driver.text.splitlines()[0].index("1:00:00"), 0) == "warn!"
