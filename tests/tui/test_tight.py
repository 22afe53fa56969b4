"""What is sent tightly shows what Textual's own way of sending shows."""

import pyte
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.control import Control
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from tui.widgets.tight import LastPicture, TightLayout, TightUpdate

WIDTH = 12
CONSOLE = Console(color_system="truecolor", force_terminal=True)
COLOURS = st.sampled_from([None, "#d7dde5", "#5cc8ff", "#0f1419"])
STYLES = st.builds(
    Style, color=COLOURS, bgcolor=COLOURS, bold=st.booleans(), dim=st.booleans(), reverse=st.booleans()
) | st.sampled_from([Style(color="#d7dde5", bgcolor="#0f1419"), Style(color="#5cc8ff", bgcolor="#0f1419", bold=True)])
CELLS = st.tuples(st.sampled_from("ab━  "), STYLES)
ROWS = st.lists(st.lists(CELLS, min_size=WIDTH, max_size=WIDTH), min_size=1, max_size=4)


def strips(rows: list[list[tuple[str, Style]]]) -> list[Strip]:
    return [Strip([Segment(char, style) for char, style in row], WIDTH) for row in rows]


def shown(sent: str, rows: int) -> list[list[tuple[object, ...]]]:
    """Each cell as a terminal shows it; a blank that is not in reverse has no colour of its own."""
    screen = pyte.Screen(WIDTH, rows)
    pyte.Stream(screen).feed(sent)
    cells = [[screen.buffer[y][x] for x in range(WIDTH)] for y in range(rows)]
    return [
        [
            (cell.data, cell.bg, cell.reverse, *(() if cell.data == " " and not cell.reverse else (cell.fg, cell.bold)))
            for cell in row
        ]
        for row in cells
    ]


def sent_whole(made: list[Strip], last: LastPicture) -> str:
    update = LayoutUpdate([[strip] for strip in made], Region(0, 0, WIDTH, len(made)))
    return TightLayout(update, last).render_segments(CONSOLE)


def textuals_own(made: list[Strip]) -> str:
    return "".join(Control.move_to(0, y).segment.text + strip.render(CONSOLE) for y, strip in enumerate(made))


@settings(deadline=None, max_examples=200)
@given(ROWS)
def test_a_whole_screen(rows: list[list[tuple[str, Style]]]) -> None:
    made = strips(rows)
    tight = sent_whole(made, LastPicture())
    assert shown(tight, len(rows)) == shown(textuals_own(made), len(rows))


@settings(deadline=None, max_examples=200)
@given(ROWS, st.data())
def test_the_cells_that_changed(rows: list[list[tuple[str, Style]]], data: st.DataObject) -> None:
    before = textuals_own(strips(rows))
    y = data.draw(st.integers(0, len(rows) - 1))
    start = data.draw(st.integers(0, WIDTH - 1))
    stop = data.draw(st.integers(start + 1, WIDTH))
    rows[y][start:stop] = data.draw(st.lists(CELLS, min_size=stop - start, max_size=stop - start))
    made = strips(rows)
    chops = [{0: strip} for strip in made]
    update = ChopsUpdate(chops, [(y, start, stop)], [[WIDTH]] * len(rows))
    tight = TightUpdate(update, LastPicture()).render_segments(CONSOLE)
    assert shown(before + tight, len(rows)) == shown(textuals_own(made), len(rows))


def test_a_colour_that_holds_is_sent_once() -> None:
    dark = Style(color="#d7dde5", bgcolor="#0f1419")
    made = [Strip([Segment("a", dark), Segment(" ", dark), Segment("b", dark)], 3)] * 3
    assert sent_whole(made, LastPicture()).count("38;2;215;221;229") == 1


def test_a_picture_is_sent_again_only_where_something_else_may_be_shown() -> None:
    made, other = strips([[("a", Style())] * WIDTH]), strips([[("b", Style())] * WIDTH])
    last = LastPicture()
    sent = [bool(sent_whole(each, last)) for each in (made, made, other, made, made)]
    assert sent == [True, False, True, True, False]
    TightUpdate(ChopsUpdate([{0: made[0]}], [(0, 0, 1)], [[WIDTH]]), last).render_segments(CONSOLE)
    assert sent_whole(made, last)
    last.forget()
    assert sent_whole(made, last)
