"""What a full disk leaves of a segment that is streamed."""

import os
from pathlib import Path

from engine.archiving.streaming import empty_unwritten

SIZE = 3 << 20


def test_a_segment_that_is_too_short_and_never_written_is_emptied_and_nothing_else_is_touched(tmp_path: Path) -> None:
    contents = {
        "000000010000000000000001.partial": bytes(SIZE // 2),
        "000000010000000000000002.partial": bytes(SIZE),
        "000000010000000000000003.partial": bytes(SIZE // 2) + b"x",
        "000000010000000000000004.partial": b"x" + bytes(SIZE // 2),
        "000000010000000000000005.partial": b"",
        "000000010000000000000006": bytes(SIZE // 2),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    outside = tmp_path / "outside"
    outside.write_bytes(bytes(10))
    (tmp_path / "000000010000000000000007.partial").symlink_to(outside)
    os.mkfifo(tmp_path / "000000010000000000000008.partial")
    (tmp_path / "000000010000000000000009.partial").mkdir()
    empty_unwritten(tmp_path, SIZE)
    assert outside.read_bytes() == bytes(10)
    contents["000000010000000000000001.partial"] = b""
    assert {name: (tmp_path / name).read_bytes() for name in contents} == contents
