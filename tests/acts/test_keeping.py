"""What expire takes away of made-up repositories, and what it never may."""

import os
import stat
from datetime import timedelta
from pathlib import Path

import pytest

from engine.acts.copying import plan_media_snapshot
from engine.acts.desk import Desk, open_desk
from engine.acts.keeping import expire, judge
from engine.archiving.command import MARK
from engine.keeping import expiring, judging
from engine.keeping.proofs import keep_proof
from engine.records.copying import Proof
from engine.records.errors import Refused, RepriseError
from engine.run.locks import hold_folder
from tests.keeping.places import NOW, days_ago, dump, foreign_dump, make_places, names, snapshot


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return open_desk(make_places(tmp_path), tmp_path / "state")


def test_dumps_that_others_took_all_stay_and_count_for_none_of_ours(desk: Desk, tmp_path: Path) -> None:
    for number, name in enumerate(["weekly.1", "docs.dump", "docs.dump.1", "cards-20261101T0300.dump"]):
        foreign_dump(tmp_path, name, number + 0.5)
    for days in (3, 4, 5):
        dump(tmp_path, f"d{days}", days)
    expiry = expire(desk, apply=True)
    assert {each.verdict.id for each in expiry.leaving} == {"d4", "d5"}
    assert names(tmp_path / "dumps") == sorted(
        ["weekly.1", "docs.dump", "docs.dump.1", "cards-20261101T0300.dump", "d3"]
    )
    assert {each.why for each in expiry.staying if each.id != "d3"} == {"not ours: stays"}


def test_only_exact_names_beside_a_copy_go_with_it(desk: Desk, tmp_path: Path) -> None:
    for days in (3, 4):
        snapshot(tmp_path, f"m{days}", days)
    (tmp_path / "media" / "m4.copy").mkdir()
    (tmp_path / "media" / "m4.copy" / "card.pdf").write_text("kept by hand")
    (tmp_path / "media" / "m4.json.orig").write_text("kept by hand")
    expire(desk, apply=True)
    left = ["m3", "m3.catalogue.zst", "m3.json", "m4.copy", "m4.json.orig"]
    assert names(tmp_path / "media") == left


def test_a_media_folder_with_neither_a_note_nor_a_time_in_its_name_stays_and_counts_for_none(
    desk: Desk, tmp_path: Path
) -> None:
    snapshot(tmp_path, "base", 0.2, note=False)  # the newest of all, by its mtime
    snapshot(tmp_path, "wal", 9, note=False)
    snapshot(tmp_path, "20250101T0300", 1, note=False)  # a time in its name: of 2025, whatever its mtime
    snapshot(tmp_path, "m3", 3)
    snapshot(tmp_path, "m4", 4)
    expiry = expire(desk, apply=True)
    assert {each.verdict.id for each in expiry.leaving} == {"20250101T0300", "m4"}
    assert {each.id for each in expiry.staying if each.why == "not ours: stays"} == {"base", "wal"}


@pytest.mark.parametrize("killed_at", range(8))
def test_killed_at_any_moment_of_deleting_nothing_of_a_copy_is_left_over_by_the_next_expiry(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: int
) -> None:
    for days in (3, 4):
        snapshot(tmp_path, f"m{days}", days)
    whole = ["m3", "m3.catalogue.zst", "m3.json"]
    left = killed_at

    class Killed(BaseException):
        pass

    def dying(work: object) -> object:
        def call(*words: object) -> object:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return work(*words)  # type: ignore[operator]

        return call

    with monkeypatch.context() as patch, pytest.raises(Killed) if killed_at < 6 else monkeypatch.context():
        patch.setattr(expiring, "_hide", dying(expiring._hide))
        patch.setattr(expiring, "_delete", dying(expiring._delete))
        expire(desk, apply=True)
    assert set(whole) <= set(names(tmp_path / "media"))
    if killed_at > 0:
        assert "m4" not in names(tmp_path / "media")
    expire(desk, apply=True)
    assert names(tmp_path / "media") == whole


def test_a_copy_that_failed_its_last_proof_takes_no_sound_ones_place_and_does_not_go_for_it(
    desk: Desk, tmp_path: Path
) -> None:
    for days in (3, 4, 5):
        snapshot(tmp_path, f"m{days}", days)
    keep_proof(desk.state, Proof("m3", "media", f"{tmp_path}/media", NOW, False, ("card.pdf differs",)))
    assert {each.verdict.id for each in expire(desk).leaving} == {"m5"}


def test_what_is_copied_from_shares_nothing_with_a_snapshot_that_failed_its_proof(desk: Desk, tmp_path: Path) -> None:
    for days in (3, 4):
        snapshot(tmp_path, f"m{days}", days)
    (tmp_path / "live" / "card.pdf").write_text("card")
    parents = []
    for bad in (None, "m3", "m4"):
        if bad is not None:
            keep_proof(desk.state, Proof(bad, "media", f"{tmp_path}/media", NOW, False, ("card.pdf differs",)))
        copying = plan_media_snapshot(desk).copying
        assert copying is not None
        parents.append(copying.parent)
    assert parents == ["m3", "m4", None]


def test_nothing_goes_while_a_run_cannot_be_read(desk: Desk, tmp_path: Path) -> None:
    for days in (3, 4):
        snapshot(tmp_path, f"m{days}", days)
    (desk.state / "runs" / "20261127T030000Z-archive").mkdir(parents=True)
    expiry = expire(desk, apply=True)
    assert expiry.leaving == () and "cannot be read" in expiry.findings[0]
    assert "m4" in names(tmp_path / "media")


def test_nothing_goes_while_the_archive_lacks_the_mark_that_it_had(desk: Desk, tmp_path: Path) -> None:
    for days in (3, 4):
        snapshot(tmp_path, f"m{days}", days)
    mark = tmp_path / "wal" / MARK
    mark.touch()
    assert expire(desk).leaving
    mark.unlink()
    expiry = expire(desk, apply=True)
    assert expiry.leaving == () and MARK in expiry.findings[0]
    mark.touch()
    assert expire(desk).leaving


def test_while_a_database_repository_is_away_no_snapshot_goes(desk: Desk, tmp_path: Path) -> None:
    for days in (3, 4):
        snapshot(tmp_path, f"m{days}", days)
    (tmp_path / "base").rmdir()
    expiry = expire(desk, apply=True)
    assert expiry.leaving == () and "does not answer" in expiry.findings[0]


@pytest.mark.parametrize("folder", ["media", "wal"])
def test_nothing_goes_of_a_folder_that_did_not_answer_when_it_was_to_be_locked(
    desk: Desk, tmp_path: Path, folder: str
) -> None:
    for days in (3, 4):
        snapshot(tmp_path, f"m{days}", days)
    judged = judge(desk, {str(tmp_path / folder)})
    assert judged.leaving == [] and str(tmp_path / folder) in judged.findings[0]


def test_a_folder_that_is_worked_on_with_another_state_folder_is_left_alone(desk: Desk, tmp_path: Path) -> None:
    held = hold_folder(tmp_path / "media", "")
    assert held is not None
    try:
        with pytest.raises(RepriseError, match="another run holds"):
            expire(desk, apply=True)
    finally:
        held.release()
    expire(desk, apply=True)


LABEL = """START WAL LOCATION: 0/{number}000028 (file 00000001000000000000000{number})
CHECKPOINT LOCATION: 0/{number}000060
BACKUP METHOD: streamed
BACKUP FROM: primary
START TIME: {at}
LABEL: pg_basebackup base backup
START TIMELINE: 1
"""


def test_a_backup_in_which_something_was_changed_within_the_hour_stays_however_old_it_says_it_is(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (4, 5):
        folder = tmp_path / "base" / f"b{number}"
        (folder / "global").mkdir(parents=True)
        (folder / "PG_VERSION").write_text("17\n")
        at = days_ago(10 - number).strftime("%Y-%m-%d %H:%M:%S UTC")
        (folder / "backup_label").write_text(LABEL.format(number=number, at=at))
        for path in (*folder.iterdir(), folder):
            os.utime(path, (days_ago(10 - number).timestamp(),) * 2)  # which says nothing: ctime is now
    assert expire(desk).leaving == ()
    monkeypatch.setattr(judging, "newest_change", lambda path: days_ago(3))
    assert {each.verdict.id for each in expire(desk).leaving} == {"b4", "b5"}


def test_whatever_is_written_renamed_or_replaced_in_a_copy_is_its_newest_change(tmp_path: Path) -> None:
    (tmp_path / "copy" / "deep").mkdir(parents=True)
    path = tmp_path / "copy" / "deep" / "file"
    path.write_text("x")
    os.utime(path, (0, 0))
    assert expiring.newest_change(tmp_path / "copy") > NOW - timedelta(minutes=1)
    assert expiring.newest_change(tmp_path / "none") > NOW - timedelta(minutes=1)


@pytest.mark.parametrize("inside", ["", "deeper"])
def test_nothing_is_deleted_where_two_places_are_one_on_disk(desk: Desk, tmp_path: Path, inside: str) -> None:
    for days in (3, 4):
        snapshot(tmp_path, f"m{days}", days)
    real = (tmp_path / "live").rename(tmp_path / "media" / "elsewhere")
    (real / "deeper").mkdir()
    (tmp_path / "live").symlink_to(real / inside)
    for apply in (False, True):
        with pytest.raises(Refused, match=r"media\.path") as caught:
            expire(desk, apply=apply)
        assert "media.repository[0].path" in str(caught.value)
    assert "m4" in names(tmp_path / "media")


def occupied(*roots: Path) -> int:
    """Bytes on disk of all files below, each once however many names it has."""
    found = [status for root in roots for status in map(os.lstat, root.rglob("*")) if not stat.S_ISDIR(status.st_mode)]
    return sum({(each.st_dev, each.st_ino): each.st_blocks * 512 for each in found}.values())


def test_what_comes_back_is_what_the_disk_gets_back_whoever_shares_it(desk: Desk, tmp_path: Path) -> None:
    newest, older, oldest = (snapshot(tmp_path, f"m{days}", days) for days in (3, 4, 5))
    for name in ("stays", "leaves"):
        (oldest / name).write_bytes(bytes(1 << 20))
        (older / name).hardlink_to(oldest / name)
    (newest / "stays").hardlink_to(oldest / "stays")
    (oldest / "elsewhere").write_bytes(bytes(1 << 20))
    (tmp_path / "data" / "mine").hardlink_to(oldest / "elsewhere")  # somebody else's
    (oldest / "alone").write_bytes(bytes(1 << 16))
    before, listed = occupied(tmp_path / "media", tmp_path / "data"), expire(desk)
    assert {each.verdict.id for each in listed.leaving} == {"m4", "m5"}
    assert expire(desk, apply=True).bytes == listed.bytes
    assert listed.bytes == before - occupied(tmp_path / "media", tmp_path / "data")
