"""Golden pictures of every screen: its text and below it the role of each cell, at two sizes and with plain signs;
and, for each theme, the styles that those roles become.

``REPRISE_GOLDEN=write ./run test tests/tui/test_pictures.py`` writes them anew; then look at the difference.
"""

import os
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.tui.driving import driving
from tests.tui.walks import SCREENS, Walk, gate_in_place, plan_refused, run_failed, timeline, timeline_gap
from tui.painting.glyphs import PLAIN, UNICODE
from tui.painting.grid import Grid
from tui.widgets.canvas import Canvas

GOLDEN = Path(__file__).parent / "golden"
WRITE = os.environ.get("REPRISE_GOLDEN") == "write"
THEMES = ("dark", "light", "high contrast", "monochrome")
COLOURFUL: tuple[Walk, ...] = (timeline_gap, plan_refused, gate_in_place, run_failed)  # every role is on one of them

_LETTERS = {"text": "t", "title": "i", "muted": "m", "faint": "f", "accent": "a", "density": "d", "lost": "l",
            "ok": "o", "warn": "w", "bad": "b"}  # fmt: skip


def letter(char: str, role: str) -> str:
    """One letter for a cell's role: a capital one where it is bold, ``@`` where it is in reverse; a blank has none."""
    if role.endswith("~"):
        return "@"
    if char in ("", " "):
        return " "
    return _LETTERS[role.removesuffix("!")].upper() if role.endswith("!") else _LETTERS[role]


def styled(grid: Grid) -> str:
    """A screen's text, and the role of each cell."""
    rows = zip(grid.chars, grid.roles, strict=True)
    letters = ["".join(map(letter, chars, roles)).rstrip() for chars, roles in rows]
    return "\n".join((grid.text() + "-- roles", *letters)) + "\n"


def worn(canvas: Canvas) -> str:
    """What a terminal is told: the style of each cell as a letter, and which style that is."""
    names: dict[str, str] = {}
    rows = []
    for y in range(canvas.grid.height):
        row = ""
        for text, style, _ in canvas.render_line(y):
            row += names.setdefault(str(style), chr(ord("a") + len(names))) * cell_len(text)
        rows.append(row)
    return "\n".join((*rows, "-- styles", *(f"{name} {style}" for style, name in names.items()))) + "\n"


def compare(shown: str, name: str) -> None:
    golden = GOLDEN / f"{name}.txt"
    if WRITE:
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(shown, "utf-8")
    assert shown == golden.read_text("utf-8")


@pytest.mark.parametrize("size", ["80x24", "160x50", "80x24-ascii"])
@pytest.mark.parametrize("walk", SCREENS, ids=lambda walk: walk.__name__)
async def test_a_screen_looks_as_it_did(walk: Walk, size: str) -> None:
    plain = size.endswith("-ascii")
    width, height = (int(part) for part in size.removesuffix("-ascii").split("x"))
    async with driving(width, height, glyphs=PLAIN if plain else UNICODE) as driver:
        await walk(driver)
        if plain:
            assert driver.text.isascii()
        compare(styled(driver.screen.canvas.grid), f"{walk.__name__}-{size}")


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("walk", COLOURFUL, ids=lambda walk: walk.__name__)
async def test_a_theme_dresses_a_screen_as_it_did(walk: Walk, theme: str) -> None:
    async with driving(80, 24, theme=theme) as driver:
        await walk(driver)
        compare(worn(driver.screen.canvas), f"{walk.__name__}-80x24-{theme.replace(' ', '-')}")


def test_no_golden_picture_is_left_behind() -> None:
    sizes = ("80x24", "160x50", "80x24-ascii")
    wanted = {f"{walk.__name__}-{size}" for walk in SCREENS for size in sizes}
    wanted |= {f"{walk.__name__}-80x24-{theme.replace(' ', '-')}" for walk in COLOURFUL for theme in THEMES}
    for path in GOLDEN.iterdir():
        if WRITE and path.stem not in wanted:
            path.unlink()
    assert WRITE or {path.stem for path in GOLDEN.iterdir()} == wanted


@pytest.mark.parametrize("size", [(40, 12), (40, 24), (60, 18), (100, 30), (129, 60), (220, 70)])
async def test_other_sizes_keep_the_verdict_and_the_axis(size: tuple[int, int]) -> None:
    async with driving(*size) as driver:
        await timeline(driver)
        _holds_the_moment(driver.text, size[0])


async def test_a_terminal_made_narrower_keeps_the_cursor_on_the_axis() -> None:
    async with driving(160, 50) as driver:
        await timeline(driver)
        for width in (80, 40):
            await driver.resize(width, 24)
            _holds_the_moment(driver.text, width)


def _holds_the_moment(shown: str, width: int) -> None:
    assert "REACHABLE" in shown
    assert "14:32:07" in shown
    assert "▼" in shown
    assert all(len(line) <= width for line in shown.splitlines())
