"""A server's log as the screens show it."""

from datetime import timedelta, timezone

import pytest

from tui.widgets.log import read_line

ZONE = timezone(timedelta(hours=1))


def test_the_time_is_the_sites_and_the_level_stands_apart() -> None:
    read = read_line("2026-11-23 13:32:07.044 UTC [4711] LOG:  redo starts at 0/1700028", ZONE)
    assert read == ("14:32:07", "LOG", "redo starts at 0/1700028")
    assert not read.loud


@pytest.mark.parametrize("level", ["FATAL", "PANIC", "ERROR"])
def test_what_is_wrong_is_loud(level: str) -> None:
    assert read_line(f"2026-11-23 13:32:07 UTC [1] {level}:  could not read block 4", ZONE).loud


def test_that_it_is_not_up_yet_is_nothing_wrong() -> None:
    assert not read_line("2026-11-23 13:32:07 UTC [1] FATAL:  the database system is starting up", ZONE).loud
