"""The recovery timeline: the start screen. A cut in the cluster's history is chosen, and a plan made from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType

from engine.records.lsn import format_lsn
from tui import words
from tui.axis import cuts
from tui.axis.cuts import Cut, Line
from tui.axis.layout import PLOT
from tui.errands import Answer
from tui.keys import bind
from tui.screens.timeline_asking import READING, Aim
from tui.screens.timeline_moving import TimelineMoving
from tui.widgets.frame import Hint
from tui.widgets.question import Question

if TYPE_CHECKING:
    from datetime import datetime

    from engine.records.runs import RunState
    from tui.moments import Understood


class TimelineScreen(TimelineMoving):
    """Recovery timeline."""

    title_words = "recovery timeline"
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("left", "move(-1)"),
        bind("right", "move(1)"),
        bind("page-left", "page(-1)"),
        bind("page-right", "page(1)"),
        bind("first", "edge('first')"),
        bind("last", "edge('last')"),
        bind("zoom-in", "zoom(1)"),
        bind("zoom-out", "zoom(-1)"),
        bind("next-event", "event(1)"),
        bind("previous-event", "event(-1)"),
        bind("go-to", "go_to"),
        bind("find", "go_to"),
        bind("edge-before", "reach('before')"),
        bind("edge-after", "reach('after')"),
        bind("next-line", "next_line"),
        bind("read", "read_again"),
        bind("problems", "problems"),
        bind("plan", "plan"),
        bind("plan-dump", "plan_dump"),
        bind("files", "files"),
    ]

    def offer_run(self, runs: Sequence[RunState]) -> None:
        live = [run for run in runs if run.outcome in ("running", "paused")]
        newest = next((run for run in runs if run.plan.copying is None and run.plan.proof is None), None)
        if newest is not None and newest.outcome == "interrupted" and newest.finished_at is None:
            live.append(newest)  # nobody stopped it: its engine died, and what it was restoring may be half done
        if not live or self.question is not None:
            return
        run = live[0]
        state = {"paused": "waits at its gate", "running": "goes on"}.get(
            run.outcome, "was interrupted: its engine died"
        )
        what = f"{run.run} {state}; Enter shows it, Esc stays here"

        def answer(text: str) -> None:
            if text.strip().lower() not in ("n", "no"):
                self.show_run(run.run)

        prompt = "see it?" if run is newest and run.outcome == "interrupted" else "attach?"
        self.ask(Question(prompt, answer, lambda text: (True, what)))

    def show_run(self, run: str) -> None:
        from tui.screens.run import RunScreen

        self.app.push_screen(RunScreen(run))

    def action_go_to(self) -> None:
        from tui.moments import prepare, understand

        zone, now = self.desk.site.zone, self.session.clock()

        def read(text: str) -> Understood:
            names = tuple(mark.name for mark in self.looked.scene.points) if self.looked is not None else ()
            return understand(text, zone, now, self.aim.at if self.aim is not None else now, names)

        def understood(text: str) -> tuple[bool, str]:
            got = read(text)
            return got.kind is not None, got.words + (self._beyond(got.at) if got.at is not None else "")

        def answer(text: str) -> None:
            if self.looked is None or self.aim is None:  # typed before anything is known: then as soon as it is
                self.wanted = lambda: self._go(read(text))
            else:
                self._go(read(text))

        prepare()
        hint = "14:03, yesterday 18:00, an LSN, xid 4711, a restore point"
        self.ask(Question("go to", answer, understood, hint))

    def _beyond(self, at: datetime) -> str:
        """Where the archive begins or ends, for a moment that is not in it."""
        if self.looked is None or self.aim is None:
            return ""
        first, last = self.looked.scene.spans[self.aim.line]
        if first <= at <= last:
            return ""
        edge = words.second(first if at < first else last, self.desk.site.zone)
        return f"; the archive {'begins' if at < first else 'ends'} {edge}"

    def _go(self, wanted: Understood) -> None:
        if self.looked is None or self.aim is None:
            return
        scene, line = self.looked.scene, self.aim.line
        if wanted.kind == "time" and wanted.at is not None:
            first, last = scene.spans[line]
            if not first <= wanted.at <= last:
                edge = "before the first commit" if wanted.at < first else "later than the last archived commit"
                self.set_aim(Aim(line, wanted.at))
                self.say(f"{words.second(wanted.at, self.desk.site.zone)} is {edge}; this is the nearest moment")
                return
            self.set_aim(Aim(line, wanted.at))
        elif wanted.kind == "name":
            mark = [mark for mark in scene.points if mark.name == wanted.name][-1]
            own = {piece.timeline for piece in scene.lines[line].pieces}
            if mark.timeline is not None and mark.timeline not in own and mark.timeline in scene.lines:
                line = mark.timeline
            self.set_aim(Aim(line, mark.at, lsn=mark.exact))
        elif wanted.kind == "lsn" and wanted.lsn is not None:
            lsn = wanted.lsn
            self._seek(lambda way: cuts.cut_at_lsn(way, _timeline_of(way, lsn), lsn), format_lsn(lsn))
        elif wanted.kind == "xid" and wanted.xid is not None:
            xid = wanted.xid

            def before_it(way: Line) -> Cut | None:
                end = cuts.find_xid(way, xid)
                return cuts.cut_at_lsn(way, end.timeline, end.lsn) if end else None

            self._seek(before_it, f"transaction {xid}")

    def _seek(self, find: Callable[[Line], Cut | None], what: str) -> None:
        """Ask the index on every line, the present one first."""
        looked, aim = self.looked, self.aim
        if looked is None or aim is None:
            return
        order = [aim.line, *[line for line in sorted(looked.scene.lines, reverse=True) if line != aim.line]]

        def work() -> tuple[str, Cut | None]:
            for number in order:
                try:
                    if cut := find(looked.scene.lines[number]):
                        return what, cut
                except ValueError:
                    continue
            return what, None

        self.seeking = True
        self.seek_errand.ask("seek", work)

    def sought(self, answer: Answer) -> bool:
        if answer.error is not None:
            self.say_error(answer.error)
            return False
        what, cut = answer.result
        if cut is None:
            where = "WAL read so far" if self.read_errand.busy else "archived WAL"
            self.say(f"{what} is not in the {where}")
        else:
            self.set_aim(Aim(cut.line, cut.at, lsn=(cut.timeline, cut.gate)))
        return cut is not None

    def action_read_again(self) -> None:
        self.say(READING, "muted")
        self.read_wal()

    def action_plan_dump(self) -> None:
        """A dump holds the moment at which it was taken: the last one that is not later than the cursor."""
        if self.aim is None or self.looked is None:
            return
        if self.seeking:
            self.wanted = self.action_plan_dump
            return
        at = self.aim.at
        dumps = [dump for dump in self.looked.view.catalog.dumps if dump.started_at <= at]
        if not dumps:
            self.say("there is no dump at or before this moment; n goes to the next event")
            return
        from tui.screens.dump_plan import DumpPlanScreen

        self.app.push_screen(DumpPlanScreen(max(dumps, key=lambda dump: dump.started_at)))

    def action_plan(self) -> None:
        if self.aim is None or self.looked is None:
            return
        if self.seeking or self.found is None or self.aim is not self.found_for:
            self.wanted = self.action_plan  # a key after a typed moment is meant for that one, not for the one before
            return
        moment, cut = self.found.moment, self.found.cut
        if not moment.reachable:
            self.say("this moment cannot be reached; b and a go to the nearest ones that can")
            return
        from engine.records.target import RecoveryTarget

        if cut.lost is None and cut.line == self.looked.scene.live:
            target = RecoveryTarget("latest", timeline=cut.timeline)
        elif cut.kept is not None and cut.gate == cut.kept.end_lsn:
            target = RecoveryTarget("lsn", lsn=cut.kept.lsn, timeline=cut.timeline)
        else:
            target = RecoveryTarget("lsn", lsn=cut.gate, exclusive=True, timeline=cut.timeline)
        from tui.screens.restore_plan import RestorePlanScreen

        self.app.push_screen(RestorePlanScreen(target, self.aim.at))

    def action_files(self) -> None:
        """The files as the snapshot that belongs to this moment has them."""
        if self.aim is None:
            self.say("the archive is still being read", "muted")
            return
        if self.seeking:
            self.wanted = self.action_files
            return
        from tui.screens.files import FilesScreen

        self.app.push_screen(FilesScreen(self.aim.at))

    def action_problems(self) -> None:
        from tui.screens.problems import ProblemsScreen

        if self.looked is not None:
            self.app.push_screen(ProblemsScreen(self.looked.view.catalog))

    def clicked(self, x: int, y: int, wheel: int) -> None:
        where = self._places()
        if wheel:
            self.action_zoom(-wheel)
        elif PLOT <= x < where.right and y <= where.axis.rule:
            self.action_move(x - PLOT - self.col)

    def to_copy(self) -> str:
        if self.found is None or self.aim is None:
            return ""
        zone, cut = self.desk.site.zone, self.found.cut
        stamp = cut.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return f"{words.moment(cut.at, zone)}  {stamp}  lsn {format_lsn(cut.gate)}  timeline {cut.timeline}"

    def hints(self) -> Sequence[Hint]:
        g = self.session.glyphs
        keys = self.session.settings.keys
        arrows = g.arrows if "left" not in keys else self.hint("left", "").key
        zoom = f"+ {g.minus}" if "zoom-in" not in keys else self.hint("zoom-in", "").key
        return (
            Hint(arrows, "move"),
            Hint(zoom, "zoom", "zoom(1)"),
            Hint("n p" if "next-event" not in keys else self.hint("next-event", "").key, "next event", "event(1)"),
            self.hint("go-to", "go to", "go_to"),
            self.hint("plan", "plan", "plan"),
            self.hint("help", "help", "app.help"),
        )


def _timeline_of(line: Line, lsn: int) -> int:
    """The timeline of a line that holds this LSN."""
    return next((piece.timeline for piece in line.pieces if piece.low <= lsn < piece.high), line.timeline)
