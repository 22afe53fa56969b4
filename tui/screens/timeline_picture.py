"""How the recovery timeline looks: axis, facts, panes, legend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta

from engine.records.history import TransactionEnd
from tui import words
from tui.axis import ruler
from tui.axis.lanes import Axis, Cursor, paint_axis
from tui.axis.layout import PLOT, Places
from tui.axis.scale import COMMITS, LEVELS, Columns
from tui.painting.grid import Grid
from tui.screens.timeline_asking import Aim, Looked, TimelineAsking
from tui.widgets import panes
from tui.widgets.facts import FactRows, paint_facts
from tui.widgets.frame import paint_rule


class TimelinePicture(TimelineAsking):
    """Paints what the timeline knows."""

    def paint(self, grid: Grid) -> None:
        where = self._places()
        view = self.looked.view if self.looked else None
        zone = self.desk.site.zone
        archived = ""
        if view and view.archived_to:
            day = (
                ""
                if (self.session.clock() - view.archived_to) < timedelta(hours=20)
                else words.day(view.archived_to, zone) + " "
            )
            archived = f"WAL archived to {day}{words.clock(view.archived_to, zone, fraction=False)}"
        version = f"PostgreSQL {view.server_version}" if view and view.server_version else ""
        if (reading := self.reading) is not None:
            archived = f"reading WAL {words.count(reading[0])} of {words.count(reading[1])} segments"
        found = len(view.catalog.problems) if view else 0
        key = self.hint("problems", "").key
        problems = f"{words.plural(found, 'problem', 'problems')}: {key}" if found else ""
        self.header(grid, version, archived, problems)
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
        zone, axis_rows = self.desk.site.zone, where.axis
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
        zone = self.desk.site.zone
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
                self.desk.site.zone,
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


def _wal_between(ends: Sequence[TransactionEnd]) -> list[int]:
    """WAL before each transaction end since the one before it: where something large was written. The square root of
    the bytes: one page image must not flatten all the others."""
    sizes = [0] * len(ends)
    for i in range(1, len(ends)):
        if ends[i].timeline == ends[i - 1].timeline:
            sizes[i] = math.isqrt(max(0, ends[i].end_lsn - ends[i - 1].end_lsn))
    return sizes
