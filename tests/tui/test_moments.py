"""Typed moments: what is understood, and what is refused rather than guessed."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui.moments import understand

ZONE = ZoneInfo("Europe/Vienna")
NOW = datetime(2026, 11, 23, 13, 41, 20, tzinfo=UTC)
CURSOR = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
NAMES = ("month_close", "before_v4_1", "before_v4_1", "yesterday")


def at(text: str) -> str | None:
    got = understand(text, ZONE, NOW, CURSOR, NAMES)
    return got.at.astimezone(ZONE).strftime("%Y-%m-%d %H:%M:%S.%f").removesuffix(".000000") if got.at else None


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("14:03", "2026-11-20 14:03:00"),
        ("14:03:07.5", "2026-11-20 14:03:07.500000"),
        ("yesterday 18:00", "2026-11-22 18:00:00"),
        ("today 08:15", "2026-11-23 08:15:00"),
        ("today", "2026-11-23 00:00:00"),
        ("now", "2026-11-23 14:41:20"),
        ("10 minutes before now", "2026-11-23 14:31:20"),
        ("2 h ago", "2026-11-23 12:41:20"),
        ("+30 s", "2026-11-20 10:30:30"),
        ("-1 h", "2026-11-20 09:30:00"),
        ("5 min earlier", "2026-11-20 10:25:00"),
        ("2026-11-22T11:03:10Z", "2026-11-22 12:03:10"),
        ("2026-11-22 11:03:10", "2026-11-22 11:03:10"),
        ("2026-11-22T11:03:10+03:00", "2026-11-22 09:03:10"),
        ("2026-11-22", "2026-11-22 00:00:00"),
        ("23 Nov 14:32:07", "2026-11-23 14:32:07"),
        ("13 Nov 2026 11:00", "2026-11-13 11:00:00"),
        ("20261122T110310Z", "2026-11-22 12:03:10"),
        ("14:03Z", "2026-11-20 15:03:00"),
        ("14:03 UTC", "2026-11-20 15:03:00"),
        ("14:03+03:00", "2026-11-20 12:03:00"),
        ("14:03 cet", "2026-11-20 14:03:00"),
        ("fri 14:03", "2026-11-20 14:03:00"),
        ("Monday at 14:03", "2026-11-23 14:03:00"),
        ("Monday 14:50", "2026-11-16 14:50:00"),
        ("last monday", "2026-11-16 00:00:00"),
        ("Mon 23 Nov 2026 14:32:07 CET", "2026-11-23 14:32:07"),  # as the screens say it
        ("2026-11-23 14:32:07.123 CET", "2026-11-23 14:32:07.123000"),  # as PostgreSQL's log has it
        ("2026-11-23 13:32:07 GMT", "2026-11-23 14:32:07"),
        ("2026-10-25 02:30:00 CEST", "2026-10-25 02:30:00"),
    ],
)
def test_a_time_is_understood(typed: str, meant: str) -> None:
    assert at(typed) == meant


def test_a_clock_time_that_is_still_to_come_was_the_day_before() -> None:
    night = datetime(2026, 11, 24, 2, 5, tzinfo=UTC)
    got = understand("23:50", ZONE, night, night - timedelta(minutes=5))
    assert got.words == "Mon 23 Nov 2026 23:50:00 CET   22:50:00 UTC"


@pytest.mark.parametrize(
    "typed",
    [
        "2026-11-23 14:32 CEST",
        "14:03 MSK",
        "14:03+99:00",
        "friday 25:00",
        "mon tue",
        "last 14:03",
        "",
        "25:00",
        "14:70",
        "11/12/2026",
        "soon",
        "a",
        "2026-13-01",
        "99999999999",
        "1/2/3",
    ],
)
def test_what_is_not_clear_is_refused_with_words(typed: str) -> None:
    got = understand(typed, ZONE, NOW, CURSOR, NAMES)
    assert got.kind is None and got.words


def test_other_kinds() -> None:
    assert understand("16/B374D848", ZONE, NOW, CURSOR).lsn == 0x16B374D848
    assert understand("xid 8441213", ZONE, NOW, CURSOR).xid == 8441213
    assert understand("8441213", ZONE, NOW, CURSOR).kind == "xid"
    assert understand("month_close", ZONE, NOW, CURSOR, NAMES).name == "month_close"
    assert "last of 2" in understand("before_v4_1", ZONE, NOW, CURSOR, NAMES).words
    assert understand("yesterday", ZONE, NOW, CURSOR, NAMES).kind == "name"  # a restore point may be called anything


def test_both_zones_are_said_before_enter() -> None:
    assert understand("14:03", ZONE, NOW, CURSOR).words == "Fri 20 Nov 2026 14:03:00 CET   13:03:00 UTC"


def test_a_skipped_hour_is_refused_and_a_doubled_one_is_named() -> None:
    assert understand("2026-03-29 02:30", ZONE, NOW, CURSOR).kind is None
    twice = understand("2026-10-25 02:30", ZONE, NOW, CURSOR)
    assert twice.kind == "time" and "twice" in twice.words
    assert understand("2026-10-25 02:30 CET", ZONE, NOW, CURSOR).at == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


@given(st.text(max_size=80))
@settings(max_examples=300, deadline=None)
def test_nothing_typed_raises(text: str) -> None:
    got = understand(text, ZONE, NOW, CURSOR, NAMES)
    assert got.words
