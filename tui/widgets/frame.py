"""What every screen has: a header line, a footer of at most six keys, rules, a question at the bottom."""

from collections.abc import Sequence

from msgspec import Struct
from rich.cells import cell_len

from tui.painting.grid import Grid, Link

_NOTE = 4  # rows of a note, at most


class Hint(Struct, frozen=True):
    """One entry of the footer: the key as shown, what it does, the action of a click."""

    key: str
    label: str
    action: str = ""


def paint_header(grid: Grid, site: str, parts: Sequence[str], right: str) -> None:
    """`` orders-prod   plan            Europe/Vienna UTC+1``; what does not fit is left out from the end."""
    end = grid.put(1, 0, site, "title!", grid.width - 1)
    room = grid.width - 1 - (len(right) + 3 if len(right) + end + 3 < grid.width else 0)
    for part in parts:
        if part and end + 3 + cell_len(part) <= room:
            end = grid.put(end + 3, 0, part, "muted")
    if room < grid.width - 1 and grid.width - 1 - len(right) > end + 1:
        grid.put_right(grid.width - 1, 0, right, "muted")


def paint_rule(grid: Grid, y: int, start: int = 0, stop: int | None = None) -> None:
    grid.fill(start, y, (grid.width if stop is None else stop) - start, grid.glyphs.rule, "faint")


def paint_footer(grid: Grid, hints: Sequence[Hint], *, note: str | None = None, note_role: str = "warn") -> None:
    """The last row; a note (why a key did nothing) stands above it, in the row of the legend and as many above it as
    it needs."""
    y, x = grid.height - 1, 1
    grid.fill(0, y, grid.width, " ", "text")  # a terminal that is too low for the screen has something there
    if note:
        rows = min(len(wrapped(note, grid.width - 2)), _NOTE)
        for row in range(y - rows, y):
            grid.fill(0, row, grid.width, " ", "text")
        paint_wrapped(grid, 1, y - rows, note, note_role, grid.width - 1, rows)
    last = hints[-2:]  # on a narrow terminal the middle is left out
    reserve = sum(len(hint.key) + 1 + len(hint.label) + 3 for hint in last)
    for hint in hints[:6]:
        size = cell_len(hint.key) + 1 + len(hint.label)
        if x + size > grid.width - (reserve if hint not in last else 0):
            continue
        end = grid.put(x, y, hint.key, "accent!")
        end = grid.put(end + 1, y, hint.label, "muted")
        if hint.action:
            grid.links.append(Link(y, x, end, hint.action))
        x = end + 3


def paint_wrapped(grid: Grid, x: int, y: int, text: str, role: str, stop: int, rows: int) -> int:
    """Words over at most ``rows`` rows; answers the next free row."""
    lines = wrapped(text, stop - x)
    if len(lines) > rows:  # all the rest in the last row, which is then cut
        lines = [*lines[: rows - 1], " ".join(lines[rows - 1 :])] if rows > 0 else []
    for line in lines:
        grid.put_cut(x, y, line, role, stop)
        y += 1
    return y


def wrapped(text: str, width: int) -> list[str]:
    """Text broken between its words into lines of ``width`` cells; a longer word has a line to itself."""
    lines: list[str] = [""]
    for word in text.split():
        if lines[-1] and cell_len(lines[-1]) + 1 + cell_len(word) > width:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".lstrip()
    return lines
