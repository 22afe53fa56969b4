"""What the policy lets go: listed with its reason and the bytes that come back; deleted when a word is typed."""

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import BindingType

from engine.records.keeping import Expiry
from tui import words
from tui.errands import Answer, Errand
from tui.keys import bind
from tui.painting.grid import Grid
from tui.screens.scrolled import Scrolled
from tui.widgets.frame import Hint, paint_rule, paint_wrapped
from tui.widgets.question import Question, must_be

_WORD = "delete"


class ExpiryScreen(Scrolled):
    """The preview of `expire`."""

    title_words = "expire"
    choosing = True
    BINDINGS: ClassVar[list[BindingType]] = [bind("delete", "delete"), bind("read", "read_again")]

    def __init__(self) -> None:
        super().__init__()
        self.expiry: Expiry | None = None
        self.deleted = False
        self.waiting = False

    def begin(self) -> None:
        self.judging = Errand(self, "expire")
        self.action_read_again()

    def action_read_again(self) -> None:
        acts, desk = self.session.acts, self.desk
        self.deleted, self.waiting = False, True
        self.judging.ask("judge", lambda: acts.expire(desk))
        self.repaint()

    def on_answer(self, answer: Answer) -> None:
        answer.stop()
        self.waiting = False
        if answer.error is not None:
            self.say_error(answer.error)
        else:
            self.expiry, self.deleted = answer.result, answer.ask == "delete"
        self.repaint()

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Kind, id, size, why; a role would be the same for all of a group."""
        if self.expiry is None:
            return []
        gone = [
            (leaving.verdict.kind, leaving.verdict.id, words.size(leaving.bytes), leaving.verdict.told)
            for leaving in self.expiry.leaving
        ]
        return [*gone, *((each.kind, each.id, "stays", each.told) for each in self.expiry.staying)]

    def paint(self, grid: Grid) -> None:
        stop = grid.width - 1
        self.header(grid, "overview", "expire")
        if self.expiry is None:
            grid.put(3, 3, "reading …" if self.waiting else "r reads again", "muted")
            return
        count, size = len(self.expiry.leaving), words.size(self.expiry.bytes)
        what = words.plural(count, "thing", "things")
        told = f"{what} deleted, {size} came back" if self.deleted else f"{what} would go, {size} would come back"
        grid.put(1, 2, told if count else "nothing would go: every copy stays", "title!", stop)
        top = 4
        for finding in self.expiry.findings:
            grid.put_cut(1, top, finding, "warn", stop)
            top += 1
        rows = self.rows()
        for number, (y, (kind, id, size, why)) in enumerate(self.rows_in_sight(grid, rows, top + 1, grid.height - 6)):
            here = self.first + number == self.chosen
            role = "accent!" if here else "muted" if size == "stays" else "text"
            grid.put(0, y, grid.glyphs.now if here else " ", "accent!")
            grid.put(1, y, kind, "muted")
            grid.put_cut(7, y, id, role, 40)
            grid.put_right(52, y, size, role)
            grid.put_cut(54, y, why, "muted", stop)
        if rows:  # in full
            kind, id, size, why = rows[self.chosen]
            paint_rule(grid, grid.height - 6)
            grid.put_cut(1, grid.height - 5, f"{kind} {id}", "text", stop)
            paint_wrapped(grid, 1, grid.height - 4, f"{size}: {why}", "muted", stop, 2)

    def action_delete(self) -> None:
        if self.expiry is None or not self.may_act():
            return
        if not self.expiry.leaving or self.deleted:
            self.say("there is nothing to delete", "muted")
            return
        acts, desk = self.session.acts, self.desk

        def answer(text: str) -> None:
            self.judging.ask("delete", lambda: acts.expire(desk, apply=True))
            self.say("deleting …", "muted")

        what = f"type {_WORD}: {words.plural(len(self.expiry.leaving), 'thing goes', 'things go')} for good"
        self.ask(Question("delete what would go?", answer, must_be(_WORD, what), dangerous=True))

    def hints(self) -> Sequence[Hint]:
        return (
            Hint(self.session.glyphs.up_down, "choose"),
            self.hint("delete", "delete", "delete"),
            self.hint("read", "read again", "read_again"),
            self.hint("back", "back", "app.back"),
            self.hint("help", "help", "app.help"),
        )
