"""The plan that restores the database to a moment: into a side copy, or in place."""

import time
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from textual.binding import BindingType

from engine.records.plan import Destination, Plan
from engine.records.target import RecoveryTarget
from tui.acting import Action
from tui.keys import bind
from tui.screens.plan import PlanScreen, free_folder
from tui.widgets.frame import Hint
from tui.widgets.question import Question, TypedLine, must_be

_IN_PLACE = "in place"
_READING = 5.0  # seconds of reading what the archive has new; a first index of a long one is the timeline's


class RestorePlanScreen(PlanScreen):
    """The plan of one restore."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("port", "port"),
        bind("wait", "wait"),
        bind("with-files", "with_files"),
    ]

    def __init__(self, target: RecoveryTarget, at: datetime) -> None:
        super().__init__(target, at)
        self.action: Action = "pause"
        self.wanted: Destination | None = None  # None: a new folder beside the cluster
        self.with_files: bool | None = None  # None: as the site says

    def make_plan(self) -> None:
        acts, desk = self.session.acts, self.desk
        target, action, wanted, files = self.target, self.action, self.wanted, self.with_files
        data_dir = desk.site.database.data_dir
        stamp = self.at.astimezone(desk.site.zone).strftime("%m%d-%H%M%S")
        self.made, self.failure = None, None

        def work() -> Plan:
            until = time.monotonic() + _READING  # a screen may have stood open for hours
            acts.read_archive(desk, lambda done, total: None, lambda: time.monotonic() > until)
            destination = wanted or Destination("side-copy", free_folder(data_dir, stamp))
            return acts.plan(desk, target, destination, action=action, files=files)

        self.plan_errand.ask("plan", work)
        self.repaint()

    @property
    def destination(self) -> Destination | None:
        """Where the plan goes to; None while its first folder is still looked for."""
        return self.made.destination if self.made is not None else self.wanted

    def action_destination(self) -> None:
        now = self.destination
        path = now.path if now and now.kind == "side-copy" else ""
        default = path or free_folder(self.desk.site.database.data_dir, "copy")
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
                self.wanted = Destination("in-place", self.desk.site.database.data_dir)
            else:
                self.wanted = Destination("side-copy", typed)
            self.make_plan()

        self.ask(Question("into", answer, understood, "", TypedLine(text, len(text)), (text, other)))

    def action_port(self) -> None:
        now = self.destination
        if now is None:
            self.say("the plan is still being made", "muted")
            return
        if now.kind == "in-place":
            self.say("in place keeps the site's own port; d chooses another destination")
            return

        def understood(typed: str) -> tuple[bool, str]:
            if not typed.strip():
                return True, "a free port is found by Reprise"
            right = typed.strip().isdigit() and 1 <= int(typed) <= 65535
            return right, "this port" if right else "a number from 1 to 65535, or nothing for a free one"

        def answer(typed: str) -> None:
            self.wanted = Destination("side-copy", now.path, int(typed) if typed.strip() else None)
            self.make_plan()

        self.ask(Question("port", answer, understood))

    def action_wait(self) -> None:
        self.action = "finish" if self.action == "pause" else "pause"
        self.make_plan()

    def action_with_files(self) -> None:
        if self.desk.site.media is None:
            self.say("the site names no users' files: [media] in the site file does")
            return
        self.with_files = not (self.made is not None and self.made.files is not None)
        self.make_plan()

    def _sure(self, plan: Plan) -> Question | None:
        """What is asked before something takes the live one's place."""
        if plan.destination.kind != "in-place" or self.action != "finish":
            return None
        what = "the copy takes the live cluster's place without a further question"
        right = must_be(self.desk.site.name, what)
        prompt = "to restore in place, type the site's name:"
        return Question(prompt, lambda _: self._start(plan), right, dangerous=True)

    def hints(self) -> Sequence[Hint]:
        waits = "go through" if self.action == "pause" else "wait there"
        start, destination, _, *others = super().hints()
        return (start, destination, self.hint("wait", waits, "wait"), *others)
