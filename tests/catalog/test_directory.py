"""Base backups as pg_basebackup really leaves them, read back."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.catalog.backups import unique_ids
from engine.catalog.directory import RepositoryContents, backup_settings, complete_backup
from engine.catalog.folders import read_folder
from engine.formats.backup_label import read_backup_history
from engine.postgres.running import run
from engine.records.copies import BaseBackup
from tests.catalog.conftest import Copies, Shelf


def _named(contents: RepositoryContents, id: str) -> BaseBackup:
    return next(backup for backup in contents.base_backups if backup.id == id)


def test_every_kind_of_backup_is_found_and_usable(copies: Copies, contents: RepositoryContents) -> None:
    assert [(each.id, each.reason) for each in contents.base_backups] == [(kind, None) for kind in copies.kinds]
    assert contents.problems == []
    assert contents.stop_unknown == contents.incomplete == ()
    assert {each.format for each in contents.base_backups} == {"plain", "tar"}
    assert _named(contents, "gzip").compression == "gzip"


def test_what_is_said_of_a_backup_is_what_postgresql_says(copies: Copies, contents: RepositoryContents) -> None:
    cluster = copies.cluster
    told = run(cluster.programs, "pg_controldata", cluster.data_dir, user=cluster.user)
    identifier = next(int(line.split()[-1]) for line in told.splitlines() if "system identifier" in line)
    for backup in contents.base_backups:
        assert backup.system_identifier == identifier == contents.system_identifier
        assert (backup.version, backup.timeline) == (cluster.programs.version, 1)
        assert backup.segment_size == cluster.segment_size == contents.segment_size
        assert backup.data_checksums is True
        assert dict(backup.settings)["max_prepared_transactions"] == "20"
        assert backup.has_manifest is ("without-manifest" not in backup.id)
        assert backup.files_size_bytes is not None
        assert len(backup.tablespaces) == 1


def test_starts_and_stops_are_those_of_the_archives_history_files(copies: Copies, contents: RepositoryContents) -> None:
    histories = [read_backup_history(path.read_text()) for path in copies.cluster.archive.glob("*.backup")]
    stops = {history.label.start_lsn: history for history in histories}
    for backup in contents.base_backups:
        if backup.from_standby:
            assert backup.id == "standby"
            assert backup.start_lsn is not None and backup.stop_lsn is not None and backup.stop_lsn > backup.start_lsn
        else:
            assert backup.stop_lsn == stops[backup.start_lsn or 0].stop_lsn
            assert backup.stopped_at == stops[backup.start_lsn or 0].stopped_at
        assert backup.started_at is not None and backup.stopped_at is not None
        assert backup.started_at <= backup.stopped_at < datetime.now(UTC) + timedelta(minutes=1)


def test_tablespaces_are_where_the_origin_or_the_copy_has_them(copies: Copies, contents: RepositoryContents) -> None:
    assert _named(contents, "tar").tablespaces[0].location == str(copies.space)
    assert _named(contents, "plain").tablespaces[0].location == str(copies.cluster.backups / "plain-space")


def test_what_a_tablespace_will_occupy_is_known(copies: Copies, contents: RepositoryContents) -> None:
    files = sum(each.stat().st_size for each in copies.space.rglob("*") if each.is_file())
    for backup in contents.base_backups:
        told = backup.tablespaces[0].size_bytes
        if backup.compression is not None and not backup.has_manifest:
            assert told is None
        elif not backup.incremental:
            assert told is not None and files // 2 < told < files * 2, backup.id  # a tar's own headers, a later VACUUM


def test_a_chain_names_its_parents(copies: Copies, contents: RepositoryContents) -> None:
    if not copies.cluster.can_increment:
        pytest.skip("PostgreSQL before 17 has no incremental backups")
    assert (_named(contents, "increment").parent, _named(contents, "increment-tar").parent) == ("plain", "increment")
    assert _named(contents, "increment").incremental and not _named(contents, "plain").incremental


def test_an_incremental_backup_without_its_parent_is_not_usable(shelf: Shelf) -> None:
    if not shelf.copies.cluster.can_increment:
        pytest.skip("PostgreSQL before 17 has no incremental backups")
    shelf.put("increment-tar")
    (lone,) = shelf.read().base_backups
    assert not lone.usable and lone.parent is None and "builds on is not here" in (lone.reason or "")
    shelf.put("increment")
    shelf.put("plain")
    (shelf.base / "plain" / "global" / "pg_control").unlink()
    found = shelf.read()
    assert [each.usable for each in found.base_backups] == [False, False, False]
    assert "plain, is not usable: global/pg_control missing" in (_named(found, "increment").reason or "")
    assert _named(found, "increment-tar").parent == "increment"


def test_a_stop_that_only_the_wal_knows_is_left_open(shelf: Shelf) -> None:
    shelf.put("tar-without-manifest")
    found = shelf.read()
    assert found.base_backups[0].usable and found.base_backups[0].stop_lsn is None
    assert found.stop_unknown == ("tar-without-manifest",)


def test_of_a_large_tar_only_the_beginning_is_read_in_passing(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def thrifty(*arguments: object) -> object:
        return read_folder(*arguments, limit=2000)  # type: ignore[arg-type, misc]

    monkeypatch.setattr("engine.catalog.base_tar.PIECE", 1024)
    monkeypatch.setattr("engine.catalog.directory.read_in_passing", thrifty)
    shelf.put("gzip")
    cache = tmp_path / "cache.json"
    found = shelf.read(cache=cache)
    (backup,) = found.base_backups
    assert found.incomplete == ("gzip",)
    assert backup.usable and backup.start_lsn and backup.stop_lsn and not backup.settings
    whole = complete_backup(backup, cache=cache)
    assert dict(whole.settings)["max_prepared_transactions"] == "20"
    assert (whole.start_lsn, whole.stop_lsn, whole.id) == (backup.start_lsn, backup.stop_lsn, "gzip")
    again = shelf.read(cache=cache)
    assert again.incomplete == () and again.base_backups[0].settings == whole.settings


def test_a_backups_own_settings(contents: RepositoryContents) -> None:
    for id in ("plain", "gzip"):
        assert backup_settings(_named(contents, id))["max_prepared_transactions"] == "20"


def test_what_is_remembered_is_not_read_again(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "memory" / "cache.json"
    shelf.put("gzip")
    shelf.put("plain")
    first = shelf.read(cache=cache)

    def forbidden(*_: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr("engine.catalog.folders.scan_base_tar", forbidden)
    monkeypatch.setattr("engine.catalog.folders.read_manifest", forbidden)
    assert shelf.read(cache=cache).base_backups == first.base_backups


@pytest.mark.parametrize(
    "rubbish", [b"", b"{", b'{"version":1,"facts":{"x":7}}', b"\xff\xfe", b'{"version":9,"facts":{}}']
)
def test_a_damaged_memory_is_forgotten(shelf: Shelf, tmp_path: Path, rubbish: bytes) -> None:
    cache = tmp_path / "cache.json"
    cache.write_bytes(rubbish)
    shelf.put("tar")
    assert shelf.read(cache=cache).base_backups[0].usable
    assert cache.read_bytes() != rubbish


def test_a_changed_backup_is_read_again(shelf: Shelf, tmp_path: Path) -> None:
    cache = tmp_path / "cache.json"
    folder = shelf.put("plain")
    assert shelf.read(cache=cache).base_backups[0].usable
    (folder / "backup_label").unlink()
    assert shelf.read(cache=cache).base_backups[0].failed_check == "backup-label"


def test_one_name_in_two_repositories_gets_the_repositorys_number(contents: RepositoryContents) -> None:
    tar, gzip = _named(contents, "tar"), _named(contents, "gzip")
    child = replace(gzip, id="child", parent="tar")
    first, second = unique_ids([[tar, child], [tar, gzip]])
    assert [(each.id, each.parent) for each in first] == [("1:tar", None), ("child", "1:tar")]
    assert [each.id for each in second] == ["2:tar", "gzip"]
