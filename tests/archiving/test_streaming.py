"""Where a stream goes on, from the names in its folder and its server's history."""

import pytest

from engine.archiving.streaming import goes_on_with, is_known_to
from engine.formats.history_file import Fork
from engine.records.lsn import SegmentName

SIZE = 1 << 20
FIRST, SECOND = "00000001000000000000000", "00000002000000000000000"


@pytest.mark.parametrize(
    ("names", "start"),
    [
        ([], None),
        ([".reprise-archive", "00000002.history", "letter.odt", f"{FIRST}5.zst"], None),
        ([f"{FIRST}5", f"{FIRST}6"], (1, 7)),
        ([f"{FIRST}5", f"{FIRST}6.partial"], (1, 6)),
        ([f"{FIRST}6.partial", f"{FIRST}6"], (1, 7)),  # adopted
        ([f"{FIRST}5.gz", f"{FIRST}6.gz.partial"], (1, 6)),
        ([f"{FIRST}9", f"{SECOND}6"], (1, 10)),  # left behind, and newer all the same
        ([f"{FIRST}6", f"{SECOND}6.partial"], (2, 6)),
    ],
)
def test_it_goes_on_behind_the_newest_segment_or_with_an_unfinished_one(
    names: list[str], start: tuple[int, int] | None
) -> None:
    assert goes_on_with(names, SIZE) == start


@pytest.mark.parametrize(
    ("start", "known"),
    [((2, 9), True), ((1, 6), True), ((1, 7), False), ((1, 10), False), ((3, 5), False)],
)
def test_a_server_knows_its_ancestors_up_to_where_it_left_them(start: tuple[int, int], known: bool) -> None:
    assert is_known_to(SegmentName(*start), SIZE, 2, [Fork(1, 6 * SIZE + 4000, "")]) is known
