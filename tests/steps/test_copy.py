"""`prepare` and `copy`: folders made, a backup copied into them, and all of it taken away again."""

import os
import stat
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.records.copies import Tablespace
from engine.records.errors import DamagedCopy, RunFailed
from engine.records.plan import TablespacePlace
from engine.steps import DAMAGED, copy, prepare
from engine.steps.protocol import Stopped
from engine.system.users import everyday_user, is_root
from engine.transfer import copying
from tests.steps.copying_plans import rehearse
from tests.steps.rehearsal import Rehearsal
from tests.transfer.backups import SLOWLY, Backups, contents, files_of


@pytest.fixture
def run(backups: Backups, open_dir: Path) -> Rehearsal:
    return rehearse_copy(backups, open_dir)


def rehearse_copy(backups: Backups, folder: Path) -> Rehearsal:
    backup = replace(backups.backup("plain"), tablespaces=(Tablespace(backups.oid, "/nowhere"),))
    container = folder / "into"
    place = str(container / "tablespaces" / str(backups.oid))
    return rehearse(
        folder, backups.cluster.programs, (backup,), (TablespacePlace(backups.oid, place, place),),
        args={"backup": 0, "into": str(container / "data")},
    )  # fmt: skip


def container(run: Rehearsal) -> Path:
    assert run.plan.layout is not None
    return Path(run.plan.layout.container)


def step(run: Rehearsal) -> Rehearsal:
    """The next step of the same run: nothing recorded yet."""
    return replace(run, undo_records=[])


def test_prepare_makes_folders_that_only_run_as_may_enter(run: Rehearsal) -> None:
    prepare.apply(run)
    user = everyday_user()
    for name in ("", "staging", "own", "own/run"):
        status = (container(run) / name).stat()
        assert stat.S_IMODE(status.st_mode) == 0o700
        assert status.st_uid == user.uid


def test_prepare_applied_again_converges_and_undone_leaves_nothing(run: Rehearsal, open_dir: Path) -> None:
    prepare.apply(run)
    (container(run) / "own/log").write_text("of the server")
    prepare.apply(run)
    prepare.undo(run)
    prepare.undo(run)
    assert list(open_dir.iterdir()) == []


def test_prepare_gives_an_empty_folder_back_as_it_was(run: Rehearsal) -> None:
    folder = container(run)
    folder.mkdir(mode=0o750)
    before = folder.stat()
    prepare.apply(run)
    assert folder.stat().st_mode & 0o777 == 0o700
    prepare.undo(run)
    after = folder.stat()
    assert (after.st_ino, after.st_mode, after.st_uid) == (before.st_ino, before.st_mode, before.st_uid)
    assert list(folder.iterdir()) == []


def test_prepare_refuses_a_folder_with_something_in_it(run: Rehearsal) -> None:
    container(run).mkdir()
    (container(run) / "precious").write_text("mine")
    with pytest.raises(RunFailed, match="not empty"):
        prepare.apply(run)
    prepare.undo(run)
    assert (container(run) / "precious").read_text() == "mine"


def test_prepare_refuses_another_runs_folder(run: Rehearsal, open_dir: Path) -> None:
    prepare.apply(run)
    other = replace(run, run_dir=Path("/another"), undo_records=[])
    with pytest.raises(RunFailed, match="not empty"):
        prepare.apply(other)
    prepare.undo(other)
    assert (container(run) / ".reprise").exists()


def test_prepare_goes_on_from_a_torn_marker(run: Rehearsal) -> None:
    prepare.apply(run)
    prepare.undo(run)
    container(run).mkdir()
    (container(run) / ".reprise").write_text('{"ru')
    prepare.apply(run)
    assert (container(run) / "staging").is_dir()


def test_prepare_makes_missing_parents_passable_and_takes_them_away(run: Rehearsal, open_dir: Path) -> None:
    assert run.plan.layout is not None
    deep = open_dir / "a" / "b"
    layout = replace(
        run.plan.layout, container=str(deep), staging=str(deep / "staging"), work=str(deep / "own"),
        socket_dir=str(deep / "own/run"),
    )  # fmt: skip
    run.plan = replace(run.plan, layout=layout)
    prepare.apply(run)
    assert (open_dir / "a").stat().st_mode & 0o777 == 0o755
    prepare.undo(run)
    assert list(open_dir.iterdir()) == []


def test_prepare_leaves_what_others_put_into_the_container(run: Rehearsal) -> None:
    prepare.apply(run)
    (container(run) / "precious").write_text("mine")
    prepare.undo(run)
    assert (container(run) / "precious").read_text() == "mine"
    assert run.lines


def test_copy_ends_with_a_data_directory_that_can_start(run: Rehearsal, backups: Backups) -> None:
    prepare.apply(run)
    run = step(run)
    copy.apply(run)
    data = container(run) / "data"
    assert files_of(data) == files_of(backups.path("plain"))
    assert (data / "pg_tblspc" / str(backups.oid)).readlink() == container(run) / "tablespaces" / str(backups.oid)
    done = [progress[0] for progress in run.progresses]
    assert done == sorted(done)
    assert run.progresses[-1][0] == run.progresses[-1][1]
    assert run.facts["copied plain"]["verified"] is True


def test_copy_applied_again_after_its_end_changes_nothing(run: Rehearsal) -> None:
    prepare.apply(run)
    run = step(run)
    copy.apply(run)
    before = contents(container(run))
    copy.apply(run)
    assert contents(container(run)) == before


def test_copy_undone_leaves_what_prepare_left(run: Rehearsal) -> None:
    prepare.apply(run)
    before = contents(container(run))
    run = step(run)
    copy.apply(run)
    copy.undo(run)
    copy.undo(run)
    assert contents(container(run)) == before


def test_copy_stopped_and_undone_leaves_what_prepare_left(run: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "PATIENCE", SLOWLY)
    prepare.apply(run)
    before = contents(container(run))
    run = step(run)

    def stop() -> None:
        if (container(run) / "data/.reprise-copy").exists():
            raise Stopped

    run.at_safe_point = stop
    with pytest.raises(Stopped):
        copy.apply(run)
    assert not (container(run) / "data/global/pg_control").exists()
    copy.undo(run)
    assert contents(container(run)) == before


def test_copy_of_a_damaged_backup_leaves_nothing_that_starts(run: Rehearsal, backups: Backups, open_dir: Path) -> None:
    source = replace(backups.own("plain", open_dir), tablespaces=(Tablespace(backups.oid, "/nowhere"),))
    (source.path / "backup_label").unlink()
    assert run.plan.point is not None
    run.plan = replace(run.plan, point=replace(run.plan.point, chain=(source,)))
    prepare.apply(run)
    run = step(run)
    with pytest.raises(DamagedCopy):
        copy.apply(run)
    assert not list(container(run).rglob("pg_control*"))
    told = run.facts[DAMAGED]  # by it the next plan takes another one
    assert (told["id"], told["kind"], told["repository"], told["ok"]) == (source.id, "base", source.repository, False)
    assert "backup_label" in told["findings"][0]


@pytest.mark.skipif(not is_root(), reason="only root may give files away")
def test_everything_belongs_to_run_as(run: Rehearsal) -> None:
    prepare.apply(run)
    run = step(run)
    copy.apply(run)
    user = everyday_user()
    for place, folders, files in os.walk(container(run)):
        for name in (*folders, *files):
            path = Path(place, name)
            assert path.name == ".reprise" or path.lstat().st_uid == user.uid
