"""The overview's picture: the five protected things, what would be lost, what to do."""

from collections.abc import Sequence
from datetime import datetime, tzinfo

from msgspec import Struct, field

from engine.records.recoveries import Recovery
from engine.records.status import Advice, Level, SiteStatus, Thing, ThingName
from tui import words
from tui.painting.grid import Grid
from tui.widgets.frame import paint_rule

NAMES: dict[ThingName, str] = {
    "database-full": "database full", "database-incremental": "database incr", "files": "files", "source": "source",
    "environment": "environment",
}  # fmt: skip
_AT, _AGE_END, _BAR, _BAR_CELLS, _POLICY, _PROOF, _NEXT = 18, 41, 43, 8, 53, 61, 90
_ROLES = {Level.OK: "ok", Level.WARNING: "warn", Level.UNKNOWN: "warn", Level.CRITICAL: "bad"}


class Overview(Struct):
    """All that the picture shows. ``chosen`` counts through the things and then what is to do. ``next_at``: when a copy
    of a thing is taken next; ``restored``: the newest recovery of this system, from which it is known how long one
    takes, ``rto_seconds``: how long one may take. ``proofs``: how many seconds a proof drill took, by its run."""

    status: SiteStatus
    chosen: int
    next_at: dict[ThingName, datetime] = field(default_factory=dict)
    restored: Recovery | None = None
    rto_seconds: float | None = None
    proofs: dict[str, float] = field(default_factory=dict)
    doing: str | None = None  # what is going on now, in words

    @property
    def rows(self) -> Sequence[Thing | Advice]:
        return (*self.status.things, *self.status.to_do)


def paint_overview(grid: Grid, overview: Overview, zone: tzinfo) -> None:
    """From row 2 on; too low a terminal drops blank rows first, then the end of the list."""
    roomy = grid.height >= 13 + len(overview.status.to_do) + 6
    y = _things(grid, overview, 2, zone)
    y = _rule(grid, y, roomy)
    y = _if_it_died(grid, overview, y, zone)
    y = _rule(grid, y, roomy)
    _to_do(grid, overview, y)


def _rule(grid: Grid, y: int, roomy: bool) -> int:
    paint_rule(grid, y + roomy)
    return y + 1 + 2 * roomy


def _things(grid: Grid, overview: Overview, y: int, zone: tzinfo) -> int:
    stop = grid.width - 1
    grid.put(_AT, y, "last good", "muted", stop)
    grid.put_right(_AGE_END, y, "age", "muted")
    grid.put(_BAR, y, "against policy", "muted", stop)
    grid.put_whole(_PROOF, y, "last proof", "muted", stop)
    grid.put_whole(_NEXT, y, "next copy", "muted", stop)
    for number, thing in enumerate(overview.status.things):
        y += 1
        took = overview.proofs.get(thing.proof_drill) if thing.proof_drill is not None else None
        _thing(grid, thing, y, number == overview.chosen, took, zone)
        if (then := overview.next_at.get(thing.name)) is not None:
            grid.put_whole(_NEXT, y, words.minute(then, zone), "muted", stop)
    return y + 1


def _thing(grid: Grid, thing: Thing, y: int, here: bool, proof_took: float | None, zone: tzinfo) -> None:
    g, stop, role = grid.glyphs, grid.width - 1, _ROLES[thing.level]
    set_up = thing.newest is not None or thing.level is not Level.OK
    sign = {"ok": g.ok, "warn": g.warn, "bad": g.bad}[role]
    grid.put(0, y, g.now if here else " ", "accent!")
    grid.put(1, y, sign if set_up else g.todo, role if set_up else "muted")
    grid.put(3, y, NAMES[thing.name], "accent!" if here else "text")
    loud = role if role != "ok" else "text"
    if thing.newest_at is None or thing.age_seconds is None:
        grid.put(_AT, y, "no copy" if set_up else "not set up", loud if set_up else "muted", stop)
    else:
        grid.put(_AT, y, words.minute(thing.newest_at, zone), "text", stop)
        over = thing.policy_seconds is not None and thing.age_seconds > thing.policy_seconds
        grid.put_right(
            _AGE_END, y, words.duration(thing.age_seconds), loud + "!" if over and loud != "text" else "text"
        )
        _bar(grid, thing, y, loud if over else "density")
    if thing.policy_seconds is not None:
        grid.put(_POLICY, y, words.duration(thing.policy_seconds), "muted", stop)
    if thing.proven_at is not None:
        at = words.minute(thing.proven_at, zone)
        if proof_took is not None:  # restored in a proof drill, not only read
            at = f"{words.day(thing.proven_at, zone)}, {words.duration(proof_took)}"
        told = {True: at, False: "FAILED", None: "not possible"}[thing.proof_ok]
        grid.put_whole(_PROOF, y, told, "bad!" if thing.proof_ok is False else "muted", stop)
    elif thing.newest is not None:
        grid.put_whole(_PROOF, y, "never verified", "muted", stop)


def _bar(grid: Grid, thing: Thing, y: int, role: str) -> None:
    """How much of the allowed age is used up; an arrow leads out of it where it is more than all."""
    g = grid.glyphs
    if not thing.policy_seconds or thing.age_seconds is None:
        return
    used = min(_BAR_CELLS, round(_BAR_CELLS * thing.age_seconds / thing.policy_seconds))
    grid.put(_BAR, y, g.bar_done * used, role)
    grid.put(_BAR + used, y, g.bar_rest * (_BAR_CELLS - used), "density")
    if thing.age_seconds > thing.policy_seconds:
        grid.put(_BAR + _BAR_CELLS, y, g.now, role)


def _if_it_died(grid: Grid, overview: Overview, y: int, zone: tzinfo) -> int:
    stop = grid.width - 1
    grid.put(1, y, "if this machine died now", "muted")
    things = {thing.name: thing for thing in overview.status.things}
    lines = [_lost_commits(things["database-incremental"], overview.status.archived_to, zone)]
    lines += [_lost_files(things["files"], zone)] if things["files"].newest is not None else []
    lines.append(_back_in(overview.restored, overview.rto_seconds, zone))
    missing = [NAMES[name] for name in NAMES if things[name].level is not Level.OK and things[name].newest is None]
    if missing:
        lines.append(("without", ", ".join(missing), "no copy of it would be there", "bad!"))
    for label, fact, why, role in lines:
        y += 1
        grid.put(3, y, label, "muted")
        end = grid.put_cut(12, y, fact, role, stop)
        grid.put_cut(max(30, end + 2), y, why, "muted", stop)
    return y + 1


def _lost_commits(thing: Thing, archived_to: datetime | None, zone: tzinfo) -> tuple[str, str, str, str]:
    archived = f"WAL archived to {words.second(archived_to, zone)}" if archived_to else "no WAL is archived"
    policy = f"; policy {words.duration(thing.policy_seconds)}" if thing.policy_seconds else ""
    if thing.lose_seconds is None:
        known = "unknown" if thing.newest else "all since the last copy"
        return "lost", known, archived + policy, "title!"
    fact = f"{words.duration(thing.lose_seconds)} of commits" if thing.lose_seconds else "no commit"
    return "lost", fact, archived + policy, "title!"


def _lost_files(thing: Thing, zone: tzinfo) -> tuple[str, str, str, str]:
    since = f"changed since {words.minute(thing.newest_at, zone)}" if thing.newest_at else ""
    if thing.lose_files is None:
        return "", "files: not counted", since, "text"
    fact = words.plural(thing.lose_files, "file", "files") if thing.lose_files else "no file"
    return "", fact, since, "title!" if thing.lose_files else "text"


def _back_in(restored: Recovery | None, wanted: float | None, zone: tzinfo) -> tuple[str, str, str, str]:
    policy = f"; policy {words.duration(wanted)}" if wanted is not None else ""
    if restored is None or restored.rto_seconds is None:
        return "back in", "not known", f"no restore of it was measured yet{policy}", "text"
    took = restored.rto_seconds
    how = "proven" if restored.kind == "proof" else "restored"
    role = "bad!" if wanted is not None and took > wanted else "title!"
    return "back in", f"about {words.duration(took)}", f"as {how} {words.minute(restored.at, zone)}{policy}", role


def _to_do(grid: Grid, overview: Overview, y: int) -> None:
    g, stop = grid.glyphs, grid.width - 1
    if overview.doing is not None:
        grid.put_cut(1, y, overview.doing, "accent", stop)
        y += 1
    to_do = overview.status.to_do
    if not to_do:
        grid.parts(1, y, (g.ok, "ok"), ("nothing is to be done", "text"), gap=1)
        return
    grid.put(1, y, "what to do, most urgent first", "muted")
    room = max(1, grid.height - 3 - y)
    more = f"{len(to_do) - room} more" if len(to_do) > room else ""
    for number, advice in enumerate(to_do[:room], 1):
        y += 1
        if more and number == room:
            stop = grid.put_right(stop, y, more, "faint") - 2
        here = overview.chosen == len(overview.status.things) + number - 1
        grid.put(1, y, g.now if here else " ", "accent!")
        end = grid.put_cut(3, y, f"{number} {advice.title}", "accent!" if here else "text", stop)
        grid.put_cut(max(43, end + 2), y, advice.why, "muted", stop)
