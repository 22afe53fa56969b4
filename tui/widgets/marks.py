"""The marks of a drill: what was wanted, how it came out, how it came out at best before, points."""

from collections.abc import Callable, Sequence

from engine.records.drills import DrillState, Mark
from tui import words
from tui.painting.glyphs import Glyphs
from tui.widgets.rows import Row

_NAME, _YOU, _GOAL, _BEST, _POINTS = 3, 48, 56, 67, 72  # where the name begins; where the others end


def marks_rows(drill: DrillState, past: Sequence[DrillState], glyphs: Glyphs, width: int) -> list[Row]:
    """The table for a screen of so many cells. ``past``: ended drills of the same scenario, newest first."""

    def ends(place: int, text: str, role: str) -> tuple[int, str, str]:
        return place - width, text, role

    def points(got: int, of: int | None, role: str) -> Row:
        behind = f" / {of}" if of is not None else ""
        return ends(_POINTS, f"{got}", role), ends(_POINTS + len(behind), behind, "muted")

    def row(sign: tuple[str, str], name: str, you: str, goal: str, best: str, behind: Row = ()) -> Row:
        loud = "title!" if sign[1] in ("bad", "warn") else "text"
        figures = ends(_YOU, you, loud), ends(_GOAL, goal, "muted"), ends(_BEST, best, "muted")
        return (1, *sign), (_NAME, name, "text"), *figures, *behind

    heads = (ends(_YOU, "you", "muted"), ends(_GOAL, "goal", "muted"), ends(_BEST, "best", "muted"))
    rows: list[Row] = [((_NAME, "score", "muted"), *heads, ends(_POINTS + 5, "points", "muted"))]
    for mark in drill.marks:
        role = "text" if mark.points == mark.of else "bad!" if mark.points == 0 else "warn!"
        rows.append(row(_sign(mark, glyphs), mark.name, *_told(drill, mark, past), points(mark.points, mark.of, role)))
        if mark.ok is not True and mark.told:
            rows.append(((_NAME + 2, mark.told, "muted"),))
    if drill.hints:
        least = _some(min((len(each.hints) for each in past), default=None))
        cost = points(-drill.hints_cost, None, "warn!")
        rows.append(row((glyphs.warn, "warn"), "hints asked for", f"{len(drill.hints)}", "0", least, cost))
    for name, ask in _WITHOUT_POINTS:
        if (seconds := ask(drill)) is not None:
            quickest = min((got for each in past if (got := ask(each)) is not None), default=None)
            best = "" if quickest is None else words.duration(quickest)
            rows.append(row((" ", "text"), name, words.duration(seconds), "", best))
    last = f" last time {past[0].score}" if past and past[0].score is not None else ""
    rule = glyphs.rule * (_BEST - _NAME - 1 - len(last))
    rows.append(((_NAME, rule, "faint"), ends(_BEST, last, "muted"), *points(drill.score or 0, drill.of, "title!")))
    return rows


_WITHOUT_POINTS: tuple[tuple[str, Callable[[DrillState], float | None]], ...] = (
    ("moment found, a restore begun", lambda drill: drill.found_seconds),
    ("open for reading", lambda drill: drill.readable_seconds),
)


def _sign(mark: Mark, glyphs: Glyphs) -> tuple[str, str]:
    if mark.ok:
        return glyphs.ok, "ok"
    return (glyphs.bad, "bad") if mark.ok is False and mark.needed else (glyphs.warn, "warn")


def _told(drill: DrillState, mark: Mark, past: Sequence[DrillState]) -> tuple[str, str, str]:
    """You, goal, best before. What is measured is told as a figure, everything else as yes or no."""
    if mark.check == "in-time":
        done = [each.seconds for each in past if each.outcome == "solved"]
        best = words.duration(min(done)) if done else ""
        return words.duration(drill.seconds), words.duration(drill.limit_seconds), best
    if mark.check == "nothing-lost" and drill.lost is not None:
        return _some(drill.lost), "0", _some(min((each.lost for each in past if each.lost is not None), default=None))
    before = [each.ok for drill in past for each in drill.marks if each.name == mark.name]
    best = "" if not before else "yes" if any(before) else "no"
    return {True: "yes", False: "no", None: "unknown"}[mark.ok], "yes", best


def _some(number: int | None) -> str:
    return "" if number is None else words.count(number)
