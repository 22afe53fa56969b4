"""The files of a snapshot, by keys alone."""

import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from tests.tui.driving import Driver, driving
from tests.tui.source import StandIn, desk
from tui.screens.files import FilesScreen
from tui.screens.files_plan import FilesPlanScreen
from tui.screens.run import RunScreen


@pytest.mark.parametrize("size", [(80, 24), (160, 50)])
async def test_from_a_moment_to_a_file_its_live_state_and_another_snapshot(size: tuple[int, int]) -> None:
    async with driving(*size) as driver:
        await driver.go_to("23 Nov 14:32:07")
        await driver.press("f")
        screen = driver.screen
        assert isinstance(screen, FilesScreen) and "m23" in driver.text
        await driver.press("enter", "enter", "enter", "enter")
        assert screen.path == b"2026/09/01" and "another" not in driver.text
        assert "live: the same size and time" in driver.text
        assert ("m22  not in it" in driver.text and "1 snapshot was not looked into" in driver.text) == (size[0] > 80)
        await driver.press("[")
        assert "m22" in driver.text and screen.path == b"2026/09/01"
        await driver.press("enter")
        assert "another size or time" in driver.text
        await driver.press("backspace", "backspace")
        assert screen.path == b"2026"


async def test_while_another_snapshot_is_listed_the_one_before_is_shown_and_it_is_said() -> None:
    source, go_on = StandIn(), threading.Event()
    known = source.list_files

    def slow(desk: object, snapshot: str, progress: Callable[[int], None] = lambda done: None) -> object:
        if snapshot == "m21":
            progress(120_000)
            go_on.wait(10)
        return known(desk, snapshot)  # type: ignore[arg-type]

    source.list_files = slow  # type: ignore[method-assign, assignment]
    async with driving(80, 24, source=source) as driver:
        await driver.press("f", "enter", "[")
        await driver.pilot.press("[")
        await driver.until(lambda: "listing m21: 120 000 entries" in driver.text)
        await driver.pilot.press("down")
        await driver.pilot.pause()
        assert "files   m22" in driver.text and "▶  10/" in driver.text
        go_on.set()
        await driver.until(lambda: "files   m21" in driver.text)
        assert "listing" not in driver.text


async def test_a_name_is_found_and_its_control_characters_never_reach_the_terminal() -> None:
    async with driving(80, 24) as driver:
        await driver.press("f", "slash")
        await driver.type("[31M")
        await driver.press("enter")
        assert r"x\x1b[31m\xff.pdf" in driver.text and "\x1b" not in driver.text
        await driver.press("escape")
        assert "invoice" not in driver.text and "2026/" in driver.text
        await driver.press("escape")
        assert "recovery window" in driver.text or "REACHABLE" in driver.text


async def test_the_files_of_a_database_row_are_found_and_those_that_the_snapshot_lacks_are_told() -> None:
    source = StandIn()
    site = desk().site
    told = msgspec.structs.replace(site, media=msgspec.structs.replace(site.media, references="SELECT path FROM a"))
    async with driving(80, 24, source=source) as driver:
        await driver.press("f", "slash")
        await driver.type("=card 7")
        await driver.press("enter")
        assert "does not say what the database refers to" in driver.text
        await driver.press("escape")
        driver.screen.desk = replace(driver.screen.desk, site=told)
        await driver.press("slash")
        await driver.type("=card 7")
        await driver.press("enter")
        assert ("files_of_rows", "card 7") in source.asked
        assert "2 files of rows with 'card 7'" in driver.text and "2026/11/04/invoice-4.pdf" in driver.text
        assert 'id 17, title "Card 7"' in driver.text
        await driver.press("end")
        assert "not in this snapshot" in driver.text and 'id 17, title "Card 7"' in driver.text
        await driver.press("R", "enter")
        assert driver.source.asked[-1] == ("plan_files", "m23", None, None, False), "what is not there is no choice"


async def test_differences_to_another_snapshot_are_listed() -> None:
    async with driving(80, 24) as driver:
        await driver.press("f", "d", "tab", "enter")
        assert "2 differences to m22" in driver.text
        assert "- 2026/12-new.pdf" in driver.text and "content, size" in driver.text


async def test_the_oldest_snapshot_and_the_top_say_why_nothing_happens() -> None:
    async with driving(80, 24) as driver:
        await driver.press("f", "[", "[", "[")
        assert "the oldest snapshot" in driver.text
        await driver.press("backspace")
        assert "the top of the files" in driver.text


def started(driver: Driver) -> list[object]:
    return [each for each in driver.source.asked if each[0] == "start"]


@pytest.mark.parametrize("size", [(80, 24), (160, 50)])
async def test_one_folder_is_restored_after_its_plan_and_the_sites_name(size: tuple[int, int]) -> None:
    async with driving(*size) as driver:
        await driver.press("f", "enter", "R")
        assert "/2026/09" in driver.text and "30 files" in driver.text
        await driver.press("enter")
        assert isinstance(driver.screen, FilesPlanScreen)
        assert driver.source.asked[-1] == ("plan_files", "m23", "2026/09", None, False)
        assert "what changed since in 2026/09" in driver.text and "Ready." in driver.text
        await driver.press("enter")
        assert not started(driver) and "type the site's name" in driver.text
        await driver.type("orders-prod")
        await driver.press("enter")
        assert started(driver) and isinstance(driver.screen, RunScreen)
        assert "files brought back: m23" in driver.text


async def test_all_of_a_snapshot_or_into_another_folder() -> None:
    async with driving(80, 24) as driver:
        await driver.press("f", "R", "tab")
        assert "all that the snapshot holds, 92 files" in driver.text
        await driver.press("enter")
        assert driver.source.asked[-1] == ("plan_files", "m23", None, None, False)
        assert "the whole folder is swapped" in driver.text
        await driver.press("d", "enter")
        assert driver.source.asked[-1] == ("plan_files", "m23", None, None, True)
        assert "only what differs" in driver.text
        await driver.press("d", "ctrl+u")
        await driver.type("/srv/look")
        await driver.press("enter")
        assert driver.source.asked[-1] == ("plan_files", "m23", None, Path("/srv/look"), False)
        await driver.press("enter")
        assert started(driver), "nothing of the live files changes: nothing to confirm"


async def test_what_the_snapshot_has_not_is_not_restored_from_it() -> None:
    async with driving(80, 24) as driver:
        await driver.press("f", "[", "d", "tab", "enter", "end", "R")
        assert "all that the snapshot holds" in driver.text, "a file that only the other snapshot has is no choice"
        await driver.press("ctrl+u")
        await driver.type("/2026/12-new.pdf")
        assert "not in m22" in driver.text
        await driver.press("enter")
        assert not any(each[0] == "plan_files" for each in driver.source.asked)


async def test_a_name_that_cannot_be_typed_offers_the_folder_above_it() -> None:
    async with driving(80, 24) as driver:
        await driver.press("f", "slash")
        await driver.type("[31M")
        await driver.press("enter", "R")
        assert "restore  /2026/11" in driver.text


async def test_read_only_restores_nothing_and_says_why() -> None:
    async with driving(80, 24, read_only=True) as driver:
        await driver.press("f", "R")
        assert "--read-only" in driver.text and driver.screen.question is None
