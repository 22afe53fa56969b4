"""Taking base backups from the command line, on a real cluster."""

import json
import os
import platform
import random
import subprocess
import time
from pathlib import Path

import pytest

from engine import acts
from engine.run.folder import find_run, read_run
from tests.clusters import Cluster, own, test_programs
from tests.end_to_end.middle import stopped
from tests.end_to_end.mounts import fill_disk
from tests.end_to_end.operator import Operator, operator_for


@pytest.fixture
def cluster(lent: Cluster) -> Cluster:
    return lent


def listed(operator: Operator) -> list[tuple[str, bool]]:
    return [(each["id"], each["usable"]) for each in operator.ask("catalog", expect=0).document["base_backups"]]


def restored(operator: Operator, *target: str) -> set[int]:
    report = operator.ask("restore", *target, "--into", operator.copy_to(), "--yes", expect=0).document
    return operator.rows(report)


def test_a_full_backup_is_taken_verified_and_listed_and_can_be_restored(cluster: Cluster, open_dir: Path) -> None:
    operator = operator_for(cluster, open_dir)
    cluster.sql("CREATE TABLE ledger (id int)")
    cluster.sql("INSERT INTO ledger VALUES (1)")
    said = operator.call("backup", "base", expect=0).document
    assert said["outcome"] == "completed"
    copy = said["copy"]
    assert copy["kind"] == "base" and Path(copy["path"]).is_dir()
    beside = cluster.backups / f"{copy['id']}.beside"
    assert sorted(path.name for path in cluster.backups.iterdir()) == [copy["id"], beside.name]
    told = json.loads((beside / "cluster.json").read_text())
    assert told["databases"]["postgres"]["extensions"]["plpgsql"] == "1.0"
    assert told["system"]["libc"] == " ".join(platform.libc_ver()) and told["system"]["os"]
    default = told["databases"]["postgres"]["default_collation"]
    assert default["collate"] == cluster.value("SELECT datcollate FROM pg_database WHERE datname = 'postgres'")
    if cluster.programs.version >= 15:
        assert default["version"] == cluster.value("SELECT datcollversion FROM pg_database WHERE datname = 'postgres'")
    assert (beside / "site.toml").read_text() == operator.site.read_text()
    assert listed(operator) == [(copy["id"], True)]
    cluster.sql("INSERT INTO ledger VALUES (2)")
    cluster.switch()
    assert restored(operator, "--latest") == {1, 2}


def test_what_the_files_outside_the_data_directory_include_is_kept_too(cluster: Cluster, open_dir: Path) -> None:
    operator = operator_for(cluster, open_dir)
    outside = {name: open_dir / f"{name}.conf" for name in ("settings", "rules", "mappings")}
    outside["settings"].write_text("work_mem = '5MB'\n")
    outside["rules"].write_text("local all nobody peer\n")
    outside["mappings"].write_text("tests somebody postgres\n")
    including = {"postgresql.conf": "settings"}
    if cluster.programs.version >= 16:
        including |= {"pg_hba.conf": "rules", "pg_ident.conf": "mappings"}
    before = {name: (cluster.data_dir / name).read_text() for name in including}
    try:
        for name, what in including.items():
            quote = "'" if what == "settings" else '"'
            text = f"{before[name]}\ninclude {quote}{outside[what]}{quote}\n"
            (cluster.data_dir / name).write_text(text)
        cluster.sql("SELECT pg_reload_conf()")
        copy = operator.ask("backup", "base", expect=0).document["copy"]
    finally:
        for name, text in before.items():
            (cluster.data_dir / name).write_text(text)
        cluster.sql("SELECT pg_reload_conf()")
    beside = cluster.backups / f"{copy['id']}.beside"
    told = json.loads((beside / "cluster.json").read_text())["files"]
    assert sorted(told.values()) == sorted(str(outside[what]) for what in including.values())
    assert all((beside / name).read_bytes() == Path(path).read_bytes() for name, path in told.items())


def test_incremental_ones_build_a_chain_until_a_full_one_is_due(
    cluster: Cluster, open_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if test_programs().version < 17:
        pytest.skip("incremental backups exist from PostgreSQL 17 on")
    operator = operator_for(cluster, open_dir)
    cluster.sql("CREATE TABLE ledger (id int)")
    first = operator.call("backup", "base", "--incremental", expect=0).document
    assert any("full backup" in each["finding"] for each in first["checks"])
    for number in range(3):
        cluster.sql(f"INSERT INTO ledger VALUES ({number})")
        copy = operator.ask("backup", "base", "--incremental", expect=0).document["copy"]
        assert copy["id"].endswith("-incremental")
    cluster.sql("INSERT INTO ledger VALUES (9)")
    cluster.switch()
    assert all(each["ok"] for each in operator.ask("verify", "--all", expect=0).document["results"])
    monkeypatch.setattr("engine.acts.proving.try_chain", lambda chain, *_: [f"tried: {len(chain)}"])
    proofs = acts.verify(acts.open_desk(operator.site, operator.home / "state"))
    assert {each.id: each.findings for each in proofs if each.findings} == {copy["id"]: ("tried: 4",)}
    monkeypatch.undo()
    operator.ask("verify", "--all", expect=0)  # else the last one stays in doubt
    plan = operator.ask("plan", "--latest", "--into", operator.copy_to(), expect=0).document
    assert len(plan["chain"]) == 4
    assert restored(operator, "--latest") == {0, 1, 2, 9}
    with operator.site.open("a") as file:
        file.write('[policy]\ndatabase_full = "1s"\n')
    due = operator.ask("backup", "base", "--incremental", expect=0).document
    assert due["copy"]["id"].endswith("-full")


@pytest.mark.parametrize("act", ["resume", "rollback"])
def test_killed_in_the_middle_nothing_half_done_is_listed_and_the_next_try_succeeds(
    cluster: Cluster, open_dir: Path, act: str
) -> None:
    operator = operator_for(cluster, open_dir)
    cluster.sql("CREATE TABLE ledger AS SELECT generate_series(1, 300000) AS id")
    draw = random.Random(act)
    for step in ("take-base", "verify-copy", "publish"):
        before = listed(operator)
        started = operator.call("backup", "base", "--detach", expect=0).document
        folder = find_run(operator.home / "state", started["run"])
        while not any(each.name == step and each.outcome != "to do" for each in read_run(folder).steps):
            time.sleep(0.001)
        time.sleep(draw.random() * (0.2 if step == "take-base" else 0.01))
        operator.kill_engine(started["pid"])
        for id, usable in listed(operator):
            assert usable and (id in dict(before) or step == "publish")
        if read_run(folder).outcome == "completed":
            continue
        said = operator.ask(act, started["run"], "--yes", expect=0).document
        assert said["outcome"] == ("completed" if act == "resume" else "rolled-back")
    names = {path.name for path in cluster.backups.iterdir()}
    assert names == {name for id, _ in listed(operator) for name in (id, f"{id}.beside")}
    assert all(each["ok"] for each in operator.ask("verify", "--all", expect=0).document["results"])
    assert operator.ask("backup", "base", expect=0).document["outcome"] == "completed"


def test_a_disk_that_fills_is_named_leaves_nothing_that_counts_and_room_mends_it(
    cluster: Cluster, open_dir: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    operator = operator_for(cluster, open_dir)
    cluster.sql("CREATE TABLE ledger AS SELECT generate_series(1, 1000) AS id")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m,mode=0755", "tmpfs", str(cluster.backups)], check=True)
    try:
        own(cluster.backups, cluster.user)
        refused = operator.ask("backup", "base", expect=3).document
        assert "disk-space" in refused["error"]["message"]
        subprocess.run(["mount", "-o", "remount,size=40m", str(cluster.backups)], check=True)
        started = operator.ask("backup", "base", "--detach", expect=0).document
        with stopped(started["pid"]):  # whatever of the copy is there by now
            ballast = fill_disk(cluster.backups)
        failed = operator.ask("attach", started["run"], expect=1).document
        assert failed["outcome"] == "failed" and "space" in (failed["error"]["cause"] or failed["error"]["message"])
        assert listed(operator) == []
        ballast.unlink()
        assert operator.ask("resume", started["run"], "--yes", expect=0).document["outcome"] == "completed"
        assert len(listed(operator)) == 1
    finally:
        subprocess.run(["umount", "-l", str(cluster.backups)], check=True)


def test_a_server_that_is_down_and_a_user_who_may_not_replicate_are_refused(cluster: Cluster, open_dir: Path) -> None:
    operator = operator_for(cluster, open_dir)
    cluster.stop()
    assert "server-running" in operator.ask("backup", "base", expect=3).document["error"]["message"]
    assert list(cluster.backups.iterdir()) == []
