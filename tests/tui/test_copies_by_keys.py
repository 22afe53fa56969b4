"""The overview and the lists of copies by their keys: a copy taken, verified, restored, let go."""

import re

import pytest
from msgspec.structs import replace

from engine.records.status import Advice
from tests.tui.driving import driving
from tests.tui.source import StandIn, desk
from tests.tui.walks import (
    expiry,
    overview,
)
from tui.screens.files import FilesScreen
from tui.screens.run import RunScreen

SIZES = [(80, 24), (160, 50)]


@pytest.mark.parametrize("size", SIZES)
async def test_from_the_overview_to_a_copy_a_proof_and_what_expires_by_keys_alone(size: tuple[int, int]) -> None:
    async with driving(*size) as driver:
        await overview(driver)
        assert "28 s of commits" in driver.text and "312 files" in driver.text
        await driver.press("down", "enter", "enter")  # the second thing to do: copy the files
        await driver.until(lambda: isinstance(driver.screen, RunScreen) and "copy: files snapshot" in driver.text)
        assert driver.source.asked[-1][0] == "start"
        await driver.press("escape")
        assert "starting a copy" not in driver.text  # it has run
        await driver.press("v")
        await driver.until(lambda: "m23 is whole" in driver.text)
        await driver.press("e")
        await driver.until(lambda: "3 things would go" in driver.text)
        await driver.press("X", *"delete", "enter")
        await driver.until(lambda: "3 things deleted" in driver.text)
        assert driver.source.asked[-1] == ("expire", True)


async def test_from_the_copies_of_the_files_into_one_of_them() -> None:
    async with driving(80, 24) as driver:
        await overview(driver)
        await driver.press(*["up"] * 9, "down", "down", "enter")
        await driver.until(lambda: "m22" in driver.text)
        assert "Enter open" in driver.text and "next copy  23 Nov 14:59" in driver.text
        await driver.press("down", "enter")
        await driver.until(lambda: isinstance(driver.screen, FilesScreen))
        assert driver.screen.wanted == "m22"  # type: ignore[attr-defined]


async def test_a_dump_is_restored_from_the_list_of_copies() -> None:
    async with driving(80, 24) as driver:
        await overview(driver)
        await driver.press(*["up"] * 9, "enter")
        await driver.until(lambda: "d21" in driver.text)
        assert "Enter restore" in driver.text
        while not any(row.startswith("▶") and "d21" in row for row in driver.text.splitlines()):
            await driver.press("down")
        await driver.press("enter")
        await driver.until(lambda: "in place of the database orders" in driver.text)


async def test_why_a_copy_goes_or_stays_is_told_to_its_end() -> None:
    async with driving(80, 24) as driver:
        await expiry(driver)
        for day, told in ((3, "the newest of no hour, day, week or month"), (5, "no hour, day, week or month")):
            facts = " ".join(driver.text.split("─" * 40)[-1].split())
            assert f"media m{day}" in facts and told in facts
            await driver.press("down")


async def test_how_many_more_things_are_to_be_done_stands_apart_from_the_last_ones_reason() -> None:
    source = StandIn()
    to_do = tuple(Advice("files", "look", f"see to thing {n}", "long " * 20) for n in range(9))
    told = replace(source.status(desk()), to_do=to_do)
    source.status = lambda desk: told  # type: ignore[method-assign]
    async with driving(80, 24, source=source) as driver:
        await overview(driver)
        last = driver.text.splitlines()[-3]
        assert re.search(r"…  \d more$", last), last


async def test_a_read_only_session_takes_no_copy_and_deletes_nothing() -> None:
    async with driving(80, 24, read_only=True) as driver:
        await overview(driver)
        for key in ("c", "v"):
            await driver.press(key)
            assert "read-only" in driver.text
        await expiry(driver)
        await driver.press("X")
        assert "read-only" in driver.text
        assert not [ask for ask in driver.source.asked if ask[0] in ("start", "verify") or ask == ("expire", True)]
