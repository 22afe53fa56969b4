"""Columns and instants: monotonic, reversible, the same through summer time."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from tui.axis.scale import COMMITS, LEVELS, column_of, level_for, start_of, step, time_columns

ZONES = [ZoneInfo(name) for name in ("UTC", "Europe/Vienna", "Asia/Kathmandu", "America/St_Johns", "Africa/Cairo")]
instants = st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1)).map(lambda t: t.replace(tzinfo=UTC))
levels = st.integers(0, COMMITS - 1)
zones = st.sampled_from(ZONES)


@given(levels, instants, zones)
def test_an_instant_lies_in_its_own_column(level: int, at: datetime, zone: ZoneInfo) -> None:
    column = column_of(level, at, zone)
    assert start_of(level, column, zone) <= at
    assert at < start_of(level, column + 1, zone) or level < 4  # where the clocks go back, a wall hour comes twice


@given(levels, instants, zones, st.integers(-100, 100))
def test_a_step_of_n_columns_lands_n_columns_further(level: int, at: datetime, zone: ZoneInfo, n: int) -> None:
    assert column_of(level, step(level, at, n, zone), zone) == column_of(level, at, zone) + n


@given(levels, instants, zones)
@settings(max_examples=50)
def test_edges_rise(level: int, at: datetime, zone: ZoneInfo) -> None:
    columns = time_columns(level, column_of(level, at, zone), 66, zone)
    assert list(columns.edges) == sorted(set(columns.edges))
    assert columns.x(at) in (0, 1)


def test_a_day_begins_at_midnight_in_summer_and_winter() -> None:
    zone = ZoneInfo("Europe/Vienna")
    for month in (1, 7):
        column = column_of(2, datetime(2026, month, 15, 12, tzinfo=UTC), zone)
        local = start_of(2, column, zone).astimezone(zone)
        assert (local.day, local.hour) == (15, 0)


def test_the_levels_are_those_of_the_table() -> None:
    assert [level.name for level in LEVELS] == [
        "1 month", "1 week", "1 day", "6 h", "1 h", "10 min", "2 min", "30 s", "5 s", "1 s", "1 commit",
    ]  # fmt: skip


def test_a_history_fills_the_screen_at_the_level_it_starts_with() -> None:
    assert LEVELS[level_for(timedelta(days=22), 66)].name == "6 h"
    assert LEVELS[level_for(timedelta(seconds=55), 66)].name == "1 s"
    assert LEVELS[level_for(timedelta(days=365 * 4), 66)].name == "1 month"
    assert LEVELS[level_for(timedelta(0), 66)].name == "1 s"
