"""The main way through the screens, by keys, on the stand-in; and what every screen must hold."""

import json
import threading
from pathlib import Path

import pytest
from msgspec.structs import replace
from textual import events

from engine.acts import Desk, Moment, View
from engine.records.errors import RepriseError
from tests.tui.driving import Driver, driving
from tests.tui.history import ACCIDENT, NOW, lsn_at
from tests.tui.source import StandIn, desk
from tests.tui.walks import (
    SCREENS,
    Walk,
    gate,
    gate_in_place,
    run_completed,
)
from tui.app import RepriseApp
from tui.keys import KEYS
from tui.screens.plan import PlanScreen
from tui.screens.report import ReportScreen
from tui.screens.run import RunScreen
from tui.screens.runs import RunsScreen
from tui.settings import Settings

SIZES = [(80, 24), (160, 50)]


@pytest.mark.parametrize("size", SIZES)
async def test_from_the_axis_to_a_run_by_keys_alone(size: tuple[int, int]) -> None:
    async with driving(*size) as driver:
        await driver.go_to("23 Nov 14:32:07")
        assert "first lost 14:32:07.044  xid 8441213" in driver.text
        await driver.press("enter")
        assert isinstance(driver.screen, PlanScreen)
        assert "Nothing is changed before Enter" in driver.text
        await driver.press("enter")
        await driver.until(lambda: isinstance(driver.screen, RunScreen) and "replay WAL" in driver.text)
        target = driver.source.planned[0][1]
        assert (target.kind, target.lsn, target.exclusive, target.timeline) == ("lsn", lsn_at(ACCIDENT), True, 2)
        assert [ask[0] for ask in driver.source.asked] == ["read_archive", "read_archive", "plan", "start"]


async def test_a_dump_is_restored_from_the_timeline_in_place_or_beside_by_keys_alone() -> None:
    async with driving(80, 24) as driver:
        await driver.go_to("21 Nov 2026 12:00")
        await driver.press("D")
        await driver.until(lambda: "in place of the database orders" in driver.text)
        await driver.press("enter", *"orders", "enter")
        await driver.until(lambda: driver.source.asked[-1][0] == "start")
        assert driver.source.asked[-1][1].loading.dump == "d21"
    async with driving(80, 24) as driver:
        await driver.go_to("21 Nov 2026 12:00")
        await driver.press("D", "d", "tab", "enter")
        await driver.until(lambda: "new database orders-1121" in driver.text)
        await driver.press("enter")
        await driver.until(lambda: driver.source.asked[-1][0] == "start")


async def test_a_plan_of_a_dump_or_of_files_has_no_key_that_does_nothing_there() -> None:
    async with driving(80, 24) as driver:
        await driver.go_to("21 Nov 2026 12:00")
        await driver.press("D", "question_mark")
        for missing in ("another port", "wait at the moment", "without the users' files"):
            assert missing not in driver.text
        await driver.press("escape", "escape", "enter", "question_mark")
        assert "without the users' files" in driver.text


async def test_in_place_wants_the_sites_name() -> None:
    async with driving(80, 24) as driver:
        await gate_in_place(driver)
        await driver.press("enter")
        assert not [ask for ask in driver.source.asked if ask[0] == "finish"]
        await driver.press("r", "o", "d")
        await driver.press("enter")
        assert [ask for ask in driver.source.asked if ask[0] == "finish"]


async def test_a_wrong_word_is_answered_with_what_is_not_done() -> None:
    async with driving(80, 24) as driver:
        await gate_in_place(driver)
        await driver.press("escape", "P", "enter")
        assert "nothing is typed and nothing is done; the copy takes production's place" in driver.text
        await driver.type("orders")
        await driver.press("enter")
        assert "nothing is done before it stands here" in driver.text
        assert "the copy takes production's place" not in driver.text
        await driver.press("escape")
        await run_completed(driver)
        await driver.press("D")
        await driver.type("yes")
        assert "nothing is done before it stands here" in driver.text and "deleted for good" not in driver.text


async def test_the_end_of_the_archive_is_planned_as_latest() -> None:
    async with driving(80, 24) as driver:
        await driver.press("enter")
        assert driver.source.planned[0][1].kind == "latest"


async def test_a_plan_knows_what_was_archived_since_the_screen_was_opened() -> None:
    """Else "nothing that the archive holds" would be lost, and production's WAL not archived, as it was hours ago."""
    source = StandIn()
    async with driving(80, 24, source=source) as driver:
        asked = len(source.asked)
        await driver.press("enter")
        assert [ask[0] for ask in source.asked[asked:]] == ["read_archive", "plan"]


async def test_another_destination_can_be_typed() -> None:
    async with driving(80, 24) as driver:
        await driver.press("enter", "d")
        await driver.press("tab", "enter")
        assert driver.source.asked[-1][2].kind == "in-place"
        await driver.press("w", "enter")
        assert "to restore in place, type the site's name" in driver.text
        await driver.press("escape")
        assert not [ask for ask in driver.source.asked if ask[0] == "start"]


async def test_a_long_folder_hides_neither_its_end_nor_the_port() -> None:
    async with driving(80, 24) as driver:
        await driver.press("enter", "d", "ctrl+u")
        await driver.type("/srv/" + "long/" * 14 + "data-1123-143207")
        await driver.press("enter")
        await driver.until(lambda: "long/data-1123-143207, port 5434" in driver.text)


async def test_the_users_files_come_along_or_stay_at_a_key() -> None:
    async with driving(80, 24) as driver:
        await driver.press("enter")
        assert driver.source.files_wanted is None
        await driver.press("m")
        assert driver.source.files_wanted is True


async def test_a_refused_plan_cannot_be_started_and_says_why() -> None:
    async with driving(80, 24) as driver:
        driver.source.refuse = True
        await driver.press("enter", "enter")
        assert "Cannot start: 1 check fails." in driver.text
        assert not [ask for ask in driver.source.asked if ask[0] == "start"]


async def test_read_only_disables_every_act_and_says_why() -> None:
    async with driving(80, 24, read_only=True) as driver:
        await driver.press("enter", "enter")
        assert "--read-only" in driver.text
        await gate(driver)
        for key in ("P", "f", "x", "z", "D", "R", "U", "S", "O", "A"):
            await driver.press(key)
            assert "--read-only" in driver.text, key
        assert {ask[0] for ask in driver.source.asked} == {"read_archive", "plan"}


async def test_escape_goes_back_one_level_and_never_leaves() -> None:
    async with driving(80, 24) as driver:
        await run_completed(driver)
        await driver.press("enter")
        assert isinstance(driver.screen, ReportScreen)
        await driver.press("escape")
        assert isinstance(driver.screen, RunScreen)
        await driver.press("escape")
        assert isinstance(driver.screen, RunsScreen)
        await driver.press("escape", "escape", "escape")
        assert driver.app.is_running and driver.screen is driver.timeline


async def test_the_plan_is_saved_as_json(tmp_path: Path) -> None:
    async with driving(80, 24) as driver:
        await driver.press("enter", "s", "ctrl+u")
        path = tmp_path / "plan.json"
        screen = driver.screen
        assert screen.question is not None
        screen.question.line.text = str(path)
        await driver.press("enter")
        await driver.until(path.exists)
        assert json.loads(path.read_text())["site"] == "orders-prod"


async def test_a_theme_is_chosen_and_remembered(tmp_path: Path) -> None:
    async with driving(80, 24, settings_folder=tmp_path) as driver:
        await driver.press("T")
        assert driver.app.chosen.name == "light"
        assert 'theme = "light"' in (tmp_path / "settings.toml").read_text()


async def test_keys_can_be_remapped_and_the_footer_says_so() -> None:
    async with driving(80, 24, settings=Settings(keys={"plan": "f5", "go-to": "slash", "nonsense": "x"})) as driver:
        assert "f5 plan" in driver.text
        assert "nonsense" in driver.text  # reported
        await driver.press("f5")
        assert isinstance(driver.screen, PlanScreen)


async def test_all_that_is_wrong_in_settings_and_themes_is_told(tmp_path: Path) -> None:
    (tmp_path / "themes").mkdir()
    (tmp_path / "themes" / "mine.toml").write_text('name = "mine"\n')
    async with driving(80, 24, settings=Settings(keys={"nonsense": "x"}), settings_folder=tmp_path) as driver:
        assert "2 problems, i shows all:" in driver.text
        await driver.press("i")
        told = " ".join(driver.text.split())
        assert "roles: a table [roles] is wanted" in told and "keys.nonsense: there is no such key" in told
        assert "lost, ok, warn, bad" in told  # to its end


async def test_in_a_read_only_session_the_help_says_so_of_each_act_also_behind_long_words() -> None:
    async with driving(80, 24, read_only=True) as driver:
        await gate(driver)
        await driver.press("question_mark")
        shown = driver.text
        await driver.press("end")
        acts = [key for key in KEYS.values() if key.acts and key.help[:40] in shown + driver.text]
        assert len(acts) > 8 and "go on although" in shown
        lines = " ".join((shown.split("Esc back")[0]).split())
        assert "true (read-only)" in lines and "all is left as it is (read-only)" in lines


async def test_y_shows_what_it_copies() -> None:
    async with driving(80, 24) as driver:
        await driver.go_to("23 Nov 14:32:07")
        await driver.press("y")
        assert "copied: Mon 23 Nov 2026 14:32:07 CET 2026-11-23T13:32:07.000000Z lsn" in driver.text


async def test_keys_in_one_burst_are_typed_into_the_question_that_the_first_of_them_opens() -> None:
    async with driving(80, 24) as driver:
        await driver.burst("slash", *"8441213", "enter", "enter")  # each of these is a key of the timeline too
        await driver.until(lambda: isinstance(driver.screen, PlanScreen) and "Nothing is changed" in driver.text)
        assert driver.source.asked[-1][1].lsn == lsn_at(ACCIDENT)  # not planned for where the cursor was before
        await driver.burst("p", *"5439", "enter", "3", "slash", *"pdf", "enter", "question_mark")
        assert "on this screen: runs" in driver.text
        await driver.burst("escape")
        assert "filter: pdf" in driver.text
        assert [ask[2].port for ask in driver.source.asked if ask[0] == "plan"] == [None, 5439]
        await driver.burst("4", "colon", *"next theme", "enter", "1", "f", *["escape"] * 5)
        assert driver.app.chosen.name == "light" and driver.screen is driver.timeline


async def test_keys_typed_before_anything_is_known_are_no_commands() -> None:
    source, free = StandIn(), threading.Event()
    quick = source.look

    def slow(desk: Desk) -> View:
        assert free.wait(30)
        return quick(desk)

    source.look = slow  # type: ignore[method-assign]
    app = RepriseApp(desk(), source, clock=lambda: NOW)
    async with app.run_test(size=(80, 24)) as pilot:
        driver = Driver(app, pilot, source)
        for key in ("g", *"8441213", "enter"):
            app.post_message(events.Key(key, key if len(key) == 1 else None))
        await driver.until(lambda: driver.timeline.wanted is not None)
        free.set()
        await driver.until(lambda: "first lost 14:32:07.044  xid 8441213" in driver.text)
        assert driver.screen is driver.timeline


async def test_a_paste_and_a_click_keep_their_place_among_the_keys() -> None:
    async with driving(80, 24) as driver:
        driver.app.post_message(events.Key("g", "g"))
        driver.app.post_message(events.Paste("23 Nov 14:32:07"))
        await driver.burst("enter")
        assert "first lost 14:32:07.044" in driver.text
        await driver.burst("g")
        await driver.click(40, 5)
        assert driver.screen.question is not None  # it is answered or left first
        await driver.burst("escape")
        driver.app.post_message(events.MouseDown(None, 40, 5, 0, 0, 1, False, False, False))
        driver.app.post_message(events.MouseUp(None, 40, 5, 0, 0, 1, False, False, False))
        await driver.burst("right")
        assert driver.timeline.col == 40 - 12 + 1


@pytest.mark.parametrize("walk", SCREENS, ids=lambda walk: walk.__name__)
async def test_the_footer_has_at_most_six_keys_and_nothing_is_cut(walk: Walk) -> None:
    async with driving(80, 24) as driver:
        await walk(driver)
        assert len(driver.screen.hints()) <= 6
        if driver.screen.question is None:
            for hint in driver.screen.hints():
                assert hint.label in driver.text.splitlines()[-1]


async def test_a_slow_index_does_not_hold_the_screen() -> None:
    """Keys move the cursor at once; what was overtaken is never looked up; that facts are being looked for is said."""
    source, free, asked = StandIn(), threading.Event(), []
    quick = source.moment
    async with driving(80, 24, source=source) as driver:

        def slow(desk: Desk, view: View, timeline: int, gate: int) -> Moment:
            asked.append(gate)
            assert free.wait(30)
            return quick(desk, view, timeline, gate)

        source.moment = slow  # type: ignore[method-assign]
        before = driver.timeline.col
        for _ in range(10):
            await driver.pilot.press("left")
        assert driver.timeline.col == before - 10
        await driver.until(lambda: "looking" in driver.text)
        free.set()
        await driver.settled()
        assert len(asked) == 2
        assert "REACHABLE" in driver.text


async def test_what_is_known_is_shown_before_the_archive_is_read() -> None:
    """Listing a long archive would hold the first moment up."""
    source, free = StandIn(), threading.Event()
    quick = source.moment

    def slow(desk: Desk, view: View, timeline: int, gate: int) -> Moment:
        assert free.wait(30)
        return quick(desk, view, timeline, gate)

    source.moment = slow  # type: ignore[method-assign]
    app = RepriseApp(desk(), source, clock=lambda: NOW)
    async with app.run_test(size=(80, 24)) as pilot:
        driver = Driver(app, pilot, source)
        await driver.until(lambda: "looking" in driver.text)
        assert source.asked == []
        free.set()
        await driver.settled()
        assert "REACHABLE" in driver.text
        assert source.asked == [("read_archive",)]


@pytest.mark.parametrize("broken", ["nothing is known", "it cannot be looked at"])
async def test_the_archive_is_read_where_there_is_no_moment_to_show(broken: str) -> None:
    source = StandIn()
    whole = source.view

    def look(desk: Desk) -> View:
        if source.asked:
            return whole
        if broken == "nothing is known":
            return replace(whole, histories={}, windows=(), spans=())
        raise RepriseError("the index cannot be read")

    source.look = look  # type: ignore[method-assign]
    async with driving(80, 24, source=source) as driver:
        assert "REACHABLE" in driver.text


async def test_an_index_that_fails_says_so_and_the_screen_goes_on() -> None:
    source = StandIn()
    async with driving(80, 24, source=source) as driver:

        def broken(desk: Desk, view: View, timeline: int, gate: int) -> Moment:
            raise RepriseError("the index cannot be read", remedy="press r")

        quick, source.moment = source.moment, broken  # type: ignore[method-assign]
        await driver.pilot.press("left")
        await driver.until(lambda: "the index cannot be read; press r" in driver.text)
        source.moment = quick  # type: ignore[method-assign]
        await driver.press("left")
        assert "REACHABLE" in driver.text
