"""The recovery timeline: the start screen. Moves a cut along the cluster's history and says what it means."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import ClassVar

from textual.binding import BindingType

from engine.acts import Moment, View
from engine.records.history import TransactionEnd
from engine.records.lsn import format_lsn
from engine.records.runs import RunState
from engine.records.target import RecoveryTarget
from tui import words
from tui.axis import cuts, ruler, scale
from tui.axis.cuts import Cut, Line
from tui.axis.lanes import Axis, Cursor, paint_axis
from tui.axis.layout import PLOT, Places, places
from tui.axis.scale import COMMITS, LEVELS, Columns
from tui.axis.scene import Scene, build_scene, lines_of
from tui.errands import Answer, Errand
from tui.keys import bind
from tui.moments import Understood, prepare, understand
from tui.painting.grid import Grid
from tui.screens.base import Painted
from tui.widgets import panes
from tui.widgets.facts import FactRows, paint_facts
from tui.widgets.frame import Hint, paint_rule
from tui.widgets.question import Question

_EDGE = 6  # the view scrolls only within so many columns of an edge


@dataclass(frozen=True, slots=True)
class Aim:
    """Where the operator wants to be: an instant on a line, or exactly behind a transaction end, or at an LSN."""

    line: int
    at: datetime
    behind: TransactionEnd | None = None
    lsn: tuple[int, int] | None = None  # timeline and LSN
    end: bool = False  # the end of the line, wherever that is by now


@dataclass(frozen=True, slots=True)
class Found:
    """What the index says about an aim: the cut, what it means, its neighbours, and commits per column."""

    cut: Cut
    moment: Moment
    kept: tuple[TransactionEnd, ...]
    lost: tuple[TransactionEnd, ...]
    counts: dict[int, int]
    counts_key: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Looked:
    view: View
    scene: Scene
    windows: tuple[panes.WindowRow, ...]
    runs: tuple[RunState, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Sought:
    """What the index is being asked for."""

    looked: Looked
    aim: Aim


class TimelineScreen(Painted):
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
        bind("plan", "plan"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.looked: Looked | None = None
        self.level = 3
        self.col: int = -1
        self.aim: Aim | None = None
        self.found: Found | None = None
        self.found_for: Aim | None = None
        self.counts: dict[int, int] = {}
        self.counts_key: tuple[int, int] = (-1, -1)
        self.late = False  # the answer for the aim takes its time
        self.reading: tuple[int, int] | None = None
        self.failure: str | None = None
        self.plan_wanted = False
        self.offered_run = False

    def begin(self) -> None:
        self.look_errand = Errand(self, "look")
        self.read_errand = Errand(self, "read")
        self.find_errand = Errand(self, "find")
        self.seek_errand = Errand(self, "seek")
        self.repaint()
        self.look_again()
        self.read_wal()
        if self.reprise.problems:
            self.say(f"{self.reprise.glyphs.warn} {self.reprise.problems[0]}")

    # Asking

    def look_again(self) -> None:
        acts, desk, clock = self.reprise.acts, self.reprise.desk, self.reprise.clock

        def work() -> Looked:
            view = acts.look(desk)
            scene = build_scene(view.catalog, lines_of(view.histories), view.spans, view.live_timeline, clock())
            return Looked(view, scene, tuple(panes.merge_windows(view.windows)), tuple(acts.runs(desk)))

        self.look_errand.ask("look", work)

    def read_wal(self) -> None:
        """Bring the index up to date; what is known already is shown meanwhile."""
        acts, desk, app = self.reprise.acts, self.reprise.desk, self.reprise
        last = [app.clock()]

        def progress(done: int, total: int) -> None:
            now = app.clock()
            if now - last[0] >= timedelta(seconds=1):
                last[0] = now
                self.post_message(Answer(self.read_errand, "progress", (done, total), None))

        self.read_errand.ask("read", lambda: acts.read_archive(desk, progress, lambda: not app.is_running))

    def seek_meaning(self) -> None:
        looked, aim = self.looked, self.aim
        if looked is None or aim is None or aim.line not in looked.scene.lines:
            return
        line = looked.scene.lines[aim.line]
        where = self._places()
        n = where.right - PLOT
        wanted = self._wanted_columns(aim, n)
        around = n if self.level == COMMITS else max(10, where.height // 2)
        acts, desk, key = self.reprise.acts, self.reprise.desk, (aim.line, self.level)
        zone = desk.site.zone
        level = self.level

        def work() -> Found:
            cut = _cut(line, aim)
            moment = acts.moment(desk, looked.view, cut.timeline, cut.gate)
            kept, lost = cuts.ends_around(line, cut, around, around)
            counts: dict[int, int] = {}
            if wanted is not None:
                first, count = wanted
                edges = scale.time_columns(level, first, count, zone).edges
                counts = dict(enumerate(cuts.densities(line, edges), first))
            return Found(cut, moment, tuple(kept), tuple(lost), counts, key)

        self.find_errand.ask(Sought(looked, aim), work)
        self.set_timer(0.3, self._mark_late)

    def _mark_late(self) -> None:
        if self.aim is not self.found_for and not self.late:
            self.late = True
            self.repaint()

    def _wanted_columns(self, aim: Aim, n: int) -> tuple[int, int] | None:
        """The columns on screen whose commits are not counted yet, with a screen's half on either side."""
        if self.level == COMMITS:
            return None
        first = self._first_column(aim)
        if self.counts_key != (aim.line, self.level):
            self.counts, self.counts_key = {}, (aim.line, self.level)
        if all(column in self.counts for column in range(first, first + n)):
            return None
        return first - n // 2, 2 * n

    def _first_column(self, aim: Aim) -> int:
        return scale.column_of(self.level, aim.at, self.reprise.desk.site.zone) - self.col

    def on_answer(self, answer: Answer) -> None:
        answer.stop()
        if answer.errand is self.read_errand:
            self._on_read(answer)
        elif answer.errand is self.look_errand:
            self._on_looked(answer)
        elif answer.errand is self.seek_errand:
            self._on_sought(answer)
        else:
            self._on_found(answer)

    def _on_read(self, answer: Answer) -> None:
        if answer.error is not None:
            self.reading = None
            self.say_error(answer.error)
        else:
            self.reading = answer.result if answer.ask == "progress" else None
        self.look_again()

    def _on_looked(self, answer: Answer) -> None:
        if answer.error is not None:
            self.failure = answer.error.message
            self.say_error(answer.error)
            return
        first = self.looked is None or not self.looked.scene.lines
        self.looked, self.failure = answer.result, None
        self.counts = {}
        if first or self.aim is None or self.aim.line not in self.looked.scene.lines:
            self._start_position(self.looked.scene)
        self.seek_meaning()
        if not self.offered_run:
            self.offered_run = True
            self._offer_run(self.looked.runs)
        self.repaint()

    def _on_found(self, answer: Answer) -> None:
        if answer.error is not None:
            self.say_error(answer.error)
            return
        found: Found = answer.result
        asked = answer.ask
        if not isinstance(asked, Sought) or asked.looked is not self.looked:
            return
        if found.counts_key == self.counts_key:
            self.counts.update(found.counts)
        if asked.aim is not self.aim:  # overtaken by a later key
            self.repaint()
            return
        aim = asked.aim
        self.found, self.late = found, False
        if aim.at != found.cut.at and (aim.end or aim.behind or found.cut.lost is None):
            aim = replace(aim, at=found.cut.at)
        self.aim = self.found_for = aim
        self.repaint()
        if self.plan_wanted:
            self.plan_wanted = False
            self.action_plan()

    def _start_position(self, scene: Scene) -> None:
        n = self._places().right - PLOT
        if scene.live not in scene.lines:
            return
        first, last = scene.spans.get(scene.live, (scene.start, scene.stop))
        if self.aim is None:
            self.level = scale.level_for(last - min(first, scene.start), n)
        self.col = max(0, n - 1 - max(3, n // 8)) if self.col < 0 else self.col
        self.aim = Aim(scene.live, last, end=True)

    def _offer_run(self, runs: Sequence[RunState]) -> None:
        live = [run for run in runs if run.outcome in ("running", "paused")]
        if not live or self.question is not None:
            return
        run = live[0]
        state = "waits at its gate" if run.outcome == "paused" else "goes on"
        what = f"{run.run} {state}; Enter shows it, Esc stays here"

        def answer(text: str) -> None:
            if text.strip().lower() not in ("n", "no"):
                self.show_run(run.run)

        self.ask(Question("attach?", answer, lambda text: (True, what)))

    def show_run(self, run: str) -> None:
        from tui.screens.run import RunScreen

        self.app.push_screen(RunScreen(run))

    # Moving

    def _places(self) -> Places:
        return places(self.size.width or 80, self.size.height or 24)

    def _set_aim(self, aim: Aim, col: int | None = None) -> None:
        """Aim there; the view scrolls as little as it must. ``col``: the column that the cursor shall keep."""
        looked = self.looked
        if looked is None or aim.line not in looked.scene.spans:
            return
        first, last = looked.scene.spans[aim.line]
        if not aim.behind and not aim.lsn:
            aim = replace(aim, at=min(max(aim.at, first), last), end=aim.end or aim.at >= last)
        n = self._places().right - PLOT
        zone = self.reprise.desk.site.zone
        if col is None and self.aim is not None and self.level != COMMITS:
            moved = scale.column_of(self.level, aim.at, zone) - scale.column_of(self.level, self.aim.at, zone)
            col = self.col + moved
            col = self.col if abs(moved) > 2 * n else col
        margin = min(_EDGE, n // 4)
        self.col = min(max(self.col if col is None else col, margin), n - 1 - margin)
        self.aim = aim
        self.seek_meaning()
        self.repaint()

    def action_move(self, columns: int) -> None:
        if self.aim is None or self.looked is None:
            return
        if self.level == COMMITS:
            self._move_commits(columns)
            return
        at = scale.step(self.level, self.aim.at, columns, self.reprise.desk.site.zone)
        self._set_aim(Aim(self.aim.line, at))

    def _move_commits(self, steps: int) -> None:
        found = self.found
        if found is None or self.aim is None:
            return
        ends = [*found.kept, *found.lost]
        here = len(found.kept) - 1
        if self.aim is not self.found_for and self.aim.behind in ends:  # the index has not caught up with the keys
            here = ends.index(self.aim.behind)
        goal = min(max(here + steps, 0), len(ends) - 1)
        if not ends or goal == here:
            return
        end = ends[goal]
        self._set_aim(Aim(self.aim.line, end.at, behind=end), self.col + goal - here)

    def action_page(self, pages: int) -> None:
        n = self._places().right - PLOT
        self.action_move(pages * max(1, n - 2 * _EDGE))

    def action_edge(self, which: str) -> None:
        if self.aim is not None and self.looked is not None and self.aim.line in self.looked.scene.spans:
            first, last = self.looked.scene.spans[self.aim.line]
            self._set_aim(Aim(self.aim.line, first if which == "first" else last, end=which == "last"))

    def action_zoom(self, by: int) -> None:
        """Neither the instant nor the cursor's column changes."""
        level = min(max(self.level + by, 0), COMMITS)
        if level == self.level or self.aim is None:
            self.say("this is as close as it gets" if by > 0 else "this is as far away as it gets", "muted")
            return
        self.level = level
        self.seek_meaning()
        self.repaint()

    def action_event(self, direction: int) -> None:
        """Land exactly on the next backup, snapshot, dump, restore point, fork, or end."""
        if self.looked is None or self.aim is None:
            return
        scene, here = self.looked.scene, self.aim.at
        events: list[tuple[datetime, tuple[int, int] | None]] = []
        numbers = {piece.timeline for piece in scene.lines[self.aim.line].pieces}
        for mark in scene.marks:
            exact = mark.exact if mark.timeline in numbers else None
            events.append((mark.at, exact))
        events += [(lane.fork_at, None) for lane in scene.lanes.values() if lane.fork_at]
        first, last = scene.spans[self.aim.line]
        events = sorted({*events, (first, None), (last, None)}, key=lambda event: event[0])
        beyond = [event for event in events if (event[0] > here if direction > 0 else event[0] < here)]
        beyond = [event for event in beyond if first <= event[0] <= last]
        if not beyond:
            self.say("no further event" if direction > 0 else "no earlier event", "muted")
            return
        at, exact = beyond[0] if direction > 0 else beyond[-1]
        self._set_aim(Aim(self.aim.line, at, lsn=exact))

    def action_reach(self, side: str) -> None:
        moment = self.found.moment if self.found and self.aim is self.found_for else None
        if moment is None or self.aim is None:
            return
        if moment.reachable:
            self.say("this moment is reachable; b and a lead out of moments that are not", "muted")
            return
        edge = moment.before if side == "before" else moment.after
        if edge is None:
            self.say(f"nothing reachable lies {side} this moment", "muted")
            return
        if side == "before":
            self._set_aim(Aim(self.aim.line, edge.at, behind=edge))
        else:  # the cut in front of it, and a label from before it
            at = edge.at - timedelta(microseconds=1)
            self._set_aim(Aim(self.aim.line, at, lsn=(edge.timeline, edge.lsn)))

    def action_next_line(self) -> None:
        """The next timeline that holds this moment."""
        if self.looked is None or self.aim is None:
            return
        holding = self.looked.scene.holding(self.aim.at)
        others = [line for line in holding if line > self.aim.line] or [
            line for line in holding if line != self.aim.line
        ]
        if not others:
            self.say("no other timeline holds this moment", "muted")
            return
        self._set_aim(Aim(others[0], self.aim.at))

    def action_go_to(self) -> None:
        if self.looked is None or self.aim is None:
            return
        site = self.reprise.desk.site
        names = tuple(mark.name for mark in self.looked.scene.points)
        cursor_at, now = self.aim.at, self.reprise.clock()

        def read(text: str) -> Understood:
            return understand(text, site.zone, now, cursor_at, names)

        def understood(text: str) -> tuple[bool, str]:
            got = read(text)
            return got.kind is not None, got.words

        prepare()
        hint = "14:03, yesterday 18:00, an LSN, xid 4711, a restore point"
        self.ask(Question("go to", lambda text: self._go(read(text)), understood, hint))

    def _go(self, wanted: Understood) -> None:
        if self.looked is None or self.aim is None:
            return
        scene, line = self.looked.scene, self.aim.line
        if wanted.kind == "time" and wanted.at is not None:
            first, last = scene.spans[line]
            if not first <= wanted.at <= last:
                edge = "before the first commit" if wanted.at < first else "later than the last archived commit"
                self._set_aim(Aim(line, wanted.at))
                self.say(
                    f"{words.second(wanted.at, self.reprise.desk.site.zone)} is {edge}; this is the nearest moment"
                )
                return
            self._set_aim(Aim(line, wanted.at))
        elif wanted.kind == "name":
            mark = [mark for mark in scene.points if mark.name == wanted.name][-1]
            own = {piece.timeline for piece in scene.lines[line].pieces}
            if mark.timeline is not None and mark.timeline not in own and mark.timeline in scene.lines:
                line = mark.timeline
            self._set_aim(Aim(line, mark.at, lsn=mark.exact))
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

        self.seek_errand.ask("seek", work)

    def _on_sought(self, answer: Answer) -> None:
        if answer.error is not None:
            self.say_error(answer.error)
            return
        what, cut = answer.result
        if cut is None:
            self.say(f"{what} is not in the archived WAL")
        else:
            self._set_aim(Aim(cut.line, cut.at, lsn=(cut.timeline, cut.gate)))

    def action_read_again(self) -> None:
        self.say("reading again", "muted")
        self.read_wal()

    def action_plan(self) -> None:
        if self.aim is None or self.looked is None:
            return
        if self.found is None or self.aim is not self.found_for:
            self.plan_wanted = True
            return
        moment, cut = self.found.moment, self.found.cut
        if not moment.reachable:
            self.say("this moment cannot be reached; b and a go to the nearest ones that can")
            return
        if cut.lost is None and cut.line == self.looked.scene.live:
            target = RecoveryTarget("latest", timeline=cut.timeline)
        elif cut.kept is not None and cut.gate == cut.kept.end_lsn:
            target = RecoveryTarget("lsn", lsn=cut.kept.lsn, timeline=cut.timeline)
        else:
            target = RecoveryTarget("lsn", lsn=cut.gate, exclusive=True, timeline=cut.timeline)
        from tui.screens.plan import PlanScreen

        self.app.push_screen(PlanScreen(target, self.aim.at))

    def clicked(self, x: int, y: int, wheel: int) -> None:
        where = self._places()
        if wheel:
            self.action_zoom(-wheel)
        elif PLOT <= x < where.right and y <= where.axis.rule:
            self.action_move(x - PLOT - self.col)

    def to_copy(self) -> str:
        if self.found is None or self.aim is None:
            return ""
        zone, cut = self.reprise.desk.site.zone, self.found.cut
        stamp = cut.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return f"{words.moment(cut.at, zone)}  {stamp}  lsn {format_lsn(cut.gate)}  timeline {cut.timeline}"

    # Painting

    def columns(self, n: int) -> Columns | None:
        """The columns on screen."""
        if self.aim is None:
            return None
        if self.level != COMMITS:
            return scale.time_columns(self.level, self._first_column(self.aim), n, self.reprise.desk.site.zone)
        found = self.found
        if found is None:
            return None
        ends = [*found.kept, *found.lost]
        here = len(found.kept) - 1
        if self.aim is not self.found_for and self.aim.behind in ends:
            here = ends.index(self.aim.behind)
        start = max(0, here - self.col)
        return scale.commit_columns(ends[start : here + n - self.col], self.col - (here - start))

    def paint(self, grid: Grid) -> None:
        where = self._places()
        view = self.looked.view if self.looked else None
        zone = self.reprise.desk.site.zone
        archived = ""
        if view and view.archived_to:
            day = (
                ""
                if (self.reprise.clock() - view.archived_to) < timedelta(hours=20)
                else words.day(view.archived_to, zone) + " "
            )
            archived = f"WAL archived to {day}{words.clock(view.archived_to, zone, fraction=False)}"
        version = f"PostgreSQL {view.server_version}" if view and view.server_version else ""
        if (reading := self.reading) is not None:
            archived = f"reading WAL {words.count(reading[0])} of {words.count(reading[1])} segments"
        self.header(grid, version, archived)
        if (y := where.row("top rule")) is not None:
            paint_rule(grid, y)
        axis = where.axis
        paint_rule(grid, axis.rule, 0, where.main)
        if self.looked is None or self.aim is None or not self.looked.scene.lines:
            self._paint_nothing(grid, where)
            return
        self._paint_main(grid, where, self.looked, self.aim)
        if where.main < where.width:
            self._paint_pane(grid, where, self.aim)
        if (y := where.row("legend")) is not None:
            self._paint_legend(grid, y, where.main)

    def _paint_nothing(self, grid: Grid, where: Places) -> None:
        y = where.rows["verdict"]
        if self.failure:
            grid.parts(1, y, (grid.glyphs.bad, "bad"), (self.failure, "text"), gap=1)
        elif self.looked is None or self.reading is not None or self.read_errand.busy:
            grid.put(1, y, "reading what there is …", "muted")
        else:
            grid.parts(
                1, y, (grid.glyphs.warn, "warn"), ("no WAL was found in the repositories of this site", "text"), gap=1
            )
            if problems := self.looked.view.catalog.problems:
                grid.put(12, y + 1, f"{problems[0].where}: {problems[0].what}", "muted", grid.width - 1)

    def _paint_main(self, grid: Grid, where: Places, looked: Looked, aim: Aim) -> None:
        zone, axis_rows = self.reprise.desk.site.zone, where.axis
        n = where.right - PLOT
        columns = self.columns(n)
        current = aim is self.found_for
        found = self.found
        if (y := where.row("title")) is not None and columns is not None:
            self._paint_title(grid, y, where, columns)
        if columns is not None and columns.edges:
            ruler.paint_ruler(
                grid, columns, (PLOT, where.right), (axis_rows.labels, axis_rows.ticks), zone, looked.scene.now
            )
            point = found.moment.point if found else None
            cursor = Cursor(
                PLOT + self.col,
                found.cut.timeline if found else aim.line,
                tuple(backup.id for backup in point.chain) if point else (),
                tuple(snapshot.id for snapshot in point.media) if point else (),
            )
            if self.level == COMMITS:
                counts = _wal_between(columns.ends)
            else:
                first = self._first_column(aim)
                counts = [self.counts.get(first + i, 0) for i in range(n)]
            paint_axis(Axis(grid, looked.scene, columns, PLOT, where.right, axis_rows, zone, cursor, counts))
        rows = FactRows(
            where.rows["verdict"], where.rows["kept"], where.rows["lost"], where.row("source"),
            where.row("replay"), where.row("media fact"), where.row("takes"),
        )  # fmt: skip
        stop = where.main - 1
        stale = not current and self.late
        paint_facts(grid, rows, stop, found.moment if found else None, aim.at, looked.scene, zone, stale=stale)
        panes.paint_windows(grid, where.several("windows"), stop, looked.windows, looked.scene, zone)
        lost = found.moment.point.lost_commits if found and found.moment.point else None
        panes.paint_events(grid, where.several("events"), stop, looked.scene, aim.at, lost, zone)

    def _paint_title(self, grid: Grid, y: int, where: Places, columns: Columns) -> None:
        g, stop = grid.glyphs, where.main - 1
        zone = self.reprise.desk.site.zone
        gauge = 6 + len(LEVELS) + 7
        room = stop - 1 - (gauge + 2 if stop > 70 else 0)
        end = grid.put(1, y, ruler.window_title(columns, zone, room - 22), "text", stop)
        scale_words = f"1 column = {LEVELS[self.level].name}"
        if end + 3 + len(scale_words) <= stop:
            end = grid.put(end + 3, y, scale_words, "muted", stop)
        start = stop - (5 + len(LEVELS) + 7)
        if start > end + 1:
            x = grid.put(start, y, "year ", "faint")
            for level in range(len(LEVELS)):
                mark = level == self.level
                x = grid.put(x, y, g.gauge_mark if mark else g.gauge, "accent" if mark else "faint")
            grid.put(x, y, " commit", "faint")

    def _paint_pane(self, grid: Grid, where: Places, aim: Aim) -> None:
        g = grid.glyphs
        top = where.row("top rule")
        first = 0 if top is None else top
        last = (where.row("legend") or where.height - 1) - 1
        for y in range(first, last + 1):
            grid.put(where.main, y, g.wall, "faint")
        if top is not None:
            grid.put(where.main, top, g.tee_down, "faint")
        grid.put(where.main, where.axis.rule, g.tee_left, "faint")
        if self.found is not None:
            panes.paint_commits(
                grid,
                where.main + 2,
                first + 1,
                last + 1,
                self.found.kept,
                self.found.lost,
                aim.at,
                self.reprise.desk.site.zone,
            )

    def _paint_legend(self, grid: Grid, y: int, stop: int) -> None:
        g = grid.glyphs
        x = 1
        for sign, role, word in (
            (g.reachable, "text", "reachable"),
            (g.left, "muted", "left behind"),
            (g.no_backup, "warn", "no backup yet"),
            (g.missing, "bad", "missing/damaged"),
            (g.full, "text", "full"),
            (g.incremental, "muted", "incr"),
        ):
            if x + 2 + len(word) >= stop:
                return
            x = grid.put(grid.put(x, y, sign, role) + 1, y, word, "faint") + 2

    def hints(self) -> Sequence[Hint]:
        g = self.reprise.glyphs
        keys = self.reprise.settings.keys
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


def _cut(line: Line, aim: Aim) -> Cut:
    if aim.behind is not None:
        return cuts.cut_behind(line, aim.behind)
    if aim.lsn is not None:
        return cuts.cut_at_lsn(line, *aim.lsn, at=aim.at)
    cut = cuts.cut_at_end(line) if aim.end else cuts.cut_at_time(line, aim.at)
    if cut is None:
        raise ValueError("the line holds no transaction end")
    return cut


def _timeline_of(line: Line, lsn: int) -> int:
    """The timeline of a line that holds this LSN."""
    return next((piece.timeline for piece in line.pieces if piece.low <= lsn < piece.high), line.timeline)


def _wal_between(ends: Sequence[TransactionEnd]) -> list[int]:
    """WAL before each transaction end since the one before it: where something large was written. The square root of
    the bytes: one page image must not flatten all the others."""
    sizes = [0] * len(ends)
    for i in range(1, len(ends)):
        if ends[i].timeline == ends[i - 1].timeline:
            sizes[i] = math.isqrt(max(0, ends[i].end_lsn - ends[i - 1].end_lsn))
    return sizes
