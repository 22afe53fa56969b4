"""A grid of cells: what a screen shows, before it is a terminal's business.

A cell is a character and a role. A role is a name from the theme (``text``, ``muted``, ``accent`` …); with ``!`` behind
it, it is bold, with ``~`` it is shown in reverse. A character two cells wide is followed by an empty cell.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from rich.cells import cell_len

from tui.painting.glyphs import UNICODE, Glyphs, printable, to_ascii


class Span(NamedTuple):
    """Cells ``start`` to ``stop`` (exclusive) of row ``y``."""

    y: int
    start: int
    stop: int


class Link(NamedTuple):
    """A place to click: the action that its key would do."""

    y: int
    start: int
    stop: int
    action: str


@dataclass(slots=True)
class Grid:
    """A painted screen. Painting outside it is cut off, never an error."""

    width: int
    height: int
    glyphs: Glyphs = UNICODE
    chars: list[list[str]] = field(init=False)
    roles: list[list[str]] = field(init=False)
    links: list[Link] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.chars = [[" "] * self.width for _ in range(self.height)]
        self.roles = [["text"] * self.width for _ in range(self.height)]

    def put(self, x: int, y: int, text: str, role: str = "text", stop: int | None = None) -> int:
        """Paint text from ``x`` on, up to ``stop``; answers where it ended."""
        limit = self.width if stop is None else min(stop, self.width)
        text = printable(text)
        if self.glyphs.plain:
            text = to_ascii(text)
        if text.isascii():
            cells = list(text)
        else:
            cells = []
            for char in text:
                size = cell_len(char)
                if size:
                    cells.extend([char, *[""] * (size - 1)])
        if not 0 <= y < self.height or x >= limit:
            return x + len(cells)
        if x < 0:
            cells, x = cells[-x:], 0
        room = limit - x
        end = x + len(cells)
        if len(cells) > room:
            cells = cells[:room]
            if cells[-1:] == [""] or (cells and cell_len(cells[-1]) > 1):
                cells[-1] = " "
        self.chars[y][x : x + len(cells)] = cells
        self.roles[y][x : x + len(cells)] = [role] * len(cells)
        return end

    def put_whole(self, x: int, y: int, text: str, role: str, stop: int) -> int:
        """Paint text only if all of it fits: secondary facts are dropped, not cut in half."""
        size = cell_len(to_ascii(text) if self.glyphs.plain else text)
        return self.put(x, y, text, role, stop) if x + size <= min(stop, self.width) else x

    def put_cut(self, x: int, y: int, text: str, role: str, stop: int) -> int:
        """Paint text; where it does not fit, an ellipsis ends it."""
        room = min(stop, self.width) - x
        while text and cell_len(text) > room:
            text = text.rstrip("…")[:-1].rstrip() + "…" if len(text.rstrip("…")) > 1 else ""
        return self.put(x, y, text, role, stop)

    def put_right(self, stop: int, y: int, text: str, role: str = "text") -> int:
        """Paint text that ends before ``stop``; answers where it began."""
        start = stop - cell_len(to_ascii(text) if self.glyphs.plain else text)
        self.put(start, y, text, role, stop)
        return start

    def parts(self, x: int, y: int, *parts: tuple[str, str], gap: int = 0, stop: int | None = None) -> int:
        """Paint several (text, role) one after another with ``gap`` cells between them; empty ones leave no gap."""
        for text, role in parts:
            if text:
                x = self.put(x, y, text, role, stop) + gap
        return x - gap if gap and parts else x

    def role(self, x: int, y: int) -> str:
        return self.roles[y][x] if 0 <= y < self.height and 0 <= x < self.width else "text"

    def char(self, x: int, y: int) -> str:
        return self.chars[y][x] if 0 <= y < self.height and 0 <= x < self.width else " "

    def fill(self, x: int, y: int, count: int, glyph: str, role: str, stop: int | None = None) -> None:
        """One glyph, ``count`` times."""
        self.put(x, y, glyph * max(0, count), role, stop)

    def line_text(self, y: int) -> str:
        return "".join(self.chars[y]).rstrip()

    def text(self) -> str:
        """The characters alone, for golden pictures and copies."""
        return "\n".join(self.line_text(y) for y in range(self.height)) + "\n"

    def changed(self, before: "Grid") -> list[Span]:
        """Where this grid differs from one of the same size: few, wide enough spans a row."""
        spans: list[Span] = []
        for y in range(self.height):
            old_chars, new_chars = before.chars[y], self.chars[y]
            old_roles, new_roles = before.roles[y], self.roles[y]
            if old_chars == new_chars and old_roles == new_roles:
                continue
            start = stop = -1
            for x in range(self.width):
                if old_chars[x] != new_chars[x] or old_roles[x] != new_roles[x]:
                    if start >= 0 and x - stop > 8:  # moving the cursor costs about as much as eight cells
                        spans.append(_whole(self, y, start, stop))
                        start = -1
                    if start < 0:
                        start = x
                    stop = x + 1
            spans.append(_whole(self, y, start, stop))
        return spans


def stacked(top: Grid, below: Grid) -> Grid:
    """Two grids of one width, one above the other."""
    whole = Grid(top.width, top.height + below.height, top.glyphs)
    whole.chars, whole.roles = top.chars + below.chars, top.roles + below.roles
    whole.links = top.links + [link._replace(y=link.y + top.height) for link in below.links]
    return whole


def _whole(grid: Grid, y: int, start: int, stop: int) -> Span:
    """A span that does not begin or end inside a wide character."""
    while start > 0 and grid.chars[y][start] == "":
        start -= 1
    while stop < grid.width and grid.chars[y][stop] == "":
        stop += 1
    return Span(y, max(0, start - 1), stop)
