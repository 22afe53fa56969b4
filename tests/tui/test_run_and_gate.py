"""A run on the screen by its keys: progress, the gate and its answers, the end, the list of runs."""

from datetime import timedelta

from msgspec.structs import replace

from engine.records.plan import Destination
from engine.records.runs import StepState
from engine.records.target import RecoveryTarget
from tests.tui.driving import driving
from tests.tui.history import ACCIDENT, NOW, lsn_at, utc
from tests.tui.source import StandIn, desk, run_state
from tests.tui.walks import (
    FILES,
    advanced,
    gate,
    gate_in_place,
    gate_unreadable,
    inspecting,
    run,
    run_completed,
    run_failed,
    run_files_wrong,
    run_not_true,
)
from tui.screens.report import ReportScreen
from tui.screens.run import RunScreen


async def test_the_gate_is_answered_by_keys() -> None:
    async with driving(80, 24) as driver:
        await gate(driver)
        await driver.press("f")
        await driver.type("+30 s")
        await driver.press("enter")
        await driver.press("P")
        asked = {ask[0]: ask for ask in driver.source.asked}
        assert asked["advance"][2].kind == "time" and asked["advance"][2].time > utc(23, 14, 32, 36)
        assert "finish" in asked


async def test_at_the_gate_on_from_where_the_server_stands_by_now_or_to_a_restore_point() -> None:
    async with driving(80, 24) as driver:
        await advanced(driver)
        assert driver.source.state is not None and driver.source.state.reached is not None
        here = driver.source.state.reached.last_commit_at
        assert here is not None and here > utc(23, 14, 32, 7)
        await driver.press("f")
        await driver.type("+30 s")
        await driver.press("enter")
        await driver.press("f")
        await driver.type("month_close")
        await driver.until(lambda: "restore point month_close" in driver.text)
        await driver.press("enter")
        later, named = [ask[2] for ask in driver.source.asked if ask[0] == "advance"][-2:]
        assert later.time == here + timedelta(seconds=30) and (named.kind, named.name) == ("name", "month_close")


async def test_psql_that_cannot_have_this_terminal_is_offered_for_another() -> None:
    async with driving(80, 24) as driver:  # the pilot has no terminal to hand over
        await gate(driver)
        await driver.press("o")
        line = "psql -h /srv/restore/run -p 5434 -U postgres postgres"
        assert "this terminal cannot be handed over" in driver.text
        assert driver.app.clipboard == line and driver.text.count(line) == 2
        assert not [ask for ask in driver.source.asked if ask[0] == "hold_psql"]


async def test_the_gate_shows_all_of_the_psql_command_however_long_the_socket_folder_is() -> None:
    async with driving(80, 24) as driver:
        await gate(driver)
        for host in ("/var/tmp/a-lab/.data.reprise-20261127T213838Z/own/run", "/" + "x" * 106):
            assert driver.source.state is not None
            driver.source.state = replace(driver.source.state, host=host)
            await driver.press("r")
            rows = [row.strip(" │") for row in driver.text.splitlines() if row.startswith(" │")]
            shown = "".join(rows[rows.index(next(row for row in rows if row.startswith("psql "))) :][:2])
            assert shown.replace(" ", "") == f"psql-h{host}-p5434-Upostgrespostgres"


async def test_where_nothing_can_be_read_the_gate_and_o_say_why() -> None:
    async with driving(80, 24) as driver:
        await gate_unreadable(driver)
        assert "subtransactions was open at" in driver.text and "look first" not in driver.text
        await driver.press("o")
        assert "start; copied, for another terminal: psql -h" in " ".join(driver.text.split())
        assert not [ask for ask in driver.source.asked if ask[0] == "prepare_psql"]


async def test_going_on_against_the_sites_own_questions_wants_the_word() -> None:
    async with driving(80, 24) as driver:
        await run_not_true(driver)
        await driver.press("A")
        assert "although SELECT count(*) > 0 FROM documents: False instead of true" in driver.text
        await driver.type("yes")
        await driver.press("enter")
        assert not [ask for ask in driver.source.asked if ask[0] == "resume"]
        await driver.press("ctrl+u")
        await driver.type("accept")
        await driver.press("enter")
        assert driver.source.asked[-1][0] == "resume" and ("accept_checks", True) in driver.source.asked[-1]


async def test_the_reading_of_every_page_is_left_out_after_a_question() -> None:
    async with driving(80, 24) as driver:
        await inspecting(driver)
        assert "s skip pages" in driver.text.splitlines()[-1]
        await driver.press("s")
        assert "leave out the reading of every page?" in driver.text
        await driver.press("escape")
        assert not [ask for ask in driver.source.asked if ask[0] == "skip"]
        await driver.press("s", "enter")
        assert driver.source.asked[-1][0] == "skip" and "pages are not read any more" in driver.text
    async with driving(80, 24) as driver:
        await gate(driver)
        await driver.press("s")
        assert "this run has nothing to skip" in driver.text


async def test_accepting_is_only_for_a_run_that_its_questions_stopped() -> None:
    async with driving(80, 24) as driver:
        await run_failed(driver)
        await driver.press("A")
        assert "no question of the site stopped this run" in driver.text and driver.screen.question is None


async def test_discarding_wants_a_typed_word() -> None:
    async with driving(80, 24) as driver:
        await run_completed(driver)
        await driver.press("D")
        await driver.type("y")
        await driver.press("enter")
        assert not [ask for ask in driver.source.asked if ask[0] == "discard"]
        await driver.press("backspace")
        await driver.type("discard")
        await driver.press("enter")
        assert [ask for ask in driver.source.asked if ask[0] == "discard"]


async def test_a_completed_run_says_how_many_files_came_back_and_how_many_nobody_has() -> None:
    files = {"copied": 1, "bytes": 10_034, "kept": 48_790, "unrecoverable": 2, "unrecoverable_rows": 3, "findings": []}
    async with driving(80, 24) as driver:
        await run_completed(driver)
        for lost, told in ((2, "× 2 are LOST, 3 rows refer to them"), (0, "48 790 were right, none is lost")):
            assert driver.source.state is not None
            driver.source.state = replace(driver.source.state, files={**files, "unrecoverable": lost})
            await driver.press("r")
            assert f"files       1 file came back, 9.8 KiB  {told}" in driver.text


async def test_a_held_run_is_called_so_and_the_list_of_runs_sees_it_end() -> None:
    async with driving(80, 24) as driver:
        await run(driver)
        assert driver.source.state is not None
        driver.source.state = replace(driver.source.state, held=True)
        await driver.press("r")
        assert "held: it goes on when you say so" in driver.text and "in about" not in driver.text
        await driver.press("escape", "3")
        await driver.until(lambda: "▶ held" in driver.text)
        driver.source.state = replace(driver.source.state, outcome="completed", held=False)
        await driver.until(lambda: "● completed" in driver.text)


async def test_a_new_start_offers_the_run_that_goes_on() -> None:
    source = StandIn()
    target = RecoveryTarget("lsn", lsn=lsn_at(ACCIDENT), exclusive=True, timeline=2)
    made = source.plan(desk(), target, Destination("side-copy", "/srv/x"), action="pause")
    source.state = run_state(made)
    async with driving(80, 24, source=source) as driver:
        assert "goes on" in driver.text
        await driver.press("enter")
        await driver.until(lambda: isinstance(driver.screen, RunScreen))


async def test_a_new_start_shows_the_restore_whose_engine_died_and_not_one_that_somebody_stopped() -> None:
    source = StandIn()
    made = source.plan(desk(), RecoveryTarget("latest"), Destination("in-place", "/srv/orders/data"), action="pause")
    died = replace(run_state(made), outcome="interrupted", answers=("resume", "rollback"), finished_at=None)
    source.state = replace(died, finished_at=NOW)
    async with driving(80, 24, source=source) as driver:
        assert "Enter shows it" not in driver.text
    source.state = died
    async with driving(80, 24, source=source) as driver:
        assert "was interrupted: its engine died" in " ".join(driver.text.split())
        await driver.press("enter")
        await driver.until(lambda: isinstance(driver.screen, RunScreen))
        assert "its engine died: resume goes on there, roll back leads to the state before" in driver.text


async def test_what_came_of_the_files_is_told_at_a_runs_end_and_in_its_report() -> None:
    named = [{"id": 17, "document": 5, "title": "Contract"}]
    lost = {"path": "2026/11/lost.pdf", "rows": 3, "why": "no snapshot has it", "row_samples": named}
    files = {
        "copied": 1204, "bytes": 3 << 30, "kept": 48_790, "out": 12, "out_bytes": 5 << 20, "unrecoverable": 1,
        "unrecoverable_rows": 3, "unrecoverable_sample": [lost], "unrecoverable_note": "which rows these are …",
        "findings": ["size and time were trusted (--fast): a file whose content changed without them is not seen"],
    }  # fmt: skip
    async with driving(80, 24) as driver:
        await run_completed(driver)
        state = driver.source.state
        assert state is not None
        done = [StepState(kind, kind, kind, "done") for kind in ("copy-files", "swap-files")]
        driver.source.state = replace(state, files=files, steps=(*state.steps, *done))
        await driver.press("escape", "enter")
        await driver.settled()
        assert isinstance(driver.screen, RunScreen)
        assert "1 204 files came back" in driver.text and "1 is LOST, 3 rows refer to" in driver.text
        await driver.press("enter")
        await driver.settled()
        assert isinstance(driver.screen, ReportScreen)
        told = driver.text
        for text in ("12 moved out, 5 MiB", "48 790 right already", "(--fast)", "2026/11/lost.pdf", "3 rows refer",
                     'id 17, document 5, title "Contract"; and 2 more rows', "which rows these are …"):  # fmt: skip
            while text not in told:
                before = driver.text
                await driver.press("pagedown")
                await driver.settled()
                told += driver.text
                assert driver.text != before, text


async def test_a_report_opened_while_the_run_goes_on_says_when_it_has_ended() -> None:
    async with driving(80, 24) as driver:
        await run_completed(driver)
        assert driver.source.state is not None
        ended = driver.source.state
        driver.source.state = replace(ended, outcome="running")
        await driver.press("r")
        await driver.press("enter")
        await driver.settled()
        assert isinstance(driver.screen, ReportScreen) and "RUNNING" in driver.text
        driver.source.state = ended
        for _ in range(100):  # it is read in a thread
            driver.screen._tick()
            await driver.settled()
            if "COMPLETED" in driver.text:
                break
        assert "COMPLETED" in driver.text and "RUNNING" not in driver.text


async def test_a_run_that_went_on_with_wrong_files_says_so_where_it_says_that_it_is_completed() -> None:
    wrong = {"path": "2026/11/c.pdf", "why": "it has other content than the database says", "row_samples": [{"id": 6}]}
    files = {**FILES, "unrecoverable": 0, "out": 0, "findings": []}
    async with driving(80, 24) as driver:
        await run_completed(driver)
        state = driver.source.state
        assert state is not None
        checked = {**files, "check": {"listed": 0, "missing": 0, "wrong": 1, "sample": [wrong]}}
        driver.source.state = replace(state, files=checked)
        await driver.press("escape", "enter")
        await driver.settled()
        assert "1 is WRONG or MISSING" in driver.text and "none is lost" not in driver.text
        await driver.press("enter")
        await driver.settled()
        told = driver.text
        await driver.press("pagedown")
        told += driver.text
        assert "1 missing or wrong when they were checked last" in told and "2026/11/c.pdf" in told


async def test_what_is_typed_at_the_gate_is_seen_although_the_log_was_open() -> None:
    async with driving(80, 24) as driver:
        await gate_in_place(driver)
        await driver.press("escape", "l", "P")
        assert "type the site's name" in driver.text
        await driver.press("escape")
        assert "PAUSED" not in driver.text


async def test_a_report_read_before_the_files_come_says_what_will_become_of_them_not_what_has() -> None:
    async with driving(80, 24) as driver:
        await run_completed(driver)
        state = driver.source.state
        assert state is not None
        todo = [StepState(kind, kind, kind, "to do") for kind in ("copy-files", "swap-files")]
        files = {**FILES, "out": 12, "out_bytes": 5 << 20, "findings": []}
        driver.source.state = replace(state, outcome="paused", files=files, steps=(*state.steps, *todo))
        await driver.press("r", "enter")
        await driver.settled()
        told = driver.text
        await driver.press("pagedown")
        told += driver.text
        assert "to be copied" in told and "12 to be moved out" in told


async def test_a_run_that_failed_in_the_files_check_names_its_keys_and_goes_on_as_it_is_after_a_question() -> None:
    async with driving(80, 24) as driver:
        await run_files_wrong(driver)
        assert "R check again   s go on as it is   U roll back" in driver.text.splitlines()[-1]
        await driver.press("s")
        assert "go on, whatever is missing or wrong among the files?" in driver.text
        await driver.press("escape")
        assert not [ask for ask in driver.source.asked if ask[0] == "skip"]
        await driver.press("s", "enter")
        assert driver.source.asked[-1][0] == "skip"
