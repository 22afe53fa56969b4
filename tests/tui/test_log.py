"""Logs as the screens show them."""

from datetime import timedelta, timezone

import pytest

from tui.widgets.log import read_line, read_lines

ZONE = timezone(timedelta(hours=1))


def test_the_time_is_the_sites_and_the_level_stands_apart() -> None:
    read = read_line("2026-11-23 13:32:07.044 UTC [4711] LOG:  redo starts at 0/1700028", ZONE)
    assert read == ("14:32:07", "LOG", "redo starts at 0/1700028")
    assert not read.loud


def test_the_engines_own_lines_are_told_in_the_sites_time_too() -> None:
    read = read_line("2026-11-23T13:32:07.955170Z begin take-base", ZONE)
    assert read == ("14:32:07", "", "begin take-base") and not read.loud
    assert read_line("2026-11-23T13:32:07.955170Z pg_basebackup: FATAL: no space", ZONE).loud
    assert read_line("2026-13-23T99:32:07.9Z odd", ZONE).text == "odd"


@pytest.mark.parametrize("level", ["FATAL", "PANIC", "ERROR"])
def test_what_is_wrong_is_loud(level: str) -> None:
    assert read_line(f"2026-11-23 13:32:07 UTC [1] {level}:  could not read block 4", ZONE).loud


def test_that_it_is_not_up_yet_is_nothing_wrong() -> None:
    assert not read_line("2026-11-23 13:32:07 UTC [1] FATAL:  the database system is starting up", ZONE).loud


def test_wal_files_restored_one_after_another_are_told_in_one_line() -> None:
    def line(second: int, text: str) -> str:
        return f"2026-11-23 13:32:{second:02d}.000 UTC [1] LOG:  {text}"

    restored = [line(n, f'restored log file "0000000100000000000000{n:02X}" from archive') for n in range(1, 6)]
    read = read_lines([*restored[:3], line(3, "restartpoint starting: time"), *restored[3:]], ZONE)
    assert [(each.time, each.text) for each in read] == [
        ("14:32:03", 'restored log file "000000010000000000000003" from archive, and 2 before it'),
        ("14:32:03", "restartpoint starting: time"),
        ("14:32:05", 'restored log file "000000010000000000000005" from archive, and 1 before it'),
    ]
