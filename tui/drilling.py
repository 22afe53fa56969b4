"""A drill on this screen: its screens are the very same ones as in an emergency, at the desk of the drill's lab.

Who begins a drill here holds it: it ends with this program, however that ends (engine.drill.keeper). One that was begun
elsewhere is only looked at and worked on; it stands without us.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui import words
from tui.errands import Answer, Errand
from tui.screens.base import Painted
from tui.session import OpenDrill, Session
from tui.widgets.question import Question

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.timer import Timer

    from engine.acts import Desk, HeldDrill
    from engine.records.drills import DrillState

_TICK = 1.0  # seconds between two looks at the drill


class Practice(Session):
    """What the application does about the drill that is open on it."""

    farewell: str | None = None  # what is said when the screen has gone
    _ticking: Timer | None = None

    def enter_drill(self, state: DrillState, lab: Desk, held: HeldDrill | None) -> None:
        """From now on screens open at the drill's desk; the call comes first."""
        from tui.screens.drill import DrillScreen

        self.drilling = OpenDrill(self.desk, state, held)
        self.desk = lab
        self._looking, self._acting = Errand(self, "drill"), Errand(self, "act on the drill")
        self._ticking = self.set_interval(_TICK, self._tick)
        self.push_screen(DrillScreen())

    def leave_drill(self) -> None:
        """Back to the site's own desk; the drill's screens are closed."""
        drilling = self.drilling
        assert drilling is not None and self._ticking is not None
        self._ticking.stop()
        self.drilling, self.desk = None, drilling.outer
        while len(self.screen_stack) > 1 and isinstance(self.screen, Painted) and self.screen.drilling is not None:
            self.pop_screen()

    def screens_here(self) -> list[Painted]:
        """The open screens at the present desk, the first one first."""
        found = [screen for screen in self.screen_stack if isinstance(screen, Painted)]
        return [screen for screen in found if screen.drilling is self.drilling]

    def _tick(self) -> None:
        drilling = self.drilling
        if drilling is None:
            return
        if isinstance(self.screen, Painted):
            self.screen.repaint()  # the clock
        if not self._looking.busy and not self._acting.busy:
            self._looking.ask("look", lambda: self.acts.drill_state(drilling.outer.state, drilling.state.drill))

    def on_answer(self, answer: Answer) -> None:
        answer.stop()
        drilling, screen = self.drilling, self.screen
        if drilling is None or not isinstance(screen, Painted):
            return
        if answer.error is not None:
            screen.say_error(answer.error)
            return
        before, now = drilling.state, answer.result
        drilling.state = now
        if now.ended_at is not None:
            self._over(now, leaves=answer.ask == "leave")
        elif answer.ask == "hint":
            screen.say(now.hints[-1] if len(now.hints) > len(before.hints) else "there is no hint left", "accent")
        elif answer.ask == "check":
            screen.say(*_found(now, self.glyphs.ok))
        else:
            screen.repaint()

    def _over(self, drill: DrillState, *, leaves: bool) -> None:
        """It has ended: by a key here, or because its time was over, or somebody else ended it."""
        from tui.screens.drill_marks import DrillMarksScreen

        drilling = self.drilling
        if drilling is not None and drilling.held is not None:
            drilling.held.close()  # its keeper has nothing left to do, and goes
        self.leave_drill()
        if leaves:
            self.farewell = f"the drill {drill.drill} is {drill.outcome}: {drill.score or 0} of {drill.of} points"
            self.exit()
        else:
            self.push_screen(DrillMarksScreen(drill))

    # Keys

    def _open_drill(self) -> OpenDrill | None:
        if self.drilling is None and isinstance(self.screen, Painted):
            self.screen.say("no drill is open here; 4 shows what can be practised", "muted")
        return self.drilling

    def action_drill_hint(self) -> None:
        drilling, acts = self._open_drill(), self.acts
        if drilling is None:
            return
        left, state = drilling.state.hints_left, drilling.outer.state
        what = f"it costs points; {words.plural(left, 'hint is', 'hints are')} left. Enter asks for it, Esc does not"
        self._ask_first("a hint?", what if left else "there is none left", "hint", lambda: acts.drill_hint(state)[1])

    def action_drill_check(self) -> None:
        drilling, acts = self._open_drill(), self.acts
        if drilling is not None and isinstance(self.screen, Painted):
            state = drilling.outer.state
            self._acting.ask("check", lambda: acts.check_drill(state))
            self.screen.say("looking at what you did …", "muted")

    def action_drill_end(self) -> None:
        if self._open_drill() is not None:
            what = "it is marked as it stands, and its lab is thrown away; Enter ends it, Esc does not"
            self._end("end the drill?", what, "end")

    def leave_practice(self) -> None:
        """One level back from the drill's first screen."""
        drilling = self.drilling
        if drilling is not None and drilling.held is None:
            self.leave_drill()
            if isinstance(self.screen, Painted):
                self.screen.say("the drill goes on without this screen", "muted")
        elif drilling is not None:
            self.action_drill_end()

    def may_leave(self) -> bool:
        """Whether the program may be left now; else it is asked what that does to the drill."""
        drilling = self.drilling
        if drilling is None:
            return True
        if drilling.held is None:
            self.farewell = f"the drill {drilling.state.drill} goes on; see: reprise drill check"
            return True
        what = "the drill ends with this screen, marked as it stands; Enter leaves, Esc does not"
        self._end("leave?", what, "leave")
        return False

    def _end(self, prompt: str, what: str, why: str) -> None:
        drilling, acts = self.drilling, self.acts
        assert drilling is not None
        state = drilling.outer.state
        self._ask_first(prompt, what, why, lambda: acts.end_drill(state))

    def _ask_first(self, prompt: str, what: str, ask: str, act: Callable[[], DrillState]) -> None:
        screen = self.screen
        if not isinstance(screen, Painted):
            return

        def answer(_: str) -> None:
            self._acting.ask(ask, act)
            screen.say("marking, and clearing up …" if ask in ("end", "leave") else "asking …", "muted")

        screen.ask(Question(prompt, answer, lambda _: (True, what)))


def _found(drill: DrillState, sign: str) -> tuple[str, str]:
    """What a check says, and its role."""
    points = f"{drill.score or 0} of {drill.of} points"
    if drill.outcome == "solved":
        return f"{sign} solved: {points}; E ends the drill and shows the marks", "ok"
    well = sum(mark.ok is True for mark in drill.marks)
    return f"not solved yet: {well} of {len(drill.marks)} marks are well, {points}; 4 shows them", "warn"
