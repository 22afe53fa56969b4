"""Driving the screens through Textual's pilot, on the stand-in source."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from textual import events
from textual.pilot import Pilot

from tests.tui.history import NOW
from tests.tui.source import StandIn, desk
from tui.app import RepriseApp
from tui.painting.glyphs import UNICODE, Glyphs
from tui.screens.base import Painted
from tui.screens.timeline import TimelineScreen


class Driver:
    """A running application and the keys that are pressed on it."""

    def __init__(self, app: RepriseApp, pilot: Pilot[None], source: StandIn) -> None:
        self.app, self.pilot, self.source = app, pilot, source

    @property
    def screen(self) -> Painted:
        assert isinstance(self.app.screen, Painted)
        return self.app.screen

    @property
    def timeline(self) -> TimelineScreen:
        screen = self.app.screen_stack[0]
        assert isinstance(screen, TimelineScreen)
        return screen

    @property
    def text(self) -> str:
        return self.screen.canvas.grid.text()

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.pilot.press(key)
            await self.settled()

    async def type(self, text: str) -> None:
        """Pasted, as from a clipboard: a key at a time takes long."""
        self.screen.canvas.post_message(events.Paste(text))
        await self.pilot.pause()

    async def until(self, true: Callable[[], Any], seconds: float = 10) -> None:
        """Wait for something, with a deadline."""
        limit = asyncio.get_running_loop().time() + seconds
        while not true():
            assert asyncio.get_running_loop().time() < limit, f"it never came about:\n{self.text}"
            await self.pilot.pause(0.01)
        await self.pilot.pause()

    async def settled(self) -> None:
        """Until no errand of the screen is under way."""

        def quiet() -> bool:
            screen = self.app.screen
            errands = [value for name, value in vars(screen).items() if name.endswith("_errand")]
            if isinstance(screen, TimelineScreen) and (screen.aim is None or screen.aim is not screen.found_for):
                return False
            return not any(errand.busy for errand in errands)

        await self.pilot.pause()
        await self.until(quiet)

    async def go_to(self, text: str) -> None:
        await self.press("g")
        await self.type(text)
        await self.press("enter")


@asynccontextmanager
async def driving(
    width: int,
    height: int,
    *,
    glyphs: Glyphs = UNICODE,
    source: StandIn | None = None,
    read_only: bool = False,
    **more: Any,
) -> AsyncIterator[Driver]:
    """The application on the stand-in, at a size."""
    source = source or StandIn()
    app = RepriseApp(desk(read_only=read_only), source, glyphs=glyphs, clock=lambda: NOW, **more)
    async with app.run_test(size=(width, height)) as pilot:
        driver = Driver(app, pilot, source)
        await driver.settled()
        yield driver
