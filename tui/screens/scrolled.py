"""A screen whose rows may be more than the terminal has: keys scroll them, a chosen row stays in sight."""

from collections.abc import Iterator, Sequence
from typing import ClassVar, TypeVar

from textual.binding import BindingType

from tui.keys import bind
from tui.painting.grid import Grid
from tui.screens.base import Painted
from tui.widgets.frame import Hint

T = TypeVar("T")


class Scrolled(Painted):
    """Rows with a first visible one; with ``choosing``, a chosen one too."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("up", "scroll_rows(-1)"),
        bind("down", "scroll_rows(1)"),
        bind("page-up", "scroll_pages(-1)"),
        bind("page-down", "scroll_pages(1)"),
        bind("top", "scroll_to('top')"),
        bind("bottom", "scroll_to('bottom')"),
    ]
    choosing: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.first = 0
        self.chosen = 0
        self.total = 0
        self.room = 1

    def rows_in_sight(
        self, grid: Grid, rows: Sequence[T], top: int, bottom: int, more_at: int | None = None
    ) -> Iterator[tuple[int, T]]:
        """The rows to paint between ``top`` and ``bottom`` (exclusive), each with its y. Where not all of them fit,
        that is said at the right of the row above, or of the row ``more_at``."""
        self.total, self.room = len(rows), max(1, bottom - top)
        self.chosen = min(max(self.chosen, 0), max(0, self.total - 1))
        if self.choosing:
            self.first = min(self.first, self.chosen)
            self.first = max(self.first, self.chosen - self.room + 1)
        self.first = min(max(self.first, 0), max(0, self.total - self.room))
        if self.total > self.room:
            more = f" {self.first + 1} to {min(self.first + self.room, self.total)} of {self.total} "
            grid.put_right(grid.width - 1, top - 1 if more_at is None else more_at, more, "faint")
        for number, row in enumerate(rows[self.first : self.first + self.room]):
            yield top + number, row

    def action_scroll_rows(self, rows: int) -> None:
        if self.choosing:
            self.chosen += rows
        else:
            self.first += rows
        self.repaint()

    def action_scroll_pages(self, pages: int) -> None:
        self.action_scroll_rows(pages * max(1, self.room - 1))

    def action_scroll_to(self, where: str) -> None:
        self.action_scroll_rows(-self.total if where == "top" else self.total)

    def clicked(self, x: int, y: int, wheel: int) -> None:
        if wheel:
            self.action_scroll_rows(wheel)

    def hints(self) -> Sequence[Hint]:
        return (Hint(self.session.glyphs.up_down, "scroll"), self.hint("back", "back", "app.back"))
