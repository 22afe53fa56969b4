"""A drill that is open: the call, the hints that were asked for, the marks of the last check, what happened so far."""

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import BindingType

from tui import words
from tui.keys import bind
from tui.painting.grid import Grid
from tui.screens.scrolled import Scrolled
from tui.session import OpenDrill
from tui.widgets.drill_line import drill_title
from tui.widgets.frame import Hint, wrapped
from tui.widgets.marks import marks_rows
from tui.widgets.rows import RULE, Row, paint_row

TEXT = 76  # cells; longer lines are hard to read


class DrillScreen(Scrolled):
    """The open drill."""

    title_words = "drill"
    BINDINGS: ClassVar[list[BindingType]] = [bind("to-work", "to_work"), bind("record", "record")]

    @property
    def open(self) -> OpenDrill:
        assert self.drilling is not None
        return self.drilling

    def paint(self, grid: Grid) -> None:
        self.header(grid, "drill")
        rows = self._rows(grid)
        for y, row in self.rows_in_sight(grid, rows, 2, grid.height - 2):
            paint_row(grid, y, row)

    def _rows(self, grid: Grid) -> list[Row]:
        drill, zone = self.open.state, self.desk.site.zone
        wide = min(grid.width - 4, TEXT)
        rows: list[Row] = [((1, "the call", "muted"),)]
        for paragraph in drill.briefing.split("\n\n"):
            rows += [((3, line, "text"),) for line in wrapped(paragraph, wide)]
        rows.append(())
        rows.append(((3, "where", "muted"), (12, "a lab of its own; the live system is out of reach", "text")))
        called = f"called at {words.clock(drill.called_at, zone, fraction=False)}" if drill.called_at else ""
        limit = words.duration(drill.limit_seconds)
        rows.append(((3, "limit", "muted"), (12, limit, "text"), (15 + len(limit), called, "muted")))
        rows.append(((3, "hints", "muted"), (12, _hints(drill.hints_left, drill.hints_cost), "text")))
        for number, hint in enumerate(drill.hints, 1):
            lines = wrapped(hint, wide - 9)
            rows.append(((12, f"{number}", "accent"), (14, lines[0], "text")))
            rows += [((14, line, "text"),) for line in lines[1:]]
        rows.append(RULE)
        if drill.marks:
            return [*rows, *marks_rows(drill, (), grid.glyphs, grid.width)]
        rows.append(((3, "Enter goes to the system's timeline: all is as in an emergency.", "text"),))
        rows += [(), ((3, "in another terminal:", "muted"),)]
        return [*rows, *[((3, line, "text"),) for line in wrapped(drill.command, wide)]]

    def action_to_work(self) -> None:
        self.call_next(self.run_action, "app.go('timeline')")

    def action_record(self) -> None:
        from tui.screens.drill_record import DrillRecordScreen

        self.app.push_screen(DrillRecordScreen(self.open.state))

    def to_copy(self) -> str:
        return f"{drill_title(self.open.state)}\n{self.open.state.briefing}\n{self.open.state.command}"

    def hints(self) -> Sequence[Hint]:
        return (
            self.hint("to-work", "to work", "to_work"),
            self.hint("drill-hint", "hint", "app.drill_hint"),
            self.hint("drill-check", "check", "app.drill_check"),
            self.hint("drill-end", "end", "app.drill_end"),
            self.hint("record", "record", "record"),
            self.hint("help", "help", "app.help"),
        )


def _hints(left: int, cost: int) -> str:
    taken = f"; those asked for cost {words.plural(cost, 'point', 'points')}" if cost else ""
    return f"{left} left, each costs points{taken}" if left else f"none left{taken}"
