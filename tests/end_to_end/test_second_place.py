"""The first place burns: what was pushed to the second one brings the database back on a bare machine."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clusters import Cluster, own
from tests.end_to_end.operator import Operator, operator_for
from tests.end_to_end.test_expiring import aged, expire, policy
from tests.remote.sshd import running_sshd


@dataclass
class Second:
    """An operator whose repository has a second place: the folder ``vault``, reached over ssh as ``place``."""

    operator: Operator
    vault: Path
    place: str
    site_without: str  # the site file's text without it


@pytest.fixture
def second(cluster: Cluster, open_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Second]:
    operator, vault = operator_for(cluster, open_dir), tmp_path / "vault"
    (tmp_path / "sshd").mkdir()
    with running_sshd(tmp_path / "sshd") as sshd:
        monkeypatch.setenv("RSYNC_RSH", sshd.rsh)
        text, wal = operator.site.read_text(), f'wal = "{cluster.archive}"\n'
        operator.site.write_text(text.replace(wal, f'{wal}second = "{sshd.place(vault)}"\n'))
        yield Second(operator, vault, sshd.place(vault), text)


def test_old_backups_and_their_wal_leave_it_too_and_when_the_repository_is_gone_the_rest_is_restored_from_it(
    second: Second, cluster: Cluster, open_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator, vault = second.operator, second.vault
    policy(operator, "base_backups = { count = 1 }")
    cluster.sql("CREATE TABLE ledger (id int)")
    ids = []
    for number in range(2):
        cluster.sql("INSERT INTO ledger VALUES (%s)", number)
        cluster.switch()
        ids.append(operator.ask("backup", "base", expect=0).document["copy"]["id"])
    assert (vault / "base" / ids[1]).is_dir()
    cluster.sql("INSERT INTO ledger VALUES (2)")
    cluster.switch()
    assert "wal" in operator.ask("push", expect=0).document["pushed"]
    aged(cluster)
    archived = {path.name for path in (vault / "wal").iterdir()}
    stranger = vault / "base" / "20261101T020000Z-full"
    stranger.mkdir()
    listed = there(expire(operator, monkeypatch))
    assert {(each["kind"], each["id"]) for each in listed} == {("base", ids[0])}  # one that nobody knows holds all WAL
    stranger.rmdir()
    listed = there(expire(operator, monkeypatch))
    assert {each["kind"] for each in listed} == {"base", "wal"} and all(each["bytes"] > 0 for each in listed)
    assert there(expire(operator, monkeypatch, "--apply", "--yes")) == listed
    assert sorted(path.name for path in (vault / "base").iterdir()) == [ids[1], f"{ids[1]}.beside"]
    left = {path.name for path in (vault / "wal").iterdir()}
    assert left < archived and left >= {path.name for path in cluster.archive.iterdir()}
    assert there(expire(operator, monkeypatch)) == []
    cluster.stop()
    shutil.rmtree(cluster.backups)
    shutil.rmtree(cluster.archive)
    back = open_dir / "back"
    operator.ask("fetch", second.place, "--into", back, expect=0)
    own(back, cluster.user)
    text = second.site_without.replace(str(cluster.backups), f"{back}/base")
    operator.site.write_text(text.replace(str(cluster.archive), f"{back}/wal"))
    report = operator.ask("restore", "--latest", "--into", operator.copy_to(), "--yes", expect=0).document
    assert operator.rows(report) == {0, 1, 2}


def there(listed: dict[str, Any]) -> list[dict[str, Any]]:
    """What leaves the second place."""
    return [each for each in listed["delete"] if each["place"] is not None]


def test_a_second_place_that_is_away_fails_the_run_keeps_the_copy_and_resume_sends_it(second: Second) -> None:
    operator = second.operator
    second.vault.write_text("in the way")
    failed = operator.ask("backup", "base", expect=1).document
    assert "not at its second place" in failed["error"]["message"]
    assert failed["copy"] is not None and Path(failed["copy"]["path"]).is_dir()
    second.vault.unlink()
    assert operator.ask("resume", failed["run"], "--yes", expect=0).document["outcome"] == "completed"
    assert (second.vault / "base" / failed["copy"]["id"]).is_dir()
