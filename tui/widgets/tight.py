"""Sending only the cells that changed.

Textual's partial update sends each changed row from its widget's left edge on (textual/_compositor.py, ChopsUpdate):
for one wide widget that is nearly the whole row, 8 kB for a step of the cursor. This one starts where the change does.
"""

from rich.console import Console
from rich.control import Control
from textual._compositor import ChopsUpdate, Compositor


class TightUpdate(ChopsUpdate):
    """The same update, cropped on the left too."""

    def render_segments(self, console: Console) -> str:
        sequences: list[str] = []
        for y, start, stop in self.spans:
            for end, (x, strip) in zip(self.chop_ends[y], self.chops[y].items(), strict=False):
                if strip is None or x >= stop or end <= start:
                    continue
                left = max(x, start)
                sequences.append(Control.move_to(left, y).segment.text)
                sequences.append(strip.crop(left - x, min(end, stop) - x).render(console))
        return "".join(sequences)


class TightCompositor(Compositor):
    """A compositor whose partial updates are tight."""

    def render_partial_update(self) -> ChopsUpdate | None:
        update = super().render_partial_update()
        return None if update is None else TightUpdate(update.chops, update.spans, update.chop_ends)
