"""What happened in a drill, minute by minute: the call, what the operator did, what the engine did."""

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import BindingType

from engine.records.drills import DrillState
from tui import words
from tui.painting.grid import Grid
from tui.screens.scrolled import Scrolled
from tui.widgets.drill_line import drill_title
from tui.widgets.frame import Hint, wrapped
from tui.widgets.rows import Row, paint_row

_WHAT = 32
_ROLES = {"drill": "accent", "operator": "text", "engine": "muted"}


class DrillRecordScreen(Scrolled):
    """The record of a drill."""

    title_words = "record"
    BINDINGS: ClassVar[list[BindingType]] = []

    def __init__(self, drill: DrillState) -> None:
        super().__init__()
        self.drill = drill

    def paint(self, grid: Grid) -> None:
        self.header(grid, "record", drill_title(self.drill))
        for x, name in ((3, "at"), (15, "after"), (22, "who"), (_WHAT, "what")):
            grid.put(x, 2, name, "faint")
        for y, row in self.rows_in_sight(grid, self._rows(grid.width), 3, grid.height - 2):
            paint_row(grid, y, row)

    def _rows(self, width: int) -> list[Row]:
        rows: list[Row] = []
        for minute in self.drill.minutes:
            first, *more = wrapped(minute.what, width - 1 - _WHAT)
            role = _ROLES[minute.who]
            rows.append(
                (
                    (3, words.clock(minute.at, self.desk.site.zone, fraction=False), "muted"),
                    (13, f"{words.stopwatch(minute.seconds):>7}", "text"),
                    (22, minute.who, role),
                    (_WHAT, first, role),
                )
            )
            rows += [((_WHAT, line, role),) for line in more]
        return rows

    def to_copy(self) -> str:
        zone = self.desk.site.zone
        return "\n".join(f"{words.second(each.at, zone)}  {each.who}  {each.what}" for each in self.drill.minutes)

    def hints(self) -> Sequence[Hint]:
        return (
            Hint(self.session.glyphs.up_down, "scroll"),
            self.hint("copy", "copy it", "app.copy"),
            self.hint("back", "back", "app.back"),
            self.hint("help", "help", "app.help"),
        )
