"""All runs of this site, newest first."""

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import BindingType

from engine.records.errors import RepriseError
from engine.records.runs import LIVE, RunState
from tui import words
from tui.errands import Answer, Errand
from tui.keys import bind
from tui.painting.grid import Grid
from tui.screens.scrolled import Scrolled
from tui.widgets.frame import Hint
from tui.widgets.purpose import moment_of, what_for, where_to
from tui.widgets.question import Question, TypedLine

_TICK = 2.0  # seconds between two looks at runs that are going


class RunsScreen(Scrolled):
    """All runs."""

    title_words = "runs"
    choosing = True
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("open", "open"),
        bind("read", "read_again"),
        bind("find", "find"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.all: list[RunState] | None = None
        self.filter = ""
        self.failure: RepriseError | None = None

    def begin(self) -> None:
        self.runs_errand = Errand(self, "runs")
        self.set_interval(_TICK, self._tick)
        self.action_read_again()

    def on_screen_resume(self) -> None:
        """A run may have gone on, or ended, meanwhile."""
        if self.all is not None:
            self.action_read_again()
        self.repaint()

    def _tick(self) -> None:
        """Only what is going is looked at again: of the others there may be thousands, and they stay as they are."""
        acts, desk, known = self.session.acts, self.desk, self.all or []
        if not self.is_current or self.runs_errand.busy or not any(run.outcome in LIVE for run in known):
            return

        def look() -> list[RunState]:
            return [acts.run_state(desk, run.run) if run.outcome in LIVE else run for run in known]

        self.runs_errand.ask("runs", look)

    def action_read_again(self) -> None:
        acts, desk = self.session.acts, self.desk
        self.runs_errand.ask("runs", lambda: acts.runs(desk))
        self.repaint()

    def on_answer(self, answer: Answer) -> None:
        answer.stop()
        self.failure = answer.error
        if answer.error is None:
            self.all = answer.result
        self.repaint()

    @property
    def shown_runs(self) -> list[RunState]:
        wanted = self.filter.lower()
        return [run for run in self.all or [] if wanted in self._words(run)]

    def _words(self, run: RunState) -> str:
        """What a filter looks at."""
        return f"{run.run} {run.outcome} {what_for(run.plan)} {run.plan.destination.path}".lower()

    def paint(self, grid: Grid) -> None:
        zone, g, stop = self.desk.site.zone, grid.glyphs, grid.width - 1
        self.header(grid, "runs", f"filter: {self.filter}" if self.filter else "")
        for x, name in ((3, "started"), (17, "outcome"), (32, "restored to"), (51, "into")):
            grid.put(x, 2, name, "faint", stop)
        if self.failure is not None:
            grid.put(3, 4, self.failure.message, "bad", stop)
        elif self.all is None:
            grid.put(3, 4, "reading …", "muted")
        elif not self.shown_runs:
            text = (
                "no run fits the filter; / changes it"
                if self.filter
                else "no run yet; 2 goes to the timeline, Enter there makes a plan"
            )
            grid.put(3, 4, text, "muted", stop)
        looks = {
            "completed": (g.ok, "ok"),
            "failed": (g.bad, "bad"),
            "paused": (g.warn, "warn"),
            "interrupted": (g.warn, "warn"),
            "running": (g.now, "accent"),
        }
        for number, (y, run) in enumerate(self.rows_in_sight(grid, self.shown_runs, 3, grid.height - 3)):
            here = self.first + number == self.chosen
            sign, role = looks.get(run.outcome, (g.left, "muted"))
            main = "accent!" if here else "text"
            grid.put(0, y, g.now if here else " ", "accent!")
            grid.put(3, y, words.minute(run.started_at, zone), main)
            grid.put(17, y, sign, role)
            grid.put(19, y, "held" if run.held and run.outcome == "running" else run.outcome, main)
            kept = moment_of(run)
            told = what_for(run.plan) if kept is None else words.second(kept, zone)
            if run.plan.proof is not None and kept is not None:
                told = f"{what_for(run.plan)} {words.minute(kept, zone)}"
            grid.put_cut(32, y, told, main, 50)
            where = where_to(run.plan)
            room = stop - 51
            grid.put(51, y, where if len(where) <= room else "…" + where[1 - room :], "muted", stop)

    def action_open(self) -> None:
        runs = self.shown_runs
        if not runs:
            self.say("there is no run to open", "muted")
            return
        from tui.screens.run import RunScreen

        self.app.push_screen(RunScreen(runs[self.chosen].run))

    def action_find(self) -> None:
        def answer(text: str) -> None:
            self.filter, self.chosen = text.strip(), 0

        line = TypedLine(self.filter, len(self.filter))
        self.ask(
            Question("show runs with", answer, lambda text: (True, "part of a name, an outcome or a folder"), "", line)
        )

    def clicked(self, x: int, y: int, wheel: int) -> None:
        if wheel:
            self.action_scroll_rows(wheel)
        elif 3 <= y < 3 + len(self.shown_runs):
            self.chosen = self.first + y - 3
            self.action_open()

    def to_copy(self) -> str:
        runs = self.shown_runs
        return runs[self.chosen].run if runs else ""

    def hints(self) -> Sequence[Hint]:
        return (
            Hint(self.session.glyphs.up_down, "choose"),
            self.hint("open", "open", "open"),
            self.hint("find", "find", "find"),
            self.hint("read", "read again", "read_again"),
            self.hint("back", "back", "app.back"),
            self.hint("help", "help", "app.help"),
        )
