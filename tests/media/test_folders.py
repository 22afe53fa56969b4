"""Dated folders of rsync and rsnapshot: which are snapshots, and when they were made."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from engine.catalog.media import read_media
from engine.media.folders import time_in
from engine.site import MediaRepository

MOSCOW = ZoneInfo("Europe/Moscow")


def _folder(root: Path, name: str, at: datetime | None = None, inside: str = "") -> Path:
    place = root / name / inside
    place.mkdir(parents=True)
    (place / "card.pdf").touch()
    if at is not None:
        os.utime(root / name, (at.timestamp(),) * 2)
    return root / name


@pytest.mark.parametrize(
    ("name", "at"),
    [
        ("2026-11-23_04-00", "2026-11-23T01:00:00"), ("docs-20261123_040005", "2026-11-23T01:00:05"),
        ("2026-11-23T04:00:00Z", "2026-11-23T04:00:00"), ("2026.11.23-0400", "2026-11-23T01:00:00"),
        ("backup_2026_11_23T04h00m05", "2026-11-23T01:00:05"), ("2026-11-23T04:00+05:00", "2026-11-22T23:00:00"),
        ("2026-13-23_0400", None), ("1234567890123", None), ("latest", None), ("2026-11", None),
    ],
)  # fmt: skip
def test_a_folders_name_tells_when_it_was_begun(name: str, at: str | None) -> None:
    found = time_in(name, MOSCOW)
    wanted = datetime.fromisoformat(at).replace(tzinfo=UTC) if at else None
    assert (found[0] if found else None) == wanted
    assert found is None or found[0] == found[1]


def test_a_date_alone_is_a_whole_day() -> None:
    assert time_in("daily-2026-11-23", MOSCOW) == (
        datetime(2026, 11, 22, 21, tzinfo=UTC),
        datetime(2026, 11, 23, 20, 59, 59, tzinfo=UTC),
    )


def test_what_is_no_snapshot_is_none_and_an_undated_one_is_not_used(tmp_path: Path) -> None:
    for name in ("2026-11-23_0400", "2026-11-24_0400.partial", "_delete.123", ".sync", "new"):
        _folder(tmp_path, name)
    (tmp_path / "2026-11-25_0400").mkdir()
    (tmp_path / "latest").symlink_to("2026-11-23_0400")
    (tmp_path / "2026-11-26_0400").symlink_to("/")
    (tmp_path / "2026-11-27.log").touch()
    found = read_media(MediaRepository("rsync", str(tmp_path)), "r", zone=MOSCOW).snapshots
    assert [(each.id, each.usable) for each in found] == [
        ("2026-11-23_0400", True), ("2026-11-25_0400", False), ("new", False),
    ]  # fmt: skip
    assert found[0].started_at == datetime(2026, 11, 23, 1, tzinfo=UTC)


def test_one_that_was_just_made_ends_when_it_was_last_touched(tmp_path: Path) -> None:
    began = datetime.now(UTC) - timedelta(hours=2)
    _folder(tmp_path, f"{began:%Y-%m-%d_%H%M%S}")
    (found,) = read_media(MediaRepository("rsync", str(tmp_path)), "r").snapshots
    assert abs(found.stopped_at - datetime.now(UTC)) < timedelta(minutes=1)


def test_rsnapshots_folders_end_when_they_were_touched_and_begin_after_the_one_before(tmp_path: Path) -> None:
    now = datetime(2026, 11, 23, 12, 10, tzinfo=UTC)
    inside = "localhost/srv/media"
    for name, at in (
        ("hourly.0", now), ("hourly.1", now - timedelta(minutes=20)), ("daily.0", now - timedelta(days=1)),
    ):  # fmt: skip
        _folder(tmp_path, name, at, inside)
    found = read_media(MediaRepository("rsync", str(tmp_path), inside=inside), "r").snapshots
    assert [each.id for each in found] == ["daily.0", "hourly.1", "hourly.0"]
    assert all(each.usable and each.dated for each in found)
    assert found[2].started_at == found[1].stopped_at and found[2].stopped_at == now
    assert found[1].stopped_at - found[1].started_at == timedelta(hours=1)


def test_a_media_folder_that_is_not_there_or_leads_out_makes_a_snapshot_unusable(tmp_path: Path) -> None:
    _folder(tmp_path, "2026-11-23_0400")
    (_folder(tmp_path, "2026-11-24_0400") / "media").symlink_to("/etc")
    found = read_media(MediaRepository("rsync", str(tmp_path), inside="media"), "r").snapshots
    assert [each.reason for each in found] == ["it does not hold media", "media leads out of it"]
