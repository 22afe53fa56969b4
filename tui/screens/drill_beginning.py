"""A drill is being prepared: its lab is laid out, life goes on in it, something happens; then the telephone rings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType

from engine.records.drills import DrillState
from engine.records.errors import RepriseError
from tui import words
from tui.errands import Answer, Errand
from tui.keys import bind
from tui.painting.grid import Grid
from tui.screens.base import Painted
from tui.widgets.frame import Hint, paint_wrapped

if TYPE_CHECKING:
    from engine.acts import Desk, HeldDrill

_BAR = 40  # cells
_TICK = 1.0  # seconds


class DrillBeginningScreen(Painted):
    """The preparation of one drill. It can be given up until the call; leaving the program gives it up too."""

    title_words = "drill"
    BINDINGS: ClassVar[list[BindingType]] = [bind("back", "give_up")]

    def __init__(self, scenario: str | None, title: str, *, blind: bool) -> None:
        super().__init__()
        self.scenario, self.title_of_it, self.blind = scenario, title, blind
        self.step: tuple[int, int, str] | None = None
        self.given_up = False
        self.failure: RepriseError | None = None

    def begin(self) -> None:
        self.begin_errand = Errand(self, "begin")
        self.since = self.session.clock()
        acts, state, name, blind = self.session.acts, self.desk.state, self.scenario, self.blind

        def progress(done: int, steps: int, what: str) -> None:
            if self.given_up:
                raise RepriseError("it was given up")
            self.post_message(Answer(self.begin_errand, "progress", (done, steps, what), None))

        def work() -> tuple[DrillState, Desk, HeldDrill]:
            held = acts.begin_drill(state, name, blind=blind, progress=progress)
            if self.given_up:
                held.close()
                raise RepriseError("it was given up")
            drill = acts.drill_state(state, held.drill)
            return drill, acts.open_desk(Path(drill.site), Path(drill.state)), held

        self.begin_errand.ask("begin", work)
        self.set_interval(_TICK, self.repaint)
        self.repaint()

    def on_unmount(self) -> None:
        self.given_up = True

    def on_answer(self, answer: Answer) -> None:
        answer.stop()
        if answer.ask == "progress":
            self.step = answer.result
        elif answer.error is not None and self.given_up:
            self.app.pop_screen()
        elif answer.error is not None:
            self.failure = answer.error
        else:
            self.app.pop_screen()
            self.session.enter_drill(*answer.result)
        self.repaint()

    def paint(self, grid: Grid) -> None:
        g, stop = grid.glyphs, grid.width - 1
        self.header(grid, "drill", self.title_of_it)
        if self.failure is not None:
            y = paint_wrapped(grid, 3, 2, self.failure.message, "text", stop, 3)
            grid.put(1, 2, g.bad, "bad")
            y = paint_wrapped(grid, 3, y, self.failure.cause or "", "muted", stop, 4)
            paint_wrapped(grid, 3, y, self.failure.remedy or "", "text", stop, 3)
            return
        took = (self.session.clock() - self.since).total_seconds()
        grid.put(1, 2, "a lab is being prepared for the drill; the live system is out of its reach", "text", stop)
        grid.put(1, 3, "The first one is built from nothing, later ones are copied from it.", "muted", stop)
        done, steps, what = self.step or (0, 0, "it begins")
        cells = int(_BAR * done / steps) if steps else 0
        end = grid.put(1, 5, g.bar_done * cells, "accent")
        end = grid.put(end, 5, g.bar_rest * (_BAR - cells), "faint")
        grid.put(end + 2, 5, f"{done} of {steps}" if steps else "", "muted", stop)
        grid.put_right(stop, 5, words.stopwatch(took), "text")
        grid.put_cut(1, 6, "giving it up …" if self.given_up else what, "muted", stop)

    def action_give_up(self) -> None:
        if self.failure is not None:
            self.app.pop_screen()
        self.given_up = True
        self.repaint()

    def hints(self) -> Sequence[Hint]:
        back = "back" if self.failure is not None else "give it up"
        return (self.hint("back", back, "give_up"), self.hint("help", "help", "app.help"))
