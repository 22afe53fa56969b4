"""Moving the cut along the history: by columns, commits and events, to a reachable edge, to another line."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from tui.axis import scale
from tui.axis.layout import PLOT
from tui.axis.scale import COMMITS
from tui.screens.timeline_asking import Aim
from tui.screens.timeline_picture import TimelinePicture

_EDGE = 6  # the view scrolls only within so many columns of an edge


class TimelineMoving(TimelinePicture):
    """Moves the cursor."""

    def set_aim(self, aim: Aim, col: int | None = None) -> None:
        """Aim there; the view scrolls as little as it must. ``col``: the column that the cursor shall keep."""
        looked = self.looked
        if looked is None or aim.line not in looked.scene.spans:
            return
        self.wanted, self.seeking = None, False
        first, last = looked.scene.spans[aim.line]
        if not aim.behind and not aim.lsn:
            aim = replace(aim, at=min(max(aim.at, first), last), end=aim.end or aim.at >= last)
        n = self._places().right - PLOT
        zone = self.desk.site.zone
        if col is None and self.aim is not None and self.level != COMMITS:
            moved = scale.column_of(self.level, aim.at, zone) - scale.column_of(self.level, self.aim.at, zone)
            col = self.col + moved
            col = self.col if abs(moved) > 2 * n else col
        margin = min(_EDGE, n // 4)
        self.col = max(0, min(max(self.col if col is None else col, margin), n - 1 - margin))
        self.aim = aim
        self.seek_meaning()
        self.repaint()

    def action_move(self, columns: int) -> None:
        if self.aim is None or self.looked is None:
            return
        if self.level == COMMITS:
            self._move_commits(columns)
            return
        at = scale.step(self.level, self.aim.at, columns, self.desk.site.zone)
        self.set_aim(Aim(self.aim.line, at))

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
        self.set_aim(Aim(self.aim.line, end.at, behind=end), self.col + goal - here)

    def action_page(self, pages: int) -> None:
        n = self._places().right - PLOT
        self.action_move(pages * max(1, n - 2 * _EDGE))

    def action_edge(self, which: str) -> None:
        if self.aim is not None and self.looked is not None and self.aim.line in self.looked.scene.spans:
            first, last = self.looked.scene.spans[self.aim.line]
            self.set_aim(Aim(self.aim.line, first if which == "first" else last, end=which == "last"))

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
        self.set_aim(Aim(self.aim.line, at, lsn=exact))

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
            self.set_aim(Aim(self.aim.line, edge.at, behind=edge))
        else:  # the cut in front of it, and a label from before it
            at = edge.at - timedelta(microseconds=1)
            self.set_aim(Aim(self.aim.line, at, lsn=(edge.timeline, edge.lsn)))

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
        self.set_aim(Aim(others[0], self.aim.at))
