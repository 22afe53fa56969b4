"""Copies of real base backups, undisturbed: what is in them, and what is not."""

from pathlib import Path

import psutil
import pytest

from engine.postgres.running import run
from engine.records.errors import RunFailed
from engine.transfer.copying import release_control
from tests.transfer.backups import FORMATS, ODD_NAME, Backups, contents, files_of, make_copy

_PYTHON_READS = 8 << 20  # bytes of modules, at most


@pytest.fixture(params=FORMATS)
def kind(request: pytest.FixtureRequest, backups: Backups) -> str:
    if not backups.has(request.param):
        pytest.skip(f"this PostgreSQL cannot write {request.param}")
    return str(request.param)


def test_every_format_gives_a_copy_that_pg_verifybackup_finds_right(
    backups: Backups, kind: str, open_dir: Path
) -> None:
    into = open_dir / "copy"
    result = make_copy(backups.backup(kind), into, backups.oid, owner=backups.cluster.user)
    assert result.verified
    assert result.kept == 0
    assert not (into / "global/pg_control").exists()
    release_control(into)
    assert run(
        backups.cluster.programs, "pg_verifybackup", "-n", "-i", "tablespace_map", into, user=backups.cluster.user
    )
    assert (into / "pg_tblspc" / str(backups.oid)).readlink() == Path(f"{into}-{backups.oid}")
    assert (into / ODD_NAME).read_bytes() == b"whatever"
    assert sorted(path.name for path in (into / "pg_wal").iterdir()) == ["archive_status"]
    assert not (into / "tablespace_map").exists()
    assert not (into / ".reprise-copy").exists()


def test_owner_and_mode_are_the_server_users_whatever_the_backup_has(backups: Backups, open_dir: Path) -> None:
    into = open_dir / "copy"
    make_copy(backups.backup("tar"), into, backups.oid, owner=backups.cluster.user)
    for folder in (into, Path(f"{into}-{backups.oid}")):
        found = contents(folder)
        assert {mode for kind, mode, _, _ in found.values() if kind == "d"} == {0o700}
        assert {mode for kind, mode, _, _ in found.values() if kind == "-"} == {0o600}
        found.pop(".reprise-copy", None)
        assert {owner for _, _, owner, _ in found.values()} == {backups.cluster.user.uid}
        assert folder.stat().st_mode & 0o777 == 0o700


def test_a_plain_copy_has_the_very_files_of_the_backup(backups: Backups, open_dir: Path) -> None:
    into = open_dir / "copy"
    result = make_copy(backups.backup("plain"), into, backups.oid)
    release_control(into)
    assert files_of(into) == files_of(backups.path("plain"))
    place = Path(f"{into}-{backups.oid}")
    assert files_of(place) == files_of(backups.cluster.backups / "plain-ts")
    assert result.files == len(files_of(into)) + len(files_of(place)) - 1  # the manifest itself


def test_progress_rises_to_the_bytes_that_are_known(backups: Backups, kind: str, open_dir: Path) -> None:
    heard: list[tuple[int, int | None]] = []
    result = make_copy(
        backups.backup(kind), open_dir / "copy", backups.oid, progress=lambda done, total: heard.append((done, total))
    )
    done = [step for step, _ in heard]
    assert done == sorted(done)
    assert heard[-1] == (result.bytes, result.bytes)
    assert {total for _, total in heard if total is not None} == {result.bytes}


def test_without_a_manifest_the_copy_says_that_it_is_not_verified(backups: Backups, open_dir: Path) -> None:
    for kind in ("plain", "tar.gz"):
        source = backups.own(kind, open_dir)
        (source.path / "backup_manifest").unlink()
        into = open_dir / f"copy {kind}"
        assert not make_copy(source, into, backups.oid).verified
        release_control(into)
        assert len((into / "global/pg_control").read_bytes()) == 8192


def test_leftovers_of_a_server_are_not_copied(backups: Backups, open_dir: Path) -> None:
    source = backups.own("plain", open_dir)
    (source.path / "backup_manifest").unlink()
    leftovers = (
        "postmaster.pid",
        "standby.signal",
        "pg_replslot/slot/state",
        "base/pgsql_tmp/pgsql_tmp7.0",
        "pg_stat_tmp/x",
    )
    for name in leftovers:
        (source.path / name).parent.mkdir(exist_ok=True)
        (source.path / name).write_text("old")
    into = open_dir / "copy"
    make_copy(source, into, backups.oid)
    assert [name for name in leftovers if (into / name).exists()] == []
    assert not (into / "pg_replslot/slot").exists()
    assert (into / "pg_replslot").is_dir()


def test_a_linked_pg_wal_becomes_a_folder_of_the_copys_own(backups: Backups, open_dir: Path) -> None:
    source = backups.own("plain", open_dir)
    elsewhere = open_dir / "elsewhere"
    (source.path / "pg_wal").rename(elsewhere)
    (elsewhere / "000000010000000000000001").write_text("x")
    (source.path / "pg_wal").symlink_to(elsewhere)
    into = open_dir / "copy"
    make_copy(source, into, backups.oid)
    assert not (into / "pg_wal").is_symlink()
    assert [path.name for path in (into / "pg_wal").iterdir()] == ["archive_status"]


def test_the_tablespace_is_read_from_where_its_link_points(backups: Backups, open_dir: Path) -> None:
    into = open_dir / "copy"
    before = contents(backups.cluster.root / "ts")
    make_copy(backups.backup("plain"), into, backups.oid)
    place = Path(f"{into}-{backups.oid}")
    assert files_of(place) == files_of(backups.cluster.backups / "plain-ts")
    assert contents(backups.cluster.root / "ts") == before


def test_a_folder_with_something_in_it_is_refused_and_left_alone(backups: Backups, open_dir: Path) -> None:
    into = open_dir / "copy"
    into.mkdir()
    (into / "precious").write_text("mine")
    with pytest.raises(RunFailed, match="not empty"):
        make_copy(backups.backup("plain"), into, backups.oid)
    assert [path.name for path in into.iterdir()] == ["precious"]


def test_a_copy_that_was_complete_is_not_made_again(backups: Backups, open_dir: Path) -> None:
    into = open_dir / "copy"
    first = make_copy(backups.backup("plain"), into, backups.oid)
    inodes = {path: path.stat().st_ino for path in into.rglob("*") if path.is_file()}
    assert make_copy(backups.backup("plain"), into, backups.oid) == first
    assert {path: path.stat().st_ino for path in into.rglob("*") if path.is_file()} == inodes
    release_control(into)
    release_control(into)
    assert (into / "global/pg_control").exists()


def test_members_of_a_chain_keep_their_control_file(backups: Backups, open_dir: Path) -> None:
    make_copy(backups.backup("tar"), open_dir / "copy", backups.oid, hold_back_control=False)
    assert (open_dir / "copy/global/pg_control").exists()


def test_every_byte_of_the_source_is_read_once(backups: Backups, open_dir: Path) -> None:
    """/proc/<pid>/io counts what the worker read: the source, Python's own modules, and nothing else."""
    source = backups.backup("plain")
    read: list[int] = []

    def look(done: int, total: int | None) -> None:
        for worker in psutil.Process().children():
            text = Path(f"/proc/{worker.pid}/io").read_text()
            read.append(int(text.split("rchar: ")[1].split()[0]))

    result = make_copy(source, open_dir / "copy", backups.oid, progress=look)
    assert result.bytes > _PYTHON_READS
    assert result.bytes <= read[-1] < result.bytes + _PYTHON_READS
