"""What the catalog found wrong in the repositories: unusable copies, strange files, and what to do about them; and what
is wrong in the operator's own settings and themes."""

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import BindingType

from engine.records.copies import Catalog
from tui.painting.grid import Grid
from tui.screens.scrolled import Scrolled
from tui.widgets.frame import Hint, wrapped


class ProblemsScreen(Scrolled):
    """What is wrong in the repositories."""

    title_words = "problems"
    BINDINGS: ClassVar[list[BindingType]] = []

    def __init__(self, catalog: Catalog) -> None:
        super().__init__()
        self.catalog = catalog

    def rows(self) -> list[tuple[int, str, str]]:
        """Indent, words, role."""
        rows: list[tuple[int, str, str]] = []
        for backup in self.catalog.base_backups:
            if not backup.usable:
                rows += [(3, f"backup {backup.id}", "text"), (5, backup.reason or "cannot be used", "muted")]
        for gap in self.catalog.gaps:
            rows.append((3, f"WAL missing on timeline {gap.timeline}", "text"))
            rows.append((5, f"{gap.first_missing} to {gap.last_missing}", "muted"))
        for problem in self.catalog.problems:
            rows += [(3, problem.where, "text"), (5, problem.what, "muted")]
            if problem.remedy:
                rows.append((5, problem.remedy, "text"))
        if self.session.problems:
            rows += [(3, "settings and themes", "text"), *((5, problem, "muted") for problem in self.session.problems)]
        return rows

    def paint(self, grid: Grid) -> None:
        self.header(grid, "problems")
        rows = self.rows()
        if not rows:
            grid.parts(1, 3, (grid.glyphs.ok, "ok"), ("nothing is wrong in the repositories", "text"), gap=1)
        lines = [
            (x, line, role, x == 3 and not number)
            for x, text, role in rows
            for number, line in enumerate(wrapped(text, grid.width - 1 - x))
        ]
        for y, (x, line, role, begins) in self.rows_in_sight(grid, lines, 3, grid.height - 2):
            if begins:
                grid.put(1, y, grid.glyphs.warn, "warn")
            grid.put_cut(x, y, line, role, grid.width - 1)

    def hints(self) -> Sequence[Hint]:
        return (
            Hint(self.session.glyphs.up_down, "scroll"),
            self.hint("back", "back", "app.back"),
            self.hint("help", "help", "app.help"),
        )
