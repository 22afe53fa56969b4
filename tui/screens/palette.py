"""The palette: every act of the screen by name, with its key; typing narrows it down."""

from collections.abc import Sequence
from typing import Any, ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.screen import Screen

from tui import keys
from tui.keys import KEYS
from tui.painting.grid import Grid
from tui.screens.help import bindings_of
from tui.screens.scrolled import Scrolled
from tui.widgets.frame import Hint
from tui.widgets.question import TypedLine, paint_typed


class PaletteScreen(Scrolled):
    """Every act by name."""

    title_words = "palette"
    choosing = True
    BINDINGS: ClassVar[list[BindingType]] = []

    def __init__(self, about: Screen[Any]) -> None:
        super().__init__()
        self.about = about
        self.line = TypedLine()

    def entries(self) -> list[tuple[str, str, str]]:
        """Name, key, action; those that fit what was typed."""
        found: list[Binding] = []
        for cls in (*type(self.about).__mro__, type(self.app)):
            if isinstance(cls, type) and issubclass(cls, (Screen, type(self.app))) and cls is not Scrolled:
                found += bindings_of(cls)
        everything = [
            (KEYS[binding.id].help, keys.shown(binding.id, self.session.settings.keys), binding.action)
            for binding in found
            if binding.id in KEYS and binding.id != "palette"
        ]
        everything += [(f"theme: {name}", "", f"app.wear('{name}')") for name in self.session.themes]
        words = self.line.text.lower().split()
        return [entry for entry in everything if all(word in entry[0].lower() for word in words)]

    def paint(self, grid: Grid) -> None:
        self.header(grid, "palette")
        end = grid.put(1, 2, ":", "accent!")
        paint_typed(grid, end + 1, 2, self.line, grid.width - 1)
        entries = self.entries()
        if not entries:
            grid.put(3, 4, "no act is called that", "muted")
        for number, (y, (name, key, _)) in enumerate(self.rows_in_sight(grid, entries, 4, grid.height - 2)):
            here = self.first + number == self.chosen
            grid.put(1, y, grid.glyphs.now if here else " ", "accent!")
            grid.put(3, y, name, "accent!" if here else "text", grid.width - 8)
            grid.put_right(grid.width - 1, y, key, "muted")

    async def typed(self, event: events.Key) -> bool:
        if event.key in ("up", "down", "pageup", "pagedown", "escape", "f1"):
            return False
        if event.key == "enter":
            await self._do()
            return True
        if not self.line.press(event.key) and event.character and event.is_printable:
            self.line.type(event.character)
        self._narrowed()
        return True

    def pasted(self, text: str) -> None:
        self.line.type(text)
        self._narrowed()

    def _narrowed(self) -> None:
        self.chosen = 0
        self.repaint()

    async def _do(self) -> None:
        entries = self.entries()
        if not entries:
            return
        _, _, action = entries[self.chosen]
        app, about = self.app, self.about
        await app.pop_screen()
        await app.run_action(action, default_namespace=_owner(app, about, action))

    def clicked(self, x: int, y: int, wheel: int) -> None:
        if wheel:
            self.action_scroll_rows(wheel)
        elif y >= 4:
            self.chosen = self.first + y - 4
            self.repaint()

    def hints(self) -> Sequence[Hint]:
        return (
            Hint(self.session.glyphs.up_down, "choose"),
            Hint("Enter", "do it"),
            self.hint("back", "back", "app.back"),
        )


def _owner(app: Any, about: Screen[Any], action: str) -> Any:
    """Who does an action: the screen, if it knows it, else the application."""
    name = action.split("(")[0]
    return about if hasattr(about, f"action_{name}") else app
