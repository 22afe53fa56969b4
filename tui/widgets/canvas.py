"""The one widget of every screen: shows a painted grid, and sends to the terminal only the cells that changed."""

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from tui.painting.grid import Grid


class Canvas(Widget):
    """Shows the grid it was given last."""

    DEFAULT_CSS = "Canvas { width: 100%; height: 100%; }"

    def __init__(self, looks: dict[str, Style]) -> None:
        super().__init__()
        self.looks = looks
        self.grid = Grid(1, 1)

    def show(self, grid: Grid) -> None:
        """Show this grid instead of the last one."""
        before, self.grid = self.grid, grid
        if (before.width, before.height) != (grid.width, grid.height):
            self.refresh()
            return
        spans = grid.changed(before)
        if spans:
            self.refresh(*[Region(start, y, stop - start, 1) for y, start, stop in spans])

    def dress(self, looks: dict[str, Style]) -> None:
        """Another theme."""
        self.looks = looks
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if y >= self.grid.height:
            return Strip([Segment(" " * width, self.looks["text"])], width)
        chars, roles = self.grid.chars[y], self.grid.roles[y]
        segments: list[Segment] = []
        start = 0
        for x in range(1, self.grid.width + 1):
            if x == self.grid.width or roles[x] != roles[start]:
                look = self.looks.get(roles[start]) or self.looks["text"]
                segments.append(Segment("".join(chars[start:x]), look))
                start = x
        return Strip(segments, self.grid.width).adjust_cell_length(width, self.looks["text"])
