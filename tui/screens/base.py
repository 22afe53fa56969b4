"""What all screens share: a canvas, a question, a note, the footer; errands and what they bring back.

A screen stays at the desk at which it was opened: a drill's screens are the very same ones, at the desk of its lab.
"""

import asyncio
from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.geometry import Size
from textual.screen import Screen

from engine.records.errors import RepriseError
from tui import keys, words
from tui.painting.grid import Grid, stacked
from tui.session import Session
from tui.widgets.canvas import Canvas
from tui.widgets.frame import Hint, paint_footer, paint_header
from tui.widgets.question import Question, paint_question
from tui.widgets.tight import TightCompositor


class Painted(Screen[None]):
    """A screen that paints a grid. Subclasses say how (``paint``) and which keys stand in the footer (``hints``)."""

    BINDINGS: ClassVar[list[BindingType]] = []
    title_words: ClassVar[str] = ""
    CSS = "Painted { background: transparent; }"

    def __init__(self) -> None:
        super().__init__()
        self._compositor = TightCompositor(lambda: self.session.last_picture)
        self.begun = asyncio.Event()  # from then on keys may be pressed
        self.desk, self.drilling = self.session.desk, self.session.drilling
        self.question: Question | None = None
        self.note: str | None = None
        self.note_role = "warn"

    @property
    def session(self) -> Session:
        assert isinstance(self.app, Session)
        return self.app

    def compose(self) -> ComposeResult:
        yield Canvas(self.session.looks)

    @property
    def canvas(self) -> Canvas:
        return self.query_one(Canvas)

    def on_mount(self) -> None:
        try:
            self.begin()
        finally:
            self.begun.set()

    def begin(self) -> None:
        """What a screen asks for when it comes up."""

    def on_resize(self) -> None:
        self.repaint()

    def on_screen_resume(self) -> None:
        self.repaint()

    def paint(self, grid: Grid) -> None:
        raise NotImplementedError

    def hints(self) -> Sequence[Hint]:
        return ()

    @property
    def area(self) -> Size:
        """The cells that this screen has: one row fewer in a drill, whose line stands above."""
        rows = self.size.height - (self.drilling is not None)
        return Size(self.size.width, max(0, rows))

    def picture(self, width: int, height: int) -> Grid:
        """The whole screen as a grid, in a drill under its line."""
        if self.drilling is None:
            return self._picture(width, height)
        from tui.widgets.drill_line import paint_drill_line

        line = Grid(width, 1, self.session.glyphs)
        paint_drill_line(line, self.drilling.state, self.session.clock(), self.session.settings.keys)
        return stacked(line, self._picture(width, height - 1))

    def _picture(self, width: int, height: int) -> Grid:
        grid = Grid(width, height, self.session.glyphs)
        self.paint(grid)
        if self.question is not None and not self.question.inline:
            paint_question(grid, self.question)
        else:
            paint_footer(grid, self.hints(), note=self.note, note_role=self.note_role)
        return grid

    def repaint(self) -> None:
        """Show what is known now; nothing where another screen is in front, or this one is still being set up."""
        if self.is_attached and self.is_current and self.query(Canvas):
            size = self.size
            if size.width > 0 and size.height > 0:
                self.canvas.show(self.picture(size.width, size.height))

    def header(self, grid: Grid, *parts: str) -> None:
        site = self.desk.site
        now = self.session.clock()
        read_only = "read-only" if self.desk.read_only else ""
        paint_header(grid, site.name, [*parts, read_only], words.zone_title(now, site.zone))

    def hint(self, id: str, label: str, action: str = "") -> Hint:
        return Hint(keys.shown(id, self.session.settings.keys), label, action)

    def say(self, note: str | None, role: str = "warn") -> None:
        """A line above the footer; it stays until the next key."""
        self.note, self.note_role = note, role
        self.repaint()

    def step_back(self) -> bool:
        """Go back within the screen, if there is something to go back from."""
        return False

    def say_error(self, error: RepriseError) -> None:
        text = "; ".join(filter(None, (error.message, error.cause, error.remedy)))
        self.say(f"{self.session.glyphs.bad} {text}", "bad")

    def may_act(self) -> bool:
        """Whether acts are allowed; if not, it is said why."""
        if self.desk.read_only:
            self.say("read-only: this program was started with --read-only, so nothing can be changed from here")
            return False
        return True

    def ask(self, question: Question) -> None:
        self.question, self.note = question, None
        self.repaint()

    # What the operator does; the application hands it on, one thing after another

    async def typed(self, event: events.Key) -> bool:
        """While a question stands, keys are typed into it; else a key first clears the note. Answers whether the key
        was taken here: else it is looked up in the bindings."""
        question = self.question
        if question is None:
            if self.note is not None:
                self.note = None
                self.repaint()
            return False
        if event.key == "escape":
            self.question = None
        elif event.key == "enter":
            right, why = question.understood(question.line.text)
            if right:
                self.question = None
                question.answer(question.line.text)
            else:
                self.note = why if question.line.text else f"nothing is typed and nothing is done; {why}"
        elif event.key == "tab":
            question.next_choice()
        elif question.line.press(event.key):
            pass
        elif event.character and event.is_printable:
            question.line.type(event.character)
        self.repaint()
        return True

    def pasted(self, text: str) -> None:
        if self.question is not None:
            self.question.line.type(text)
            self.repaint()

    async def pointed(self, x: int, y: int, wheel: int = 0) -> None:
        """A click at a cell, or a turn of the wheel there: -1 up, 1 down."""
        if self.question is not None:
            return
        if not wheel:
            for link in self.canvas.grid.links:
                if link.y == y and link.start <= x < link.stop:
                    await self.run_action(link.action)
                    return
        self.clicked(x, y - (self.size.height - self.area.height), wheel)

    def clicked(self, x: int, y: int, wheel: int) -> None:
        """A click beside all links."""

    def to_copy(self) -> str:
        """What ``y`` copies."""
        return self.canvas.grid.text()
