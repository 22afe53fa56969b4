"""What can be practised: one drawn by lot, or a scenario by its name; how it went before. The copies are proven from
here too, by a drill that needs no operator."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from textual.binding import BindingType

from engine.records.copies import Problem
from engine.records.drills import DrillScenario, DrillState
from tui import words
from tui.errands import Answer, Errand
from tui.keys import bind
from tui.painting.grid import Grid
from tui.screens.scrolled import Scrolled
from tui.widgets.chart import data_losses, paint_chart, recovery_times
from tui.widgets.frame import Hint, paint_rule

if TYPE_CHECKING:
    from engine.acts import Desk, Learnt

_BARS = 3  # rows of a chart's bars
_LOW, _HIGH = 20, 44  # rows of a terminal from which on there is one chart, or both
_LIMIT, _PLAYED, _BEST, _LAST = 54, 61, 67, 73  # where the columns end, further right on a wide terminal
_WIDE, _FURTHER = 100, 16


class Begins(NamedTuple):
    """What Enter begins: a scenario (None: drawn by lot) told or not, the drill that is open already, or a proof."""

    title: str
    note: str = ""
    scenario: DrillScenario | None = None
    blind: bool = False
    open: DrillState | None = None
    proof: bool = False


class DrillsScreen(Scrolled):
    """The drills."""

    title_words = "drills"
    choosing = True
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("open", "open"),
        bind("past-drills", "past"),
        bind("other-chart", "other_chart"),
        bind("read", "read_again"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.scenarios: list[DrillScenario] | None = None
        self.problems: list[Problem] = []
        self.past: list[DrillState] = []
        self.learnt: Learnt | None = None
        self.losses_first = False  # where there is room for one chart, it is that of what was lost

    def begin(self) -> None:
        self.drills_errand = Errand(self, "drills")
        self.enter_errand = Errand(self, "enter")
        self.action_read_again()

    def on_screen_resume(self) -> None:
        """A drill may have ended meanwhile."""
        if self.scenarios is not None:
            self.action_read_again()
        self.repaint()

    def action_read_again(self) -> None:
        acts, desk = self.session.acts, self.desk
        self.drills_errand.ask(
            "drills", lambda: (*acts.drill_scenarios(desk.state), acts.drills(desk.state), acts.recoveries(desk))
        )
        self.repaint()

    def on_answer(self, answer: Answer) -> None:
        answer.stop()
        if answer.error is not None:
            self.say_error(answer.error)
        elif answer.errand is self.enter_errand:
            self.session.enter_drill(*answer.result)
        else:
            self.scenarios, self.problems, self.past, self.learnt = answer.result
            if self.problems and self.note is None:
                self.say(f"{self.problems[0].where}: {self.problems[0].what}")
        self.repaint()

    @property
    def rows(self) -> list[Begins]:
        """What can be begun; the drill that somebody has begun elsewhere before all others."""
        rows = []
        if self.past and self.past[0].ended_at is None and self.past[0].running:
            drill = self.past[0]
            since = f"called {words.second(drill.called_at, self.desk.site.zone)}" if drill.called_at else ""
            rows.append(Begins("the drill that is open", since, open=drill))
        rows.append(Begins("one by lot, blind", "the call does not tell either what has happened", blind=True))
        rows.append(Begins("one by lot", "which one it is, is told at the end"))
        rows.append(Begins("a proof of the copies", "restored beside production, looked through", proof=True))
        return rows + [Begins(each.title, scenario=each) for each in self.scenarios or ()]

    def paint(self, grid: Grid) -> None:
        stop = grid.width - 1
        self.header(grid, "drills")
        if self.scenarios is None:
            grid.put(3, 3, "reading …", "muted")
            return
        grid.put(3, 2, "disaster", "faint", stop)
        right = _FURTHER if grid.width >= _WIDE else 0
        for end, name in ((_LIMIT, "time"), (_PLAYED, "drills"), (_BEST, "best"), (_LAST, "last")):
            grid.put_right(end + right, 2, name, "faint")
        charts = _charts(grid.height)
        bars = _BARS if charts < 2 else 2 * _BARS
        bottom = grid.height - 2 - charts * (bars + 4)
        if self.learnt is not None and charts:
            self._paint_charts(grid, min(bottom, 3 + len(self.rows)), bars, charts, self.learnt)
        for number, (y, row) in enumerate(self.rows_in_sight(grid, self.rows, 3, bottom, more_at=bottom)):
            self._paint_row(grid, y, row, here=self.first + number == self.chosen)

    def _paint_charts(self, grid: Grid, y: int, bars: int, charts: int, learnt: Learnt) -> None:
        """How long recoveries took and what they lost: drills, proofs, real ones."""
        past, wanted, zone = learnt.recoveries, learnt.objectives, self.desk.site.zone
        series = (recovery_times(past, wanted.rto_seconds), data_losses(past, wanted.rpo_seconds))
        for each in series[::-1][:charts] if self.losses_first else series[:charts]:
            paint_rule(grid, y)
            y = paint_chart(grid, y + 1, bars, each, zone)

    def _paint_row(self, grid: Grid, y: int, row: Begins, *, here: bool) -> None:
        g, stop, scenario = grid.glyphs, grid.width - 1, row.scenario
        right = _FURTHER if grid.width >= _WIDE else 0
        grid.put(0, y, g.now if here else " ", "accent!")
        end = grid.put_cut(3, y, row.title, "accent!" if here else "text", _LIMIT - 8 + right)
        if scenario is None:
            grid.put_cut(max(26, end + 3), y, row.note, "muted", stop)
            return
        grid.put_right(_LIMIT + right, y, words.duration(scenario.limit_seconds), "muted")
        if not scenario.played:
            grid.put_right(_PLAYED + right, y, "never", "muted")
            return
        sign = (g.ok, "ok") if scenario.solved else (g.warn, "warn")
        grid.put(1, y, *sign)
        grid.put_right(_PLAYED + right, y, f"{scenario.played}", "muted")
        for stop_at, score in ((_BEST, scenario.best), (_LAST, scenario.last)):
            grid.put_right(stop_at + right, y, "" if score is None else f"{score}", "text")
        grid.put(_LAST + right, y, f" / {scenario.of}", "faint", stop)

    # Keys

    def action_open(self) -> None:
        if self.scenarios is None:
            return
        row = self.rows[self.chosen]
        acts, state = self.session.acts, self.desk.state
        if row.open is not None:
            drill = row.open.drill

            def enter() -> tuple[DrillState, Desk, None]:
                found = acts.drill_state(state, drill)
                return found, acts.open_desk(Path(found.site), Path(found.state)), None

            self.enter_errand.ask("enter", enter)
        elif row.proof:
            from tui.screens.proof_plan import ProofPlanScreen

            self.app.push_screen(ProofPlanScreen(self.session.clock()))
        elif self.may_act():
            from tui.screens.drill_beginning import DrillBeginningScreen

            name = row.scenario.name if row.scenario is not None else None
            self.app.push_screen(DrillBeginningScreen(name, row.title, blind=row.blind))

    def action_past(self) -> None:
        from tui.screens.past_drills import PastDrillsScreen

        self.app.push_screen(PastDrillsScreen(self.past))

    def action_other_chart(self) -> None:
        self.losses_first = not self.losses_first
        self.repaint()

    def clicked(self, x: int, y: int, wheel: int) -> None:
        if wheel:
            self.action_scroll_rows(wheel)
        elif 3 <= y < 3 + min(self.room, self.total):
            self.chosen = self.first + y - 3
            self.repaint()

    def hints(self) -> Sequence[Hint]:
        other = self.hint("other-chart", "times" if self.losses_first else "losses", "other_chart")
        return (
            Hint(self.session.glyphs.up_down, "choose"),
            self.hint("open", "begin", "open"),
            self.hint("past-drills", "past drills", "past"),
            other if _charts(self.area.height) == 1 else self.hint("read", "read again", "read_again"),
            self.hint("back", "back", "app.back"),
            self.hint("help", "help", "app.help"),
        )


def _charts(height: int) -> int:
    """How many charts a terminal of so many rows has room for."""
    return 0 if height < _LOW else 1 if height < _HIGH else 2
