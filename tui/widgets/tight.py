"""Sending little: only the cells that changed, and of their colours only what differs from the cell before.

Textual's partial update sends each changed row from its widget's left edge on, and every update names both colours for
each piece of text and takes them back behind it (textual/_compositor.py): 8 kB for a step of the cursor, 30 kB for the
first picture. Here an update starts where the change does, and a colour that holds already is not sent again. Nor is a
whole picture that the terminal shows already: Textual paints the first screen three times before anything is on it.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import NamedTuple

from rich.color import ColorSystem
from rich.console import Console
from rich.control import Control
from rich.style import Style
from textual._compositor import ChopsUpdate, Compositor, LayoutUpdate
from textual.strip import Strip


class Look(NamedTuple):
    """A style as SGR codes (ECMA-48, 8.3.117)."""

    attributes: frozenset[str] = frozenset()
    colour: str = "39"
    background: str = "49"


_PLAIN = Look()
_RESET = "0"


@lru_cache(maxsize=256)
def _look_of(style: Style | None, colours: ColorSystem) -> Look:
    if style is None:
        return _PLAIN
    on = {"1": style.bold, "2": style.dim, "3": style.italic, "4": style.underline, "7": style.reverse}
    colour, background = (each and each.downgrade(colours) for each in (style.color, style.bgcolor))
    return Look(
        frozenset(code for code, is_on in on.items() if is_on),
        ";".join(colour.get_ansi_codes()) if colour else _PLAIN.colour,
        ";".join(background.get_ansi_codes(foreground=False)) if background else _PLAIN.background,
    )


@lru_cache(maxsize=1024)
def _change(now: Look, then: Look) -> str:
    """What takes the terminal from one look to another. An attribute is ended by ending all: not every terminal knows
    how to end one."""
    codes = []
    if now.attributes - then.attributes:
        codes, now = [_RESET], _PLAIN
    codes += sorted(then.attributes - now.attributes)
    codes += [then.colour] if then.colour != now.colour else []
    codes += [then.background] if then.background != now.background else []
    return f"\x1b[{';'.join(codes)}m" if codes else ""


def _encode(placed: Iterable[tuple[int, int, Strip]], console: Console) -> str:
    """Strips, each with the column and the row where it begins, as a terminal wants them."""
    colours = console._color_system or ColorSystem.TRUECOLOR
    sequences: list[str] = []
    now = _PLAIN
    for x, y, strip in placed:
        sequences.append(Control.move_to(x, y).segment.text)
        for text, style, _ in strip:
            then = _look_of(style, colours)
            if text.isspace() and not (now.attributes | then.attributes):
                then = then._replace(colour=now.colour)  # a blank shows its background alone
            sequences += (_change(now, then), text)
            now = then
    sequences.append(_change(now, _PLAIN))
    return "".join(sequences)


class LastPicture:
    """The whole picture that was sent last, as long as nothing else was sent since."""

    def __init__(self) -> None:
        self._rows: list[list[Strip]] | None = None

    def forget(self) -> None:
        """The terminal may show something else now."""
        self._rows = None

    def is_another(self, rows: list[list[Strip]]) -> bool:
        """Whether this picture has to be sent; it is then the last one."""
        another, self._rows = rows != self._rows, rows
        return another


class TightUpdate(ChopsUpdate):
    """A partial update, cropped on the left too."""

    def __init__(self, update: ChopsUpdate, last: LastPicture) -> None:
        super().__init__(update.chops, update.spans, update.chop_ends)
        self.last = last

    def render_segments(self, console: Console) -> str:
        self.last.forget()
        return _encode(self._placed(), console)

    def _placed(self) -> Iterable[tuple[int, int, Strip]]:
        for y, start, stop in self.spans:
            for end, (x, strip) in zip(self.chop_ends[y], self.chops[y].items(), strict=False):
                if strip is not None and x < stop and start < end:
                    left = max(x, start)
                    yield left, y, strip.crop(left - x, min(end, stop) - x)


class TightLayout(LayoutUpdate):
    """An update of the whole screen."""

    def __init__(self, update: LayoutUpdate, last: LastPicture) -> None:
        super().__init__(update.strips, update.region)
        self.last = last

    def render_segments(self, console: Console) -> str:
        rows = [list(row) for row in self.strips]
        if not self.last.is_another(rows):
            return ""
        placed = enumerate(rows, self.region.y)
        return _encode(((self.region.x, y, Strip.join(row)) for y, row in placed), console)


class TightCompositor(Compositor):
    """A compositor whose updates are tight. The last picture is the application's: its screens share one terminal."""

    def __init__(self, last_picture: Callable[[], LastPicture]) -> None:
        super().__init__()
        self._last_picture = last_picture

    def render_partial_update(self) -> ChopsUpdate | None:
        update = super().render_partial_update()
        return None if update is None else TightUpdate(update, self._last_picture())

    def render_full_update(self, simplify: bool = False) -> LayoutUpdate:
        return TightLayout(super().render_full_update(simplify), self._last_picture())
