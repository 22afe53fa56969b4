"""The steps of a run: one row each, a thin bar for the running one alone."""

from collections.abc import Sequence

from engine.records.runs import Progress, RunState, StepState
from tui import words
from tui.painting.grid import Grid

_TIME = 12  # cells for the time, right-aligned, and two before it
_AMOUNT = 17
_NARROW = 60  # cells; below them a step is told in few words
WIDEST = 111  # on a wide terminal the figures stay near their words


def paint_steps(grid: Grid, top: int, rows: int, state: RunState) -> int:
    """At most ``rows`` rows: what is long done or far ahead is told in one row each. Answers the next free row."""
    steps = list(enumerate(state.steps, 1))
    before: list[tuple[int, StepState]] = []
    after: list[tuple[int, StepState]] = []
    while len(steps) + bool(before) + bool(after) > rows and len(steps) > 1:
        here = _place(steps)
        if here > 1 or (here == 1 and len(steps) == 2) or (here > 0 and len(steps) - here <= 2):
            before.append(steps.pop(0))
        elif len(steps) > here + 1:
            after.insert(0, steps.pop())
        else:
            before.append(steps.pop(0))
    y, stop = top, min(grid.width - 1, WIDEST)
    g = grid.glyphs
    if before:
        sign, role, word = (
            (g.ok, "ok", "done") if all(s.outcome == "done" for _, s in before) else (g.todo, "muted", "so far")
        )
        grid.put(1, y, sign, role)
        grid.put(3, y, f"{before[0][0]} to {before[-1][0]} {word}", "muted", stop)
        _amounts(grid, y, stop, sum(s.bytes or 0 for _, s in before), sum(s.seconds or 0 for _, s in before))
        y += 1
    width = max((len(step.title) for _, step in steps), default=0)
    for number, step in steps:
        _paint_step(grid, y, number, step, width, stop, len(state.steps))
        y += 1
    if after:
        grid.put(1, y, g.todo, "muted")
        grid.put(3, y, f"{after[0][0]} to {after[-1][0]} to do", "muted", stop)
        y += 1
    return y


def _place(steps: Sequence[tuple[int, StepState]]) -> int:
    """Which of these steps is the one to look at."""
    for number, (_, step) in enumerate(steps):
        if step.outcome in ("running", "waiting", "failed"):
            return number
    return max((n for n, (_, step) in enumerate(steps) if step.outcome == "done"), default=0)


def _paint_step(grid: Grid, y: int, number: int, step: StepState, width: int, stop: int, of: int) -> None:
    g = grid.glyphs
    sign, role = {
        "done": (g.ok, "ok"),
        "running": (g.now, "accent"),
        "waiting": (g.warn, "warn"),
        "failed": (g.bad, "bad"),
        "undone": (g.left, "muted"),
        "to do": (g.todo, "muted"),
    }[step.outcome]
    grid.put(1, y, sign, role)
    indent = 2 if of > 9 else 1
    quiet = step.outcome in ("to do", "undone")
    grid.put_right(3 + indent, y, str(number), "muted" if quiet else "text")
    title_at = 4 + indent
    if step.outcome == "running" and step.progress is not None and step.progress.total:
        bar_at = min(title_at + width + 2, max(title_at + 12, stop - _TIME - _AMOUNT - 19))
        grid.put_cut(title_at, y, step.title, "text", bar_at - 1)
        _paint_progress(grid, y, bar_at, stop, step, step.progress)
        return
    word = {"to do": "", "waiting": "waiting for you", "running": "under way"}.get(step.outcome, step.outcome)
    amount = step.bytes if step.outcome != "to do" else None
    if stop < _NARROW:  # the sign says the outcome; the title and the time matter more
        word, amount = "", None
    seconds = step.seconds if step.outcome not in ("to do", "waiting") else None
    word_stop = stop if seconds is None and not amount else stop - _TIME - 11
    start = grid.put_right(word_stop, y, word, role if step.outcome in ("waiting", "failed") else "muted")
    title_stop = start - 2 if word else stop - (len(words.duration(seconds)) + 1 if seconds is not None else 0)
    grid.put_cut(title_at, y, step.title, "muted" if quiet else "text", title_stop)
    _amounts(grid, y, stop, amount, seconds)


def _amounts(grid: Grid, y: int, stop: int, amount: int | None, seconds: float | None) -> None:
    if seconds is not None:
        grid.put_right(stop, y, words.duration(seconds), "text")
    if amount:
        grid.put_right(stop - _TIME, y, words.size(amount), "muted")


def _paint_progress(grid: Grid, y: int, x: int, stop: int, step: StepState, progress: Progress) -> None:
    g = grid.glyphs
    total = progress.total or 1
    share = min(1.0, max(0.0, progress.done / total))
    amount = (
        f"{words.count(progress.done)} of {words.count(total)}"
        if progress.unit == "files"
        else words.sizes(progress.done, total)
    )
    amount_at = grid.put_right(stop - _TIME, y, amount, "muted")
    percent_at = grid.put_right(amount_at - 2, y, f"{int(share * 100)} %", "text")
    width = min(16, percent_at - 2 - x)
    if width >= 4:
        done = int(width * share)
        end = grid.put(x, y, g.bar_done * done, "accent")
        grid.put(end, y, g.bar_rest * (width - done), "faint")
    if step.seconds is not None:
        grid.put_right(stop, y, words.duration(step.seconds), "text")


def running_step(state: RunState) -> StepState | None:
    return next((step for step in state.steps if step.outcome in ("running", "waiting", "failed")), None)
