"""A run: its steps, how far the running one is, the server's log, and the gate when it waits there."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import SuspendNotSupported
from textual.binding import BindingType

from engine.records.errors import RepriseError
from engine.records.runs import LIVE, RunState
from tui import words
from tui.errands import Answer, Errand
from tui.keys import bind
from tui.moments import Understood, prepare, to_target, understand
from tui.screens.run_picture import RunPicture, Seen
from tui.widgets import gate
from tui.widgets.frame import Hint
from tui.widgets.question import Question, must_be
from tui.widgets.steps import running_step


class RunScreen(RunPicture):
    """One run, live."""

    title_words = "run"
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("log", "log"),
        bind("which-log", "which_log"),
        bind("hold", "hold"),
        bind("stop", "stop"),
        bind("skip", "skip"),
        bind("forward", "forward"),
        bind("keep", "keep"),
        bind("finish", "finish"),
        bind("psql", "psql"),
        bind("resume", "resume"),
        bind("accept", "accept"),
        bind("rollback", "rollback"),
        bind("discard", "discard"),
        bind("server", "server"),
        bind("application", "application"),
        bind("report", "report"),
        bind("read", "poll"),
    ]

    def begin(self) -> None:
        self.poll_errand = Errand(self, "poll")
        self.act_errand = Errand(self, "act")
        self.psql_errand = Errand(self, "psql")
        self.names_errand = Errand(self, "names")
        self.names: tuple[str, ...] = ()  # restore points, which may be typed at the gate
        self.set_interval(1.0, self.poll)
        self.poll()
        self.repaint()

    def poll(self) -> None:
        """Look at the run's folder, in the background."""
        if not self.is_current or self.poll_errand.busy:
            return
        acts, desk, run, which = self.session.acts, self.desk, self.run, self.which
        lines = 8 * max(4, self.area.height)  # many of them are told in one row

        def work() -> Seen:
            state = acts.run_state(desk, run)
            return Seen(state, tuple(acts.log_lines(desk, run, which, lines)), which)

        self.poll_errand.ask("poll", work)

    def action_poll(self) -> None:
        self.poll()

    def on_answer(self, answer: Answer) -> None:
        answer.stop()
        if answer.errand is self.poll_errand:
            self.failure = answer.error
            if answer.result is not None:
                if self.seen is not None and self.seen.state.outcome != answer.result.state.outcome:
                    self.note = None
                if self.seen is None and answer.result.state.plan.point is None:
                    self.which = "engine"  # no server recovers here
                self.seen = answer.result
                going = answer.result.state.outcome in LIVE
                if self.drilling is None:  # a drill's runs end with it
                    self.session.left_run = self.run if going else None
            self.repaint()
        elif answer.errand is self.psql_errand:
            self._hold_psql(answer)
        elif answer.errand is self.names_errand:
            if answer.error is None:  # else none is known by its name
                self.names = tuple(point.name for point in answer.result)
                self.repaint()
        elif answer.error is not None:
            self.say_error(answer.error)
        else:
            self.say(str(answer.ask), "muted")
            self.poll()

    # Acts

    def _act(self, name: str, said: str, act: Callable[[], object], why_not: str) -> None:
        """Do one of the run's answers, if it accepts it now."""
        state = self.seen.state if self.seen else None
        if not self.may_act():
            return
        if state is None or name not in state.answers:
            self.say(why_not)
            return
        self.act_errand.ask(said, act)
        self.say(said, "muted")

    def _may(self, name: str, why_not: str) -> RunState | None:
        state = self.seen.state if self.seen else None
        if not self.may_act():
            return None
        if state is None or name not in state.answers:
            self.say(why_not)
            return None
        return state

    def action_hold(self) -> None:
        acts, desk, run = self.session.acts, self.desk, self.run
        state = self.seen.state if self.seen else None
        if not self.may_act():
            return
        if state is None or state.outcome != "running":
            self.say("only a run that is going can be held")
        elif state.held:
            self.act_errand.ask("goes on", lambda: acts.go_on(desk, run))
        else:
            self.act_errand.ask("held; z goes on", lambda: acts.hold(desk, run))

    def action_stop(self) -> None:
        acts, desk, run = self.session.acts, self.desk, self.run
        if self._may("cancel", "there is nothing to stop") is None:
            return
        said = "stops at the next safe point; all is left as it is"

        def stop(_: str) -> None:
            self.act_errand.ask(said, lambda: acts.cancel(desk, run))

        self.ask(Question("to stop the run, type stop:", stop, must_be("stop", said)))

    def action_skip(self) -> None:
        acts, desk, run = self.session.acts, self.desk, self.run
        state = self._may("skip", "this run has nothing to skip, now or later")
        if state is None:
            return
        said, asked, what = (
            "pages are not read any more",
            "leave out the reading of every page?",
            "damage in a page then shows only when it is used; Enter leaves it out, Esc does not",
        )
        if state.checks_files:
            said, asked, what = (
                "goes on as it is",
                "go on, whatever is missing or wrong among the files?",
                "the report says what was found; Enter goes on, Esc does not",
            )

        def skip(_: str) -> None:
            self.act_errand.ask(said, lambda: acts.skip(desk, run))

        self.ask(Question(asked, skip, lambda _: (True, what)))

    def action_forward(self) -> None:
        state = self._may("advance", "replay can go on only while the run waits at its gate")
        if state is None:
            return
        site, desk, acts, run = self.desk.site, self.desk, self.session.acts, self.run
        point, reached = state.plan.point, state.reached
        here = (point.kept or point.lost) if point else None
        at = here.at if here else self.session.clock()
        at = reached.last_commit_at if reached is not None and reached.last_commit_at is not None else at
        timeline = point.timeline if point else None
        prepare()
        if not self.names:
            self.names_errand.ask("names", lambda: acts.look(desk).catalog.restore_points)

        def read(text: str) -> Understood:
            return understand(text, site.zone, self.session.clock(), at, self.names)

        def understood(text: str) -> tuple[bool, str]:
            got = read(text)
            if got.kind == "time" and got.at is not None and got.at <= at:
                return False, f"{words.moment(got.at, site.zone)} is not later than where the server stands"
            return got.kind is not None, got.words

        def answer(text: str) -> None:
            target = to_target(read(text), timeline)
            if target is not None:
                self.act_errand.ask("replays on", lambda: acts.advance(desk, run, target))

        self.ask(Question("forward to", answer, understood, "a later time, +30 s, an LSN, xid 4711, a restore point"))

    def action_keep(self) -> None:
        self.app.pop_screen()

    def action_finish(self) -> None:
        acts, desk, run = self.session.acts, self.desk, self.run
        state = self._may("finish", "finish is for a run that waits at its gate")
        if state is None:
            return
        if state.reached is not None and not state.reached.proven:
            self.say("where replay stands is not proven, so it cannot be finished; x stops, the log tells more")
            return

        def go() -> None:
            self.act_errand.ask("finishing", lambda: acts.finish(desk, run))

        if state.plan.destination.kind != "in-place":
            go()
            return
        question = Question("", lambda _: go(), must_be(desk.site.name, "the copy takes production's place"))
        question.inline = True
        self.ask(question)

    def action_psql(self) -> None:
        state = self.seen.state if self.seen else None
        if state is None or state.host is None:
            self.say("no server of this run answers now")
            return
        acts, desk, run = self.session.acts, self.desk, self.run
        self.psql_errand.ask("psql", lambda: acts.prepare_psql(desk, run))
        self.say("connecting", "muted")

    def _hold_psql(self, answer: Answer) -> None:
        """Hand the terminal over to psql until the operator leaves it; where that cannot be, say why, and the command
        for another terminal."""
        if not self.is_current or self.question is not None:  # the operator has gone on meanwhile
            return
        error, psql, code = answer.error, answer.result, 0
        if error is None:
            try:
                with self.app.suspend():
                    print(f"psql on the server of {self.run}; \\q leads back to its screen.")
                    print(f"A statement ends after {psql.statement_timeout} s; SET statement_timeout lifts that.")
                    try:
                        code = self.session.acts.hold_psql(psql)
                    except RepriseError as known:  # inside: suspend() would not come back from it
                        error = known
            except SuspendNotSupported:
                error = RepriseError("this terminal cannot be handed over to psql")
            self.canvas.refresh()
        if error is None and code == 0:
            self.say("back from psql", "muted")
        else:
            state = self.seen.state if self.seen else None
            line = gate.psql_line(state, self.desk.site) if state else ""
            self.app.copy_to_clipboard(line)
            why = f"psql ended with exit code {code}" if error is None else error.message
            more = f": {error.cause}" if error and error.cause else ""
            self.say(f"{why}{more}; copied, for another terminal: {line}")
        self.poll()

    def action_resume(self) -> None:
        acts, desk, run = self.session.acts, self.desk, self.run
        self._act(
            "resume", "resumes", lambda: acts.resume(desk, run), "only a run that was interrupted or failed can resume"
        )

    def action_accept(self) -> None:
        acts, desk, run = self.session.acts, self.desk, self.run
        if self._may("resume", "only a run that was interrupted or failed can resume") is None:
            return
        wrong = self.seen.state.not_true if self.seen else ()
        if not wrong:
            self.say("no question of the site stopped this run; R resumes")
            return
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        question = Question(
            "to go on all the same, type accept:",
            lambda _: self.act_errand.ask("goes on", lambda: acts.resume(desk, run, accept_checks=True)),
            must_be("accept", f"although {wrong[0].finding}{more}"),
        )
        question.dangerous = True
        self.ask(question)

    def _typed(self, answer: str, word: str, said: str, act: Callable[[], object], why_not: str) -> None:
        if self._may(answer, why_not) is not None:
            question = Question(
                f"to go on, type {word}:", lambda _: self.act_errand.ask(said, act), must_be(word, said)
            )
            question.dangerous = True
            self.ask(question)

    def action_rollback(self) -> None:
        acts, desk, run = self.session.acts, self.desk, self.run
        said = "goes back to the state before; the newer cluster is set aside"
        self._typed(
            "rollback", "rollback", said, lambda: acts.rollback(desk, run), "this run has nothing to roll back now"
        )

    def action_discard(self) -> None:
        acts, desk, run = self.session.acts, self.desk, self.run
        state = self.seen.state if self.seen else None
        in_place = state is not None and state.plan.destination.kind == "in-place"
        said = "what was set aside is deleted for good" if in_place else "the copy is deleted for good"
        self._typed("discard", "discard", said, lambda: acts.discard(desk, run), "this run has nothing to delete now")

    def action_server(self) -> None:
        acts, desk, run = self.session.acts, self.desk, self.run
        state = self.seen.state if self.seen else None
        if state is not None and "start" in state.answers:
            self._act("start", "the copy's server starts", lambda: acts.start_server(desk, run), "")
        else:
            self._act(
                "stop", "the copy's server stops", lambda: acts.stop_server(desk, run), "no server of a side copy runs"
            )

    def action_application(self) -> None:
        acts, desk, run = self.session.acts, self.desk, self.run
        why = "only a finished restore in place is opened to its users"
        self._act("open", "opens the system to its users", lambda: acts.open_application(desk, run), why)

    def action_report(self) -> None:
        from tui.screens.report import ReportScreen

        state = self.seen.state if self.seen else None
        if state is not None:
            self.app.push_screen(ReportScreen(state))

    def action_log(self) -> None:
        self.large_log = not self.large_log
        self.repaint()

    def action_which_log(self) -> None:
        self.which = "engine" if self.which == "server" else "server"
        self.poll()

    def to_copy(self) -> str:
        state = self.seen.state if self.seen else None
        if state is not None and state.host is not None:
            return gate.psql_line(state, self.desk.site)
        return self.run

    def on_unmount(self) -> None:
        state = self.seen.state if self.seen else None
        if state is not None and state.outcome in LIVE and self.drilling is None:
            self.session.left_run = self.run

    def hints(self) -> Sequence[Hint]:
        state = self.seen.state if self.seen else None
        help_hint, log = self.hint("help", "help", "app.help"), self.hint("log", "log", "log")
        if state is None:
            return (self.hint("back", "back", "app.back"), help_hint)
        if state.outcome == "paused":
            return (
                self.hint("psql", "psql", "psql"),
                self.hint("forward", "forward", "forward"),
                self.hint("keep", "keep waiting", "keep"),
                self.hint("finish", "finish", "finish"),
                self.hint("stop", "stop", "stop"),
                help_hint,
            )
        if state.outcome == "running":
            hold = "go on" if state.held else "hold"
            leaving = "leave, it goes on" if self.drilling is None else "leave the drill"
            leave = self.hint("quit", leaving, "app.leave")
            here = running_step(state)
            what = {"inspect": "skip pages", "check-files": "skip the check"}.get(here.kind) if here else None
            skip = (self.hint("skip", what, "skip"),) if what is not None and "skip" in state.answers else ()
            return (log, self.hint("hold", hold, "hold"), *skip, leave, self.hint("stop", "stop", "stop"), help_hint)
        names = {"resume": "resume", "rollback": "roll back", "discard": "discard", "open": "open to users"}
        if state.checks_files:
            names = {"resume": "check again", "skip": "go on as it is", "rollback": "roll back"}
        ids = {"open": "application"}
        offered = [
            self.hint(ids.get(name, name), label, ids.get(name, name))
            for name, label in names.items()
            if name in state.answers
        ]
        if state.not_true:
            offered = [self.hint("psql", "psql", "psql"), *offered, self.hint("accept", "accept", "accept")]
            return (self.hint("report", "report", "report"), *offered[:4], help_hint)
        return (self.hint("report", "report", "report"), log, *offered[:3], help_hint)
