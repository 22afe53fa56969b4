"""A drill that has ended: how it was marked, against the goal and the best before; what is better done next time."""

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import BindingType

from engine.records.drills import DrillState
from tui import words
from tui.errands import Answer, Errand
from tui.keys import bind
from tui.painting.grid import Grid
from tui.screens.drill import TEXT
from tui.screens.scrolled import Scrolled
from tui.widgets.drill_line import drill_title
from tui.widgets.frame import Hint, wrapped
from tui.widgets.marks import marks_rows
from tui.widgets.rows import RULE, Row, paint_row


class DrillMarksScreen(Scrolled):
    """The marks of one drill."""

    title_words = "marks"
    BINDINGS: ClassVar[list[BindingType]] = [bind("record", "record"), bind("drill", "drills")]

    def __init__(self, drill: DrillState) -> None:
        super().__init__()
        self.drill = drill
        self.past: Sequence[DrillState] = ()

    def begin(self) -> None:
        acts, state = self.session.acts, self.desk.state
        self.past_errand = Errand(self, "drills")
        self.past_errand.ask("past", lambda: acts.drills(state))
        self.repaint()

    def on_answer(self, answer: Answer) -> None:
        answer.stop()
        if answer.error is None:
            self.past = before(self.drill, answer.result)
        self.repaint()

    def paint(self, grid: Grid) -> None:
        called = self.drill.called_at
        self.header(grid, "drill", words.second(called, self.desk.site.zone) if called is not None else "")
        for y, row in self.rows_in_sight(grid, self._rows(grid), 2, grid.height - 2):
            paint_row(grid, y, row)

    def _rows(self, grid: Grid) -> list[Row]:
        drill, g = self.drill, grid.glyphs
        wide = min(grid.width - 4, TEXT)
        solved = drill.outcome == "solved"
        verdict = ((1, g.ok, "ok"), (3, "SOLVED", "ok!")) if solved else ((1, g.bad, "bad"), (3, "NOT SOLVED", "bad!"))
        rows: list[Row] = [(*verdict, (16, drill_title(drill), "title!"))]
        if drill.problem is not None:
            rows.append(((16, drill.problem, "warn"),))
        if grid.height >= 36:  # else what came of it matters more than what it began with
            rows += [(), ((1, "the call", "muted"),)]
            rows += [((3, line, "text"),) for line in wrapped(drill.briefing, wide)]
        rows.append(RULE)
        rows += marks_rows(drill, self.past, g, grid.width)
        if drill.debriefing:
            rows += [()] if grid.height > len(rows) + 10 else []
            rows.append(((1, "next time", "muted"),))
            rows += [((3, line, "text"),) for line in wrapped(drill.debriefing, wide)]
        return rows

    def action_record(self) -> None:
        from tui.screens.drill_record import DrillRecordScreen

        self.app.push_screen(DrillRecordScreen(self.drill))

    def action_drills(self) -> None:
        self.call_next(self.run_action, "app.go('drills')")

    def to_copy(self) -> str:
        return self.drill.folder

    def hints(self) -> Sequence[Hint]:
        return (
            Hint(self.session.glyphs.up_down, "scroll"),
            self.hint("record", "record", "record"),
            self.hint("copy", "copy its folder", "app.copy"),
            self.hint("drill", "other drills", "drills"),
            self.hint("back", "back", "app.back"),
            self.hint("help", "help", "app.help"),
        )


def before(drill: DrillState, all: Sequence[DrillState]) -> list[DrillState]:
    """The drills of the same scenario that had ended before this one began, newest first."""
    return [
        each
        for each in all
        if each.scenario == drill.scenario and each.ended_at is not None and each.drill < drill.drill
    ]
