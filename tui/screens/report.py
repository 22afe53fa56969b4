"""The report of a run: what was asked, what was reached and how that is known, every step, what to do by hand."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from textual.binding import BindingType

from engine.records.files import not_right
from engine.records.lsn import format_lsn
from engine.records.rows import told_rows
from engine.records.runs import LIVE, RunState
from tui import words
from tui.errands import Answer, Errand
from tui.painting.grid import Grid
from tui.screens.scrolled import Scrolled
from tui.widgets import gate
from tui.widgets.frame import Hint, paint_rule, wrapped
from tui.widgets.progress import paint_ending
from tui.widgets.purpose import INTO
from tui.widgets.rows import Row, paint_row


class ReportScreen(Scrolled):
    """The report of one run."""

    title_words = "report"
    BINDINGS: ClassVar[list[BindingType]] = []

    def __init__(self, state: RunState) -> None:
        super().__init__()
        self.state = state

    def begin(self) -> None:
        self.reading = Errand(self, "report")
        self.set_interval(1.0, self._tick)
        self._tick()

    def _tick(self) -> None:
        """A report that was opened while the run goes on is not left saying so."""
        acts, desk, run = self.session.acts, self.desk, self.state.run
        if self.is_current and not self.reading.busy and self.state.outcome in LIVE:
            self.reading.ask("report", lambda: acts.run_state(desk, run))

    def on_answer(self, answer: Answer) -> None:
        answer.stop()
        if answer.error is None:  # else it is read again in a second
            self.state = answer.result
        self.repaint()

    def paint(self, grid: Grid) -> None:
        self.header(grid, "report", self.state.run)
        zone = self.desk.site.zone
        y = paint_ending(grid, 2, self.state, 6, zone)
        if self.state.outcome == "completed" and self.state.host is not None:
            grid.put(1, y, "answers at", "muted")
            line = gate.psql_line(self.state, self.desk.site)
            y = gate.paint_psql(grid, 13, y, line, grid.width - 1)
        paint_rule(grid, y)
        for row_y, row in self.rows_in_sight(grid, self._rows(grid), y + 1, grid.height - 2):
            paint_row(grid, row_y, row)

    def _rows(self, grid: Grid) -> list[Row]:
        state, zone, g = self.state, self.desk.site.zone, grid.glyphs
        plan, point, room = state.plan, state.plan.point, grid.width - 1
        rows: list[Row] = [((1, "asked for", "muted"),)]
        if point is not None:
            for name, end in (("last kept", point.kept), ("first lost", point.lost)):
                if end is not None:
                    text = f"{words.second(end.at, zone)}  xid {end.xid}  {end.kind}  at {format_lsn(end.lsn)}"
                    rows.append(((3, name, "muted"), (16, text, "text")))
            lost = words.plural(point.lost_commits, "commit", "commits")
            if state.recovery is not None and state.recovery.rpo_seconds is not None:
                lost += f", {words.duration(state.recovery.rpo_seconds)} of work"
            rows.append(((3, "lost", "muted"), (16, lost, "text")))
            chain = " + ".join(backup.id for backup in point.chain)
            rows.append(((3, "from", "muted"), (16, chain, "text")))
        if (files := plan.files) is not None:
            rows.append(((3, "from", "muted"), (16, ", ".join(each.id for each in files.snapshots), "text")))
            if files.only is not None:
                rows.append(((3, "only", "muted"), (16, files.only, "text")))
        rows.append(((3, "into", "muted"), (16, f"{INTO[plan.destination.kind]} {plan.destination.path}", "text")))
        if state.recovery is not None and state.recovery.rto_seconds is not None:
            took = words.duration(state.recovery.rto_seconds)
            took += f", and {words.duration(state.waited)} of waiting for answers" if state.waited >= 1 else ""
            rows.append(((3, "back in", "muted"), (16, took, "text")))
        reached = state.reached
        if reached is not None and point is not None and reached.lsn > point.gate:
            text = f"at the gate, replay went on to {format_lsn(reached.lsn)}"
            rows.append(((3, "then", "muted"), (16, text, "text")))
        if reached is not None and reached.finding:
            first, *more = wrapped(reached.finding, room - 16)
            rows.append(((3, "proof", "muted"), (16, first, "text")))
            rows += [((16, line, "text"),) for line in more]
            if state.outcome == "rolled-back":
                rows.append(((16, "taken back since: nothing of it is left in use", "warn"),))
        if state.files:
            rows += [(), ((1, "users' files", "muted"),), *_files(grid, state.files, room, state)]
        rows.append(())
        rows.append(((1, "steps", "muted"), (-14, "amount", "muted"), (-1, "time", "muted")))
        signs = {
            "done": (g.ok, "ok"),
            "failed": (g.bad, "bad"),
            "to do": (g.todo, "muted"),
            "undone": (g.left, "muted"),
        }
        for number, step in enumerate(state.steps, 1):
            sign, role = signs.get(step.outcome, (g.now, "accent"))
            cells: list[tuple[int, str, str]] = [(1, sign, role), (3, f"{number:>2} {step.title}", "text")]
            cells.append((-26, step.outcome if step.outcome != "done" else "", "muted"))
            if step.bytes:
                cells.append((-14, words.size(step.bytes), "muted"))
            if step.seconds is not None:
                cells.append((-1, words.duration(step.seconds), "text"))
            rows.append(tuple(cells))
        rows.append(())
        rows.append(((1, "checks", "muted"),))
        known = [check for check in plan.checks if not state.checks or (check.ok is not True and check.level != "info")]
        for check in sorted((*known, *state.checks), key=lambda check: check.ok is True):
            sign, role = (g.ok, "ok") if check.ok else (g.bad, "bad") if check.refuses else (g.warn, "warn")
            if check.ok is not True and check.level == "info":
                sign, role = g.todo, "muted"
            first, *more = wrapped(check.finding, room - 24)
            rows.append(((1, sign, role), (3, check.name, "text"), (24, first, "muted")))
            rows += [((24, line, "muted"),) for line in more]
            if check.remedy and check.ok is not True:
                rows += [((24, line, "text"),) for line in wrapped(check.remedy, room - 24)]
        if state.notes:
            rows += [(), ((1, "to do by hand, and to know", "muted"),)]
            for note in state.notes:
                words_of_it = "  ".join(str(value) for value in note.values())
                rows += [((3, line, "text"),) for line in wrapped(words_of_it, room - 3)]
        rows += [(), ((1, "kept in", "muted"), (13, state.folder, "faint"))]
        return rows

    def to_copy(self) -> str:
        return f"{self.state.folder}/report.md"

    def hints(self) -> Sequence[Hint]:
        return (
            Hint(self.session.glyphs.up_down, "scroll"),
            self.hint("copy", "copy its file's name", "app.copy"),
            self.hint("back", "back", "app.back"),
            self.hint("help", "help", "app.help"),
        )


def _files(grid: Grid, files: Mapping[str, Any], room: int, state: RunState) -> Iterator[Row]:
    """What came of the users' files, or will: counts, what else is to know, and by name what nobody has."""
    g, count = grid.glyphs, words.count
    copied, moved = (("" if state.has_done(kind) else "to be ") for kind in ("copy-files", "swap-files"))
    told = (
        f"{count(files['copied'])} {copied}copied, {words.size(files['bytes'])}; {count(files['kept'])} right already"
    )
    if files["out"]:
        told += f"; {count(files['out'])} {moved}moved out, {words.size(files.get('out_bytes', 0))}"
    yield ((3, told, "text"),)
    for finding in files["findings"]:
        first, *more = wrapped(finding, room - 3)
        yield ((1, g.warn, "warn"), (3, first, "text"))
        yield from (((3, line, "text"),) for line in more)
    if amiss := not_right(files):
        yield ((1, g.bad, "bad"), (3, f"{count(amiss)} missing or wrong when they were checked last", "bad"))
        yield from _named(files["check"]["sample"], room)
    if files["unrecoverable"]:
        rows = words.plural(files["unrecoverable_rows"], "row refers", "rows refer")
        yield ((1, g.bad, "bad"), (3, f"{count(files['unrecoverable'])} cannot be brought back; {rows} to them", "bad"))
        yield from _named(files["unrecoverable_sample"], room)
        if note := files.get("unrecoverable_note"):
            yield from (((5, line, "muted"),) for line in wrapped(note, room - 5))
        if (more := files["unrecoverable"] - len(files["unrecoverable_sample"])) > 0:
            yield ((5, f"and {count(more)} more: reprise files lost {state.run}", "muted"),)


def _named(files: Sequence[Mapping[str, Any]], room: int) -> Iterator[Row]:
    """Files by name, why they are told, and the rows that refer to them."""
    for each in files:
        for number, line in enumerate(wrapped(f"{each['path']}: {each['why']}", room - 5)):
            yield ((5 if number == 0 else 7, line, "text"),)
        if told := told_rows(each.get("row_samples", ()), each.get("rows", 0)):
            yield from (((7, line, "muted"),) for line in wrapped(told, room - 7))
