import os
from datetime import UTC, datetime
from pathlib import Path

from engine.catalog.media import read_media
from engine.site import MediaRepository


def _snapshot(root: Path, name: str) -> Path:
    (root / name).mkdir()
    (root / name / "card.pdf").touch()
    return root / name


def test_a_snapshots_interval_stands_beside_it_in_its_name_or_in_its_time(tmp_path: Path) -> None:
    _snapshot(tmp_path, "first")
    (tmp_path / "first.json").write_text(
        '{"started_at": "2026-11-22T04:00:00Z", "stopped_at": "2026-11-22T04:05:00.5Z", "files": 7, "bytes": 90}'
    )
    _snapshot(tmp_path, "2026-11-23T04:00:00Z")
    _snapshot(tmp_path, "20261124-0400+03:00")
    os.utime(_snapshot(tmp_path, "unnamed"), (1_800_000_000, 1_800_000_000))
    found = read_media(MediaRepository("directory", str(tmp_path)), "media")
    first, second, third, last = found.snapshots
    assert (first.id, first.files, first.size_bytes) == ("first", 7, 90)
    assert first.stopped_at == datetime(2026, 11, 22, 4, 5, 0, 500_000, UTC)
    assert second.started_at == datetime(2026, 11, 23, 4, tzinfo=UTC) <= second.stopped_at
    assert third.started_at == datetime(2026, 11, 24, 1, tzinfo=UTC)
    assert last.started_at == last.stopped_at == datetime.fromtimestamp(1_800_000_000, UTC)
    assert found.answers and found.problems == []


def test_what_is_wrong_with_snapshots_is_said(tmp_path: Path) -> None:
    for name, text in {
        "a": "{",
        "b": '{"started_at": "2026-11-22T04:00:00", "stopped_at": "2026-11-22T04:05:00"}',
        "c": '{"started_at": "2026-11-22T04:00:00Z", "stopped_at": "2026-11-21T04:05:00Z"}',
    }.items():
        _snapshot(tmp_path, name)
        (tmp_path / f"{name}.json").write_text(text)
    for name in ("empty", "lost+found"):
        (tmp_path / name).mkdir()
    (tmp_path / "lost").symlink_to("nowhere")
    (tmp_path / "latest").symlink_to("a")
    found = read_media(MediaRepository("directory", str(tmp_path)), "media")
    assert sorted(each.id for each in found.snapshots if each.usable) == ["a", "b", "c"]
    assert [each.reason for each in found.snapshots if not each.usable] == ["the folder is empty"]
    assert sorted(Path(each.where).name for each in found.problems) == ["a.json", "b.json", "c.json", "lost"]


def test_a_folder_that_is_away_is_a_problem(tmp_path: Path) -> None:
    found = read_media(MediaRepository("directory", str(tmp_path / "away")), "media")
    assert not found.answers and "No such file" in found.problems[0].what
