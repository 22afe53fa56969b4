"""WAL that is missing, damaged, foreign, unfinished, away."""

import struct
from collections.abc import Callable

import pytest

from engine.records.lsn import LONG_PAGE_HEADER, SegmentName
from tests.end_to_end.checks.place import LATEST, Place, flip, rewrite
from tests.histories import History


def accident_segment(history: History) -> str:
    """The segment of timeline 1 that holds the accident, full of records; every backup needs it to that line's end."""
    size = history.cluster.segment_size
    return SegmentName(1, history.before_accident // size).text(size)


def test_a_missing_segment_is_named_and_a_restore_may_end_before_it(place: Place, history: History) -> None:
    gone = [name for name in place.operator.cluster.segments() if name.startswith("00000001")][-2]
    place.plan(*LATEST).says("wal-gap", "refuse", True, "none missing")
    (place.archive / gone).unlink()
    place.plan(*LATEST).says("wal-gap", "refuse", False, gone)
    accepted = place.plan(*LATEST, "--accept-gap")
    assert accepted.refusing == set()
    accepted.says("wal-gap", "refuse", True, "accepted", gone)


def foreign(content: bytes) -> bytes:
    """The segment as another cluster would have written it: its system identifier (xlp_sysid) is another."""
    (own_id,) = struct.unpack_from("=Q", content, 24)
    return content[:24] + struct.pack("=Q", own_id + 1) + content[LONG_PAGE_HEADER - 8 :]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda content: content[: len(content) // 3], id="truncated"),
        pytest.param(lambda content: bytes(len(content)), id="zeroed"),
        pytest.param(lambda content: content[: 5 * 8192] + bytes(len(content) - 5 * 8192), id="zeroed from the middle"),
        pytest.param(flip, id="one bit flipped"),
        pytest.param(foreign, id="of another cluster"),
    ],
)
def test_a_damaged_segment_ends_what_can_be_reached(
    place: Place, history: History, damage: Callable[[bytes], bytes]
) -> None:
    place.plan(*LATEST).says("wal-corrupt", "refuse", True)
    rewrite(place.archive / accident_segment(history), damage)
    place.plan(*LATEST).says("wal-corrupt", "refuse", False, accident_segment(history))


def test_another_clusters_segment_that_no_recovery_needs_stops_none(place: Place) -> None:
    segment = place.archive / place.operator.cluster.segments()[0]
    (place.archive / "0000000100000077000000AA").write_bytes(foreign(segment.read_bytes()))
    assert place.plan(*LATEST).refusing == set()
    problems = place.operator.ask("catalog").document["problems"]
    assert any("another cluster" in problem["what"] for problem in problems), problems


def test_a_segment_under_another_ones_name_is_noticed(place: Place, history: History) -> None:
    other = place.archive / place.operator.cluster.segments()[0]
    rewrite(place.archive / accident_segment(history), lambda _: other.read_bytes())
    place.plan(*LATEST).says("wal-corrupt", "refuse", False, accident_segment(history))


def test_an_unfinished_segment_is_shown_and_not_used(place: Place) -> None:
    assert "partial-segment" not in place.plan(*LATEST)
    last = [name for name in place.operator.cluster.segments() if name.startswith("00000001")][-1]
    following = SegmentName(1, int(last[8:16], 16) * 0x1000 + int(last[16:], 16) + 1).text(1 << 20)
    (place.archive / f"{following}.partial").write_bytes((place.archive / last).read_bytes())
    place.plan(*LATEST).says("partial-segment", "info", False, f"{following}.partial")


@pytest.mark.parametrize("folder", ["wal", "base"])
def test_a_repository_that_is_away_is_not_taken_for_an_empty_one(place: Place, folder: str) -> None:
    place.plan("--latest").says("archive-unreachable", "refuse", True)
    lost = place.operator.cluster.root / folder
    lost.rename(lost.with_name("elsewhere"))
    place.plan("--latest").says("archive-unreachable", "refuse", False, str(lost))


def test_a_timeline_without_its_history_file_clashes_with_the_new_one(place: Place) -> None:
    place.plan(*LATEST).says("archive-clash", "warn", True, "will be 3")
    (place.archive / "00000002.history").unlink()
    place.plan(*LATEST).says("archive-clash", "warn", False, "would be 2")
