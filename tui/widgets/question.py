"""A question at the bottom of a screen: one line to type in, what was understood under it, before Enter."""

from collections.abc import Callable

from msgspec import Struct, field
from rich.cells import cell_len

from tui.painting.glyphs import printable
from tui.painting.grid import Grid
from tui.widgets.frame import paint_rule, paint_wrapped, wrapped

_LONGEST = 500
_UNDERSTOOD = 3  # rows, at most


class TypedLine(Struct):
    """A line being typed: its text and where the next character goes."""

    text: str = ""
    at: int = 0

    def type(self, more: str) -> None:
        more = printable(more.splitlines()[0] if more.splitlines() else "")[: _LONGEST - len(self.text)]
        self.text = self.text[: self.at] + more + self.text[self.at :]
        self.at += len(more)

    def press(self, key: str) -> bool:
        """A key that edits. Answers whether it was one."""
        match key:
            case "backspace":
                self.text = self.text[: max(0, self.at - 1)] + self.text[self.at :]
                self.at = max(0, self.at - 1)
            case "delete":
                self.text = self.text[: self.at] + self.text[self.at + 1 :]
            case "left":
                self.at = max(0, self.at - 1)
            case "right":
                self.at = min(len(self.text), self.at + 1)
            case "home":
                self.at = 0
            case "end":
                self.at = len(self.text)
            case "ctrl+u":
                self.text, self.at = self.text[self.at :], 0
            case "ctrl+w":
                head = self.text[: self.at].rstrip()
                head = head[: head.rfind(" ") + 1]
                self.text, self.at = head + self.text[self.at :], len(head)
            case _:
                return False
        return True


class Question(Struct):
    """``understood`` says what the typed text means: whether it will do, and the words under the line.
    ``answer`` gets the text on Enter, if it will do. ``choices``: Tab goes through them."""

    prompt: str
    answer: Callable[[str], None]
    understood: Callable[[str], tuple[bool, str]]
    hint: str = ""
    line: TypedLine = field(default_factory=TypedLine)
    choices: tuple[str, ...] = ()
    dangerous: bool = False
    inline: bool = False  # the screen paints it itself

    def next_choice(self) -> None:
        if self.choices:
            place = self.choices.index(self.line.text) if self.line.text in self.choices else -1
            text = self.choices[(place + 1) % len(self.choices)]
            self.line = TypedLine(text, len(text))


def must_be(word: str, what: str) -> Callable[[str], tuple[bool, str]]:
    """For destructive acts: the word itself has to be typed; what it does is said before. To anything else it is not
    said again: after Enter it would read as if it were done."""

    def understood(text: str) -> tuple[bool, str]:
        return text == word, what if text in ("", word) else "not that word; nothing is done before it stands here"

    return understood


def paint_question(grid: Grid, question: Question) -> None:
    """The last four rows, or more where what was understood takes more."""
    right, wants = question.understood(question.line.text)
    x = 1 + cell_len(question.prompt) + 2
    under = x if x < 20 else 1
    rows = min(len(wrapped(wants, grid.width - 1 - under)), _UNDERSTOOD)
    top = max(0, grid.height - 3 - rows)
    for y in range(top, grid.height):
        grid.fill(0, y, grid.width, " ", "text")
    grid.links.clear()
    paint_rule(grid, top)
    grid.put(1, top + 1, question.prompt, "warn" if question.dangerous else "muted", grid.width - 12)
    paint_typed(grid, x, top + 1, question.line, grid.width - 1)
    keys = paint_wrapped(grid, under, top + 2, wants, "text" if right else "muted", grid.width - 1, rows)
    end = grid.put(1, keys, "Enter", "accent!" if right else "faint")
    end = grid.put(end + 1, keys, "ok", "muted") + 3
    end = grid.put(end, keys, "Esc", "accent!")
    end = grid.put(end + 1, keys, "back", "muted") + 3
    if question.choices:
        end = grid.put(end, keys, "Tab", "accent!")
        end = grid.put(end + 1, keys, "next", "muted") + 3
    grid.put_cut(end, keys, question.hint, "faint", grid.width - 1)


def paint_typed(grid: Grid, x: int, y: int, line: TypedLine, stop: int) -> None:
    """The typed text with a steady block where the next character goes; scrolled so that the block is seen."""
    room = max(1, stop - x - 1)
    text, at = line.text, line.at
    while cell_len(text[:at]) > room:
        text, at = text[1:], at - 1
    end = grid.put(x, y, text[:at], "title!", stop)
    if at < len(text):
        end = grid.put(end, y, text[at], "accent~", stop)
        grid.put(end, y, text[at + 1 :], "title!", stop)
    else:
        grid.put(end, y, grid.glyphs.typing, "accent", stop)
