"""What every screen finds in the application: the desk, the acts, signs and clock, settings and theme."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from rich.style import Style
from textual.app import App

from tui import settings as own_settings
from tui.acting import Acts
from tui.painting.glyphs import UNICODE, Glyphs
from tui.themes import Theme, load_themes, styles
from tui.widgets.tight import LastPicture

if TYPE_CHECKING:
    from engine.acts import Desk, HeldDrill
    from engine.records.drills import DrillState


def _utc_now() -> datetime:
    return datetime.now(UTC)


class OpenDrill(Struct):
    """A drill that is practised here. ``outer`` is the site's desk, to which the screen comes back; its state folder
    keeps the drills. ``held``: None where the drill stands without us."""

    outer: Desk
    state: DrillState
    held: HeldDrill | None


class Session(App[None]):
    """The application as the screens know it; which screens there are is said in `tui.app`. ``acts`` is
    `engine.acts`, or a stand-in for it."""

    ENABLE_COMMAND_PALETTE = False
    CSS = "Screen { background: ansi_default; } Canvas { background: ansi_default; }"

    def __init__(
        self,
        desk: Desk,
        acts: Acts,
        *,
        glyphs: Glyphs = UNICODE,
        theme: str | None = None,
        clock: Callable[[], datetime] = _utc_now,
        settings: own_settings.Settings | None = None,
        settings_folder: Path | None = None,
        colourless: bool = False,
    ) -> None:
        self.settings = settings or own_settings.Settings()
        self.themes, self.problems = load_themes([settings_folder / "themes"] if settings_folder else [])
        if self.settings.problem:
            self.problems.append(self.settings.problem)
        wanted = theme or self.settings.theme
        if wanted not in self.themes:
            self.problems.append(f"there is no theme {wanted!r}; themes: {', '.join(self.themes)}")
            wanted = next(iter(self.themes), "")
        self.colourless = colourless
        self.chosen: Theme = self.themes["monochrome"] if colourless else self.themes[wanted]
        super().__init__(ansi_color=True)
        self.desk, self.acts, self.glyphs, self.clock = desk, acts, glyphs, clock
        self.settings_folder = settings_folder
        self.looks: dict[str, Style] = styles(self.chosen)
        self.last_picture = LastPicture()
        self.drilling: OpenDrill | None = None  # ``desk`` is then the one of its lab
        self.left_run: str | None = None  # a run that goes on when the screen is left

    def enter_drill(self, state: DrillState, lab: Desk, held: HeldDrill | None) -> None:
        """Practise a drill at the desk of its lab."""
        raise NotImplementedError
