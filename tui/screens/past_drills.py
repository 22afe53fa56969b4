"""The drills that were practised, newest first: how each ended."""

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import BindingType

from engine.records.drills import DrillState
from tui import words
from tui.keys import bind
from tui.painting.grid import Grid
from tui.screens.scrolled import Scrolled
from tui.widgets.drill_line import drill_title
from tui.widgets.frame import Hint

_TIME, _SCORE = 66, 73  # where the columns end


class PastDrillsScreen(Scrolled):
    """The drills of the past."""

    title_words = "past drills"
    choosing = True
    BINDINGS: ClassVar[list[BindingType]] = [bind("open", "open")]

    def __init__(self, drills: Sequence[DrillState]) -> None:
        super().__init__()
        self.drills = [drill for drill in drills if drill.ended_at is not None]

    def paint(self, grid: Grid) -> None:
        g, zone, stop = grid.glyphs, self.desk.site.zone, grid.width - 1
        self.header(grid, "past drills")
        grid.put(3, 2, "when", "faint")
        grid.put(17, 2, "disaster", "faint")
        for end, name in ((_TIME, "time"), (_SCORE, "points")):
            grid.put_right(end, 2, name, "faint")
        if not self.drills:
            grid.put(3, 4, "no drill yet; Esc, then Enter begins one", "muted", stop)
        for number, (y, drill) in enumerate(self.rows_in_sight(grid, self.drills, 3, grid.height - 2, more_at=1)):
            here = self.first + number == self.chosen
            grid.put(0, y, g.now if here else " ", "accent!")
            grid.put(1, y, *((g.ok, "ok") if drill.outcome == "solved" else (g.bad, "bad")))
            at = drill.called_at or drill.ended_at
            grid.put(3, y, words.minute(at, zone) if at is not None else "", "accent!" if here else "text")
            grid.put_cut(17, y, drill_title(drill), "accent!" if here else "text", _TIME - 11)
            grid.put_right(_TIME, y, words.duration(drill.seconds), "muted")
            grid.put_right(_SCORE, y, f"{drill.score or 0}", "text")
            grid.put(_SCORE, y, f" / {drill.of}", "faint", stop)

    def action_open(self) -> None:
        if not self.drills:
            self.say("there is no past drill to look at", "muted")
            return
        from tui.screens.drill_marks import DrillMarksScreen

        self.app.push_screen(DrillMarksScreen(self.drills[self.chosen]))

    def hints(self) -> Sequence[Hint]:
        return (
            Hint(self.session.glyphs.up_down, "choose"),
            self.hint("open", "its marks", "open"),
            self.hint("back", "back", "app.back"),
            self.hint("help", "help", "app.help"),
        )
