"""The first place burns: what was pushed to the second one brings the database back on a bare machine."""

import shutil
from pathlib import Path

import pytest

from tests.clusters import Cluster, own
from tests.end_to_end.operator import operator_for
from tests.remote.sshd import running_sshd


def test_when_the_repository_is_gone_its_second_place_is_fetched_and_restored_from(
    cluster: Cluster, open_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = operator_for(cluster, open_dir)
    (tmp_path / "sshd").mkdir()
    vault = tmp_path / "vault"
    with running_sshd(tmp_path / "sshd") as sshd:
        monkeypatch.setenv("RSYNC_RSH", sshd.rsh)
        text, wal = operator.site.read_text(), f'wal = "{cluster.archive}"\n'
        operator.site.write_text(text.replace(wal, f'{wal}second = "{sshd.place(vault)}"\n'))
        cluster.sql("CREATE TABLE ledger (id int)")
        said = operator.call("backup", "base", expect=0).document
        assert (vault / "base" / said["copy"]["id"]).is_dir()
        cluster.sql("INSERT INTO ledger VALUES (1)")
        cluster.switch()
        assert "wal" in operator.call("push", expect=0).document["pushed"]
        cluster.stop()
        shutil.rmtree(cluster.backups)
        shutil.rmtree(cluster.archive)
        back = open_dir / "back"
        operator.call("fetch", sshd.place(vault), "--into", back, expect=0)
    own(back, cluster.user)
    operator.site.write_text(text.replace(str(cluster.backups), f"{back}/base").replace(wal, f'wal = "{back}/wal"\n'))
    report = operator.call("restore", "--latest", "--into", operator.copy_to(), "--yes", expect=0).document
    assert operator.rows(report) == {1}


def test_a_second_place_that_is_away_fails_the_run_keeps_the_copy_and_resume_sends_it(
    cluster: Cluster, open_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = operator_for(cluster, open_dir)
    (tmp_path / "sshd").mkdir()
    vault = tmp_path / "vault"
    with running_sshd(tmp_path / "sshd") as sshd:
        monkeypatch.setenv("RSYNC_RSH", sshd.rsh)
        text, wal = operator.site.read_text(), f'wal = "{cluster.archive}"\n'
        operator.site.write_text(text.replace(wal, f'{wal}second = "{sshd.place(vault)}"\n'))
        vault.write_text("in the way")
        failed = operator.call("backup", "base", expect=1).document
        assert "not at its second place" in failed["error"]["message"]
        assert failed["copy"] is not None and Path(failed["copy"]["path"]).is_dir()
        vault.unlink()
        assert operator.call("resume", failed["run"], "--yes", expect=0).document["outcome"] == "completed"
        assert (vault / "base" / failed["copy"]["id"]).is_dir()
