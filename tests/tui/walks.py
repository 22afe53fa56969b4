"""The ways to every screen, as an operator's keys take him there; and all of them, in the order of a day."""

import threading
from collections.abc import Awaitable, Callable
from datetime import timedelta

from msgspec.structs import replace

from engine.records.errors import RepriseError
from engine.records.lsn import format_lsn
from engine.records.plan import Check, Destination
from engine.records.recoveries import Recovery
from engine.records.runs import Progress, Reached, RunError
from engine.records.target import RecoveryTarget
from tests.tui.driving import Driver
from tests.tui.history import ACCIDENT, NOW, lsn_at
from tests.tui.protected import copy_plan, copy_run, status
from tests.tui.source import GIB, desk, run_state

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


async def plan_checks(driver: Driver) -> None:
    await plan(driver)
    await driver.press("c")


async def destination(driver: Driver) -> None:
    await plan(driver)
    await driver.press("d")


async def plan_in_place(driver: Driver) -> None:
    await destination(driver)
    await driver.press("tab", "enter")


async def plan_refused(driver: Driver) -> None:
    driver.source.refuse = True
    await plan(driver)


async def run(driver: Driver) -> None:
    await plan(driver)
    await driver.press("enter")
    await driver.settled()


async def inspecting(driver: Driver) -> None:
    reading = Progress(310 * GIB, 412 * GIB, "bytes", 180 * 1024**2, "base/16384/2619", NOW)
    await _at(driver, "gate", outcome="running", answers=("cancel", "hold", "skip"))
    assert driver.source.state is not None
    steps = [
        replace(step, kind="inspect", title="look up the copy's libraries, read every page", outcome="running",
                bytes=412 * GIB, progress=reading) if step.name == "gate" else step
        for step in driver.source.state.steps
    ]  # fmt: skip
    driver.source.state = replace(driver.source.state, steps=tuple(steps))
    await driver.press("r")


async def log(driver: Driver) -> None:
    await run(driver)
    await driver.press("l")


async def _at(driver: Driver, step: str, **changes: object) -> None:
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


async def forward(driver: Driver) -> None:
    await gate(driver)
    await driver.press("f")
    await driver.type("+30 s")
    await driver.settled()


async def advanced(driver: Driver) -> None:
    """Replay went on behind the planned gate."""
    at = ACCIDENT + timedelta(seconds=30)
    reached = Reached(lsn_at(at), at, 8441299, 2, None, True, "replay stands at the gate")
    await _at(driver, "gate", reached=reached)


async def not_proven(driver: Driver) -> None:
    finding = f"replay stands at {format_lsn(lsn_at(ACCIDENT) - 800)}, the gate is {format_lsn(lsn_at(ACCIDENT))}"
    reached = Reached(lsn_at(ACCIDENT) - 800, None, None, 2, None, False, finding)
    await _at(driver, "gate", reached=reached)


async def stop_question(driver: Driver) -> None:
    await run(driver)
    await driver.press("x")


async def accept_question(driver: Driver) -> None:
    await run_not_true(driver)
    await driver.press("A")


async def discard_question(driver: Driver) -> None:
    await run_completed(driver)
    await driver.press("D")


LOST = {
    "path": "2026/11/23/contract-1450e00b1438.docx",
    "rows": 2,
    "why": "no snapshot has it",
    "row_samples": [{"id": number, "document": 1087, "title": "Minutes 6017, north wing"} for number in (1526, 1530)],
}
FILES = {
    "copied": 1204, "bytes": 3_300_000_000, "kept": 48_790, "unrecoverable": 2, "unrecoverable_rows": 3,
    "unrecoverable_sample": [LOST, {**LOST, "path": "2026/11/23/x.tif", "rows": 1, "row_samples": []}],
}  # fmt: skip


async def gate_in_place(driver: Driver) -> None:
    await _at(driver, "gate", kind="in-place", files=FILES)
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


async def run_files_wrong(driver: Driver) -> None:
    run = "20261123T134200Z-orders-prod"
    error = RunError(
        "of the files that the database refers to 2 are missing and 1 wrong; none of them was listed before",
        "2026/11/22/a.pdf (missing), 2026/11/22/b.pdf (missing), 2026/11/23/c.pdf (it has other content than the "
        "database says)",
        f"reprise resume {run} checks again; reprise skip {run} goes on as it is; reprise rollback {run} takes all "
        "back; reprise files check lists them",
    )
    answers = ("resume", "rollback", "skip")
    await _at(driver, "check-result", kind="in-place", outcome="failed", pid=None, error=error, answers=answers)
    assert driver.source.state is not None
    steps = [
        replace(step, kind="check-files", title="check the files") if step.kind == "check-result" else step
        for step in driver.source.state.steps
    ]
    driver.source.state = replace(driver.source.state, steps=tuple(steps))
    await driver.press("r")


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
    await _at(driver, "end", recovery=Recovery("restore", NOW, "a run", True, 6300.0, 540.0), waited=300.0)
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


async def files(driver: Driver) -> None:
    await driver.go_to(MOMENT)
    await driver.press("f", "enter", "end", "enter")


async def files_difference(driver: Driver) -> None:
    await files(driver)
    await driver.press("[", "d", "enter")


async def files_restore_question(driver: Driver) -> None:
    await files(driver)
    await driver.press("R")


async def files_plan(driver: Driver) -> None:
    await files_restore_question(driver)
    await driver.press("enter")


async def files_plan_whole(driver: Driver) -> None:
    await files_restore_question(driver)
    await driver.press("tab", "tab", "enter")


async def overview(driver: Driver) -> None:
    await driver.press("1")
    await driver.settled()


async def overview_healthy(driver: Driver) -> None:
    driver.source.told = status(healthy=True)
    await overview(driver)


async def overview_failed(driver: Driver) -> None:
    def failing(desk: object) -> object:
        raise RepriseError("/var/lib/reprise cannot be written", remedy="make room there, then press r")

    driver.source.status = failing  # type: ignore[method-assign, assignment]
    await overview(driver)


async def copies(driver: Driver) -> None:
    await overview(driver)
    await driver.press("up", "up", "up")
    await driver.press("enter")
    await driver.settled()


async def copy_refused(driver: Driver) -> None:
    driver.source.copy_refused = True
    await overview(driver)
    await driver.press("c", "enter")
    await driver.settled()


async def copying(driver: Driver) -> None:
    await overview(driver)
    await driver.press("c", "enter")
    await driver.settled()


async def copied(driver: Driver) -> None:
    await copying(driver)
    driver.source.state = copy_run(copy_plan(), done=True)
    driver.screen.action_poll()  # type: ignore[attr-defined]
    await driver.settled()


async def expiry(driver: Driver) -> None:
    await overview(driver)
    await driver.press("e")
    await driver.settled()


async def expire_question(driver: Driver) -> None:
    await expiry(driver)
    await driver.press("X")


async def dump_plan(driver: Driver) -> None:
    await driver.go_to("21 Nov 2026 12:00")
    await driver.press("D")
    await driver.settled()


async def dump_question(driver: Driver) -> None:
    await dump_plan(driver)
    await driver.press("enter")


async def drills(driver: Driver) -> None:
    await driver.press("4", *["down"] * 3)


async def drill_beginning(driver: Driver) -> None:
    goes_on = threading.Event()
    driver.source.may_begin = lambda: goes_on.wait(30) and None
    driver.at_end = goes_on.set
    await drills(driver)
    await driver.pilot.press("enter")
    await driver.until(lambda: "life goes on" in driver.text)


async def drill_called(driver: Driver) -> None:
    await drills(driver)
    await driver.press("enter")
    await driver.until(lambda: "the call" in driver.text)


async def drill_helped(driver: Driver) -> None:
    """A hint was asked for, and it was looked whether it is solved: it is not."""
    await drill_called(driver)
    driver.source.solved = False
    await driver.press("H", "enter")
    await driver.until(lambda: "What is lost for certain" in driver.text)
    await driver.press("C")
    await driver.until(lambda: "not solved yet" in driver.text)
    await driver.press("4")


async def drill_timeline(driver: Driver) -> None:
    await drill_called(driver)
    await driver.press("enter")
    await driver.go_to(MOMENT)


async def drill_gate(driver: Driver) -> None:
    await drill_called(driver)
    await _at(driver, "gate", kind="in-place")


async def drill_end_question(driver: Driver) -> None:
    await drill_timeline(driver)
    await driver.press("E")


async def drill_marks(driver: Driver) -> None:
    await drill_helped(driver)
    driver.source.solved = True
    await driver.press("E", "enter")
    await driver.until(lambda: "next time" in driver.text)


async def drill_failed(driver: Driver) -> None:
    await drill_called(driver)
    driver.source.solved = False
    await driver.press("E", "enter")
    await driver.until(lambda: "next time" in driver.text)


async def drill_record(driver: Driver) -> None:
    await drill_marks(driver)
    await driver.press("w")


async def proof_plan(driver: Driver) -> None:
    await driver.press("4", "down", "down", "enter")
    await driver.settled()


async def past_drills(driver: Driver) -> None:
    await drills(driver)
    await driver.press("p")


async def unreadable(driver: Driver) -> None:
    def look(desk: object) -> object:
        raise RepriseError("/backup/wal does not answer", remedy="mount it, then press r")

    driver.source.look = look  # type: ignore[method-assign, assignment]
    await driver.press("r")
    await driver.settled()


SCREENS: tuple[Walk, ...] = (
    timeline, timeline_2m, timeline_commits, timeline_gap, timeline_years, go_to, problems, unreadable,
    plan, plan_checks, plan_refused, plan_in_place, destination,
    run, inspecting, log, stop_question, run_failed, run_not_true, run_files_wrong, accept_question, run_completed,
    discard_question,
    gate, gate_in_place, gate_unreadable, forward, advanced, not_proven,
    report, runs, no_runs, help, palette,
    files, files_difference, files_restore_question, files_plan, files_plan_whole,
    overview, overview_healthy, overview_failed, copies, copy_refused, copying, copied, expiry, expire_question,
    dump_plan, dump_question,
    drills, proof_plan, past_drills, drill_beginning, drill_called, drill_helped, drill_timeline, drill_gate,
    drill_end_question, drill_marks, drill_failed, drill_record,
)  # fmt: skip
