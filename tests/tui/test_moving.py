"""Moving on the recovery timeline: by commit and by time, to events and out of gaps, between timelines."""

from msgspec.structs import replace

from tests.tui.driving import Driver, driving
from tests.tui.history import lsn_at, utc
from tests.tui.source import StandIn
from tui.axis.scale import COMMITS
from tui.screens.plan import PlanScreen


def head(driver: Driver) -> tuple[int, object]:
    """The cursor's cell and instant."""
    aim = driver.timeline.aim
    assert aim is not None
    return driver.timeline.col, aim.at


async def test_zooming_changes_neither_the_instant_nor_the_column() -> None:
    async with driving(80, 24) as driver:
        await driver.go_to("18 Nov 20:15:30")
        before = head(driver)
        for _ in range(COMMITS):
            await driver.press("+")
            assert head(driver) == before
        for _ in range(COMMITS):
            await driver.press("-")
            assert head(driver) == before


async def test_one_column_is_one_commit_at_the_closest_level() -> None:
    async with driving(80, 24) as driver:
        await driver.go_to("23 Nov 14:32:07")
        await driver.press(*["+"] * 7)
        assert driver.timeline.level == COMMITS
        seen = []
        for key in ("right", "right", "left", "left", "left"):
            await driver.press(key)
            found = driver.timeline.found
            assert found is not None and found.cut.kept is not None
            seen.append(found.cut.kept.xid)
        assert seen == [8441213, 8441214, 8441213, 8441212, 8441198]


async def test_the_view_scrolls_only_near_an_edge_and_the_cursor_stops_at_the_archives_end() -> None:
    async with driving(80, 24) as driver:
        await driver.go_to("16 Nov 12:00")
        columns = []
        for _ in range(60):
            await driver.press("left")
            columns.append(driver.timeline.col)
        assert min(columns) == 6
        await driver.press("end")
        last = driver.timeline.found
        assert last is not None and last.cut.lost is None
        await driver.press("right")
        assert driver.timeline.found is not None and driver.timeline.found.cut.gate == last.cut.gate


async def test_the_cursor_stays_where_it_is_when_the_terminal_is_made_tiny_and_wide_again() -> None:
    async with driving(80, 24) as driver:
        await driver.go_to("23 Nov 14:32:07")
        before, picture = head(driver), driver.text
        for size in ((40, 12), (20, 6), (5, 3), (80, 24)):
            await driver.resize(*size)
        await driver.settled()
        assert head(driver) == before and driver.text == picture
        await driver.resize(5, 3)
        await driver.press("left", "right")
        await driver.resize(160, 50)
        assert head(driver)[0] >= 0 and head(driver)[1] == before[1]


async def test_the_cursor_at_the_end_goes_along_when_the_cluster_lives_on_another_timeline() -> None:
    """After a restore in place the line that was left behind must not be the one that Enter plans for."""
    source = StandIn()
    live = source.view
    source.view = replace(live, live_timeline=1)
    async with driving(80, 24, source=source) as driver:
        assert driver.timeline.aim is not None and driver.timeline.aim.line == 1
        lanes = [row.split("  ")[0] for row in driver.text.splitlines() if row.startswith((" timeline", " branches"))]
        assert [lane[:11] for lane in lanes] == [" timeline 2", " timeline 1"]  # there is more than one
        source.view = live
        await driver.press("r")
        await driver.until(lambda: driver.timeline.aim is not None and driver.timeline.aim.line == 2)
        await driver.settled()
        assert driver.timeline.found is not None and driver.timeline.found.cut.lost is None


async def test_events_are_landed_on_exactly() -> None:
    async with driving(80, 24) as driver:
        await driver.go_to("20 Nov 20:00")
        await driver.press("n")
        assert driver.timeline.aim is not None and driver.timeline.aim.at == utc(20, 20, 55)
        cut = driver.timeline.found.cut if driver.timeline.found else None
        assert cut is not None and cut.kept is not None and cut.lost is not None
        assert cut.kept.lsn < lsn_at(utc(20, 20, 55)) + 104 <= cut.lost.lsn
        await driver.press("p")
        assert driver.timeline.aim.at == utc(20, 4)


async def test_out_of_a_gap_to_the_nearest_reachable_moments() -> None:
    async with driving(80, 24) as driver:
        await driver.go_to("13 Nov 2026 11:00")
        assert "NOT REACHABLE" in driver.text
        await driver.press("enter")
        assert "cannot be reached" in driver.text
        await driver.press("a")
        assert "● REACHABLE   Sat 14 Nov" in driver.text
        await driver.go_to("13 Nov 2026 11:00")
        await driver.press("b")
        assert "● REACHABLE   Fri 13 Nov" in driver.text


async def test_tab_goes_to_the_other_timeline_that_holds_the_moment() -> None:
    async with driving(80, 24) as driver:
        await driver.go_to("18 Nov 09:00")
        assert "timeline 2" in driver.text.split("REACHABLE")[1].splitlines()[0]
        await driver.press("tab")
        assert "timeline 1" in driver.text.split("REACHABLE")[1].splitlines()[0]
        await driver.go_to("22 Nov 09:00")
        await driver.press("tab")
        assert "no other timeline" in driver.text or "timeline 2" in driver.text


async def test_an_lsn_a_transaction_and_a_restore_point_can_be_typed() -> None:
    async with driving(80, 24) as driver:
        await driver.go_to("xid 8441213")
        await driver.until(lambda: "first lost 14:32:07.044  xid 8441213" in driver.text)
        await driver.go_to("before_v4_1")
        assert "Tue 10 Nov 2026 20:12:00" in driver.text
        await driver.go_to("xid 77")
        await driver.until(lambda: "transaction 77 is not in the archived WAL" in driver.text)


async def test_a_click_moves_the_cursor_to_that_column() -> None:
    async with driving(80, 24) as driver:
        await driver.click(40, 5)
        assert driver.timeline.col == 40 - 12
        await driver.click(56, 23)  # "plan" in the footer
        await driver.until(lambda: isinstance(driver.screen, PlanScreen))
