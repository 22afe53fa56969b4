"""The plan: what would be done, what the checks say, how long it takes. Nothing is changed before Enter."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from textual.binding import BindingType

from engine.records.coding import to_json
from engine.records.errors import RepriseError
from engine.records.plan import Destination, Plan
from engine.records.target import RecoveryTarget
from tui.acting import Action
from tui.errands import Answer, Errand
from tui.keys import bind
from tui.screens.plan_picture import PlanPicture
from tui.widgets.frame import Hint
from tui.widgets.question import Question, TypedLine, must_be

_IN_PLACE = "in place"


class PlanScreen(PlanPicture):
    """The plan of one restore."""

    title_words = "plan"
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("destination", "destination"),
        bind("port", "port"),
        bind("wait", "wait"),
        bind("with-files", "with_files"),
        bind("checks", "checks"),
        bind("save", "save"),
        bind("start", "start"),
        bind("read", "read_again"),
    ]

    def __init__(self, target: RecoveryTarget, at: datetime) -> None:
        super().__init__(target, at)
        self.action: Action = "pause"
        self.destination: Destination | None = None
        self.with_files: bool | None = None  # None: as the site says
        self.starting = False

    def begin(self) -> None:
        self.plan_errand = Errand(self, "plan")
        self.start_errand = Errand(self, "start")
        self.save_errand = Errand(self, "save")
        self.make_plan()

    def make_plan(self) -> None:
        acts, desk = self.session.acts, self.session.desk
        target, action, wanted, files = self.target, self.action, self.destination, self.with_files
        data_dir = desk.site.database.data_dir
        stamp = self.at.astimezone(desk.site.zone).strftime("%m%d-%H%M%S")
        self.made, self.failure = None, None

        def work() -> Plan:
            destination = wanted or Destination("side-copy", free_folder(data_dir, stamp))
            return acts.plan(desk, target, destination, action=action, files=files)

        self.plan_errand.ask("plan", work)
        self.repaint()

    def on_answer(self, answer: Answer) -> None:
        answer.stop()
        if answer.errand is self.plan_errand:
            self.made, self.failure = answer.result, answer.error
            if self.made is not None:
                self.destination = self.made.destination
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

    def action_wait(self) -> None:
        self.action = "finish" if self.action == "pause" else "pause"
        self.make_plan()

    def action_with_files(self) -> None:
        if self.session.desk.site.media is None:
            self.say("the site names no users' files: [media] in the site file does")
            return
        self.with_files = not (self.made is not None and self.made.files is not None)
        self.make_plan()

    def action_destination(self) -> None:
        now = self.destination
        path = now.path if now and now.kind == "side-copy" else ""
        default = path or free_folder(self.session.desk.site.database.data_dir, "copy")
        text = _IN_PLACE if now and now.kind == "in-place" else default
        other = default if text == _IN_PLACE else _IN_PLACE

        def understood(typed: str) -> tuple[bool, str]:
            typed = typed.strip()
            if typed == _IN_PLACE:
                return True, "in place of the live cluster, which is set aside, not deleted"
            if typed.startswith("/"):
                return True, "a copy in this new folder; the live cluster is not touched"
            return False, f"a folder's full path, or: {_IN_PLACE}"

        def answer(typed: str) -> None:
            typed = typed.strip()
            if typed == _IN_PLACE:
                self.destination = Destination("in-place", self.session.desk.site.database.data_dir)
            else:
                self.destination = Destination("side-copy", typed)
            self.make_plan()

        self.ask(Question("into", answer, understood, "", TypedLine(text, len(text)), (text, other)))

    def action_port(self) -> None:
        now = self.destination
        if now is None or now.kind == "in-place":
            self.say("in place keeps the site's own port; d chooses another destination")
            return

        def understood(typed: str) -> tuple[bool, str]:
            if not typed.strip():
                return True, "a free port is found by Reprise"
            right = typed.strip().isdigit() and 1 <= int(typed) <= 65535
            return right, "this port" if right else "a number from 1 to 65535, or nothing for a free one"

        def answer(typed: str) -> None:
            self.destination = Destination("side-copy", now.path, int(typed) if typed.strip() else None)
            self.make_plan()

        self.ask(Question("port", answer, understood))

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
        if plan.destination.kind != "in-place" or self.action != "finish":
            return None
        what = "the copy takes the live cluster's place without a further question"
        right = must_be(self.session.desk.site.name, what)
        prompt = "to restore in place, type the site's name:"
        return Question(prompt, lambda _: self._start(plan), right, dangerous=True)

    def _start(self, plan: Plan) -> None:
        acts, desk = self.session.acts, self.session.desk
        self.starting = True
        self.start_errand.ask("start", lambda: acts.start(desk, plan))
        self.say("starting", "muted")

    def to_copy(self) -> str:
        plan = self.made
        if plan is None:
            return ""
        return "\n".join(f"{check.name}: {check.finding}" for check in plan.checks)

    def hints(self) -> Sequence[Hint]:
        waits = "go through" if self.action == "pause" else "wait there"
        return (
            self.hint("start", "start", "start"),
            self.hint("destination", "destination", "destination"),
            self.hint("wait", waits, "wait"),
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
