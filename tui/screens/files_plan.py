"""The plan that restores files as one snapshot holds them: all of them, or one file or folder."""

from pathlib import Path

from engine.records.copies import MediaSnapshot
from engine.records.plan import Plan
from engine.records.target import RecoveryTarget
from tui.painting.grid import Grid
from tui.screens.plan import PlanScreen, free_folder
from tui.widgets.question import Question, TypedLine, must_be

_WHOLE, _DELTA = "in place", "in place, only what differs"


class FilesPlanScreen(PlanScreen):
    """As the plan of a restore, but for users' files: nothing is replayed. ``only`` is relative to the media folder."""

    def __init__(self, snapshot: MediaSnapshot, only: str | None) -> None:
        super().__init__(RecoveryTarget("time", time=snapshot.started_at), snapshot.started_at)
        self.snapshot, self.only = snapshot, only
        self.into: Path | None = None
        self.delta = False

    def make_plan(self) -> None:
        acts, desk, into, delta = self.session.acts, self.desk, self.into, self.delta
        snapshot, only = self.snapshot.id, self.only
        self.made, self.failure = None, None
        self.plan_errand.ask(
            "plan", lambda: acts.plan_files(desk, None, snapshot=snapshot, only=only, into=into, delta=delta)
        )
        self.repaint()

    def _paint_loses(self, grid: Grid, plan: Plan, stop: int) -> None:
        what = (
            f"what changed since in {self.only}" if self.only else f"what changed since the snapshot {self.snapshot.id}"
        )
        x = grid.put_cut(12, 3, what, "text", stop)
        grid.put_whole(x + 3, 3, "set aside, not deleted" if self.into is None else "live untouched", "muted", stop)

    def _paint_into(self, grid: Grid, plan: Plan, stop: int) -> None:
        files = plan.files
        if files is None or files.place == "into":
            x = grid.put_cut(12, 4, f"new folder {plan.destination.path}", "text", stop)
            grid.put_whole(x + 3, 4, "the live files are not touched", "muted", stop)
            return
        x = grid.put_cut(12, 4, f"in place {files.live}", "warn!", stop)
        note = "the whole folder is swapped" if files.place == "beside" else "only what differs is changed"
        grid.put_whole(x + 3, 4, note, "muted", stop)

    def action_destination(self) -> None:
        media = self.desk.site.media
        folder = free_folder(media.path if media is not None else "/", f"{self.at:%m%d-%H%M%S}")
        own = (_WHOLE,) if self.only else (_WHOLE, _DELTA)
        choices = (*own, str(self.into) if self.into is not None else folder)
        text = choices[-1] if self.into is not None else _DELTA if self.delta else _WHOLE

        def understood(typed: str) -> tuple[bool, str]:
            typed = typed.strip()
            if typed in own:
                whole = typed == _WHOLE and not self.only
                return True, "a new folder takes the place of the live one" if whole else "right files stay untouched"
            return typed.startswith("/"), f"an absent or empty folder's full path, or: {' | '.join(own)}"

        def answer(typed: str) -> None:
            typed = typed.strip()
            self.into, self.delta = None if typed in own else Path(typed), typed == _DELTA
            self.make_plan()

        question = Question("into", answer, understood, "", TypedLine(text, len(text)), choices)
        question.next_choice()
        self.ask(question)

    def _sure(self, plan: Plan) -> Question | None:
        files = plan.files
        if files is None or files.place == "into":
            return None
        what = {
            "beside": "the live folder is set aside and kept; its place is taken without a further question",
            "delta": "what differs in the live folder is set aside and kept, and replaced without a further question",
        }[files.place]
        right = must_be(self.desk.site.name, what)
        prompt = "to change the live files, type the site's name:"
        return Question(prompt, lambda _: self._start(plan), right, dangerous=True)
