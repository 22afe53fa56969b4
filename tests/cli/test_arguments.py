"""What can be typed, and what is refused with exit code 2."""

from datetime import UTC, datetime

import pytest

from engine.cli import arguments
from engine.records.errors import UsageError

INTO = ["--into", "/srv/copy"]


def test_a_time_with_an_offset_becomes_utc() -> None:
    given = arguments.read(["plan", "--time", "2026-11-22T14:03:10.5+03:00", *INTO])
    assert arguments.target_of(given).time == datetime(2026, 11, 22, 11, 3, 10, 500000, UTC)


def test_a_time_without_an_offset_is_wrong_usage_and_names_target_offset() -> None:
    given = arguments.read(["plan", "--time", "2026-11-22T14:03:10", *INTO])
    with pytest.raises(UsageError, match="target-offset"):
        arguments.target_of(given)


@pytest.mark.parametrize("place", ["before", "after"])
def test_site_state_and_json_are_accepted_before_and_after_the_command(place: str) -> None:
    options = ["--site", "/a", "--state", "/b", "--json"]
    words = [*options, "catalog"] if place == "before" else ["catalog", *options]
    given = arguments.read(words)
    assert (str(given.site), str(given.state), given.json, given.command) == ("/a", "/b", True, "catalog")


@pytest.mark.parametrize(
    "words",
    [
        ["plan", *INTO],
        ["plan", "--latest"],
        ["plan", "--latest", "--immediate", *INTO],
        ["plan", "--latest", *INTO, "--in-place"],
        ["restore", "--tim", "2026-11-22T14:03:10Z", *INTO],
        ["destroy"],
        ["attach"],
    ],
)
def test_wrong_words_are_wrong_usage(words: list[str]) -> None:
    with pytest.raises(UsageError):
        arguments.read(words)


@pytest.mark.parametrize(
    "target",
    [["--latest", "--exclusive"], ["--name", "a", "--exclusive"], ["--lsn", "zz"], ["--xid", "-4"], ["--xid", "x"]],
)
def test_targets_that_cannot_be_are_wrong_usage(target: list[str]) -> None:
    with pytest.raises(UsageError):
        arguments.target_of(arguments.read(["plan", *target, *INTO]))


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+03:00", "0001-01-01T00:00:00Z", "9999-12-31T23:00:00-03:00"])
def test_a_time_that_no_calendar_here_holds_is_wrong_usage(time: str) -> None:
    with pytest.raises(UsageError, match="9999"):
        arguments.read_time(time)
