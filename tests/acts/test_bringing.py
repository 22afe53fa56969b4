"""The plan that brings users' files back, and the run that carries it out."""

import os
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.acts import bringing
from engine.media.catalogue import catalogue_of
from engine.media.snapshot import take_snapshot
from engine.records.errors import UsageError
from engine.records.plan import Plan
from tests.acts.sites import LATEST, MediaSite, carry_on, fill, make_site, time_of
from tests.end_to_end.mounts import mounted
from tests.media.scenes import contents, tree


@pytest.fixture
def site(tmp_path: Path) -> MediaSite:
    site = make_site(tmp_path)
    fill(site.live, 10)
    return site


def refusals(plan: Plan) -> dict[str, str]:
    return {each.name: each.finding for each in plan.checks if each.refuses}


def test_a_site_without_a_usable_snapshot_is_refused(site: MediaSite) -> None:
    assert refusals(site.plan()) == {"media-snapshot": "no usable media snapshot is there"}
    assert list((site.home / "copies").iterdir()) == []


def test_wrong_usage_is_one_clear_error(site: MediaSite, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--into"):
        site.plan(into=tmp_path / "x", delta=True)
    for path in ("../x", "/etc/passwd", ".", "a/../../b"):
        with pytest.raises(UsageError, match="no path in the media folder"):
            site.plan(only=path)
    with pytest.raises(UsageError, match="no media snapshot"):
        site.plan(None, snapshot="nope")


def test_a_folder_with_something_in_it_is_never_filled(site: MediaSite, tmp_path: Path) -> None:
    site.snapshot()
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine").touch()
    assert refusals(site.plan(into=tmp_path / "full")).keys() == {"destination"}


def test_what_no_snapshot_shows_is_told_before_the_start(site: MediaSite) -> None:
    site.snapshot()
    behind = site.plan(time_of(datetime.now(UTC) + timedelta(seconds=1)))
    assert "files-behind" in {each.name for each in behind.checks}
    assert "fast" in {each.name for each in site.plan(fast=True).checks}


def test_a_database_that_cannot_say_what_it_refers_to_is_told_before_the_start(site: MediaSite) -> None:
    site.snapshot()
    assert "files-wanted" not in {each.name for each in site.plan(LATEST).checks}
    file = site.home / "site.toml"
    query = 'references = "SELECT path FROM attachments"'
    file.write_text(file.read_text().replace(f'path = "{site.live}"', f'path = "{site.live}"\n{query}'))
    file.write_text(file.read_text().replace("[database]", f'[database]\nhost = "{site.home}"'))
    (told,) = (each for each in site.plan(LATEST).checks if each.name == "files-wanted")
    assert "does not answer" in told.finding and told.remedy


def test_the_most_that_is_copied_is_what_the_snapshots_hold_together(site: MediaSite, tmp_path: Path) -> None:
    """Neither the largest of them, nor what both have twice."""
    site.snapshot()
    held = {path: len(content) for path, content in contents(site.live).items()}  # type: ignore[arg-type]
    moment = datetime.now(UTC)
    (site.live / "0/0.pdf").unlink()
    (site.live / "1/1.pdf").write_bytes(b"longer than it was before")
    (site.live / "later").write_bytes(b"later")
    site.snapshot()
    held |= {b"1/1.pdf": 25, b"later": 5}
    for into in (None, tmp_path / "elsewhere"):
        planned = site.plan(time_of(moment), into=into)
        assert planned.files is not None and len(planned.files.snapshots) == 2
        assert (planned.files.files, planned.files.bytes) == (len(held), sum(held.values()))


def test_how_much_is_read_of_the_live_folder_is_known_before_the_start(site: MediaSite) -> None:
    site.snapshot()
    size = sum(len(content) for content in contents(site.live).values())  # type: ignore[arg-type]
    assert [site.plan(fast=fast).steps[0].args["bytes"] for fast in (False, True)] == [size, None]


@pytest.mark.parametrize("delta", [False, True])
def test_what_may_be_moved_out_is_counted_before_the_start_and_what_was_in_the_report(
    site: MediaSite, delta: bool
) -> None:
    site.snapshot()
    moment = datetime.now(UTC)
    for name, size in (("0/late", 1000), ("late", 24)):
        (site.live / name).write_bytes(b"x" * size)
        os.utime(site.live / name, (moment.timestamp() + 60,) * 2)
    planned = site.plan(time_of(moment), delta=delta)
    (told,) = (each for each in planned.checks if each.name == "moved-out")
    assert "younger than the moment: 2, 1.0 KiB; " in told.finding
    assert planned.files is not None and planned.files.set_aside is not None
    assert planned.files.set_aside in told.finding and not told.refuses
    (told,) = (each for each in site.plan(time_of(moment), only="0").checks if each.name == "moved-out")
    assert "younger than the moment: 1, 1000 Bytes; " in told.finding
    assert "moved-out" not in {each.name for each in site.plan(LATEST, delta=delta).checks}
    state = site.restore(time_of(moment), delta=delta)
    assert state.files is not None and (state.files["out"], state.files["out_bytes"]) == (2, 1024)
    assert sorted(state.files["out_sample"]) == ["0/late", "late"]
    assert (Path(state.files["set_aside"]) / "0/late").exists() and not (site.live / "0/late").exists()


@pytest.mark.parametrize("delta", [False, True])
def test_a_link_to_the_live_folder_stays_one_and_all_happens_on_the_disk_it_leads_to(
    site: MediaSite, delta: bool, tmp_path: Path
) -> None:
    site.snapshot()
    right = contents(site.live)
    with tempfile.TemporaryDirectory(dir=_another_file_system(tmp_path)) as place:
        disk = Path(place) / "media"
        shutil.copytree(site.live, disk)
        shutil.rmtree(site.live)
        site.live.symlink_to(disk)
        (disk / "0/0.pdf").write_bytes(b"damaged")
        before = tree(disk)
        state = site.restore(LATEST, delta=delta)
        assert state.outcome == "completed", state.error
        assert site.live.is_symlink() and contents(disk) == right
        assert state.files is not None and Path(state.files["set_aside"]).parent == disk.parent
        assert site.plan(LATEST).files.earlier == (state.files["set_aside"],)  # type: ignore[union-attr]
        folder = site.desk.state / "runs" / state.run
        assert carry_on(folder, "rollback").outcome == "rolled-back"
        assert site.live.is_symlink() and tree(disk) == before


def _another_file_system(than: Path) -> Path:
    """A memory file system, where there is one."""
    shared = Path("/dev/shm")
    return shared if shared.is_dir() and shared.stat().st_dev != than.stat().st_dev else than


def test_a_damaged_catalogue_stops_the_run_before_anything_changes_and_another_snapshot_is_the_way_on(
    site: MediaSite, capsys: pytest.CaptureFixture[str]
) -> None:
    site.snapshot()
    right = contents(site.live)
    (first,) = site.desk.site.media.repository  # type: ignore[union-attr]
    (site.live / "0/0.pdf").write_bytes(b"newer")
    site.snapshot()
    older, newest = sorted(each for each in Path(first.path).iterdir() if each.is_dir())
    catalogue = catalogue_of(newest)
    catalogue.write_bytes(catalogue.read_bytes()[:-20])
    before = tree(site.live)
    assert not refusals(site.plan(LATEST, only="0")) and capsys.readouterr().err == ""
    state = site.restore(LATEST)
    assert state.outcome == "failed" and state.error is not None and tree(site.live) == before
    assert "--snapshot" in (state.error.remedy or "") and "rollback" in state.answers
    assert carry_on(site.desk.state / "runs" / state.run, "rollback").outcome == "rolled-back"
    assert site.restore(None, snapshot=older.name).outcome == "completed" and contents(site.live) == right


def test_a_mount_inside_the_live_folder_is_refused_before_anything_changes(site: MediaSite, tmp_path: Path) -> None:
    site.snapshot()
    with mounted(tmp_path / "copies", site.live / "0"):
        for delta in (False, True):
            refused = refusals(site.plan(LATEST, delta=delta))
            assert refused.keys() == {"mount-point"} and f"{site.live}/0" in refused["mount-point"]
        assert not refusals(site.plan(LATEST, into=tmp_path / "elsewhere"))


def test_a_live_folder_that_is_a_bind_mount_is_changed_by_a_delta_and_never_renamed(
    site: MediaSite, tmp_path: Path
) -> None:
    site.snapshot()
    right = contents(site.live)
    site.live.rename(tmp_path / "real")
    with mounted(tmp_path / "real", site.live):
        (site.live / "0/0.pdf").write_bytes(b"damaged")
        assert refusals(site.plan(LATEST)).keys() == {"mount-point"}
        state = site.restore(LATEST, delta=True)
        assert state.outcome == "completed" and state.files is not None
        there = contents(site.live)
        aside = os.path.relpath(state.files["set_aside"], site.live)
        assert {path: each for path, each in there.items() if not path.startswith(os.fsencode(aside))} == right
        assert there[os.fsencode(aside) + b"/0/0.pdf"] == b"damaged"


def test_nothing_is_built_where_the_live_folders_file_system_is_not_mounted(
    site: MediaSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.snapshot()
    (tmp_path / "fstab").write_text(f"/dev/gone {site.live} ext4 defaults 0 2\n")
    monkeypatch.setattr(bringing, "FSTAB", tmp_path / "fstab")
    refused = refusals(site.plan(LATEST))
    assert refused.keys() == {"mount-point"} and "nothing is mounted at" in refused["mount-point"]
    assert not refusals(site.plan(LATEST, into=tmp_path / "elsewhere"))


@pytest.mark.parametrize("delta", [False, True])
def test_restored_told_rolled_back_and_nothing_is_left_behind(site: MediaSite, delta: bool) -> None:
    site.snapshot()
    right = contents(site.live)
    (site.live / "0/0.pdf").write_bytes(b"damaged")
    (site.live / "1/1.pdf").unlink()
    (site.live / "1/orphan").write_bytes(b"not in the snapshot")
    before = tree(site.live)
    state = site.restore(LATEST, delta=delta)
    assert state.outcome == "completed", state.error
    assert contents(site.live) == right | {b"1/orphan": b"not in the snapshot"}
    assert state.files is not None
    assert (state.files["copied"], state.files["kept"], state.files["orphans"]) == (2, 8, 1)
    assert state.files["set_aside"] and Path(state.files["set_aside"]).is_dir()
    folder = site.desk.state / "runs" / state.run
    state = carry_on(folder, "rollback")
    assert state.outcome == "rolled-back" and state.files is not None and state.files["set_aside"] is None
    assert tree(site.live) == before
    assert carry_on(folder, "discard").outcome == "discarded"
    assert {each.name for each in site.home.iterdir()} == {
        "live", "copies", "backups", "wal", "site.toml", "state"
    }  # fmt: skip


def test_a_delta_that_changes_nothing_leaves_nothing_behind(site: MediaSite) -> None:
    site.snapshot()
    before = tree(site.live)
    state = site.restore(LATEST, delta=True)
    assert (state.outcome, tree(site.live)) == ("completed", before)
    assert not [each.name for each in site.home.iterdir() if "before" in each.name or each.name.startswith(".live")]


def test_one_file_alone_comes_back_and_nothing_else_changes(site: MediaSite) -> None:
    site.snapshot()
    for name in ("0/0.pdf", "1/1.pdf"):
        (site.live / name).write_bytes(b"damaged")
    plan = site.plan(LATEST, only="0/0.pdf")
    assert plan.files is not None and (plan.files.files, plan.files.bytes, plan.bytes_to_copy) == (1, 12, 12)
    assert next(step.bytes for step in plan.steps if step.kind == "copy-files") == 12
    assert site.plan(LATEST, only="0").bytes_to_copy == 24 and site.plan(LATEST, only="none").bytes_to_copy == 0
    assert carry_on(site.begin(plan)).outcome == "completed"
    now = contents(site.live)
    assert (now[b"0/0.pdf"], now[b"1/1.pdf"]) == (b"content of 0", b"damaged")


def test_a_path_that_no_snapshot_has_is_an_error_and_nothing_changes(site: MediaSite) -> None:
    site.snapshot()
    before = tree(site.live)
    state = site.restore(LATEST, only="no/such")
    assert state.outcome == "failed" and state.error is not None and "no/such" in state.error.message
    assert tree(site.live) == before


def test_fast_says_in_its_report_what_it_may_have_missed(site: MediaSite) -> None:
    site.snapshot()
    state = site.restore(LATEST, fast=True, delta=True)
    assert state.files is not None and any("--fast" in each for each in state.files["findings"])
    assert "--fast" in (site.desk.state / "runs" / state.run / "report.md").read_text()


def test_into_another_folder_production_is_not_touched(site: MediaSite, tmp_path: Path) -> None:
    site.snapshot()
    before = tree(site.live)
    state = site.restore(LATEST, into=tmp_path / "there")
    assert state.outcome == "completed" and contents(tmp_path / "there") == contents(site.live)
    assert tree(site.live) == before
    folder = site.desk.state / "runs" / state.run
    assert carry_on(folder, "discard").outcome == "discarded"
    assert not (tmp_path / "there").exists()


def test_a_snapshot_that_holds_nothing_is_no_reason_to_empty_the_live_folder(site: MediaSite) -> None:
    site.snapshot()
    plan = site.plan(LATEST, delta=True)
    with_nothing = next((site.home / "copies").glob("*.catalogue.zst"))
    empty = site.home / "empty"
    empty.mkdir()
    take_snapshot(empty, site.home / "other", None)
    catalogue_of(site.home / "other").replace(with_nothing)
    before = tree(site.live)
    state = carry_on(site.begin(plan))
    assert state.outcome == "failed" and state.error is not None and "hold no file" in state.error.message
    assert tree(site.live) == before


def test_a_moment_that_all_files_came_after_does_not_empty_the_live_folder(site: MediaSite) -> None:
    site.snapshot()
    before = tree(site.live)
    state = site.restore(time_of(datetime(2020, 1, 1, tzinfo=UTC)))
    assert state.outcome == "failed" and state.error is not None and "came after" in state.error.message
    assert tree(site.live) == before


def test_a_rollback_names_what_was_written_into_in_place_where_the_folders_share_it(site: MediaSite) -> None:
    site.snapshot()
    (site.live / "0/0.pdf").unlink()
    state = site.restore()
    if (site.live / "3/3.pdf").stat().st_nlink == 1:
        pytest.skip("this file system has reflinks: nothing is shared by a hard link")
    with (site.live / "3/3.pdf").open("ab") as file:
        file.write(b"!")
    (site.live / "4/4.pdf").unlink()
    (site.live / "4/4.pdf").write_bytes(b"a new one")
    state = carry_on(site.desk.state / "runs" / state.run, "rollback")
    assert state.outcome == "rolled-back"
    (told,) = [each["text"] for each in state.notes if "in place" in each["text"]]
    assert "share these files: 3/3.pdf; " in told
    assert (site.live / "3/3.pdf").read_bytes() == b"content of 3!"
    assert (site.live / "4/4.pdf").read_bytes() == b"content of 4"
