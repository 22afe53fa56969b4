import shutil
from pathlib import Path

import pytest

from engine.catalog.discover import archive_folder, find_clusters, find_copies
from tests.catalog.conftest import Copies


def test_a_bare_machine_learns_from_the_copies_alone(copies: Copies, tmp_path: Path) -> None:
    root = tmp_path / "mnt"
    for name, source in {"pg/base": copies.cluster.backups, "pg/archive/log": copies.cluster.archive}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(source)
    found = find_copies(copies.cluster.root)
    assert found.base_backups[0] == copies.cluster.backups
    assert found.wal == (copies.cluster.archive,)
    assert found.newest is not None and found.newest.id == copies.kinds[-1]
    assert found.version == copies.cluster.programs.version
    assert found.data_dir == Path(f"/var/lib/postgresql/{found.version}/main") and not found.data_dir_known
    assert found.owner_uid == found.newest.path.stat().st_uid
    assert find_copies(root).base_backups == ()  # links are not followed


def test_media_snapshots_and_nested_archives_are_recognised(tmp_path: Path) -> None:
    (tmp_path / "media" / "2026-11-23T04:00:00Z" / "2026").mkdir(parents=True)
    (tmp_path / "media" / "2026-11-23T04:00:00Z.json").touch()
    nested = tmp_path / "repo" / "15-1" / "0000000100000000"
    nested.mkdir(parents=True)
    (nested / ("0" * 23 + "1-" + "a" * 40 + ".zst")).touch()
    found = find_copies(tmp_path)
    assert (found.media, found.wal, found.newest) == ((tmp_path / "media",), (tmp_path / "repo",), None)


def test_dumps_are_told_by_what_they_are_not_by_their_name(tmp_path: Path) -> None:
    for name in ("dumps/nightly.dump", "code/schema.sql", "plain/one.sql"):
        (tmp_path / name).parent.mkdir()
    (tmp_path / "dumps/nightly.dump").write_bytes(b"PGDMP\1\16\0" + bytes(100))
    (tmp_path / "code/schema.sql").write_text("CREATE TABLE documents (id int);\n")
    (tmp_path / "plain/one.sql").write_text("--\n-- PostgreSQL database dump\n--\n")
    (tmp_path / "own/20261122T030000Z").mkdir(parents=True)
    (tmp_path / "own/20261122T030000Z/toc.dat").write_bytes(b"PGDMP\1\16\0" + bytes(100))
    found = find_copies(tmp_path)
    assert (set(found.dumps), found.media) == ({tmp_path / "dumps", tmp_path / "plain", tmp_path / "own"}, ())


def test_clusters_are_found_by_debians_configuration_and_by_their_places(copies: Copies, tmp_path: Path) -> None:
    conf = tmp_path / "etc/postgresql/15/main"
    conf.mkdir(parents=True)
    (tmp_path / "var/lib/postgresql/15").mkdir(parents=True)
    (tmp_path / "var/lib/postgresql/15/main").symlink_to(copies.cluster.data_dir)
    (tmp_path / "var/lib/pgsql/16").mkdir(parents=True)
    (tmp_path / "var/lib/pgsql/16/data").symlink_to(copies.cluster.data_dir)
    (conf / "postgresql.conf").write_text(
        "data_directory = '/var/lib/postgresql/15/main'\nport = 5433\n"
        "hba_file = '/etc/postgresql/15/main/pg_hba.conf'\n"
        "unix_socket_directories = '/run/pg, /tmp'\n"
    )
    debian, other = sorted(find_clusters(tmp_path), key=lambda each: each.config_file is None)
    assert debian.config_file == conf / "postgresql.conf"
    assert (debian.port, debian.host, debian.running) == (5433, "/run/pg", False)
    assert debian.hba_file == Path("/etc/postgresql/15/main/pg_hba.conf")
    assert other.data_dir == tmp_path / "var/lib/pgsql/16/data" and other.config_file is None
    assert other.version == copies.cluster.programs.version and other.system_identifier


@pytest.mark.parametrize(
    "command",
    [
        "test ! -f {}/%f && cp %p {}/%f",
        "gzip < %p > {}/%f.gz",
        "gzip <%p >{}/%f.gz",
        "cp '%p' '{}/%f'",
        "rsync -a %p {}/",
        "sh '/etc/reprise/archive-wal.sh' '{}' \"%p\" \"%f\"",
        "cp %p /no/such/folder/%f || cp %p {}/%f",
    ],
)
def test_an_archive_command_names_its_folder(tmp_path: Path, command: str) -> None:
    archive = tmp_path / "the archive"
    archive.mkdir()
    text = str(archive) if "'" in command else str(archive).replace(" ", "\\ ")
    assert archive_folder(command.replace("{}", text)) == archive


@pytest.mark.parametrize(
    "command", ["", "/bin/true", "pgbackrest --stanza=main archive-push %p", "scp %p vault:/wal/%f", "cp '", "cp \0/%f"]
)
def test_an_archive_command_that_names_no_folder_of_this_machine_names_none(command: str) -> None:
    assert archive_folder(command) is None


def test_of_several_archives_that_of_the_newest_backup_comes_first_and_one_backup_alone_is_found(
    copies: Copies, tmp_path: Path
) -> None:
    """The foreign archive has more segments; WAL and base backups may lie in one folder."""
    ours = tmp_path / "ours"
    ours.mkdir()
    for file in sorted(copies.cluster.archive.glob("0*"))[:3]:
        shutil.copy(file, ours)
    shutil.copytree(copies.cluster.backups / "tar", ours / "base" / "one")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    for number in range(9):
        (foreign / f"{number:024X}").write_bytes(b"no WAL at all")
    found = find_copies(tmp_path)
    assert (found.wal, found.base_backups) == ((ours, foreign), (ours / "base",))
    assert found.newest is not None
    assert find_copies(tmp_path, found.system_identifier).base_backups == (ours / "base",)
    assert find_copies(tmp_path, 1).base_backups == ()
    assert find_copies(ours / "base" / "one").base_backups == (ours / "base",)


def test_a_quoted_socket_folder_is_read_as_postgresql_does(copies: Copies, tmp_path: Path) -> None:
    """ALTER SYSTEM writes a list's names in double quotes."""
    place = tmp_path / "var/lib/pgsql/data"
    (place / "global").mkdir(parents=True)
    (place / "PG_VERSION").write_text("15\n")
    (place / "postgresql.auto.conf").write_text("unix_socket_directories = '\"/run/my pg\", \"/tmp\"'\nport = '5444'\n")
    (found,) = find_clusters(tmp_path)
    assert (found.host, found.port, found.running) == ("/run/my pg", 5444, False)
