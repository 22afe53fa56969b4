"""Golden pictures: every screen as text at two sizes, and with plain signs.

``REPRISE_GOLDEN=write python -m pytest tests/tui/test_pictures.py`` writes them anew; then look at the difference.
"""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from engine.records.errors import RepriseError
from engine.records.plan import Check, Destination
from engine.records.runs import RunError
from engine.records.target import RecoveryTarget
from tests.tui.driving import Driver, driving
from tests.tui.history import ACCIDENT, lsn_at
from tests.tui.source import StandIn, desk, run_state
from tui.painting.glyphs import PLAIN, UNICODE

GOLDEN = Path(__file__).parent / "golden"
MOMENT = "23 Nov 14:32:07"
Walk = Callable[[Driver], Awaitable[None]]


async def timeline(driver: Driver) -> None:
    await driver.go_to(MOMENT)


async def timeline_2m(driver: Driver) -> None:
    await driver.go_to(MOMENT)
    await driver.press("+", "+", "+")


async def timeline_commits(driver: Driver) -> None:
    await driver.go_to(MOMENT)
    await driver.press(*["+"] * 7)


async def timeline_gap(driver: Driver) -> None:
    await driver.go_to("13 Nov 2026 11:00")


async def timeline_years(driver: Driver) -> None:
    await driver.press("-", "-", "-")


async def go_to(driver: Driver) -> None:
    await driver.press("g")
    await driver.type("yesterday 18:00")
    await driver.settled()


async def plan(driver: Driver) -> None:
    await driver.go_to(MOMENT)
    await driver.press("enter")


async def plan_refused(driver: Driver) -> None:
    driver.source.refuse = True
    await plan(driver)


async def run(driver: Driver) -> None:
    await plan(driver)
    await driver.press("enter")
    await driver.settled()


async def log(driver: Driver) -> None:
    await run(driver)
    await driver.press("l")


async def _at(driver: Driver, step: str, **changes: object) -> None:
    from dataclasses import replace

    target = RecoveryTarget("lsn", lsn=lsn_at(ACCIDENT), exclusive=True, timeline=2)
    kind = changes.pop("kind", "side-copy")
    failed = changes.get("outcome") == "failed"
    destination = Destination(kind, "/srv/restore/orders")  # type: ignore[arg-type]
    made = driver.source.plan(desk(), target, destination, action="pause")
    driver.source.state = replace(run_state(made, at=step), **changes)  # type: ignore[arg-type]
    if failed:
        steps = [
            replace(s, outcome="failed", progress=None) if s.outcome == "running" else s
            for s in driver.source.state.steps
        ]
        driver.source.state = replace(driver.source.state, steps=tuple(steps))
    await driver.press("3", "enter")
    await driver.settled()


async def gate(driver: Driver) -> None:
    await _at(driver, "gate")


async def gate_in_place(driver: Driver) -> None:
    await _at(driver, "gate", kind="in-place")
    await driver.press("P")
    await driver.type("orders-p")
    await driver.pilot.pause()


async def run_failed(driver: Driver) -> None:
    error = RunError(
        "the archive stopped answering",
        "listing /backup/wal took more than 30 seconds",
        "mount it again, then R resumes",
    )
    await _at(driver, "replay", outcome="failed", pid=None, error=error, answers=("resume", "rollback"))


async def run_not_true(driver: Driver) -> None:
    question = "SELECT count(*) > 0 FROM documents"
    error = RunError("1 of 2 questions of the site are not answered with true", f"{question}: False instead of true")
    checks = (Check("verify", "warn", True, "SELECT true: true"), Check("verify", "warn", False, error.cause or ""))
    await _at(driver, "check-result", outcome="failed", pid=None, error=error, checks=checks, host="/srv/restore/run",
              port=5434, answers=("resume", "rollback"))  # fmt: skip


async def gate_unreadable(driver: Driver) -> None:
    finding = "a transaction with more than 64 subtransactions was open at the backup's start"
    check = Check("pause-ignored", "info", False, finding, "finish a side copy as a throw-away clone")
    await _at(driver, "gate", checks=(check,))


async def run_completed(driver: Driver) -> None:
    await _at(driver, "end")


async def report(driver: Driver) -> None:
    await _at(driver, "end")
    await driver.press("enter")


async def runs(driver: Driver) -> None:
    await _at(driver, "gate")
    await driver.press("escape")
    await driver.settled()


async def no_runs(driver: Driver) -> None:
    await driver.press("3")


async def help(driver: Driver) -> None:
    await driver.press("question_mark")


async def palette(driver: Driver) -> None:
    await driver.press("colon")
    await driver.press("t", "h")
    await driver.pilot.pause()


async def problems(driver: Driver) -> None:
    await driver.press("i")


async def unreadable(driver: Driver) -> None:
    def look(desk: object) -> object:
        raise RepriseError("/backup/wal does not answer", remedy="mount it, then press r")

    driver.source.look = look  # type: ignore[method-assign, assignment]
    await driver.press("r")
    await driver.settled()


SCREENS: tuple[Walk, ...] = (
    timeline, timeline_2m, timeline_commits, timeline_gap, timeline_years, go_to, plan, plan_refused, run,
    log, gate, gate_in_place, gate_unreadable, run_failed, run_not_true, run_completed, report, runs,
    no_runs, help, palette, problems, unreadable,
)  # fmt: skip


async def picture(walk: Walk, width: int, height: int, plain: bool) -> str:
    async with driving(width, height, glyphs=PLAIN if plain else UNICODE, source=StandIn()) as driver:
        await walk(driver)
        return driver.text


@pytest.mark.parametrize("size", ["80x24", "160x50", "80x24-ascii"])
@pytest.mark.parametrize("walk", SCREENS, ids=lambda walk: walk.__name__)
async def test_a_screen_looks_as_it_did(walk: Walk, size: str) -> None:
    width, height = (int(part) for part in size.removesuffix("-ascii").split("x"))
    shown = await picture(walk, width, height, size.endswith("ascii"))
    if size.endswith("ascii"):
        assert shown.isascii()
    golden = GOLDEN / f"{walk.__name__}-{size}.txt"
    if os.environ.get("REPRISE_GOLDEN") == "write":
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(shown, "utf-8")
    assert shown == golden.read_text("utf-8")


@pytest.mark.parametrize("size", [(40, 12), (40, 24), (60, 18), (100, 30), (129, 60), (220, 70)])
async def test_other_sizes_keep_the_verdict_and_the_axis(size: tuple[int, int]) -> None:
    shown = await picture(timeline, *size, plain=False)
    assert "REACHABLE" in shown
    assert "14:32:07" in shown
    assert "▼" in shown
    assert all(len(line) <= size[0] for line in shown.splitlines())
