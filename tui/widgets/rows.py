"""Rows of words in columns, as data: what a scrolled screen shows."""

from tui.painting.grid import Grid
from tui.widgets.frame import paint_rule

Row = tuple[tuple[int, str, str], ...]  # cells: where, what, role; a negative place ends there, counted from the right
RULE: Row = ((0, "", "rule"),)


def paint_row(grid: Grid, y: int, row: Row) -> None:
    """What begins at the left is cut before what ends at the right."""
    if row == RULE:
        paint_rule(grid, y)
        return
    stop = min((grid.width + x - len(text) - 1 for x, text, _ in row if x < 0 and text), default=grid.width - 1)
    for x, text, role in row:
        if x < 0:
            grid.put_right(grid.width + x, y, text, role)
        else:
            grid.put_cut(x, y, text, role, stop)
