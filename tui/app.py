"""The application: its screens, what every screen's keys have in common, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events
from textual.binding import BindingType

from tui import settings as own_settings
from tui import terminal
from tui.drilling import Practice
from tui.keys import KEYS, bind
from tui.screens.base import Painted
from tui.themes import styles

if TYPE_CHECKING:
    from engine.acts import Desk


class RepriseApp(Practice):
    """The screen of Reprise."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("overview", "go('overview')"),
        bind("timeline", "go('timeline')"),
        bind("runs", "go('runs')"),
        bind("drills", "go('drills')"),
        bind("drill-hint", "drill_hint"),
        bind("drill-check", "drill_check"),
        bind("drill-end", "drill_end"),
        bind("help", "help"),
        bind("palette", "palette"),
        bind("copy", "copy"),
        bind("theme", "next_theme"),
        bind("back", "back"),
        bind("quit", "leave"),
    ]
    mind_hang_up = False
    _pressed_at: tuple[int, int] | None = None  # where a mouse button is down
    _measured = False  # whether the terminal has told its size before

    def get_default_screen(self) -> Painted:
        """The first screen, in the place of Textual's empty one, which would be laid out and painted under it."""
        from tui.screens.timeline import TimelineScreen

        unknown = sorted(set(self.settings.keys) - set(KEYS))
        if unknown:
            self.problems.append(f"settings: keys.{unknown[0]}: there is no such key; ids stand in the help")
        return TimelineScreen()

    def on_mount(self) -> None:
        if self.settings.keys:
            self.set_keymap({id: keys for id, keys in self.settings.keys.items() if id in KEYS})
        if self.mind_hang_up:
            self._mind_hang_up()
        self.app_resume_signal.subscribe(self, self._show_again, immediate=True)

    def _show_again(self, _: object) -> None:
        """Another program had the terminal meanwhile: psql, or the shell after a SIGTSTP."""
        self.last_picture.forget()
        self.screen.refresh()

    # Input

    async def on_event(self, event: events.Event) -> None:
        """Keys, pastes and clicks are carried out here, each to its end before the next one: over a slow line they come
        in one burst. Textual would send each through the queues of three widgets, where it overtakes the question or
        the screen that the one before it opens."""
        if isinstance(event, (events.Key, events.Paste, events.MouseEvent)) and isinstance(self.screen, Painted):
            await self.screen.begun.wait()
            await self._take(event, self.screen)
            return
        if isinstance(event, events.Resize):
            if self._measured:
                self.last_picture.forget()  # a terminal that was made smaller and larger again has lost cells
            self._measured = True
        await super().on_event(event)

    async def _take(self, event: events.Event, screen: Painted) -> None:
        match event:
            case events.Key():
                if not await self._check_bindings(event.key, priority=True) and not await screen.typed(event):
                    await self._check_bindings(event.key)
            case events.Paste():
                screen.pasted(event.text)
            case events.MouseScrollUp() | events.MouseScrollDown():
                await screen.pointed(event.x, event.y, -1 if isinstance(event, events.MouseScrollUp) else 1)
            case events.MouseDown():
                self._pressed_at = (event.x, event.y)
            case events.MouseUp():
                if self._pressed_at == (event.x, event.y):
                    await screen.pointed(event.x, event.y)
                self._pressed_at = None

    # Leaving

    def _mind_hang_up(self) -> None:
        loop = asyncio.get_running_loop()

        def gone() -> None:
            # Whatever the terminal or the disk do: within a second this process is over. The run is another process.
            signal.setitimer(signal.ITIMER_REAL, 0.8)
            loop.call_soon_threadsafe(self.exit)

        for number in (signal.SIGHUP, signal.SIGTERM):
            loop.add_signal_handler(number, gone)
        terminal.watch_hang_up(gone)

    def action_leave(self) -> None:
        if self.may_leave():
            self.exit()

    async def action_back(self) -> None:
        if isinstance(self.screen, Painted) and self.screen.step_back():
            return
        if self.drilling is not None and len(self.screens_here()) == 1:
            self.leave_practice()
        elif len(self.screen_stack) > 1:
            self.pop_screen()
        elif isinstance(self.screen, Painted):
            self.screen.say("this is the first screen; q leaves", "muted")

    # Themes

    def action_next_theme(self) -> None:
        names = list(self.themes)
        self.use_theme(names[(names.index(self.chosen.name) + 1) % len(names)])

    def action_wear(self, name: str) -> None:
        self.use_theme(name)

    def use_theme(self, name: str) -> None:
        """Dress every screen anew, and remember the choice."""
        if self.colourless:
            self._say("NO_COLOR is set: no theme with colours can be chosen")
            return
        self.chosen = self.themes[name]
        self.looks = styles(self.chosen)
        for screen in self.screen_stack:
            if isinstance(screen, Painted) and screen.is_attached:
                screen.canvas.dress(self.looks)
        problem = None
        if self.settings_folder is not None:
            problem = own_settings.remember_theme(name, self.settings_folder / "settings.toml")
        self._say(problem or f"theme {name}")

    def _say(self, note: str) -> None:
        if isinstance(self.screen, Painted):
            self.screen.say(note, "muted")

    # Screens

    def action_go(self, where: str) -> None:
        if where == "overview":
            from tui.screens.overview import OverviewScreen

            if not isinstance(self.screen, OverviewScreen):
                self.push_screen(OverviewScreen())
        elif where == "drills":
            self._go_to_drills()
        elif where == "timeline":
            self._go_to_timeline()
        elif where == "runs":
            from tui.screens.runs import RunsScreen

            if not isinstance(self.screen, RunsScreen):
                self.push_screen(RunsScreen())

    def _go_to_drills(self) -> None:
        """In a drill: to that one."""
        from tui.screens.drill import DrillScreen
        from tui.screens.drills import DrillsScreen

        wanted = DrillScreen if self.drilling is not None else DrillsScreen
        if not isinstance(self.screen, wanted):
            self.push_screen(wanted())

    def _go_to_timeline(self) -> None:
        from tui.screens.timeline import TimelineScreen

        while not isinstance(self.screen, TimelineScreen) and len(self.screens_here()) > 1:
            self.pop_screen()
        if not isinstance(self.screen, TimelineScreen):
            self.push_screen(TimelineScreen())

    def action_help(self) -> None:
        from tui.screens.help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(self.screen))

    def action_palette(self) -> None:
        from tui.screens.palette import PaletteScreen

        if not isinstance(self.screen, PaletteScreen):
            self.push_screen(PaletteScreen(self.screen))

    def action_copy(self) -> None:
        """To the terminal's clipboard (OSC 52), which may fail silently: so the text is shown too."""
        if isinstance(self.screen, Painted):
            text = self.screen.to_copy()
            self.copy_to_clipboard(text)
            first = text.strip().splitlines()[0] if text.strip() else ""
            self.screen.say(f"copied: {first}", "muted")


def open_screen(desk: Desk, *, ascii: bool = False, mouse: bool = True, theme: str | None = None) -> int:
    """Show the screen until the operator leaves; the exit code. Without a terminal: plain lines."""
    import engine.acts

    acts: Any = engine.acts
    if not terminal.is_screen():
        from tui.plain import print_plain

        return print_plain(desk, acts)
    app = RepriseApp(
        desk,
        acts,
        glyphs=terminal.choose_glyphs(ascii),
        theme=theme,
        settings=own_settings.read_settings(),
        settings_folder=own_settings.folder(),
        colourless=terminal.no_colour(),
    )
    app.mind_hang_up = True
    app.run(mouse=mouse)
    # The screen has left in time. Who called it may have to clean up, and a second signal must not stop that.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, 0)
    if app.farewell:
        with contextlib.suppress(OSError):
            print(app.farewell, flush=True)
    if app.left_run:
        with contextlib.suppress(OSError):  # the terminal may be gone
            print(f"run {app.left_run} goes on; see it again with: reprise attach {app.left_run}", flush=True)
    return app.return_code or 0
