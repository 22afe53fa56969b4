"""All keys, made from the bindings of the screen that help was asked on."""

from typing import Any, ClassVar

from textual.binding import Binding, BindingType
from textual.screen import Screen

from tui import keys
from tui.keys import KEYS
from tui.painting.grid import Grid
from tui.screens.scrolled import Scrolled
from tui.widgets.frame import wrapped

_TEXT = 26  # the cell where it is said what a key does


def bindings_of(cls: type) -> list[Binding]:
    """The bindings that a class itself declares."""
    return [binding for binding in cls.__dict__.get("BINDINGS", []) if isinstance(binding, Binding)]


class HelpScreen(Scrolled):
    """All keys."""

    title_words = "keys"
    BINDINGS: ClassVar[list[BindingType]] = []

    def __init__(self, about: Screen[Any]) -> None:
        super().__init__()
        self.about = about

    def paint(self, grid: Grid) -> None:
        name = getattr(self.about, "title_words", "")
        self.header(grid, "keys", name)
        here: list[Binding] = []
        for cls in type(self.about).__mro__:
            here += bindings_of(cls) if isinstance(cls, type) and issubclass(cls, Screen) else []
        groups = [(f"on this screen: {name}", here), ("everywhere", bindings_of(type(self.app)))]
        rows: list[tuple[str, str, str]] = []
        for title, bindings in groups:
            rows.append((title, "", ""))
            for binding in bindings:
                if binding.id in KEYS:
                    remapped = self.session.settings.keys
                    all_keys = remapped.get(binding.id, KEYS[binding.id].keys)
                    first = keys.shown(binding.id, remapped)
                    others = [self.app.get_key_display(Binding(key.strip(), "")) for key in all_keys.split(",")[1:]]
                    disabled = "read-only" if KEYS[binding.id].acts and self.desk.read_only else ""
                    text = KEYS[binding.id].help + (f" ({disabled})" if disabled else "")
                    line, *rest = wrapped(text, grid.width - 1 - _TEXT)
                    rows += [(first, " ".join(others), line), *(("", "", each) for each in rest)]
            rows.append(("", "", ""))
        for y, (key, more, text) in self.rows_in_sight(grid, rows, 2, grid.height - 3):
            if not text:
                grid.put(1, y, key, "muted", grid.width - 1)
            else:
                grid.put(3, y, key, "accent!", 12)
                grid.put(12, y, more, "faint", 25)
                grid.put(_TEXT, y, text, "text", grid.width - 1)
