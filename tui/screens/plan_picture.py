"""How a plan looks: what is lost, where it goes, what the checks say, the steps and how long they take."""

from datetime import datetime
from typing import ClassVar

from engine.records.errors import RepriseError
from engine.records.lsn import format_lsn
from engine.records.plan import Check, Plan
from engine.records.target import RecoveryTarget
from tui import keys, words
from tui.painting.grid import Grid
from tui.screens.scrolled import Scrolled
from tui.widgets.frame import paint_rule, wrapped
from tui.widgets.steps import WIDEST

_FINDING = 24  # the cell where findings begin
_TITLE = 5  # the cell where the steps' titles begin
_AMOUNT = 11  # cells for their amounts


class PlanPicture(Scrolled):
    """Paints a plan, once it is made."""

    purpose: ClassVar[str] = "restore"

    def __init__(self, target: RecoveryTarget, at: datetime) -> None:
        super().__init__()
        self.target = target
        self.at = at
        self.made: Plan | None = None
        self.failure: RepriseError | None = None
        self.all_checks = False

    def why_not(self, plan: Plan) -> str:
        failing = [check for check in plan.checks if check.refuses]
        fails = words.plural(len(failing), "check fails", "checks fail")
        remedy = next((check.remedy for check in failing if check.remedy), None)
        return f"Cannot start: {fails}." + (f"  {remedy}" if remedy else "")

    def paint(self, grid: Grid) -> None:
        zone, stop = self.desk.site.zone, min(grid.width - 1, WIDEST)
        self.header(grid, "plan")
        plan = self.made
        grid.put(1, 2, self.purpose, "muted")
        full, short = words.moment(self.at, zone), words.short_moment(self.at, zone)
        end = grid.put(12, 2, full if 12 + len(full) <= stop else short, "title!", stop)
        if self.target.kind == "latest":
            end = grid.put(end + 3, 2, "the archive's end", "text", stop)
        elif self.target.timeline:
            end = grid.put(end + 3, 2, f"timeline {self.target.timeline}", "text", stop)
        utc = self.at.utctimetuple()
        if end + 15 < stop and words.offset(self.at, zone) != "UTC":
            grid.put_right(stop, 2, f"{utc.tm_hour:02d}:{utc.tm_min:02d}:{utc.tm_sec:02d} UTC", "muted")
        grid.put(1, 3, "loses", "muted")
        grid.put(1, 4, "into", "muted")
        if plan is None:
            if self.failure is not None:
                grid.parts(1, 6, (grid.glyphs.bad, "bad"), (self.failure.message, "text"), gap=1, stop=stop)
                grid.put(3, 7, self.failure.remedy or "", "muted", stop)
            else:
                grid.put(1, 6, "making the plan and its checks …", "muted")
            paint_rule(grid, 5)
            return
        self._paint_loses(grid, plan, stop)
        self._paint_into(grid, plan, stop)
        paint_rule(grid, 5)
        self._paint_body(grid, plan)

    def _paint_loses(self, grid: Grid, plan: Plan, stop: int) -> None:
        zone, point = self.desk.site.zone, plan.point
        if point is None:
            grid.put(12, 3, "not known: the moment could not be resolved", "muted", stop)
        elif point.lost is None:
            grid.put(12, 3, "nothing that the archive holds", "text", stop)
        else:
            x = grid.put(12, 3, words.plural(point.lost_commits, "commit", "commits"), "title!", stop)
            first = words.clock(point.lost.at, zone, fraction=True)
            text = f"from {first} on, first of them xid {point.lost.xid}"
            x = grid.put_whole(x + 3, 3, text, "muted", stop)
            grid.put_whole(x + 2, 3, f"at {format_lsn(point.lost.lsn)}", "faint", stop)

    def _paint_into(self, grid: Grid, plan: Plan, stop: int) -> None:
        wanted, layout = plan.destination, plan.layout
        port = layout.port if layout else wanted.port
        if wanted.kind == "in-place":
            x = grid.put(12, 4, f"in place {wanted.path}", "warn!", stop)
            notes = ["what is there now is set aside, not deleted", "the old one is kept"]
        else:
            told = f", port {port}" if port else ""
            room = stop - 12 - len("new server ") - len(told)
            path = wanted.path if len(wanted.path) <= room else "…" + wanted.path[1 - room :]  # its end tells it apart
            x = grid.put_cut(12, 4, f"new server {path}{told}", "text", stop)
            notes = ["live one untouched"]
        if plan.files is not None:
            notes = ["with the files that match it; the old ones are kept", "with its files", *notes]
        for note in notes:
            if grid.put_whole(x + 3, 4, note, "muted", stop) > x + 3:
                break

    def _paint_body(self, grid: Grid, plan: Plan) -> None:
        """Checks, steps, total, verdict. Where they do not all fit, those checks that are well are counted in one row
        and small steps that follow each other share one; the rest scrolls."""
        checks = sorted(plan.checks, key=_urgency)
        verdict = grid.height - 3
        total = verdict - (2 if grid.height > 20 else 1)
        room = total - 6
        steps = [(f"{number}", step.title, step.bytes) for number, step in enumerate(plan.steps, 1)]
        told = [self._lines_of(check, grid.width) for check in checks]
        loud = sum(_urgency(check) < 2 for check in checks)
        loudest = sum(len(lines) for lines in told[:loud])
        keep = len(checks)
        if not self.all_checks:
            width = min(grid.width - 1, WIDEST) - _TITLE - _AMOUNT
            steps = _folded(steps, max(4, room - 2 - min(len(checks), loudest + 1)), width)
            keep = max(loud, min(len(checks), room - len(steps) - 2 - loudest + loud))
            if 0 < keep < len(checks):
                keep = max(loud, keep - 1)
        rows: list[tuple[str, object]] = []
        for check, lines in zip(checks[:keep], told, strict=False):
            rows += [("check", (check, lines[0])), *[("more", line) for line in lines[1:]]]
        if keep < len(checks):
            rows.append(("rest", checks[keep:]))
        rows += [("rule", None), ("heading", None)]
        rows += [("step", step) for step in steps]
        for y, (kind, item) in self.rows_in_sight(grid, rows, 6, total):
            self._paint_row(grid, y, kind, item)
        self._paint_total(grid, min(total, 6 + len(rows)), plan)
        verdict = min(verdict, 6 + len(rows) + 2)
        g, stop = grid.glyphs, grid.width - 1
        if plan.refused:
            short, _, remedy = self.why_not(plan).partition("  ")
            x = grid.put(grid.put(1, verdict, g.bad, "bad") + 1, verdict, short, "bad!", stop)
            grid.put(x + 2, verdict, remedy, "text", stop)
        else:
            text = "Ready. Nothing is changed before Enter."
            x = grid.put_cut(grid.put(1, verdict, g.ok, "ok") + 1, verdict, text, "ok!", stop)
            warnings = sum(_urgency(check) == 1 for check in checks)
            if warnings:
                grid.put(x + 2, verdict, words.plural(warnings, "warning", "warnings"), "warn", stop)

    def _lines_of(self, check: Check, width: int) -> list[tuple[str, str]]:
        """What a check says, line by line, each with its role: in full where it stands in the way or all are asked
        for, else cut."""
        stop, quiet = min(width - 1, WIDEST), _urgency(check) >= 2
        if quiet and not self.all_checks:
            return [(check.finding, "muted")]
        lines = [(line, "muted" if quiet else "text") for line in wrapped(check.finding, stop - _FINDING)]
        if check.remedy and not check.ok:
            lines += [(line, "muted") for line in wrapped(check.remedy, stop - _FINDING)]
        return lines

    def _paint_total(self, grid: Grid, y: int, plan: Plan) -> None:
        stop = min(grid.width - 1, WIDEST)
        if plan.estimate is None:
            grid.put_right(stop, y, "how long it takes is not known yet", "muted")
            return
        estimate = plan.estimate
        start = grid.put_right(stop, y, words.duration(estimate.likely), "title!")
        grid.put_right(start, y, f"{words.measured(estimate)}, about ", "muted")

    def _paint_row(self, grid: Grid, y: int, kind: str, item: object) -> None:
        g, stop = grid.glyphs, min(grid.width - 1, WIDEST)
        if kind == "check" and isinstance(item, tuple):
            check, (text, tone) = item
            signs = {0: (g.bad, "bad"), 1: (g.warn, "warn"), 2: (g.todo, "muted"), 3: (g.ok, "ok")}
            grid.put(1, y, *signs[_urgency(check)])
            grid.put(3, y, check.name, "text", _FINDING - 1)
            grid.put_cut(_FINDING, y, text, tone, stop)
        elif kind == "more" and isinstance(item, tuple):
            text, tone = item
            grid.put_cut(_FINDING, y, text, tone, stop)
        elif kind == "rest" and isinstance(item, list):
            grid.put(1, y, g.ok, "ok")
            well = sum(check.ok is True for check in item)
            text = words.plural(well, "check is well", "checks are well")
            others = len(item) - well
            text += f", {others} to know" if others else ""
            x = grid.put(3, y, text, "muted", stop)
            x = grid.put(x + 3, y, keys.shown("checks", self.session.settings.keys), "accent!", stop)
            grid.put(x + 1, y, "all of them", "muted", stop)
        elif kind == "rule":
            paint_rule(grid, y)
        elif kind == "heading":
            grid.put(1, y, "steps", "muted")
            grid.put_right(stop, y, "amount", "muted")
        elif kind == "step" and isinstance(item, tuple):
            number, title, amount = item
            grid.put_right(4, y, number, "muted")
            grid.put_cut(_TITLE, y, title, "text", stop - _AMOUNT if amount else stop)
            if amount:
                grid.put_right(stop, y, words.size(amount), "muted")


def _folded(steps: list[tuple[str, str, int | None]], rows: int, width: int) -> list[tuple[str, str, int | None]]:
    """Steps that move no bytes and follow each other share a row, the shortest first, until they fit ``rows``; but
    only where nothing of them is cut off at ``width``: else they scroll."""
    steps = list(steps)
    while len(steps) > rows:
        small = [i for i in range(1, len(steps)) if not steps[i][2] and not steps[i - 1][2]]
        if not small:
            break
        here = min(small, key=lambda i: len(steps[i - 1][1]) + len(steps[i][1]))
        if len(steps[here - 1][1]) + 2 + len(steps[here][1]) > width:
            break
        number, title, _ = steps[here - 1]
        steps[here - 1 : here + 1] = [(number, f"{title}; {steps[here][1]}", None)]
    return steps


def _urgency(check: Check) -> int:
    """0 refuses, 1 warns, 2 informs, 3 is well."""
    if check.refuses:
        return 0
    if check.ok is True:
        return 3
    return 1 if check.level != "info" else 2
