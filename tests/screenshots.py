"""`./run screenshots`: the pictures in screenshots/, from the running program on a real lab, at 80x24 and 160x50."""

import asyncio
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import engine.acts
from tests.tui.pictures import write_png
from tui.app import RepriseApp
from tui.painting.glyphs import PLAIN, UNICODE, Glyphs

PICTURES = Path(__file__).parents[1] / "screenshots"
SIZES = {"80": (80, 24), "160": (160, 50)}


class Camera:
    """The program on the lab, and the pictures taken of it."""

    def __init__(self, app: RepriseApp, pilot: Any, suffix: str) -> None:
        self.app, self.pilot, self.suffix = app, pilot, suffix

    @property
    def text(self) -> str:
        screen = self.app.screen
        if not screen.is_mounted:  # it has just been pushed, and has nothing in it yet
            return ""
        canvas = getattr(screen, "canvas", None)
        return canvas.grid.text() if canvas is not None and canvas.grid is not None else ""

    async def until(self, *words: str, seconds: float = 60) -> None:
        """Until one of these words stands on the screen."""
        deadline = time.monotonic() + seconds
        while not any(word in self.text for word in words):
            if time.monotonic() > deadline:
                raise SystemExit(f"never saw {words} on:\n{self.text}")
            await self.pilot.pause(0.05)

    async def gone(self, word: str, seconds: float = 60) -> None:
        """Until this word stands on it no more."""
        deadline = time.monotonic() + seconds
        while word in self.text:
            if time.monotonic() > deadline:
                raise SystemExit(f"never went {word} from:\n{self.text}")
            await self.pilot.pause(0.05)

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.pilot.press(key)
            await self.pilot.pause(0.15)

    async def take(self, name: str) -> None:
        await self.pilot.pause(0.5)
        path = PICTURES / f"{name}{self.suffix}.png"
        write_png(self.app, path, title="reprise")
        print(path.relative_to(PICTURES.parent), flush=True)


async def files(camera: Camera) -> None:
    """The files of a snapshot, one of them held against live and the other snapshots; the plan that restores it."""
    await camera.press("f")
    await camera.until("changed")
    newest = camera.text.split("files", 1)[1].split()[0]
    await camera.press("enter", "left_square_bracket")  # so that both of them are looked into
    await camera.gone(newest)
    await camera.press("tab")
    await camera.until(newest)
    await camera.press("enter", "enter", "enter")
    await camera.until("live:")
    await camera.take("files")
    await camera.press("R")
    await camera.until("its plan comes first")
    await camera.press("enter")
    await camera.until("Ready", "Cannot start")
    await camera.take("files-plan")
    await camera.press("escape", "escape")


async def drill(camera: Camera, state: Path) -> None:
    """A drill from the list to its marks: a table dropped, restored in place to just before."""
    await camera.press("4")
    await camera.until("by lot, blind")
    while not any(row.startswith("▶") and "A table was dropped" in row for row in camera.text.splitlines()):
        await camera.press("down")
    await camera.take("drills")
    await camera.press("enter")
    await camera.until("Enter to work", seconds=180)
    await camera.take("drill-call")
    (folder,) = [each for each in sorted((state / "drills").iterdir()) if not (each / "result.json").exists()]
    xid = json.loads((folder / "truth.json").read_text())["facts"]["accident.xid"]
    await camera.press("enter")
    await camera.until("REACHABLE")
    await camera.press("g", *str(xid), "enter")
    await camera.until(f"xid {xid}")
    await camera.take("drill-timeline")
    await camera.press("enter")
    await camera.until("Ready")
    await camera.press("d", "tab", "enter")
    await camera.until("in place /")
    await camera.until("Ready")
    await camera.press("enter")
    await camera.until("PAUSED")
    await camera.press("H", "enter")
    await camera.until("What is lost for certain")
    await camera.press("P", *"lab", "enter")
    await camera.until("COMPLETED")
    await camera.press("C")
    await camera.until("solved:")
    await camera.press("E", "enter")
    await camera.until("next time")
    await camera.take("drill")


async def _walk(desk: engine.acts.Desk, accident: str, suffix: str, glyphs: Glyphs, theme: str | None) -> None:
    app = RepriseApp(desk, engine.acts, glyphs=glyphs, theme=theme)
    async with app.run_test(size=SIZES[suffix[: 3 if suffix.startswith("160") else 2]]) as pilot:
        camera = Camera(app, pilot, suffix)
        await camera.until("REACHABLE")
        await camera.take("timeline")
        if theme is not None or glyphs is PLAIN:
            return
        await camera.press("g")
        await camera.press(*accident, "enter")
        await camera.until(f"xid {accident}")
        await camera.press("+", "+", "+", "+", "+", "+", "+", "+")
        await camera.take("timeline-commits")
        await camera.press("enter")
        await camera.until("Ready", "Cannot start")
        await camera.take("plan")
        await camera.press("d", "tab", "enter")
        await camera.until("in place /")
        await camera.take("plan-in-place")
        await camera.press("d", "tab", "enter")
        await camera.until("new server")
        await camera.press("enter")
        await camera.until("replay")
        await camera.take("run")
        await camera.until("PAUSED")
        await camera.take("gate")
        await camera.press("P")
        await camera.until("COMPLETED")
        await camera.press("enter")
        await camera.until("asked for", "report")
        await camera.take("report")
        await camera.press("3")
        await camera.until("started")
        await camera.take("runs")
        await camera.press("1")
        await camera.until("what to do", "nothing is to be done")
        await camera.take("overview")
        await camera.press(*("up",) * 9, "enter")
        await camera.until("in /")
        await camera.take("copies")
        await camera.press("escape", "p")
        await camera.until("Ready", "Cannot start")
        await camera.take("proof-plan")
        await camera.press("escape", "e")
        await camera.until("stays")
        await camera.take("expiry")
        await camera.press("escape")
        await camera.press("2")
        await camera.until("WAL archived")
        await files(camera)
        await camera.press("?")
        await camera.take("help")
        await camera.press("escape", ":")
        await camera.take("palette")
        await camera.press("escape")
        await drill(camera, desk.state)


def main() -> int:
    PICTURES.mkdir(exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="reprise-", dir="/var/tmp"))
    home.chmod(0o755)
    try:
        lab = engine.acts.demo(home / "lab", home / "state", reset=False, progress=lambda done, of, what: print(what))
        truth = lab.truth()
        lab.start_server()
        desk = engine.acts.open_desk(lab.site_file, home / "state")
        try:
            for suffix, glyphs, theme in (
                ("80", UNICODE, None),
                ("160", UNICODE, None),
                ("80-ascii", PLAIN, None),
                ("80-light", UNICODE, "light"),
            ):
                asyncio.run(_walk(desk, str(truth["xid"]), suffix, glyphs, theme))
        finally:
            engine.acts.leave_demo(lab, home / "state")
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
