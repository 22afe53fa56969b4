"""How a run looks: its steps, how far the running one is, how it ended, the gate, the log."""

from typing import Literal

from msgspec import Struct

from engine.records.errors import RepriseError
from engine.records.runs import RunState
from tui.painting.grid import Grid
from tui.screens.base import Painted
from tui.widgets import gate
from tui.widgets.asked import paint_asked
from tui.widgets.frame import paint_rule
from tui.widgets.log import read_lines
from tui.widgets.progress import paint_ending, paint_progress
from tui.widgets.purpose import heading
from tui.widgets.steps import WIDEST, paint_steps, running_step

PANE = 150  # from this width on, what was asked for stands beside the run


class Seen(Struct, frozen=True):
    """How the run stood when it was last looked at."""

    state: RunState
    log: tuple[str, ...]
    which: str


class RunPicture(Painted):
    """Paints a run as it was seen last."""

    def __init__(self, run: str) -> None:
        super().__init__()
        self.run = run
        self.seen: Seen | None = None
        self.large_log = False
        self.which: Literal["server", "engine"] = "server"
        self.failure: RepriseError | None = None

    def paint(self, grid: Grid) -> None:
        zone = self.desk.site.zone
        seen = self.seen
        if seen is None:
            self.header(grid, f"run {self.run}")
            failed = self.failure.message if self.failure else ""
            grid.put(1, 2, failed or "reading the run …", "bad" if failed else "muted", grid.width - 1)
            return
        state = seen.state
        self.header(grid, heading(state, zone), "held" if state.held else "")
        room = grid.height - 3  # below the header's blank row, above the footer
        typed = self.question.line if self.question and self.question.inline else None
        if self.large_log and typed is None:  # what is typed shows where it belongs
            self._paint_log(grid, 2, room, seen)
            return
        if grid.width >= PANE:
            paint_asked(grid, WIDEST + 2, 2, grid.height - 2, state, zone)
        if state.outcome == "paused":
            rows = gate.height(state)
            y = paint_steps(grid, 2, max(1, min(len(state.steps), room - rows - 3)), state) + 1
            gate.paint_gate(grid, y, state, self.desk.site, zone, typed)
            self._paint_log(grid, y + rows, grid.height - y - rows - 1, seen)
            return
        below = 9 if grid.height < 30 else 14
        y = paint_steps(grid, 2, max(2, min(len(state.steps), room - below)), state)
        paint_rule(grid, y, 0, WIDEST + 2 if grid.width >= PANE else None)
        if state.outcome == "running":
            y = paint_progress(grid, y + 1, state, running_step(state), self.session.clock(), zone)
        else:
            y = paint_ending(grid, y + 1, state, 6, zone)
            if state.outcome == "completed" and state.host is not None:
                grid.put(1, y, "answers at", "muted")
                line = gate.psql_line(state, self.desk.site)
                y = gate.paint_psql(grid, 13, y, line, grid.width - 1)
        paint_rule(grid, y, 0, WIDEST + 2 if grid.width >= PANE else None)
        self._paint_log(grid, y + 1, grid.height - y - 2, seen)

    def _paint_log(self, grid: Grid, top: int, rows: int, seen: Seen) -> None:
        """The last lines of the log; its name before them where there is room."""
        stop = WIDEST if grid.width >= PANE and not self.large_log else grid.width - 1
        if rows <= 0:
            return
        y, x = top, 1
        name = f"{seen.which} log"
        if rows > 2:
            grid.put(1, top, name, "muted")
            path = seen.state.server_log if seen.which == "server" else f"{seen.state.folder}/engine.log"
            grid.put_cut(14, top, path or "", "faint", stop)
            y, rows = top + 1, rows - (2 if rows > 3 else 1)
        else:
            grid.put(1, top, name, "muted")
            x = 14
        lines = read_lines(seen.log, self.desk.site.zone)[-rows:] if rows > 0 else []
        if not lines:
            grid.put(x, y, "nothing yet", "faint")
        for number, read in enumerate(lines):
            end = grid.put(x, y + number, read.time, "faint", stop)
            if read.time:
                level = grid.put(end + 1, y + number, read.level, "bad" if read.loud else "faint", stop)
                end = level + 2 if read.level else end + 2
            grid.put_cut(end, y + number, read.text, "bad" if read.loud else "muted", stop)
