"""Calendar times: both forms are read alike, and the next time is systemd's own."""

import shutil
import subprocess
from datetime import UTC, datetime

import pytest

from engine.schedule.calendar import read_calendar

NOW = datetime(2026, 11, 27, 10, 20, tzinfo=UTC)  # a Friday
TIMES = [
    ("*-*-* 02:00", "0 2 * * *", "2026-11-28T02:00"),
    ("hourly", "0 * * * *", "2026-11-27T11:00"),
    ("daily", "0 0 * * *", "2026-11-28T00:00"),
    ("weekly", "0 0 * * 1", "2026-11-30T00:00"),
    ("monthly", "0 0 1 * *", "2026-12-01T00:00"),
    ("*:0/15", "0,15,30,45 * * * *", "2026-11-27T10:30"),
    ("Mon..Fri 22:30", "30 22 * * 1,2,3,4,5", "2026-11-27T22:30"),
    ("Sat,Sun *-*-* 06:05:00", "5 6 * * 0,6", "2026-11-28T06:05"),
    ("*-*-01 04:00", "0 4 1 * *", "2026-12-01T04:00"),
    ("*-02-29 00:00", "0 0 29 2 *", "2028-02-29T00:00"),
    ("30 1 * * sun", "30 1 * * 0", "2026-11-29T01:30"),
    ("*/20 8-18/2 * * 1-5", "0,20,40 8,10,12,14,16,18 * * 1,2,3,4,5", "2026-11-27T10:40"),
]


@pytest.mark.parametrize(("text", "cron", "following"), TIMES)
def test_each_form_says_the_same_and_knows_its_next_time(text: str, cron: str, following: str) -> None:
    calendar = read_calendar(text)
    assert calendar.cron == cron
    assert read_calendar(calendar.cron) == read_calendar(calendar.on_calendar) == calendar
    assert calendar.next_after(NOW) == datetime.fromisoformat(following).replace(tzinfo=UTC)


@pytest.mark.parametrize("text", [text for text, _, _ in TIMES])
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine")
def test_systemd_agrees_about_the_next_time(text: str) -> None:
    calendar = read_calendar(text)
    base = f"{NOW:%Y-%m-%d %H:%M:%S UTC}"
    words = ["systemd-analyze", "calendar", f"--base-time={base}", calendar.on_calendar + " UTC"]
    told = subprocess.run(words, capture_output=True, text=True, env={"TZ": "UTC", "LC_ALL": "C"}, check=True).stdout
    following = next(line.split(": ", 1)[1] for line in told.splitlines() if "Next elapse" in line)
    assert following == f"{calendar.next_after(NOW):%a %Y-%m-%d %H:%M:%S UTC}"


@pytest.mark.parametrize(
    "text", ["", "nonsense", "25:00", "* * * *", "0 0 1 * 1", "61 * * * *", "*/0 * * * *", "Foo 02:00", "a b c d e"]
)
def test_what_is_no_calendar_time_says_what_would_be_right(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_calendar(text)


def test_a_day_that_never_comes_has_no_next_time() -> None:
    assert read_calendar("*-02-30 00:00").next_after(NOW) is None
