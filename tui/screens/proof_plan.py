"""The plan of a proof drill: the copies restored beside production, looked through, and thrown away again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType

from engine.records.errors import Refused
from engine.records.target import RecoveryTarget
from tui.keys import bind
from tui.screens.plan import PlanScreen
from tui.widgets.frame import Hint

if TYPE_CHECKING:
    from engine.records.plan import Plan
    from tui.errands import Answer
    from tui.painting.grid import Grid
    from tui.widgets.question import Question

_NEWEST = RecoveryTarget("latest")


class ProofPlanScreen(PlanScreen):
    """As the plan of a restore, but nothing of it stays, and production is only read."""

    purpose = "prove"
    BINDINGS: ClassVar[list[BindingType]] = [bind("other-moment", "other_moment")]

    def __init__(self, now: datetime) -> None:
        super().__init__(_NEWEST, now)
        self.random = False

    def make_plan(self) -> None:
        acts, desk, target = self.session.acts, self.desk, None if self.random else _NEWEST
        self.made, self.failure = None, None
        self.plan_errand.ask("plan", lambda: acts.plan_proof_drill(desk, target))
        self.repaint()

    def on_answer(self, answer: Answer) -> None:
        plan = answer.result if answer.errand is self.plan_errand else None
        if plan is not None and plan.point is not None and plan.point.kept is not None:
            self.at = plan.point.kept.at
        if plan is not None and plan.target is not None:
            self.target = plan.target
        super().on_answer(answer)

    def _paint_loses(self, grid: Grid, plan: Plan, stop: int) -> None:
        grid.put_cut(12, 3, "nothing: production is only read", "text", stop)

    def _paint_into(self, grid: Grid, plan: Plan, stop: int) -> None:
        x = grid.put_cut(12, 4, plan.destination.path, "text", stop)
        grid.put_whole(x + 3, 4, "thrown away at its end", "muted", stop)

    def action_other_moment(self) -> None:
        self.random = not self.random
        self.make_plan()

    def action_destination(self) -> None:
        self.say("where the copy stands for its while is said by the site file: [proof] into", "muted")

    def _sure(self, plan: Plan) -> Question | None:
        return None

    def _start(self, plan: Plan) -> None:
        """What drills that died have left goes first, and the plan is made once more: what they left was in its way."""
        acts, desk = self.session.acts, self.desk
        target = plan.target

        def start() -> str:
            planned = acts.prepare_proof_drill(desk, target)
            if planned.refused:
                raise Refused(self.why_not(planned))
            return acts.start(desk, planned)

        self.starting = True
        self.start_errand.ask("start", start)
        self.say("starting", "muted")

    def hints(self) -> Sequence[Hint]:
        start, _, *others = super().hints()
        moment = "newest moment" if self.random else "random moment"
        return (start, self.hint("other-moment", moment, "other_moment"), *others)
