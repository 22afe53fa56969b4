"""Targets that cannot be reached, and those that mean more than one place."""

import re
from itertools import pairwise

import pytest

from engine.records.lsn import format_lsn, parse_lsn
from tests.end_to_end.checks.place import Place
from tests.histories import History


def test_a_target_before_the_backups_end_is_refused_with_what_reaches_it(place: Place, history: History) -> None:
    ends = history.cluster.ends(1)
    checks = place.plan("--time", ends[0].at.isoformat())
    checks.says("target-in-backup", "refuse", False, "no older base backup")
    checks.says("target-offset", "refuse", True)
    second, third = history.backups["tar"], history.backups["tar.gz"]
    document = place.plan("--immediate", "--backup", second, "--timeline", "1").document
    stop = next(end for end in ends if end.lsn >= parse_lsn(document["stop_lsn"]) and end.kind == "COMMIT")
    named = ("--xid", str(stop.xid), "--timeline", "1")
    checks = place.plan(*named, "--backup", third)
    checks.says("target-in-backup", "refuse", False, f"{second} reaches it")
    place.plan(*named).says("target-in-backup", "refuse", True, second)


def test_a_target_behind_the_end_of_the_wal_is_refused(place: Place, history: History) -> None:
    last = history.cluster.ends(1)[-1]
    place.plan("--lsn", format_lsn(last.lsn + (1 << 30)), "--timeline", "1").says("target-past-end", "refuse", False)
    place.plan("--lsn", format_lsn(last.lsn), "--timeline", "1").says("target-past-end", "refuse", True)


def test_a_name_given_twice_means_the_last_and_an_unknown_one_is_refused(place: Place) -> None:
    place.plan("--name", "twice").says("target-name", "info", True, "earlier ones of this name")
    checks = place.plan("--name", "month-end", "--timeline", "1")
    checks.says("target-name", "refuse", False, "month-end")
    assert "month end" in checks["target-name"]["remedy"]


def test_a_moment_on_two_timelines_must_be_chosen_and_another_line_than_the_live_one_is_told(
    place: Place, history: History
) -> None:
    lost = next(end for end in reversed(history.cluster.ends(1)) if end.lsn > history.fork)
    checks = place.plan("--time", lost.at.isoformat())
    checks.says("timeline", "refuse", False, "2 timelines hold this target")
    chosen = re.search(r"--timeline \d+", checks["timeline"]["remedy"])
    assert chosen is not None
    place.plan("--time", lost.at.isoformat(), *chosen[0].split()).says("timeline", "warn", True)
    place.plan("--time", lost.at.isoformat(), "--timeline", "1").says("timeline", "warn", False, "timeline 1")
    place.plan("--latest", "--timeline", "9").says("timeline", "refuse", False, "9")


def test_commit_times_that_jump_back_are_told(place: Place, history: History) -> None:
    """Writers at once: the commit records' order is not quite that of their times."""
    ends = [end for end in history.cluster.ends(1) if end.kind == "COMMIT" and end.lsn < history.fork]
    words = ("--immediate", "--backup", history.backups["plain"], "--timeline", "1")
    consistent = parse_lsn(place.plan(*words).document["stop_lsn"])
    jumps = [(one, two) for one, two in pairwise(ends) if consistent < one.lsn and two.at < one.at]
    if not jumps:
        pytest.skip("in this recording no commit overtook another (tests/recovery/test_checks.py has made-up ones)")
    place.plan("--time", jumps[0][1].at.isoformat(), "--timeline", "1").says("clock", "warn", False, "jump back")
