"""The site file: read, checked, explained."""

import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.records.errors import SiteError
from engine.site import Media, find_site, read_site, write_site

WHOLE = """
[site]
name = "archive"
timezone = "Europe/Moscow"

[database]
data_dir = "/var/lib/postgresql/15/main"
run_as = "postgres"

[[database.repository]]
kind = "directory"
base_backups = "/backup/base"
wal = "/backup/wal"

[media]
path = "/srv/docs/media"
[[media.repository]]
kind = "directory"
path = "/backup/media"

[[source]]
path = "/srv/docs/src"
mirror = "/backup/source/docs.git"

[environment]
path = "/srv/docs"
store = "/backup/image"
second = "ssh://backup@vault:2222/copies/docs"

[policy]
database_full = "7d"
database_incremental = "5min"

[retention]
base_backups = { count = 4, days = 28 }
media = { hourly = 24, daily = 14 }

[schedule]
base = "*-*-* 02:00"
proof = "Sun 03:00"

[proof]
into = "/srv/proofs"
bandwidth = "50MB/s"

[objectives]
rto = "1h"
rpo = "5min"

[application]
stop = "systemctl stop docs"

[verify]
sql = ["SELECT count(*) > 0 FROM documents"]
"""


def site_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "site.toml"
    path.write_text(text)
    return path


def test_a_whole_site_file_is_read_with_its_defaults(tmp_path: Path) -> None:
    site = read_site(site_file(tmp_path, WHOLE))
    assert site.name == "archive"
    assert str(site.zone) == "Europe/Moscow"
    assert (site.database.host, site.database.port, site.database.user) == ("/var/run/postgresql", 5432, "postgres")
    assert site.database.repository[0].wal == "/backup/wal"
    assert site.application.start == ""
    assert (site.policy.seconds("database-full"), site.policy.seconds("database-incremental")) == (7 * 86400, 300)
    assert site.policy.seconds("files") is None
    assert site.retention.base_backups is not None and site.retention.base_backups.days == 28
    assert (site.proof.nice, site.proof.idle_io, site.proof.bytes_per_second) == (10, True, 50_000_000)
    assert (site.objectives.rto_seconds, site.objectives.rpo_seconds) == (3600, 300)


def test_a_mirror_locks_the_folder_around_it_and_is_itself_what_holds_copies(
    tmp_path: Path,
) -> None:
    site = read_site(site_file(tmp_path, WHOLE))
    assert "/backup/source" in site.repositories and "/backup/source/docs.git" not in site.repositories
    assert "/backup/source/docs.git" in site.holding and "/backup/source" not in site.holding


def test_what_is_written_reads_back_equal_and_never_replaces_a_file(tmp_path: Path) -> None:
    site = read_site(site_file(tmp_path, WHOLE))
    written = tmp_path / "new" / "site.toml"
    write_site(site, written)
    assert read_site(written) == site
    assert written.stat().st_mode & 0o777 == 0o600
    before = written.read_bytes()
    with pytest.raises(SiteError, match="exists already"):
        write_site(site, written)
    assert written.read_bytes() == before
    assert [path.name for path in written.parent.iterdir()] == ["site.toml"]


@pytest.mark.parametrize(
    ("was", "becomes", "key", "right"),
    [
        ('wal = "/backup/wal"', 'wall = "/backup/wal"', "database.repository[0].wall", "meant wal?"),
        ('data_dir = "/var/lib/postgresql/15/main"', "", "database.data_dir", "add data_dir"),
        ('data_dir = "/var/lib/postgresql/15/main"', "data_dir = 5", "database.data_dir", "text in quotes"),
        ('run_as = "postgres"', 'port = "5432"', "database.port", "a whole number"),
        ('run_as = "postgres"', "port = 70000", "database.port", "1 to 65535"),
        ("Europe/Moscow", "Europe/Moskau", "site.timezone", "Europe/Moscow"),
        ("Europe/Moscow", "../../etc/passwd", "site.timezone", "Europe/Moscow"),
        ('name = "archive"', 'name = "../archive"', "site.name", "letters"),
        ('name = "archive"', f'name = "{"ё" * 51}"', "site.name", "at most 100 bytes"),
        ('kind = "directory"', 'kind = "tape"', "database.repository[0].kind", "directory"),
        ('base_backups = "/backup/base"', 'base_backups = "base"', "base_backups", "starts with /"),
        ("[application]", "[aplication]", "aplication", "application"),
        ("count = 4, ", "cuont = 4, ", "retention.base_backups.cuont", "meant count?"),
        ("count = 4, days = 28", "count = -1", "retention.base_backups.count", "from 0 on"),
        ("hourly = 24, daily = 14", "", "retention.media", "no rule at all"),
        ('"5min"', '"5 minutes"', "policy.database_incremental", "5min"),
        ("[policy]", "[policies]", "policies", "policy"),
        ('mirror = "/backup/source/docs.git"', "", "source[0]", "bundles"),
        ('path = "/srv/docs/src"', 'path = "--upload-pack=x"', "source[0].path", "URL"),
        ('path = "/srv/docs/src"', 'path = "https://u:geheim@git.example/s"', "source[0].path", "credential helper"),
        ('path = "/srv/docs/src"', 'path = "https://ghp_geheim@git.example/s"', "source[0].path", "ssh key"),
        ('path = "/srv/docs"\n', "", "environment", "image"),
        ("ssh://backup@vault:2222/copies/docs", "vault:/copies", "environment.second", "ssh://user@host/path"),
        ("ssh://backup@vault:2222/copies/docs", "ssh://-oProxyCommand=x/y", "environment.second", "ssh://user@host"),
        ("*-*-* 02:00", "02:00; rm", "schedule.base", "hourly"),
        ('bandwidth = "50MB/s"', 'bandwidth = "50MB"', "proof.bandwidth", "50MB/s"),
        ('bandwidth = "50MB/s"', 'bandwidth = "900kB/s"', "proof.bandwidth", "1MB/s"),
        ('bandwidth = "50MB/s"', "nice = -5", "proof.nice", "0"),
        ('bandwidth = "50MB/s"', 'files = "all"', "proof.files", "check"),
        ('rto = "1h"', 'rto = ""', "objectives.rto", "1h"),
        ("[site]", "[site", "not TOML", "port = 5432"),
        ('sql = ["SELECT count(*) > 0 FROM documents"]', f"sql = {'[' * 5000}", "not TOML", "port = 5432"),
        ('sql = ["SELECT count(*) > 0 FROM documents"]', f"sql = {'[' * 900}{']' * 900}", "not TOML", "port = 5432"),
    ],
)
def test_a_mistake_gets_one_error_with_file_key_and_what_would_be_right(
    tmp_path: Path, was: str, becomes: str, key: str, right: str
) -> None:
    assert was in WHOLE
    path = site_file(tmp_path, WHOLE.replace(was, becomes, 1))
    with pytest.raises(SiteError) as caught:
        read_site(path)
    assert str(path) in caught.value.message
    assert key in caught.value.message
    assert right in (caught.value.remedy or "")
    assert "geheim" not in str(caught.value)


def test_a_missing_file_and_no_file_at_all_say_how_to_write_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SiteError, match="no such site file"):
        read_site(tmp_path / "none.toml")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("REPRISE_SITE", raising=False)
    if not Path("/etc/reprise/site.toml").exists():
        with pytest.raises(SiteError) as caught:
            find_site(None)
        assert "reprise init" in (caught.value.remedy or "")


def test_a_mark_before_the_text_does_not_matter(tmp_path: Path) -> None:
    path = site_file(tmp_path, WHOLE)
    site = read_site(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_site(path) == site


def test_what_is_no_file_or_has_no_end_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "long").write_bytes(b"#" * (1 << 20) + b"\n")
    for place, wrong in (
        (tmp_path / "pipe", "ordinary file"),
        (tmp_path, "Is a directory"),
        (Path("/dev/zero"), "ordinary file"),
        (tmp_path / "long", "too long"),
    ):
        with pytest.raises(SiteError, match=wrong):
            read_site(place)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user, whom a folder is closed to")
def test_a_home_of_somebody_else_holds_no_site_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After `sudo -u postgres`, which keeps root's HOME."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "closed" / "config"))
    monkeypatch.delenv("REPRISE_SITE", raising=False)
    (tmp_path / "closed").mkdir(mode=0o700)
    us = os.geteuid()
    os.seteuid(65534)
    try:
        with pytest.raises(SiteError, match="no site file found"):
            find_site(None)
    finally:
        os.seteuid(us)


def test_a_place_that_no_toml_can_name_is_refused_and_nothing_written(tmp_path: Path) -> None:
    site = read_site(site_file(tmp_path, WHOLE))
    odd = msgspec.structs.replace(site, media=Media("/srv/\udcff/media"))
    with pytest.raises(SiteError) as caught:
        write_site(odd, tmp_path / "new.toml")
    assert r"/srv/\xff/media" in caught.value.message and "link" in (caught.value.remedy or "")
    assert not (tmp_path / "new.toml").exists()


@given(st.text(max_size=400) | st.text(max_size=60).map(lambda extra: WHOLE + extra))
def test_no_text_makes_the_reader_fail_with_anything_but_a_site_error(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        read_site(path)
    except SiteError as error:
        assert str(path) in error.message


FOREIGN = """
[[media.repository]]
kind = "rsync"
path = "/backup/dated"
inside = "localhost/srv/docs/media"
[[media.repository]]
kind = "restic"
path = "rest:https://backup@vault/docs"
password_file = "/etc/reprise/restic.password"
[[media.repository]]
kind = "borg"
path = "ssh://backup@vault/./docs"
password_command = "pass show borg"
program = "/opt/borg/bin/borg"
[[source]]"""
WITH_FOREIGN = WHOLE.replace(
    'path = "/srv/docs/media"\n',
    'path = "/srv/docs/media"\nreferences = "SELECT path, size FROM files"\nstrip_prefix = "/uploads/"\n',
).replace("[[source]]", FOREIGN.strip(), 1)


def test_other_programs_repositories_are_read_with_their_keys(tmp_path: Path) -> None:
    media = read_site(site_file(tmp_path, WITH_FOREIGN)).media
    assert media is not None and media.own == media.repository[0]
    assert [each.kind for each in media.repository] == ["directory", "rsync", "restic", "borg"]
    assert "/backup/dated" not in read_site(tmp_path / "site.toml").repositories


@pytest.mark.parametrize(
    ("was", "becomes", "key", "right"),
    [
        ('kind = "rsync"', 'kind = "tar"', "media.repository[1].kind", "restic"),
        ('path = "/backup/dated"', 'path = "dated"', "media.repository[1].path", "starts with /"),
        ('path = "/backup/dated"', 'path = "/b"\nsecond = "ssh://a/b"', "media.repository[1].second", "directory only"),
        ('path = "/backup/dated"', 'path = "/b"\nprogram = "rsync"', "media.repository[1].program", "restic and borg"),
        ('path = "/backup/dated"', 'path = "/b"\npassword_file = "/x"', "[1].password_file", "restic and borg"),
        ('"localhost/srv/docs/media"', '"../x"', "media.repository[1].inside", "place in a snapshot"),
        ('path = "/backup/media"', 'path = "/backup/media"\ninside = "x"', "media.repository[0].inside", "restic"),
        ('"rest:https://backup@vault/docs"', '"--option"', "media.repository[2].path", "URL"),
        ('"rest:https://backup@vault/docs"', '"rest:https://u:geheim@v/"', "[2].path", "RESTIC_REST_PASSWORD"),
        ('"/etc/reprise/restic.password"', '"password"', "media.repository[2].password_file", "starts with /"),
        ('password_file = "/etc/reprise/restic.password"', "", "media.repository[2]", "password_file"),
        ('password_command = "pass', 'password_file = "/x"\npassword_command = "pass', "[3]", "one of them"),
        ('"/opt/borg/bin/borg"', '"-x"', "media.repository[3].program", "/usr/local/bin/borg"),
        ('"SELECT path, size FROM files"', '"SELECT 1; DROP TABLE files"', "media.references", "SELECT"),
        ('"SELECT path, size FROM files"', '"DELETE FROM files"', "media.references", "SELECT"),
        ('references = "SELECT path, size FROM files"', "", "media.strip_prefix", "references"),
        ('"/uploads/"', '""', "media.strip_prefix", "/uploads/"),
    ],
)
def test_a_mistake_about_other_programs_repositories_says_what_would_be_right(
    tmp_path: Path, was: str, becomes: str, key: str, right: str
) -> None:
    assert was in WITH_FOREIGN
    with pytest.raises(SiteError) as caught:
        read_site(site_file(tmp_path, WITH_FOREIGN.replace(was, becomes, 1)))
    assert key in caught.value.message
    assert right in (caught.value.remedy or "")
    assert "geheim" not in str(caught.value)
