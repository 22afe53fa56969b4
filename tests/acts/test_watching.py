"""Counting the users' files that changed since the newest snapshot: what could not be counted says so."""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.acts import watching
from engine.acts.desk import Desk
from engine.acts.watching import status
from engine.records.status import Thing
from engine.survey import changes
from tests.acts.sites import carry_on, fill, make_site


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A site with one snapshot, taken yesterday; no server runs."""
    site = make_site(tmp_path)
    (tmp_path / "copies" / "m1").mkdir()
    at = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    (tmp_path / "copies" / "m1.json").write_text(f'{{"started_at": "{at}", "stopped_at": "{at}"}}')
    return site.desk


def add(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number}.pdf").touch()


def files(desk: Desk) -> Thing:
    return next(thing for thing in status(desk).things if thing.name == "files")


def test_changed_files_are_counted_in_all_folders(desk: Desk, tmp_path: Path) -> None:
    add(tmp_path / "live" / "2026" / "11" / "27", 3)
    add(tmp_path / "live" / "2026" / "11" / "26", 2)
    found = files(desk)
    assert found.lose_files == 5
    assert not any("at least" in finding for finding in found.findings)


def test_what_could_not_be_counted_in_time_says_so_and_how_many_were(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(tmp_path / "live" / "2025" / "03" / "01", 200)
    add(tmp_path / "live" / "2026" / "11" / "27", 3)
    before, asked = changes._changed, []

    def slow(entry: os.DirEntry[str], limit: float) -> bool:
        asked.append(entry.path)
        time.sleep(0.05)
        return "/2026/" in entry.path and before(entry, limit)

    monkeypatch.setattr(changes, "_changed", slow)
    monkeypatch.setattr(watching, "_COUNTING_SECONDS", 1.0)
    found = files(desk)
    assert len(asked) < 203
    assert found.lose_files is None
    told = "at least 3 files changed since the newest copy: they could not all be counted within 1 seconds"
    assert told in found.findings


def test_what_a_restore_has_put_there_is_not_counted_and_what_changed_since_is(tmp_path: Path) -> None:
    """Each of them has a new inode, or a new link: its status changed, and a snapshot has it."""
    site = make_site(tmp_path)
    fill(site.live, 10)
    long_ago = time.time() - 3600
    for path in site.live.rglob("*.pdf"):
        os.utime(path, (long_ago, long_ago))
    site.snapshot()
    (site.live / "0/0.pdf").unlink()
    (site.live / "1/1.pdf").write_bytes(b"wrong")
    run = site.restore().run
    assert files(site.desk).lose_files == 0
    (site.live / "2/2.pdf").write_bytes(b"changed since")
    os.utime(site.live / "2/2.pdf", (long_ago, long_ago))
    (site.live / "new").write_bytes(b"new")
    assert files(site.desk).lose_files == 2
    assert carry_on(site.desk.state / "runs" / run, "discard").outcome == "discarded"
    assert files(site.desk).lose_files == 2


def test_a_media_folder_that_hangs_or_is_gone_is_not_taken_for_one_without_changes(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "live").rmdir()
    assert any("live is not there" in finding for finding in files(desk).findings)
    assert files(desk).lose_files is None
    monkeypatch.setattr(watching, "count_changed", lambda *_: time.sleep(1))
    monkeypatch.setattr(watching, "_COUNTING_SECONDS", 0.0)
    monkeypatch.setattr(watching, "_GRACE_SECONDS", 0.1)
    found = files(desk)
    assert found.lose_files is None
    assert f"changed files were not counted: {tmp_path}/live does not answer" in found.findings


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="one device is all that is here")
def test_of_several_sources_each_is_held_against_its_own_device(tmp_path: Path) -> None:
    tables = [(f'path = "{origin}"', tmp_path / name) for origin, name in (("/dev/shm", "a"), (tmp_path / "live", "b"))]
    for _, folder in tables:
        folder.mkdir()
    site = make_site(tmp_path, "\n".join(f'[[source]]\n{path}\nbundles = "{folder}"' for path, folder in tables))
    found = next(thing for thing in status(site.desk).things if thing.name == "source")
    beside = [finding for finding in found.findings if "on the device" in finding]
    assert beside == [f"lies on the device of what it protects: {tmp_path}/b"]
