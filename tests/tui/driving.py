"""Driving the screens through Textual's pilot, on the stand-in source.

Textual itself takes an application for idle when its process has used little of 20 ms, and waits for that three times a
key: minutes, over all tests. Here it is idle when nothing in the event loop can go on (`idle`).
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import patch

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
        self.at_end: Callable[[], object] = lambda: None  # what lets go of something that is held up

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
        self.app.post_message(events.Paste(text))
        await self.pilot.pause()

    async def burst(self, *keys: str) -> None:
        """Keys that arrive at once, as over a slow line: nobody waits for what one of them does."""
        for key in keys:
            self.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await self.settled()

    async def click(self, x: int, y: int) -> None:
        for kind in (events.MouseDown, events.MouseUp):
            self.app.post_message(kind(None, x, y, 0, 0, 1, False, False, False))
        await self.settled()

    async def until(self, true: Callable[[], Any], seconds: float = 10) -> None:
        """Wait for something, with a deadline."""
        limit = asyncio.get_running_loop().time() + seconds
        while not true():
            assert asyncio.get_running_loop().time() < limit, f"it never came about:\n{self.text}"
            await asyncio.sleep(0.001)
            await self.pilot.pause()
        await self.pilot.pause()

    async def settled(self) -> None:
        """Until no errand of the screen is under way, and what the last one brought is shown."""

        def quiet() -> bool:
            screen = self.app.screen
            errands = [value for name, value in vars(screen).items() if name.endswith("_errand")]
            if isinstance(screen, TimelineScreen) and (screen.aim is None or screen.aim is not screen.found_for):
                return False
            return not any(errand.busy for errand in errands)

        await self.pilot.pause()
        while not quiet():
            await self.until(quiet)

    async def resize(self, width: int, height: int) -> None:
        """Textual waits a moment for more of the same before it lays a screen out anew."""
        await self.pilot.resize_terminal(width, height)
        await self.until(lambda: (self.screen.canvas.grid.width, self.screen.canvas.grid.height) == (width, height))
        await self.settled()

    async def go_to(self, text: str) -> None:
        await self.press("g")
        await self.type(text)
        await self.press("enter")


async def idle(*_: float) -> None:
    """Until whatever the event loop can do is done: what is left waits for a clock or a thread."""
    ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
    await asyncio.sleep(0)
    while ready:
        await asyncio.sleep(0)


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
    with patch("textual.pilot.wait_for_idle", idle), patch("textual.app.wait_for_idle", idle):
        async with app.run_test(size=(width, height)) as pilot:
            driver = Driver(app, pilot, source)
            await driver.settled()
            try:
                yield driver
            finally:
                driver.at_end()
