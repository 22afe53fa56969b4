"""A plan: what would be done, what the checks say, how long it takes. Nothing is changed before Enter.

What every plan's screen has in common; `restore_plan`, `dump_plan` and `files_plan` say what is planned.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from textual.binding import BindingType

from engine.records.coding import to_json
from engine.records.errors import RepriseError
from engine.records.plan import Plan
from engine.records.target import RecoveryTarget
from tui.errands import Answer, Errand
from tui.keys import bind
from tui.screens.plan_picture import PlanPicture
from tui.widgets.frame import Hint
from tui.widgets.question import Question, TypedLine


class PlanScreen(PlanPicture):
    """A plan, and the way to its start."""

    title_words = "plan"
    destination_words: ClassVar[str] = "destination"
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("destination", "destination"),
        bind("checks", "checks"),
        bind("save", "save"),
        bind("start", "start"),
        bind("read", "read_again"),
    ]

    def __init__(self, target: RecoveryTarget, at: datetime) -> None:
        super().__init__(target, at)
        self.starting = False

    def begin(self) -> None:
        self.plan_errand = Errand(self, "plan")
        self.start_errand = Errand(self, "start")
        self.save_errand = Errand(self, "save")
        self.make_plan()

    def make_plan(self) -> None:
        """Have the plan made anew, in the background, by ``plan_errand``."""
        raise NotImplementedError

    def on_answer(self, answer: Answer) -> None:
        answer.stop()
        if answer.errand is self.plan_errand:
            self.made, self.failure = answer.result, answer.error
            self.repaint()
        elif answer.errand is self.start_errand:
            self.starting = False
            if answer.error is not None:
                self.say_error(answer.error)
                return
            from tui.screens.run import RunScreen

            self.app.switch_screen(RunScreen(answer.result))
        elif answer.error is not None:
            self.say_error(answer.error)
        else:
            self.say(f"saved: {answer.result}", "muted")

    # Keys

    def action_read_again(self) -> None:
        self.make_plan()

    def action_checks(self) -> None:
        self.all_checks = not self.all_checks
        self.first = 0
        self.repaint()

    def action_destination(self) -> None:
        """Ask where the outcome shall stand."""
        raise NotImplementedError

    def action_save(self) -> None:
        plan = self.made
        if plan is None:
            self.say("there is no plan yet")
            return
        default = str(Path.cwd() / f"plan-{plan.site}-{plan.created_at:%Y%m%dT%H%M%SZ}.json")

        def write(path: str) -> str:
            try:
                with Path(path).open("xb") as file:
                    file.write(to_json(plan, indent=2) + b"\n")
            except OSError as error:
                raise RepriseError(f"{path}: {error.strerror}", remedy="choose another file with s") from None
            return path

        def answer(path: str) -> None:
            self.save_errand.ask("save", lambda: write(path.strip()))

        def understood(typed: str) -> tuple[bool, str]:
            return bool(typed.strip()), "a new file; one that exists is not overwritten"

        self.ask(Question("save as", answer, understood, "", TypedLine(default, len(default))))

    def action_start(self) -> None:
        plan = self.made
        if plan is None or self.starting:
            self.say("the plan is still being made" if plan is None else "it is being started", "muted")
            return
        if plan.refused:
            self.say(self.why_not(plan))
            return
        if not self.may_act():
            return
        question = self._sure(plan)
        if question is not None:
            self.ask(question)
        else:
            self._start(plan)

    def _sure(self, plan: Plan) -> Question | None:
        """What is asked before something takes the live one's place."""
        raise NotImplementedError

    def _start(self, plan: Plan) -> None:
        acts, desk = self.session.acts, self.desk
        self.starting = True
        self.start_errand.ask("start", lambda: acts.start(desk, plan))
        self.say("starting", "muted")

    def to_copy(self) -> str:
        plan = self.made
        if plan is None:
            return ""
        return "\n".join(f"{check.name}: {check.finding}" for check in plan.checks)

    def hints(self) -> Sequence[Hint]:
        return (
            self.hint("start", "start", "start"),
            self.hint("destination", self.destination_words, "destination"),
            self.hint("checks", "all checks", "checks"),
            self.hint("save", "save plan", "save"),
            self.hint("back", "back", "app.back"),
            self.hint("help", "help", "app.help"),
        )


def free_folder(data_dir: str, stamp: str) -> str:
    """A folder beside the data directory that does not exist yet, for a side copy."""
    base = Path(data_dir)
    for number in range(1, 100):
        path = base.with_name(f"{base.name}-{stamp}" + (f"-{number}" if number > 1 else ""))
        if not path.exists():
            return str(path)
    return str(base.with_name(f"{base.name}-{stamp}"))
