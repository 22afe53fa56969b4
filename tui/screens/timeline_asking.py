"""What the recovery timeline asks the index, in the background, and what it holds of the answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from engine.records.history import TransactionEnd
from tui.axis import cuts, scale
from tui.axis.cuts import Cut, Line
from tui.axis.layout import PLOT, Places, places
from tui.axis.scale import COMMITS, Columns
from tui.axis.scene import Scene, build_scene, lines_of
from tui.errands import Answer, Errand
from tui.screens.base import Painted
from tui.widgets import panes

if TYPE_CHECKING:
    from engine.acts import Moment, View
    from engine.records.runs import RunState

READING = "reading again"


class Aim(Struct, frozen=True):
    """Where the operator wants to be: an instant on a line, or exactly behind a transaction end, or at an LSN."""

    line: int
    at: datetime
    behind: TransactionEnd | None = None
    lsn: tuple[int, int] | None = None  # timeline and LSN
    end: bool = False  # the end of the line, wherever that is by now


class Found(Struct, frozen=True):
    """What the index says about an aim: the cut, what it means, its neighbours, and commits per column."""

    cut: Cut
    moment: Moment
    kept: tuple[TransactionEnd, ...]
    lost: tuple[TransactionEnd, ...]
    counts: dict[int, int]
    counts_key: tuple[int, int]


class Looked(Struct, frozen=True):
    view: View
    scene: Scene
    windows: tuple[panes.WindowRow, ...]
    runs: tuple[RunState, ...]


class Sought(Struct, frozen=True, eq=False):
    """What the index is being asked for."""

    looked: Looked
    aim: Aim


class TimelineAsking(Painted):
    """The timeline's state: where the cursor is aimed, what is known of that moment, which columns are counted."""

    def __init__(self) -> None:
        super().__init__()
        self.looked: Looked | None = None
        self.level = 3
        self.col: int = -1
        self.squeezed = -1, -1  # the cursor's column before the terminal became too narrow for it, and its present one
        self.aim: Aim | None = None
        self.found: Found | None = None
        self.found_for: Aim | None = None
        self.counts: dict[int, int] = {}
        self.counts_key: tuple[int, int] = (-1, -1)
        self.recount = False  # what is known of commits per column is old
        self.late = False  # the answer for the aim takes its time
        self.reading: tuple[int, int] | None = None
        self.failure: str | None = None
        self.seeking = False  # the index is asked where the cursor shall go
        self.wanted: Callable[[], None] | None = None  # asked for by a key at a moment that is still looked for
        self.offered_run = False
        self.read_begun = False

    def begin(self) -> None:
        self.look_errand = Errand(self, "look")
        self.read_errand = Errand(self, "read")
        self.find_errand = Errand(self, "find")
        self.seek_errand = Errand(self, "seek")
        self.repaint()
        # Asked once this picture is in the terminal: what answers is imported first, and would hold it up. By the
        # application's queue, because the screen's own says "after refresh" while Textual still holds updates back.
        self.app.call_after_refresh(self.look_again)
        if problems := self.session.problems:
            key, several = self.hint("problems", "").key, len(problems) > 1
            all_of_them = f"{len(problems)} problems, {key} shows all: " if several else ""
            self.say(f"{self.session.glyphs.warn} {all_of_them}{problems[0]}")

    def look_again(self) -> None:
        acts, desk, clock = self.session.acts, self.desk, self.session.clock

        def work() -> Looked:
            view = acts.look(desk)
            scene = build_scene(view.catalog, lines_of(view.histories), view.spans, view.live_timeline, clock())
            return Looked(view, scene, tuple(panes.merge_windows(view.windows)), tuple(acts.runs(desk)))

        self.look_errand.ask("look", work)

    def _read_once(self) -> None:
        """The archive is read as soon as what was known of it is shown: listing a long one would hold that up."""
        if not self.read_begun:
            self.read_wal()

    def read_wal(self) -> None:
        """Bring the index up to date; what is known already is shown meanwhile."""
        self.read_begun = True
        acts, desk, app = self.session.acts, self.desk, self.session
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
        acts, desk, key = self.session.acts, self.desk, (aim.line, self.level)
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
        if not self.recount and all(column in self.counts for column in range(first, first + n)):
            return None
        self.recount = False
        return first - n // 2, 2 * n

    def _first_column(self, aim: Aim) -> int:
        return scale.column_of(self.level, aim.at, self.desk.site.zone) - self.col

    def on_answer(self, answer: Answer) -> None:
        answer.stop()
        if answer.errand is self.read_errand:
            self._on_read(answer)
        elif answer.errand is self.look_errand:
            self._on_looked(answer)
        elif answer.errand is self.seek_errand:
            wanted, was_sought, self.seeking = self.wanted, self.seeking, False
            if was_sought and self.sought(answer):  # else a later key has moved the cursor
                self.wanted = wanted
        else:
            self._on_found(answer)

    def _on_read(self, answer: Answer) -> None:
        if answer.error is not None:
            self.reading = None
            self.say_error(answer.error)
        else:
            self.reading = answer.result if answer.ask == "progress" else None
            if self.reading is None and self.note == READING:
                self.note = None
        self.look_again()

    def on_screen_resume(self) -> None:
        """Back from a plan or a run: things may have changed."""
        if self.looked is not None:
            self.look_again()

    def _on_looked(self, answer: Answer) -> None:
        if answer.error is not None:
            self.failure = answer.error.message
            self.say_error(answer.error)
            self._read_once()
            return
        before = self.looked.scene if self.looked is not None else None
        self.looked, self.failure = answer.result, None
        self.recount = True
        scene, aim = self.looked.scene, self.aim
        if before is None or not before.lines or aim is None or aim.line not in scene.lines:
            self._start_position(scene)
        elif aim.end and aim.line == before.live:
            self._start_position(scene)  # it may live on another line by now
        self.seek_meaning()
        if not self.looked.scene.lines:  # nothing is known yet
            self._read_once()
        if not self.offered_run:
            self.offered_run = True
            self.offer_run(self.looked.runs)
        self.repaint()

    def _on_found(self, answer: Answer) -> None:
        self._read_once()
        if answer.error is not None:
            self.wanted = None
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
        if self.wanted is not None and not self.seeking:
            wanted, self.wanted = self.wanted, None
            wanted()

    def on_resize(self) -> None:
        """The cursor stays on the screen, also on a narrower one, and goes back to its column on a wide one again."""
        n = self._places().right - PLOT
        if self.aim is not None:
            before, now = self.squeezed
            before = before if now == self.col else self.col
            now = before if before < n else max(0, n - 1 - max(3, n // 8))
            self.squeezed = before, now
            if now != self.col:
                self.col = now
                self.seek_meaning()
        super().on_resize()

    def _start_position(self, scene: Scene) -> None:
        n = self._places().right - PLOT
        if scene.live not in scene.lines:
            return
        first, last = scene.spans.get(scene.live, (scene.start, scene.stop))
        if self.aim is None:
            self.level = scale.level_for(last - min(first, scene.start), n)
        self.col = max(0, n - 1 - max(3, n // 8)) if self.col < 0 else self.col
        self.aim = Aim(scene.live, last, end=True)

    def _places(self) -> Places:
        return places(self.area.width or 80, self.area.height or 24)

    def columns(self, n: int) -> Columns | None:
        """The columns on screen."""
        if self.aim is None:
            return None
        if self.level != COMMITS:
            return scale.time_columns(self.level, self._first_column(self.aim), n, self.desk.site.zone)
        found = self.found
        if found is None:
            return None
        ends = [*found.kept, *found.lost]
        here = len(found.kept) - 1
        if self.aim is not self.found_for and self.aim.behind in ends:
            here = ends.index(self.aim.behind)
        start = max(0, here - self.col)
        return scale.commit_columns(ends[start : here + n - self.col], self.col - (here - start))

    # Said by the screen itself

    def sought(self, answer: Answer) -> bool:
        """A search on the lines has ended: go there. Answers whether there is such a place."""
        raise NotImplementedError

    def offer_run(self, runs: Sequence[RunState]) -> None:
        """Offer to attach to a run that goes on."""
        raise NotImplementedError


def _cut(line: Line, aim: Aim) -> Cut:
    if aim.behind is not None:
        return cuts.cut_behind(line, aim.behind)
    if aim.lsn is not None:
        return cuts.cut_at_lsn(line, *aim.lsn, at=aim.at)
    cut = cuts.cut_at_end(line) if aim.end else cuts.cut_at_time(line, aim.at)
    if cut is None:
        raise ValueError("the line holds no transaction end")
    return cut
