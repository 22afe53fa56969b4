"""The files of a snapshot, by keys alone."""

import pytest

from tests.tui.driving import driving
from tui.screens.files import FilesScreen


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
        await driver.press("[")
        assert "m22" in driver.text and screen.path == b"2026/09/01"
        await driver.press("enter")
        assert "another size or time" in driver.text
        await driver.press("backspace", "backspace")
        assert screen.path == b"2026"


async def test_a_name_is_found_and_its_control_characters_never_reach_the_terminal() -> None:
    async with driving(80, 24) as driver:
        await driver.press("f", "slash")
        await driver.type("[31M")
        await driver.press("enter")
        assert r"x\x1b[31m\xff.pdf" in driver.text and "\x1b" not in driver.text
        await driver.press("backspace")
        assert "invoice" not in driver.text and "2026/" in driver.text


async def test_differences_to_another_snapshot_are_listed() -> None:
    async with driving(80, 24) as driver:
        await driver.press("f", "d", "tab", "enter")
        assert "2 differences to m22" in driver.text
        assert "- 2026/12-new.pdf" in driver.text and "content, size" in driver.text


async def test_the_oldest_snapshot_and_the_top_and_a_restore_say_why_nothing_happens() -> None:
    async with driving(80, 24) as driver:
        await driver.press("f", "[", "[", "[")
        assert "the oldest snapshot" in driver.text
        await driver.press("backspace")
        assert "the top of the files" in driver.text
        await driver.press("R")
        assert "cannot be restored" in driver.text
