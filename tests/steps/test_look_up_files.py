"""What the database refers to and no snapshot has: whether it came after them, or was missed by them."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from engine.media.choices import Choices, Lost
from engine.records.copies import MediaSnapshot
from engine.records.files import Files
from engine.steps.proving.look_up_files import _check, _counts

TAKEN = datetime.now(UTC) - timedelta(hours=1)


def test_only_what_was_written_after_the_newest_snapshot_counts_as_late(tmp_path: Path) -> None:
    """Of two files whose inodes were changed since, as by chown -R of the whole folder, one was written long before."""
    live = tmp_path / "live"
    live.mkdir()
    shot = MediaSnapshot("m1", str(tmp_path), tmp_path / "m1", TAKEN, TAKEN, dated=True)
    files = Files(None, (shot,), "into", str(live), str(tmp_path / "x"), str(tmp_path / "x"), None, "gate")

    def looked_up(*names: str) -> tuple[bool | None, str]:
        with Choices(tmp_path / "-".join(("choices", *names))) as choices:
            for name in names:
                choices.lose(Lost(name.encode(), None, 3, 1, "no snapshot has it"))
            check = _check(_counts(choices, files, None) | {"asked": 9, "problems": []}, files)
        return check.ok, check.finding

    (live / "new").write_text("new")
    (live / "old").write_text("old")
    before = (TAKEN - timedelta(days=1)).timestamp()
    os.utime(live / "old", (before, before))
    ok, finding = looked_up("new")
    assert ok and finding.startswith("8 of 9 files") and "1 came after the newest snapshot, and only" in finding
    ok, finding = looked_up("new", "old")
    assert ok is None and finding.startswith("7 of 9 files") and "whether they came since cannot be told" in finding
    ok, finding = looked_up("old", "gone")
    assert ok is False and "1 cannot be brought back: gone" in finding
