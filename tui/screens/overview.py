"""The five protected things: whether each is copied and proven as the policy wants, and what to do if not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType

from engine.records.copying import Proof
from engine.records.errors import RepriseError
from engine.records.plan import Plan
from engine.records.status import Advice, SiteStatus, Thing, ThingName
from tui import words
from tui.acting import Acts
from tui.errands import Answer, Errand
from tui.keys import bind
from tui.painting.grid import Grid
from tui.screens.base import Painted
from tui.screens.overview_picture import NAMES, Overview, paint_overview
from tui.widgets.frame import Hint
from tui.widgets.question import Question

if TYPE_CHECKING:
    from engine.acts import Desk, Learnt

_SCHEDULED: dict[str, ThingName] = {
    "base": "database-full", "dump": "database-full", "incremental": "database-incremental", "files": "files",
    "source": "source", "environment": "environment",
}  # fmt: skip
_TICK = 1.0  # seconds between two looks at a verification that goes on


class OverviewScreen(Painted):
    """The overview."""

    title_words = "overview"
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("up", "choose(-1)"),
        bind("down", "choose(1)"),
        bind("open", "open"),
        bind("take-copy", "take_copy"),
        bind("verify", "verify"),
        bind("expire", "expire"),
        bind("files", "files"),
        bind("prove", "prove"),
        bind("drill", "app.go('drills')"),
        bind("read", "read_again"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.overview: Overview | None = None
        self.chosen: int | None = None  # until something is chosen: the first thing to do
        self.next_at: dict[ThingName, datetime] = {}
        self.verifying: str | None = None
        self.waiting = False  # for the status

    def begin(self) -> None:
        self.reading, self.taking, self.proving = (Errand(self, name) for name in ("status", "copy", "verify"))
        self.set_interval(_TICK, self._tick)
        self.action_read_again()

    def on_screen_resume(self) -> None:
        """A run that took a copy may have ended meanwhile."""
        if self.overview is not None and not self.waiting:
            self.action_read_again()
        self.repaint()

    def _tick(self) -> None:
        if self.verifying is not None:
            self.repaint()

    def action_read_again(self) -> None:
        acts, desk = self.session.acts, self.desk
        self.waiting = True
        self.reading.ask("status", lambda: (acts.status(desk), acts.recoveries(desk), _schedule(acts, desk)))
        self.repaint()

    def on_answer(self, answer: Answer) -> None:
        answer.stop()
        if answer.errand is self.proving:
            self.verifying = None
        elif answer.errand is self.reading:
            self.waiting = False
        if answer.error is not None:
            self.say_error(answer.error)
        elif answer.errand is self.reading:
            self._take_in(*answer.result)
        elif answer.errand is self.taking:
            self.note = None
            self._watch(answer.result)
        else:
            self._tell_proofs(answer.result)
            self.action_read_again()
        self.repaint()

    def _take_in(self, status: SiteStatus, learnt: Learnt, schedule: dict[str, datetime]) -> None:
        self.next_at = {}
        for what, at in schedule.items():
            if (name := _SCHEDULED.get(what)) is not None:
                self.next_at[name] = min(at, self.next_at.get(name, at))
        real = [each for each in learnt.recoveries if each.kind != "drill" and each.ok and each.rto_seconds is not None]
        if self.chosen is None and status.to_do:
            self.chosen = len(status.things)
        wanted = learnt.objectives.rto_seconds
        proofs = {each.name: each.rto_seconds for each in real if each.kind == "proof" and each.rto_seconds is not None}
        self.overview = Overview(status, self.chosen or 0, self.next_at, real[-1] if real else None, wanted, proofs)

    # Painting

    def paint(self, grid: Grid) -> None:
        self.header(grid, "overview")
        if self.overview is None:
            grid.put(3, 3, "reading …" if self.waiting else "r reads again", "muted")
            return
        self.overview.chosen = min(max(self.chosen or 0, 0), len(self.overview.rows) - 1)
        self.overview.doing = f"verifying {self.verifying}" if self.verifying is not None else None
        paint_overview(grid, self.overview, self.desk.site.zone)

    def hints(self) -> Sequence[Hint]:
        return (
            Hint(self.session.glyphs.up_down, "choose"),
            self.hint("open", "open", "open"),
            self.hint("take-copy", "copy now", "take_copy"),
            self.hint("verify", "verify", "verify"),
            self.hint("drill", "drill", "app.go('drills')"),
            self.hint("help", "help", "app.help"),
        )

    # Keys

    def action_choose(self, step: int) -> None:
        if self.overview is not None:
            self.chosen = min(max((self.chosen or 0) + step, 0), len(self.overview.rows) - 1)
        self.repaint()

    @property
    def row(self) -> Thing | Advice | None:
        return self.overview.rows[self.overview.chosen] if self.overview is not None else None

    @property
    def thing(self) -> Thing | None:
        """The thing that is chosen, or that the chosen advice is about."""
        row = self.row
        if self.overview is None or row is None or isinstance(row, Thing):
            return row if isinstance(row, Thing) else None
        return next(each for each in self.overview.status.things if each.name == row.thing)

    def action_open(self) -> None:
        row = self.row
        if isinstance(row, Advice) and row.act != "look":
            self.action_take_copy() if row.act == "copy" else self.action_verify()
        elif (thing := self.thing) is not None:
            from tui.screens.copies import CopiesScreen

            self.app.push_screen(CopiesScreen(thing, self.next_at.get(thing.name)))

    def action_files(self) -> None:
        from tui.screens.files import FilesScreen

        self.app.push_screen(FilesScreen(self.session.clock()))

    def action_prove(self) -> None:
        from tui.screens.proof_plan import ProofPlanScreen

        self.app.push_screen(ProofPlanScreen(self.session.clock()))

    def action_take_copy(self) -> None:
        thing = self.thing
        if thing is None or not self.may_act():
            return
        if self.taking.busy:
            self.say("a copy is being started", "muted")
            return
        acts, desk = self.session.acts, self.desk

        def take() -> str | Plan:
            planned = _plans(acts, desk, thing.name)
            refused = next((plan for plan in planned if plan.refused), None)
            return refused or [acts.start(desk, plan) for plan in planned][-1]

        def answer(text: str) -> None:
            self.taking.ask("copy", take)
            self.say(f"starting a copy: {NAMES[thing.name]} …", "muted")

        self.ask(
            Question(f"copy {NAMES[thing.name]} now?", answer, lambda text: (True, "Enter takes it, Esc does not"))
        )

    def _watch(self, started: str | Plan) -> None:
        """Follow the run that takes the copy; or say which check refused."""
        if isinstance(started, Plan):
            check = next(check for check in started.checks if check.refuses)
            remedy = f"; {check.remedy}" if check.remedy else ""
            self.say(f"{check.name}: {check.finding}{remedy}", "bad")
            return
        from tui.screens.run import RunScreen

        self.app.push_screen(RunScreen(started))

    def action_verify(self) -> None:
        thing = self.thing
        if thing is None or not self.may_act():
            return
        if self.verifying is not None:
            self.say(f"verifying {self.verifying} goes on; its end shows here", "muted")
            return
        if thing.newest is None:
            self.say("there is no copy to verify; c takes one", "muted")
            return
        acts, desk, newest = self.session.acts, self.desk, thing.newest
        self.verifying = newest

        def progress(what: str, done: int, total: int | None) -> None:
            share = f"{100 * done // total} %" if total else words.short_count(done)
            self.verifying = f"{what}  {share}"

        self.proving.ask("verify", lambda: acts.verify(desk, [newest], progress=progress))
        self.repaint()

    def _tell_proofs(self, proofs: Sequence[Proof]) -> None:
        bad = [proof for proof in proofs if proof.ok is not True]
        if bad:
            self.say(f"{bad[0].id}: {bad[0].findings[0]}", "bad" if bad[0].ok is False else "warn")
        elif proofs:
            self.say(f"{proofs[0].id} is whole: every byte that can be compared was", "ok")

    def action_expire(self) -> None:
        from tui.screens.expiry import ExpiryScreen

        self.app.push_screen(ExpiryScreen())


def _plans(acts: Acts, desk: Desk, name: ThingName) -> list[Plan]:
    """The plans that copy a thing now."""
    match name:
        case "database-full":
            return [acts.plan_base_backup(desk)]
        case "database-incremental":
            return [acts.plan_base_backup(desk, incremental=True)]
        case "files":
            return [acts.plan_media_snapshot(desk)]
        case "source":
            return acts.plan_source_copies(desk)
        case "environment":
            return [acts.plan_image(desk)]


def _schedule(acts: Acts, desk: Desk) -> dict[str, datetime]:
    """When what runs next, where the schedule is installed; a machine on which nothing keeps time has none."""
    try:
        state = acts.show_schedule(desk)
    except RepriseError:
        return {}
    return {each.what: each.next_at for each in state.entries if state.installed and each.next_at is not None}
