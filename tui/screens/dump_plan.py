"""The plan that restores a dump: into its database's place, or beside it under another name."""

from engine.records.copies import Dump
from engine.records.plan import Plan
from engine.records.target import RecoveryTarget
from tui.painting.grid import Grid
from tui.screens.plan import PlanScreen
from tui.widgets.question import Question, TypedLine, must_be


class DumpPlanScreen(PlanScreen):
    """As the plan of a restore, but for a dump: nothing is replayed, and no folder is made."""

    destination_words = "database"

    def __init__(self, dump: Dump) -> None:
        super().__init__(RecoveryTarget("dump", name=dump.id), dump.started_at)
        self.dump = dump
        self.beside: str | None = None  # the new database's name; None: in the place of the dump's own

    def make_plan(self) -> None:
        acts, desk, dump, beside = self.session.acts, self.desk, self.dump.id, self.beside
        self.made, self.failure = None, None
        self.plan_errand.ask(
            "plan", lambda: acts.plan_dump_restore(desk, dump, database=beside, beside=beside is not None)
        )
        self.repaint()

    def _paint_loses(self, grid: Grid, plan: Plan, stop: int) -> None:
        grid.put_cut(12, 3, f"all that came after the dump {self.dump.id}", "text", stop)

    def _paint_into(self, grid: Grid, plan: Plan, stop: int) -> None:
        loading, path = plan.loading, plan.destination.path
        if self.beside is not None:
            x = grid.put_cut(12, 4, f"new database {path}", "text", stop)
            grid.put_whole(x + 3, 4, "the present ones are not touched", "muted", stop)
            return
        x = grid.put_cut(12, 4, f"in place of the database {path}", "warn!", stop)
        if loading is not None and loading.aside is not None:
            grid.put_whole(x + 3, 4, "it is renamed and kept", "muted", stop)

    def action_destination(self) -> None:
        own = self.dump.database or ""

        def understood(typed: str) -> tuple[bool, str]:
            typed = typed.strip()
            if typed == own:
                return True, "in its place; the present database is renamed and kept"
            return bool(typed), "a new database of this name, beside the present ones"

        def answer(typed: str) -> None:
            self.beside = None if typed.strip() == own else typed.strip()
            self.make_plan()

        text = self.beside or own
        other = f"{own}-{self.dump.started_at:%m%d-%H%M}" if text == own else own
        self.ask(Question("database", answer, understood, "", TypedLine(text, len(text)), (text, other)))

    def _sure(self, plan: Plan) -> Question | None:
        if self.beside is not None:
            return None
        what = "the present database is renamed and kept; who is connected to it is cut off"
        prompt = "to restore in its place, type the database's name:"
        return Question(prompt, lambda _: self._start(plan), must_be(plan.destination.path, what), dangerous=True)
