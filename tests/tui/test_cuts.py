"""Cuts on a line: exactly between two transaction ends, across the fork of two timelines."""

from datetime import timedelta

from tests.tui.history import ACCIDENT, FORK, LEFT_END, history, lsn_at, utc
from tui.axis import cuts
from tui.axis.scale import step, time_columns

LINES = cuts.lines_of({"main": history()})


def test_a_line_joins_its_ancestors_at_the_fork() -> None:
    assert [(piece.timeline, piece.low) for piece in LINES[2].pieces] == [(1, 0), (2, lsn_at(FORK))]
    assert LINES[2].pieces[0].high == lsn_at(FORK)


def test_a_time_cuts_before_the_first_later_commit() -> None:
    cut = cuts.cut_at_time(LINES[2], utc(23, 14, 32, 7))
    assert cut is not None and cut.kept is not None and cut.lost is not None
    assert (cut.kept.xid, cut.lost.xid) == (8441212, 8441213)
    assert cut.gate == cut.lost.lsn == lsn_at(ACCIDENT)


def test_the_very_time_of_a_commit_keeps_it() -> None:
    cut = cuts.cut_at_time(LINES[2], ACCIDENT)
    assert cut is not None and cut.kept is not None
    assert cut.kept.xid == 8441213


def test_a_time_between_fork_and_first_commit_cuts_on_the_child() -> None:
    cut = cuts.cut_at_time(LINES[2], FORK + timedelta(hours=1))
    assert cut is not None and cut.kept is not None
    assert cut.timeline == 2 and cut.kept.timeline == 1 and cut.kept.at < FORK


def test_the_left_behind_line_goes_on_past_the_fork() -> None:
    cut = cuts.cut_at_time(LINES[1], FORK + timedelta(hours=1))
    assert cut is not None and cut.timeline == 1 and cut.lost is not None
    end = cuts.cut_at_time(LINES[1], LEFT_END + timedelta(days=1))
    assert end is not None and end.lost is None and end.kept is not None and end.gate == end.kept.end_lsn


def test_neighbours_come_in_wal_order_across_the_fork() -> None:
    cut = cuts.cut_at_time(LINES[2], FORK + timedelta(hours=1))
    assert cut is not None
    kept, lost = cuts.ends_around(LINES[2], cut, 20, 20)
    assert len(kept) == len(lost) == 20
    assert kept[-1] == cut.kept and lost[0] == cut.lost
    assert [end.at for end in kept] == sorted(end.at for end in kept)
    assert cuts.cut_behind(LINES[2], kept[-3]).lost == kept[-2]


def test_columns_of_any_width_count_every_commit_once() -> None:
    from tests.tui.source import desk

    zone = desk().site.zone
    total = sum(1 for end in history().of[1] if end.lsn < lsn_at(FORK)) + len(history().of[2])
    for level in (0, 1, 2, 3):
        first = 2026 * 12 + 9 if level == 0 else None
        columns = time_columns(level, first, 4, zone) if first else None
        if columns is None:
            start = step(level, utc(1, 0), 0, zone)
            from tui.axis.scale import column_of

            columns = time_columns(level, column_of(level, start, zone), 150, zone)
        assert sum(cuts.densities(LINES[2], columns.edges)) == total
