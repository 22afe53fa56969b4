"""The chart of past recoveries, cell by cell."""

from datetime import UTC, datetime, timedelta

import pytest

from engine.records.recoveries import Recovery, RecoveryKind
from tests.tui.test_pictures import letter
from tui.painting.glyphs import PLAIN, UNICODE, Glyphs
from tui.painting.grid import Grid
from tui.widgets.chart import Series, data_losses, paint_chart, recovery_times

TIMES = (5400, 4000, 3900, None, 3000, 20000, 2500, 3500, 1800, 1700, 900, 1200)
KINDS: tuple[RecoveryKind, ...] = (*("drill",) * 3, *("proof",) * 6, "restore", "proof", "proof")
PAST = [
    Recovery(kind, datetime(2026, 8, 1, 12, tzinfo=UTC) + timedelta(days=9 * number), f"r{number}", time is not None,
             time, time and time / 60)
    for number, (kind, time) in enumerate(zip(KINDS, TIMES, strict=True))
]  # fmt: skip

UNICODE_TIMES = """
 back in    20 min   7 of 11 within 1 h
                                ▲▲▲
                                ███
                                ███
        1 h ▇▇▇─▃▃▃─▃▃▃─────────███─────▂▂▂───────────────────────────────────
            ███ ███ ███ ×   ███ ███ ▇▇▇ ███ ▅▅▅ ▅▅▅ ▂▂▂ ▃▃▃
            d   d   d   p   p   p   p   p   p   r   p   p
            1 Aug                                     8 Nov
-- roles
 mmmm mm    II III   m mm mm mmmmmm m m
                                bbb
                                bbb
                                bbb
        m m bbbfbbbfbbbfffffffffbbbfffffdddfffffffffffffffffffffffffffffffffff
            bbb bbb bbb B   ddd bbb ddd ddd ddd ddd ddd ddd
            f   f   f   f   f   f   f   f   f   f   f   f
            m mmm                                     m mmm
"""
PLAIN_LOSSES = """
 lost       20 s   15 s to 5 min 33 s, no objective set
                                ###
                                ###
            ### ::: ::: X   ::: ### ... ::: ... ... ... ...
            d   d   d   p   p   p   p   p   p   r   p   p
            1 Aug                                     8 Nov
-- roles
 mmmm       II I   mm m mm m mmm mm mm mm mmmmmmmmm mmm
                                ddd
                                ddd
            ddd ddd ddd B   ddd ddd ddd ddd ddd ddd ddd ddd
            f   f   f   f   f   f   f   f   f   f   f   f
            m mmm                                     m mmm
"""
MANY = """
 back in    20 min   35 of 55 within 1 h
                ▲                       ▲                       ▲
                █                       █                       █
        1 h ────█─────────────▄─▁─▁─────█─────────────▄─▁─▁─────█─────────────
            × ▇ █ ▆ █ ▄ ▄ ▂ ▃ █ █ █ × ▇ █ ▆ █ ▄ ▄ ▂ ▃ █ █ █ × ▇ █ ▆ █ ▄ ▄ ▂ ▃
            p p p p p p r p p d d d p p p p p p r p p d d d p p p p p p r p p
            ‹27 28 Aug                                                  8 Nov
-- roles
 mmmm mm    II III   mm mm mm mmmmmm m m
                b                       b                       b
                b                       b                       b
        m m ffffbfffffffffffffbfbfbfffffbfffffffffffffbfbfbfffffbfffffffffffff
            B d b d d d d d d b b b B d b d d d d d d b b b B d b d d d d d d
            f f f f f f f f f f f f f f f f f f f f f f f f f f f f f f f f f
            mmm mm mmm                                                  m mmm
"""


def painted(series: Series, height: int, glyphs: Glyphs = UNICODE) -> str:
    """66 columns of plot; below the text the role of each cell."""
    grid = Grid(79, height + 3, glyphs)
    assert paint_chart(grid, 0, height, series, UTC) == height + 3
    roles = ["".join(map(letter, chars, roles)).rstrip() for chars, roles in zip(grid.chars, grid.roles, strict=True)]
    return "\n".join(("", *grid.text().splitlines(), "-- roles", *roles, ""))


@pytest.mark.parametrize(
    ("shown", "golden"),
    [
        (painted(recovery_times(PAST, 3600), 5), UNICODE_TIMES),
        (painted(data_losses(PAST, None), 3, PLAIN), PLAIN_LOSSES),
        (painted(recovery_times(PAST * 5, 3600), 4), MANY),
    ],
    ids=["recovery times", "data losses, plain", "more than fit"],
)
def test_it_looks_as_it_did(shown: str, golden: str) -> None:
    assert shown == golden


def test_plain_signs_are_ascii_and_nothing_is_painted_outside() -> None:
    for width in (40, 66, 80, 160):
        grid = Grid(width, 9, PLAIN)
        paint_chart(grid, 1, 4, recovery_times(PAST * 9, 60), UTC)
        assert grid.text().isascii()
        narrow = Grid(width, 9)
        paint_chart(narrow, 1, 4, recovery_times(PAST, 3600), UTC, stop=width - 10)
        assert all(len(line) <= width - 10 for line in narrow.text().splitlines())


@pytest.mark.parametrize("seconds", [None, 0.0])
def test_what_is_not_known_or_nothing_has_a_column_of_its_own(seconds: float | None) -> None:
    one = Recovery("restore", PAST[0].at, "r", True, seconds, seconds)
    told = painted(data_losses([one], 300), 3)
    assert ("not known" in told, "1 of 1 within 5 min" in told) == (seconds is None, seconds is not None)
    assert ("            ?" in told) == (seconds is None)


def test_without_any_it_says_so() -> None:
    grid = Grid(79, 4)
    assert paint_chart(grid, 0, 4, recovery_times([], 3600), UTC) == 2
    assert "no recovery, proof or drill yet" in grid.text()
