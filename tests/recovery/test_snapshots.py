"""Which snapshots a moment needs."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from msgspec.structs import replace

from engine.records.copies import MediaSnapshot
from engine.records.history import TransactionEnd
from engine.records.target import RecoveryTarget
from engine.recovery.snapshots import moment_of_files, reserve_for, serving, snapshots_for

BEGAN = datetime(2026, 3, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def snapshot(name: str, started: float, stopped: float, *, usable: bool = True, dated: bool = True) -> MediaSnapshot:
    return MediaSnapshot(name, "/copies", Path("/copies", name), at(started), at(stopped), usable=usable, dated=dated)


def names(snapshots: list[MediaSnapshot], moment: float | None) -> list[str]:
    return [each.id for each in snapshots_for(snapshots, at(moment) if moment is not None else None)]


def test_the_last_before_every_one_that_overlaps_and_the_first_after() -> None:
    every = [snapshot(f"s{start}", start, start + 15) for start in range(0, 100, 10)]
    assert names(every, 52) == ["s30", "s40", "s50", "s60"]


def test_they_come_by_their_start_though_a_short_one_ended_within_a_long_one() -> None:
    assert names([snapshot("short", 50, 60), snapshot("long", 0, 100), snapshot("late", 200, 210)], 80) == [
        "long", "short", "late",
    ]  # fmt: skip


def test_one_that_starts_at_the_moment_is_after_it_and_one_that_stops_at_it_overlaps() -> None:
    assert names([snapshot("before", 0, 10), snapshot("over", 0, 20), snapshot("after", 20, 30)], 20) == [
        "before", "over", "after",
    ]  # fmt: skip


def test_without_a_moment_it_is_the_newest_and_unusable_ones_never_count() -> None:
    every = [snapshot("old", 0, 1), snapshot("new", 10, 11), snapshot("torn", 20, 21, usable=False)]
    assert names(every, None) == ["new"]
    assert names(every, 15) == ["new"]
    assert names([every[2]], 15) == []


def test_undated_ones_serve_only_where_there_is_no_dated_one() -> None:
    undated = snapshot("undated", 90, 90, dated=False)
    assert names([snapshot("dated", 0, 1), undated], 80) == ["dated"]
    assert names([snapshot("dated", 0, 1), undated], None) == ["dated"]
    assert names([undated], 80) == ["undated"]


def test_the_first_repository_in_the_sites_order_that_has_a_usable_one_serves_alone() -> None:
    one, torn = snapshot("one", 0, 1), snapshot("torn", 5, 6, usable=False)
    other = replace(snapshot("other", 2, 3), repository="/other")
    places = ["/none", "/copies", "/other"]
    assert serving([other, torn, one], places) == (torn, one)
    assert serving([other, torn], places) == (other,)
    assert serving([torn], places) == ()


def test_in_reserve_are_all_others_the_nearest_to_the_moment_first_and_undated_ones_last() -> None:
    every = [snapshot(f"s{start}", start, start + 15) for start in range(0, 400, 10)]
    undated, torn = snapshot("undated", 52, 52, dated=False), snapshot("torn", 52, 52, usable=False)
    elsewhere = replace(snapshot("elsewhere", 50, 60), repository="/other")
    chosen = snapshots_for(every, at(52))
    found = [each.id for each in reserve_for([*every, undated, torn, elsewhere], chosen, at(52))]
    assert found[:4] == ["elsewhere", "s20", "s70", "s10"] and len(found) == 20 and "torn" not in found
    assert [each.id for each in reserve_for([*every[:2], undated], chosen, at(52))] == ["s10", "s0", "undated"]
    assert [each.id for each in reserve_for(every, every[-1:], None)][:2] == ["s380", "s370"]


def test_the_files_of_a_point_are_those_of_the_moment_that_was_asked_for() -> None:
    kept = TransactionEnd(1, 90, 100, 7, at(5), "commit")
    asked = RecoveryTarget("time", time=at(9))
    assert moment_of_files(asked, kept, at(1)) == at(9)
    assert moment_of_files(RecoveryTarget("xid", xid=7), kept, at(1)) == at(5)
    assert moment_of_files(RecoveryTarget("immediate"), None, at(1)) == at(1)
    assert moment_of_files(RecoveryTarget("latest"), kept, at(1)) is None
