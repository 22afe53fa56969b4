"""`reprise init`: what is found on a machine with a running cluster, and the dialogue, typed at a real terminal."""

import json
import os
import shutil
import sys
from pathlib import Path

import pexpect
import pytest
from msgspec.structs import replace

from engine import acts, cli
from engine.acts import founding
from engine.catalog.discover import find_clusters
from engine.site import MediaRepository, read_site
from tests.clusters import Cluster, of_another_cluster, wait_until

CHECKOUT = Path(__file__).parents[2]


def test_a_running_cluster_tells_where_it_archives_and_its_backups_are_found_beside(
    cluster: Cluster, open_dir: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Another cluster's backups there are not taken for its own; port and socket are those that the server has, not
    those that its configuration says nothing of."""
    into = f"{cluster.archive}/%f"
    cluster.sql(f"ALTER SYSTEM SET archive_command = 'test ! -f {into} && cp %p {into}'")
    cluster.sql("SELECT pg_reload_conf()")
    ours = [each for each in find_clusters() if each.data_dir == cluster.data_dir]
    monkeypatch.setattr(founding, "find_clusters", lambda: ours)  # other tests' clusters run on this machine, too
    cluster.base_backup("one")
    cluster.switch()
    strangers = cluster.root / "a-strangers"
    shutil.copytree(cluster.backups / "one", strangers / "one", symlinks=True)
    shutil.copytree(cluster.backups / "one", strangers / "two", symlinks=True)
    for control in strangers.glob("*/global/pg_control"):
        control.write_bytes(of_another_cluster(control.read_bytes()))
    dumps = cluster.root / "dumps"
    dumps.mkdir()
    os.chown(dumps, cluster.user.uid, -1)
    address = ("-h", cluster.socket_dir, "-p", str(cluster.port), "-U", "postgres")
    cluster.run("pg_dump", *address, "-Fd", "-f", dumps / "20261122", "postgres")
    site = open_dir / "site.toml"
    assert cli.main(["--site", str(site), "init", "--yes", "--json"], open_screen=lambda: 0) == 0
    out, err = capfd.readouterr()
    assert json.loads(out) == {"site": str(site)}
    assert f"found: cluster {cluster.data_dir}, running" in err
    database = read_site(site).database
    (repository,) = database.repository
    assert (repository.base_backups, repository.wal) == (str(cluster.backups), str(cluster.archive))
    assert repository.dumps == str(dumps)
    assert (database.data_dir, database.port, database.host) == (
        str(cluster.data_dir),
        cluster.port,
        str(cluster.socket_dir),
    )


def test_where_backups_or_wal_are_not_found_they_are_named_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(founding, "find_clusters", list)
    site = tmp_path / "site.toml"
    (tmp_path / "backup").mkdir()
    words = ["--site", str(site), "init", "--from", str(tmp_path / "backup"), "--yes"]
    assert cli.main(words, open_screen=lambda: 0) == 2
    assert "not found: data_dir, base_backups, wal" in capfd.readouterr().err
    assert cli.main([*words[:-2], str(tmp_path / "nowhere"), "--yes"], open_screen=lambda: 0) == 2
    assert "No such file" in capfd.readouterr().err
    assert cli.main([*words[:-1]], open_screen=lambda: 0) == 2
    assert "no terminal to ask on" in capfd.readouterr().err
    assert not site.exists()


def test_the_dialogue_asks_again_what_cannot_be_and_keeps_the_other_answers(tmp_path: Path) -> None:
    site = tmp_path / "etc" / "site.toml"
    (tmp_path / "backup").mkdir()
    command = ["-m", "tui", "--site", str(site), "init", "--from", str(tmp_path / "backup")]
    child = pexpect.spawn(sys.executable, command, cwd=str(CHECKOUT), timeout=60, encoding="utf-8", echo=False)
    child.delaybeforesend = None

    def answer(question: str, text: str) -> None:
        child.expect_exact(question)
        child.expect_exact(": ")
        child.sendline(text)

    answer("name of the site", "docs/1")
    answer("time zone", "Europe/Moscow")
    answer("data directory", "")  # nothing is known, so nothing is taken
    answer("data directory", "/var/lib/pg")
    answer("per base backup", "backup/base")
    answer("archived WAL", "/backup/wal")
    answer("users' files", "/srv/media")
    answer("per snapshot", "/backup/media")
    child.expect_exact("site.name: 'docs/1' cannot be part of a file name")
    answer("name of the site [docs/1]", "docs")
    answer("time zone in which times are shown [Europe/Moscow]", "")
    answer("data directory [/var/lib/pg]", "")
    answer("per base backup [backup/base]", "/backup/base")
    for _ in range(3):
        child.expect_exact("]: ")
        child.sendline("")
    child.expect_exact(f"wrote {site}")
    child.expect(pexpect.EOF)
    wait_until(lambda: not child.isalive(), "it did not end")
    assert child.exitstatus == 0
    written = read_site(site)
    assert (written.name, str(written.zone), written.database.data_dir) == ("docs", "Europe/Moscow", "/var/lib/pg")
    assert written.database.repository[0].base_backups == "/backup/base"
    assert written.media is not None and written.media.repository == [MediaRepository("directory", "/backup/media")]
    again = pexpect.spawn(sys.executable, command, cwd=str(CHECKOUT), timeout=60, encoding="utf-8")
    again.expect_exact("exists already")


def test_a_dialogue_that_is_left_writes_nothing(tmp_path: Path) -> None:
    command = ["-m", "tui", "--site", str(tmp_path / "site.toml"), "init", "--from", str(tmp_path)]
    for leave in ("\x03", "\x04"):
        child = pexpect.spawn(sys.executable, command, cwd=str(CHECKOUT), timeout=60, encoding="utf-8")
        child.expect_exact("name of the site")
        child.send(leave)
        child.expect(pexpect.EOF)
        assert "Traceback" not in (child.before or "")
        assert not (tmp_path / "site.toml").exists()


def test_snapshots_that_are_found_with_yes_are_told_since_where_the_files_belong_is_not_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    site = tmp_path / "my site.toml"
    proposed = replace(
        founding.propose_site(tmp_path), data_dir="/d", base_backups="/b", wal="/w", media="/backup/media"
    )
    monkeypatch.setattr(acts, "propose_site", lambda copies: proposed, raising=False)
    assert cli.main(["--site", str(site), "init", "--yes"], open_screen=lambda: 0) == 0
    out, err = capfd.readouterr()
    assert "left out: [media], though snapshots lie in /backup/media" in err
    assert out.endswith(f"reprise --site '{site}' windows\n")  # as it must be typed
    assert read_site(site).media is None
