"""The main way through the screens, by keys, on the stand-in; and what every screen must hold."""

import json
import re
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from textual import events

from engine.acts import Desk, Moment, View
from engine.records.errors import RepriseError
from engine.records.plan import Destination
from engine.records.status import Advice
from engine.records.target import RecoveryTarget
from tests.tui.driving import Driver, driving
from tests.tui.history import ACCIDENT, NOW, lsn_at, utc
from tests.tui.source import StandIn, desk, run_state
from tests.tui.test_pictures import (
    SCREENS,
    Walk,
    advanced,
    expiry,
    gate,
    gate_in_place,
    gate_unreadable,
    inspecting,
    overview,
    run,
    run_completed,
    run_failed,
    run_not_true,
)
from tui.app import RepriseApp
from tui.axis.scale import COMMITS
from tui.keys import KEYS
from tui.screens.files import FilesScreen
from tui.screens.plan import PlanScreen
from tui.screens.report import ReportScreen
from tui.screens.run import RunScreen
from tui.screens.runs import RunsScreen
from tui.settings import Settings

SIZES = [(80, 24), (160, 50)]


def head(driver: Driver) -> tuple[int, object]:
    """The cursor's cell and instant."""
    aim = driver.timeline.aim
    assert aim is not None
    return driver.timeline.col, aim.at


@pytest.mark.parametrize("size", SIZES)
async def test_from_the_axis_to_a_run_by_keys_alone(size: tuple[int, int]) -> None:
    async with driving(*size) as driver:
        await driver.go_to("23 Nov 14:32:07")
        assert "first lost 14:32:07.044  xid 8441213" in driver.text
        await driver.press("enter")
        assert isinstance(driver.screen, PlanScreen)
        assert "Nothing is changed before Enter" in driver.text
        await driver.press("enter")
        await driver.until(lambda: isinstance(driver.screen, RunScreen) and "replay WAL" in driver.text)
        target = driver.source.planned[0][1]
        assert (target.kind, target.lsn, target.exclusive, target.timeline) == ("lsn", lsn_at(ACCIDENT), True, 2)
        assert [ask[0] for ask in driver.source.asked] == ["read_archive", "read_archive", "plan", "start"]


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


@pytest.mark.parametrize("size", SIZES)
async def test_from_the_overview_to_a_copy_a_proof_and_what_expires_by_keys_alone(size: tuple[int, int]) -> None:
    async with driving(*size) as driver:
        await overview(driver)
        assert "28 s of commits" in driver.text and "312 files" in driver.text
        await driver.press("down", "enter", "enter")  # the second thing to do: copy the files
        await driver.until(lambda: isinstance(driver.screen, RunScreen) and "copy: files snapshot" in driver.text)
        assert driver.source.asked[-1][0] == "start"
        await driver.press("escape")
        assert "starting a copy" not in driver.text  # it has run
        await driver.press("v")
        await driver.until(lambda: "m23 is whole" in driver.text)
        await driver.press("e")
        await driver.until(lambda: "3 things would go" in driver.text)
        await driver.press("X", *"delete", "enter")
        await driver.until(lambda: "3 things deleted" in driver.text)
        assert driver.source.asked[-1] == ("expire", True)


async def test_from_the_copies_of_the_files_into_one_of_them() -> None:
    async with driving(80, 24) as driver:
        await overview(driver)
        await driver.press(*["up"] * 9, "down", "down", "enter")
        await driver.until(lambda: "m22" in driver.text)
        assert "Enter open" in driver.text and "next copy  23 Nov 14:59" in driver.text
        await driver.press("down", "enter")
        await driver.until(lambda: isinstance(driver.screen, FilesScreen))
        assert driver.screen.wanted == "m22"  # type: ignore[attr-defined]


async def test_a_dump_is_restored_from_the_list_of_copies() -> None:
    async with driving(80, 24) as driver:
        await overview(driver)
        await driver.press(*["up"] * 9, "enter")
        await driver.until(lambda: "d21" in driver.text)
        assert "Enter restore" in driver.text
        while not any(row.startswith("▶") and "d21" in row for row in driver.text.splitlines()):
            await driver.press("down")
        await driver.press("enter")
        await driver.until(lambda: "in place of the database orders" in driver.text)


async def test_why_a_copy_goes_or_stays_is_told_to_its_end() -> None:
    async with driving(80, 24) as driver:
        await expiry(driver)
        for day, told in ((3, "the newest of no hour, day, week or month"), (5, "no hour, day, week or month")):
            facts = " ".join(driver.text.split("─" * 40)[-1].split())
            assert f"media m{day}" in facts and told in facts
            await driver.press("down")


async def test_how_many_more_things_are_to_be_done_stands_apart_from_the_last_ones_reason() -> None:
    source = StandIn()
    to_do = tuple(Advice("files", "look", f"see to thing {n}", "long " * 20) for n in range(9))
    told = replace(source.status(desk()), to_do=to_do)
    source.status = lambda desk: told  # type: ignore[method-assign]
    async with driving(80, 24, source=source) as driver:
        await overview(driver)
        last = driver.text.splitlines()[-3]
        assert re.search(r"…  \d more$", last), last


async def test_a_dump_is_restored_from_the_timeline_in_place_or_beside_by_keys_alone() -> None:
    async with driving(80, 24) as driver:
        await driver.go_to("21 Nov 2026 12:00")
        await driver.press("D")
        await driver.until(lambda: "in place of the database orders" in driver.text)
        await driver.press("enter", *"orders", "enter")
        await driver.until(lambda: driver.source.asked[-1][0] == "start")
        assert driver.source.asked[-1][1].loading.dump == "d21"
    async with driving(80, 24) as driver:
        await driver.go_to("21 Nov 2026 12:00")
        await driver.press("D", "d", "tab", "enter")
        await driver.until(lambda: "new database orders-1121" in driver.text)
        await driver.press("enter")
        await driver.until(lambda: driver.source.asked[-1][0] == "start")


async def test_a_read_only_session_takes_no_copy_and_deletes_nothing() -> None:
    async with driving(80, 24, read_only=True) as driver:
        await overview(driver)
        for key in ("c", "v"):
            await driver.press(key)
            assert "read-only" in driver.text
        await expiry(driver)
        await driver.press("X")
        assert "read-only" in driver.text
        assert not [ask for ask in driver.source.asked if ask[0] in ("start", "verify") or ask == ("expire", True)]


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
        for host in ("/var/tmp/a-lab/.data.reprise-20261127T213838Z/work/run", "/" + "x" * 106):
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


async def test_a_plan_of_a_dump_or_of_files_has_no_key_that_does_nothing_there() -> None:
    async with driving(80, 24) as driver:
        await driver.go_to("21 Nov 2026 12:00")
        await driver.press("D", "question_mark")
        for missing in ("another port", "wait at the moment", "without the users' files"):
            assert missing not in driver.text
        await driver.press("escape", "escape", "enter", "question_mark")
        assert "without the users' files" in driver.text


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
        assert "this run reads no pages" in driver.text


async def test_accepting_is_only_for_a_run_that_its_questions_stopped() -> None:
    async with driving(80, 24) as driver:
        await run_failed(driver)
        await driver.press("A")
        assert "no question of the site stopped this run" in driver.text and driver.screen.question is None


async def test_in_place_wants_the_sites_name() -> None:
    async with driving(80, 24) as driver:
        await gate_in_place(driver)
        await driver.press("enter")
        assert not [ask for ask in driver.source.asked if ask[0] == "finish"]
        await driver.press("r", "o", "d")
        await driver.press("enter")
        assert [ask for ask in driver.source.asked if ask[0] == "finish"]


async def test_a_wrong_word_is_answered_with_what_is_not_done() -> None:
    async with driving(80, 24) as driver:
        await gate_in_place(driver)
        await driver.press("escape", "P", "enter")
        assert "nothing is typed and nothing is done; the copy takes production's place" in driver.text
        await driver.type("orders")
        await driver.press("enter")
        assert "nothing is done before it stands here" in driver.text
        assert "the copy takes production's place" not in driver.text
        await driver.press("escape")
        await run_completed(driver)
        await driver.press("D")
        await driver.type("yes")
        assert "nothing is done before it stands here" in driver.text and "deleted for good" not in driver.text


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


async def test_zooming_changes_neither_the_instant_nor_the_column() -> None:
    async with driving(80, 24) as driver:
        await driver.go_to("18 Nov 20:15:30")
        before = head(driver)
        for _ in range(COMMITS):
            await driver.press("+")
            assert head(driver) == before
        for _ in range(COMMITS):
            await driver.press("-")
            assert head(driver) == before


async def test_one_column_is_one_commit_at_the_closest_level() -> None:
    async with driving(80, 24) as driver:
        await driver.go_to("23 Nov 14:32:07")
        await driver.press(*["+"] * 7)
        assert driver.timeline.level == COMMITS
        seen = []
        for key in ("right", "right", "left", "left", "left"):
            await driver.press(key)
            found = driver.timeline.found
            assert found is not None and found.cut.kept is not None
            seen.append(found.cut.kept.xid)
        assert seen == [8441213, 8441214, 8441213, 8441212, 8441198]


async def test_the_view_scrolls_only_near_an_edge_and_the_cursor_stops_at_the_archives_end() -> None:
    async with driving(80, 24) as driver:
        await driver.go_to("16 Nov 12:00")
        columns = []
        for _ in range(60):
            await driver.press("left")
            columns.append(driver.timeline.col)
        assert min(columns) == 6
        await driver.press("end")
        last = driver.timeline.found
        assert last is not None and last.cut.lost is None
        await driver.press("right")
        assert driver.timeline.found is not None and driver.timeline.found.cut.gate == last.cut.gate


async def test_the_cursor_stays_where_it_is_when_the_terminal_is_made_tiny_and_wide_again() -> None:
    async with driving(80, 24) as driver:
        await driver.go_to("23 Nov 14:32:07")
        before, picture = head(driver), driver.text
        for size in ((40, 12), (20, 6), (5, 3), (80, 24)):
            await driver.resize(*size)
        await driver.settled()
        assert head(driver) == before and driver.text == picture
        await driver.resize(5, 3)
        await driver.press("left", "right")
        await driver.resize(160, 50)
        assert head(driver)[0] >= 0 and head(driver)[1] == before[1]


async def test_the_cursor_at_the_end_goes_along_when_the_cluster_lives_on_another_timeline() -> None:
    """After a restore in place the line that was left behind must not be the one that Enter plans for."""
    source = StandIn()
    live = source.view
    source.view = replace(live, live_timeline=1)
    async with driving(80, 24, source=source) as driver:
        assert driver.timeline.aim is not None and driver.timeline.aim.line == 1
        lanes = [row.split("  ")[0] for row in driver.text.splitlines() if row.startswith((" timeline", " branches"))]
        assert [lane[:11] for lane in lanes] == [" timeline 2", " timeline 1"]  # there is more than one
        source.view = live
        await driver.press("r")
        await driver.until(lambda: driver.timeline.aim is not None and driver.timeline.aim.line == 2)
        await driver.settled()
        assert driver.timeline.found is not None and driver.timeline.found.cut.lost is None


async def test_events_are_landed_on_exactly() -> None:
    async with driving(80, 24) as driver:
        await driver.go_to("20 Nov 20:00")
        await driver.press("n")
        assert driver.timeline.aim is not None and driver.timeline.aim.at == utc(20, 20, 55)
        cut = driver.timeline.found.cut if driver.timeline.found else None
        assert cut is not None and cut.kept is not None and cut.lost is not None
        assert cut.kept.lsn < lsn_at(utc(20, 20, 55)) + 104 <= cut.lost.lsn
        await driver.press("p")
        assert driver.timeline.aim.at == utc(20, 4)


async def test_out_of_a_gap_to_the_nearest_reachable_moments() -> None:
    async with driving(80, 24) as driver:
        await driver.go_to("13 Nov 2026 11:00")
        assert "NOT REACHABLE" in driver.text
        await driver.press("enter")
        assert "cannot be reached" in driver.text
        await driver.press("a")
        assert "● REACHABLE   Sat 14 Nov" in driver.text
        await driver.go_to("13 Nov 2026 11:00")
        await driver.press("b")
        assert "● REACHABLE   Fri 13 Nov" in driver.text


async def test_tab_goes_to_the_other_timeline_that_holds_the_moment() -> None:
    async with driving(80, 24) as driver:
        await driver.go_to("18 Nov 09:00")
        assert "timeline 2" in driver.text.split("REACHABLE")[1].splitlines()[0]
        await driver.press("tab")
        assert "timeline 1" in driver.text.split("REACHABLE")[1].splitlines()[0]
        await driver.go_to("22 Nov 09:00")
        await driver.press("tab")
        assert "no other timeline" in driver.text or "timeline 2" in driver.text


async def test_an_lsn_a_transaction_and_a_restore_point_can_be_typed() -> None:
    async with driving(80, 24) as driver:
        await driver.go_to("xid 8441213")
        await driver.until(lambda: "first lost 14:32:07.044  xid 8441213" in driver.text)
        await driver.go_to("before_v4_1")
        assert "Tue 10 Nov 2026 20:12:00" in driver.text
        await driver.go_to("xid 77")
        await driver.until(lambda: "transaction 77 is not in the archived WAL" in driver.text)


async def test_the_end_of_the_archive_is_planned_as_latest() -> None:
    async with driving(80, 24) as driver:
        await driver.press("enter")
        assert driver.source.planned[0][1].kind == "latest"


async def test_a_plan_knows_what_was_archived_since_the_screen_was_opened() -> None:
    """Else "nothing that the archive holds" would be lost, and production's WAL not archived, as it was hours ago."""
    source = StandIn()
    async with driving(80, 24, source=source) as driver:
        asked = len(source.asked)
        await driver.press("enter")
        assert [ask[0] for ask in source.asked[asked:]] == ["read_archive", "plan"]


async def test_another_destination_can_be_typed() -> None:
    async with driving(80, 24) as driver:
        await driver.press("enter", "d")
        await driver.press("tab", "enter")
        assert driver.source.asked[-1][2].kind == "in-place"
        await driver.press("w", "enter")
        assert "to restore in place, type the site's name" in driver.text
        await driver.press("escape")
        assert not [ask for ask in driver.source.asked if ask[0] == "start"]


async def test_a_long_folder_hides_neither_its_end_nor_the_port() -> None:
    async with driving(80, 24) as driver:
        await driver.press("enter", "d", "ctrl+u")
        await driver.type("/srv/" + "long/" * 14 + "data-1123-143207")
        await driver.press("enter")
        await driver.until(lambda: "long/data-1123-143207, port 5434" in driver.text)


async def test_the_users_files_come_along_or_stay_at_a_key() -> None:
    async with driving(80, 24) as driver:
        await driver.press("enter")
        assert driver.source.files_wanted is None
        await driver.press("m")
        assert driver.source.files_wanted is True


async def test_a_refused_plan_cannot_be_started_and_says_why() -> None:
    async with driving(80, 24) as driver:
        driver.source.refuse = True
        await driver.press("enter", "enter")
        assert "Cannot start: 1 check fails." in driver.text
        assert not [ask for ask in driver.source.asked if ask[0] == "start"]


async def test_read_only_disables_every_act_and_says_why() -> None:
    async with driving(80, 24, read_only=True) as driver:
        await driver.press("enter", "enter")
        assert "--read-only" in driver.text
        await gate(driver)
        for key in ("P", "f", "x", "z", "D", "R", "U", "S", "O", "A"):
            await driver.press(key)
            assert "--read-only" in driver.text, key
        assert {ask[0] for ask in driver.source.asked} == {"read_archive", "plan"}


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


async def test_escape_goes_back_one_level_and_never_leaves() -> None:
    async with driving(80, 24) as driver:
        await run_completed(driver)
        await driver.press("enter")
        assert isinstance(driver.screen, ReportScreen)
        await driver.press("escape")
        assert isinstance(driver.screen, RunScreen)
        await driver.press("escape")
        assert isinstance(driver.screen, RunsScreen)
        await driver.press("escape", "escape", "escape")
        assert driver.app.is_running and driver.screen is driver.timeline


async def test_what_came_of_the_files_is_told_at_a_runs_end_and_in_its_report() -> None:
    lost = {"path": "2026/11/lost.pdf", "rows": 3, "why": "no snapshot has it"}
    files = {
        "copied": 1204, "bytes": 3 << 30, "kept": 48_790, "out": 12, "out_bytes": 5 << 20, "unrecoverable": 1,
        "unrecoverable_rows": 3, "unrecoverable_sample": [lost],
        "findings": ["size and time were trusted (--fast): a file whose content changed without them is not seen"],
    }  # fmt: skip
    async with driving(80, 24) as driver:
        await run_completed(driver)
        driver.source.state = replace(driver.source.state, files=files)  # type: ignore[type-var]
        await driver.press("escape", "enter")
        await driver.settled()
        assert isinstance(driver.screen, RunScreen)
        assert "1 204 files came back" in driver.text and "1 is LOST, 3 rows refer to" in driver.text
        await driver.press("enter")
        await driver.settled()
        assert isinstance(driver.screen, ReportScreen)
        told = driver.text
        for text in ("12 moved out, 5 MiB", "48 790 right already", "(--fast)", "2026/11/lost.pdf", "3 rows refer"):
            while text not in told:
                before = driver.text
                await driver.press("pagedown")
                await driver.settled()
                told += driver.text
                assert driver.text != before, text


async def test_the_plan_is_saved_as_json(tmp_path: Path) -> None:
    async with driving(80, 24) as driver:
        await driver.press("enter", "s", "ctrl+u")
        path = tmp_path / "plan.json"
        screen = driver.screen
        assert screen.question is not None
        screen.question.line.text = str(path)
        await driver.press("enter")
        await driver.until(path.exists)
        assert json.loads(path.read_text())["site"] == "orders-prod"


async def test_a_theme_is_chosen_and_remembered(tmp_path: Path) -> None:
    async with driving(80, 24, settings_folder=tmp_path) as driver:
        await driver.press("T")
        assert driver.app.chosen.name == "light"
        assert 'theme = "light"' in (tmp_path / "settings.toml").read_text()


async def test_keys_can_be_remapped_and_the_footer_says_so() -> None:
    async with driving(80, 24, settings=Settings(keys={"plan": "f5", "go-to": "slash", "nonsense": "x"})) as driver:
        assert "f5 plan" in driver.text
        assert "nonsense" in driver.text  # reported
        await driver.press("f5")
        assert isinstance(driver.screen, PlanScreen)


async def test_all_that_is_wrong_in_settings_and_themes_is_told(tmp_path: Path) -> None:
    (tmp_path / "themes").mkdir()
    (tmp_path / "themes" / "mine.toml").write_text('name = "mine"\n')
    async with driving(80, 24, settings=Settings(keys={"nonsense": "x"}), settings_folder=tmp_path) as driver:
        assert "2 problems, i shows all:" in driver.text
        await driver.press("i")
        told = " ".join(driver.text.split())
        assert "roles: a table [roles] is wanted" in told and "keys.nonsense: there is no such key" in told
        assert "lost, ok, warn, bad" in told  # to its end


async def test_in_a_read_only_session_the_help_says_so_of_each_act_also_behind_long_words() -> None:
    async with driving(80, 24, read_only=True) as driver:
        await gate(driver)
        await driver.press("question_mark")
        shown = driver.text
        await driver.press("end")
        acts = [key for key in KEYS.values() if key.acts and key.help[:40] in shown + driver.text]
        assert len(acts) > 8 and "go on although" in shown
        lines = " ".join((shown.split("Esc back")[0]).split())
        assert "true (read-only)" in lines and "all is left as it is (read-only)" in lines


async def test_y_shows_what_it_copies() -> None:
    async with driving(80, 24) as driver:
        await driver.go_to("23 Nov 14:32:07")
        await driver.press("y")
        assert "copied: Mon 23 Nov 2026 14:32:07 CET 2026-11-23T13:32:07.000000Z lsn" in driver.text


async def test_a_click_moves_the_cursor_to_that_column() -> None:
    async with driving(80, 24) as driver:
        await driver.click(40, 5)
        assert driver.timeline.col == 40 - 12
        await driver.click(56, 23)  # "plan" in the footer
        await driver.until(lambda: isinstance(driver.screen, PlanScreen))


async def test_keys_in_one_burst_are_typed_into_the_question_that_the_first_of_them_opens() -> None:
    async with driving(80, 24) as driver:
        await driver.burst("slash", *"8441213", "enter", "enter")  # each of these is a key of the timeline too
        await driver.until(lambda: isinstance(driver.screen, PlanScreen) and "Nothing is changed" in driver.text)
        assert driver.source.asked[-1][1].lsn == lsn_at(ACCIDENT)  # not planned for where the cursor was before
        await driver.burst("p", *"5439", "enter", "3", "slash", *"pdf", "enter", "question_mark")
        assert "on this screen: runs" in driver.text
        await driver.burst("escape")
        assert "filter: pdf" in driver.text
        assert [ask[2].port for ask in driver.source.asked if ask[0] == "plan"] == [None, 5439]
        await driver.burst("4", "colon", *"next theme", "enter", "1", "f", *["escape"] * 5)
        assert driver.app.chosen.name == "light" and driver.screen is driver.timeline


async def test_keys_typed_before_anything_is_known_are_no_commands() -> None:
    source, free = StandIn(), threading.Event()
    quick = source.look

    def slow(desk: Desk) -> View:
        assert free.wait(30)
        return quick(desk)

    source.look = slow  # type: ignore[method-assign]
    app = RepriseApp(desk(), source, clock=lambda: NOW)
    async with app.run_test(size=(80, 24)) as pilot:
        driver = Driver(app, pilot, source)
        for key in ("g", *"8441213", "enter"):
            app.post_message(events.Key(key, key if len(key) == 1 else None))
        await driver.until(lambda: driver.timeline.wanted is not None)
        free.set()
        await driver.until(lambda: "first lost 14:32:07.044  xid 8441213" in driver.text)
        assert driver.screen is driver.timeline


async def test_a_paste_and_a_click_keep_their_place_among_the_keys() -> None:
    async with driving(80, 24) as driver:
        driver.app.post_message(events.Key("g", "g"))
        driver.app.post_message(events.Paste("23 Nov 14:32:07"))
        await driver.burst("enter")
        assert "first lost 14:32:07.044" in driver.text
        await driver.burst("g")
        await driver.click(40, 5)
        assert driver.screen.question is not None  # it is answered or left first
        await driver.burst("escape")
        driver.app.post_message(events.MouseDown(None, 40, 5, 0, 0, 1, False, False, False))
        driver.app.post_message(events.MouseUp(None, 40, 5, 0, 0, 1, False, False, False))
        await driver.burst("right")
        assert driver.timeline.col == 40 - 12 + 1


@pytest.mark.parametrize("walk", SCREENS, ids=lambda walk: walk.__name__)
async def test_the_footer_has_at_most_six_keys_and_nothing_is_cut(walk: Walk) -> None:
    async with driving(80, 24) as driver:
        await walk(driver)
        assert len(driver.screen.hints()) <= 6
        if driver.screen.question is None:
            for hint in driver.screen.hints():
                assert hint.label in driver.text.splitlines()[-1]


async def test_a_slow_index_does_not_hold_the_screen() -> None:
    """Keys move the cursor at once; what was overtaken is never looked up; that facts are being looked for is said."""
    source, free, asked = StandIn(), threading.Event(), []
    quick = source.moment
    async with driving(80, 24, source=source) as driver:

        def slow(desk: Desk, view: View, timeline: int, gate: int) -> Moment:
            asked.append(gate)
            assert free.wait(30)
            return quick(desk, view, timeline, gate)

        source.moment = slow  # type: ignore[method-assign]
        before = driver.timeline.col
        for _ in range(10):
            await driver.pilot.press("left")
        assert driver.timeline.col == before - 10
        await driver.until(lambda: "looking" in driver.text)
        free.set()
        await driver.settled()
        assert len(asked) == 2
        assert "REACHABLE" in driver.text


async def test_what_is_known_is_shown_before_the_archive_is_read() -> None:
    """Listing a long archive would hold the first moment up."""
    source, free = StandIn(), threading.Event()
    quick = source.moment

    def slow(desk: Desk, view: View, timeline: int, gate: int) -> Moment:
        assert free.wait(30)
        return quick(desk, view, timeline, gate)

    source.moment = slow  # type: ignore[method-assign]
    app = RepriseApp(desk(), source, clock=lambda: NOW)
    async with app.run_test(size=(80, 24)) as pilot:
        driver = Driver(app, pilot, source)
        await driver.until(lambda: "looking" in driver.text)
        assert source.asked == []
        free.set()
        await driver.settled()
        assert "REACHABLE" in driver.text
        assert source.asked == [("read_archive",)]


@pytest.mark.parametrize("broken", ["nothing is known", "it cannot be looked at"])
async def test_the_archive_is_read_where_there_is_no_moment_to_show(broken: str) -> None:
    source = StandIn()
    whole = source.view

    def look(desk: Desk) -> View:
        if source.asked:
            return whole
        if broken == "nothing is known":
            return replace(whole, histories={}, windows=(), spans=())
        raise RepriseError("the index cannot be read")

    source.look = look  # type: ignore[method-assign]
    async with driving(80, 24, source=source) as driver:
        assert "REACHABLE" in driver.text


async def test_an_index_that_fails_says_so_and_the_screen_goes_on() -> None:
    source = StandIn()
    async with driving(80, 24, source=source) as driver:

        def broken(desk: Desk, view: View, timeline: int, gate: int) -> Moment:
            raise RepriseError("the index cannot be read", remedy="press r")

        quick, source.moment = source.moment, broken  # type: ignore[method-assign]
        await driver.pilot.press("left")
        await driver.until(lambda: "the index cannot be read; press r" in driver.text)
        source.moment = quick  # type: ignore[method-assign]
        await driver.press("left")
        assert "REACHABLE" in driver.text
