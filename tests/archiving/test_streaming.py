"""Where a stream goes on, from the names in its folder and its server's history; what a full disk leaves there."""

import os
from pathlib import Path

import pytest

from engine.archiving.streaming import empty_unwritten, goes_on_with, is_known_to
from engine.formats.history_file import Fork
from engine.records.lsn import SegmentName

SIZE, SEGMENT = 1 << 20, 3 << 20
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


def test_a_segment_that_is_too_short_and_never_written_is_emptied_and_nothing_else_is_touched(tmp_path: Path) -> None:
    contents = {
        "000000010000000000000001.partial": bytes(SEGMENT // 2),
        "000000010000000000000002.partial": bytes(SEGMENT),
        "000000010000000000000003.partial": bytes(SEGMENT // 2) + b"x",
        "000000010000000000000004.partial": b"x" + bytes(SEGMENT // 2),
        "000000010000000000000005.partial": b"",
        "000000010000000000000006": bytes(SEGMENT // 2),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    outside = tmp_path / "outside"
    outside.write_bytes(bytes(10))
    (tmp_path / "000000010000000000000007.partial").symlink_to(outside)
    os.mkfifo(tmp_path / "000000010000000000000008.partial")
    (tmp_path / "000000010000000000000009.partial").mkdir()
    empty_unwritten(tmp_path, SEGMENT)
    assert outside.read_bytes() == bytes(10)
    contents["000000010000000000000001.partial"] = b""
    assert {name: (tmp_path / name).read_bytes() for name in contents} == contents
