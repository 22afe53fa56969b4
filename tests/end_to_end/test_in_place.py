"""In place: production is set aside by a rename, the recovered cluster takes its place, and all of it can be undone."""

import stat
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from engine.records.lsn import format_lsn
from tests.clusters import Cluster
from tests.end_to_end.checks.place import ROOT_ONLY, tmpfs
from tests.end_to_end.middle import cancelled, start_run
from tests.end_to_end.operator import Operator, operator_for
from tests.end_to_end.production import make_production


@pytest.fixture
def operator(cluster: Cluster, open_dir: Path) -> Operator:
    """A site whose running cluster has lost its ledger, and an unarchived tail."""
    cluster.write(30, seed=1)
    cluster.base_backup("one", "tar.gz")
    cluster.write(30, seed=2)
    return operator_for(cluster, open_dir, verify=("SELECT count(*) > 0 FROM ledger",))


def _rows(cluster: Cluster) -> set[int]:
    return {row[0] for row in cluster.sql("SELECT id FROM ledger")}


def test_in_place_brings_the_table_back_archives_the_new_timeline_and_can_be_rolled_back(
    operator: Operator, cluster: Cluster
) -> None:
    accident = cluster.accident()
    cluster.sql("CREATE TABLE after_accident (x int)")
    cluster.switch()
    expected = {row.id for row in cluster.rows}
    report = operator.call(
        "restore",
        "--lsn",
        format_lsn(_commit_of_drop(cluster, accident)),
        "--exclusive",
        "--in-place",
        "--yes",
        expect=0,
    ).document
    assert report["outcome"] == "completed"
    assert report["reached"]["new_timeline"] == 2
    assert _rows(cluster) == expected
    assert cluster.value("SHOW archive_command") != ""
    assert (cluster.archive / "00000002.history").exists()
    cluster.timeline = 2
    cluster.switch()
    aside = [path for path in cluster.root.iterdir() if ".before-" in path.name]
    assert len(aside) == 1
    operator.ask("rollback", report["run"], "--yes", expect=0)
    assert cluster.value("SELECT to_regclass('after_accident') IS NOT NULL")
    assert cluster.value("SELECT to_regclass('ledger') IS NULL")


def _commit_of_drop(cluster: Cluster, accident: int) -> int:
    return next(end.lsn for end in cluster.ends(1) if end.kind == "COMMIT" and end.lsn >= accident)


def test_latest_in_place_keeps_the_tail_that_was_never_archived(operator: Operator, cluster: Cluster) -> None:
    cluster.switch()
    cluster.write(10, seed=5)  # stays in pg_wal
    report = operator.call("restore", "--latest", "--in-place", "--yes", expect=0).document
    assert report["outcome"] == "completed"
    assert _rows(cluster) == {row.id for row in cluster.rows}


@pytest.mark.parametrize("mounted", [False, pytest.param(True, marks=ROOT_ONLY)])
def test_on_a_new_machine_an_empty_folder_that_root_made_is_filled_and_given_back(
    operator: Operator, cluster: Cluster, mounted: bool
) -> None:
    cluster.switch()
    expected = {row.id for row in cluster.rows}
    cluster.stop()
    cluster.data_dir.rename(cluster.root / "lost")
    cluster.data_dir.mkdir(mode=0o755)
    with tmpfs(cluster.data_dir, "600m") if mounted else nullcontext():
        was = cluster.data_dir.stat()
        report = operator.ask("restore", "--latest", "--in-place", "--yes", expect=0).document
        assert _rows(cluster) == expected
        assert stat.S_IMODE(cluster.data_dir.stat().st_mode) == 0o700
        operator.ask("rollback", report["run"], "--yes", expect=0)
        operator.ask("discard", report["run"], "--yes", expect=0)
        now = cluster.data_dir.stat()
        assert (now.st_uid, now.st_gid, now.st_mode) == (was.st_uid, was.st_gid, was.st_mode)
        assert [path.name for path in cluster.data_dir.iterdir()] == []


def test_in_place_works_with_no_data_directory_and_no_server(operator: Operator, cluster: Cluster) -> None:
    cluster.switch()
    expected = {row.id for row in cluster.rows}
    cluster.stop()
    cluster.data_dir.rename(cluster.root / "lost")
    report = operator.call("restore", "--latest", "--in-place", "--yes", expect=0).document
    assert report["outcome"] == "completed"
    assert _rows(cluster) == expected


def test_discard_after_in_place_deletes_only_what_was_set_aside(operator: Operator, cluster: Cluster) -> None:
    cluster.switch()
    report = operator.ask("restore", "--latest", "--in-place", "--yes", expect=0).document
    operator.ask("discard", report["run"], "--yes", expect=0)
    assert not [path for path in cluster.root.iterdir() if ".before-" in path.name or ".reprise-" in path.name]
    assert _rows(cluster) == {row.id for row in cluster.rows}
    assert operator.ask("rollback", report["run"], "--yes").code in (1, 2)


def test_the_application_stays_stopped_until_the_operator_opens_it(cluster: Cluster, open_dir: Path) -> None:
    cluster.write(10, seed=1)
    cluster.base_backup("one")
    cluster.write(10, seed=2)
    cluster.switch()
    operator = operator_for(cluster, open_dir, application=True)
    report = operator.ask("restore", "--latest", "--in-place", "--yes", expect=0).document
    stopped, started = (operator.home / f"application-{what}" for what in ("stopped", "started"))
    assert stopped.exists()
    assert not started.exists()
    operator.ask("open", report["run"], "--yes", expect=0)
    assert started.exists()


def test_a_wrong_answer_to_the_sites_question_stops_the_run_before_production_is_opened(
    cluster: Cluster, open_dir: Path
) -> None:
    cluster.write(10, seed=1)
    cluster.base_backup("one")
    cluster.switch()
    operator = operator_for(cluster, open_dir, verify=("SELECT false",))
    said = operator.ask("restore", "--latest", "--in-place", "--yes", expect=1).document
    assert said["outcome"] == "failed"
    assert [check["ok"] for check in said["checks"] if "SELECT false" in check["finding"]] == [False]
    assert not cluster.server.is_accepting()  # nobody has come in
    done = operator.ask("resume", said["run"], "--accept-checks", "--yes", expect=0).document
    assert done["outcome"] == "completed"
    assert _rows(cluster) == {row.id for row in cluster.rows}


def test_a_question_of_the_site_changes_nothing_whatever_it_says(cluster: Cluster, open_dir: Path) -> None:
    cluster.write(10, seed=1)
    cluster.base_backup("one")
    cluster.switch()
    deletes = "WITH gone AS (DELETE FROM ledger RETURNING id) SELECT count(*) > 0 FROM gone"
    operator = operator_for(cluster, open_dir, verify=(deletes,))
    report = operator.ask("restore", "--latest", "--into", operator.copy_to(), "--yes", expect=1).document
    assert "read-only transaction" in report["error"]["cause"]
    assert operator.rows(report) == {row.id for row in cluster.rows}


def test_a_run_is_cancelled_while_a_question_of_the_site_takes_its_time(cluster: Cluster, open_dir: Path) -> None:
    cluster.write(10, seed=1)
    cluster.base_backup("one")
    cluster.switch()
    operator = operator_for(cluster, open_dir, verify=("SELECT pg_sleep(250) IS NOT NULL",))
    run = start_run(operator, "--latest", "--into", operator.copy_to())
    assert "pg_sleep(250)" in run.wait_for_words("the server, which is asked")
    cancelled(run)
    assert run.step("check-result").outcome != "done"


def test_a_cluster_whose_pg_wal_went_with_its_disk_is_replaced_and_comes_back(cluster: Cluster, open_dir: Path) -> None:
    cluster.write(10, seed=1)
    cluster.base_backup("one")
    cluster.write(10, seed=2)
    cluster.switch()
    cluster.stop()
    wal = cluster.data_dir / "pg_wal"
    wal.rename(cluster.root / "died")
    wal.symlink_to("/nowhere/wal")
    operator = operator_for(cluster, open_dir)
    report = operator.ask("restore", "--latest", "--in-place", "--yes", expect=0).document
    assert next(each for each in report["checks"] if each["name"] == "unarchived-tail")["ok"] is None
    assert _rows(cluster) == {row.id for row in cluster.rows}
    assert wal.is_dir() and not wal.is_symlink()
    operator.ask("rollback", report["run"], "--yes", expect=0)
    assert str(wal.readlink()) == "/nowhere/wal"


def test_a_running_cluster_with_a_tablespace_and_a_linked_pg_wal_is_replaced_and_comes_back(
    new_cluster: Callable[..., Cluster], open_dir: Path
) -> None:
    """From a chain of incremental backups, where PostgreSQL can."""
    production = make_production(new_cluster, open_dir)
    cluster, operator = production.cluster, production.operator
    neighbours, filled, wal = production.neighbours(), production.filled(), production.wal_disk / "wal"
    report = operator.ask("restore", *production.in_place, "--yes", expect=0).document
    kinds = [step["name"] for step in report["steps"]]
    assert ("combine" in kinds) == cluster.can_increment
    assert production.rows() == {row.id for row in cluster.rows}
    assert production.filled() < filled  # the tail came behind the accident
    assert cluster.value("SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = 'space'") == str(
        production.space
    )
    assert (cluster.data_dir / "pg_wal").readlink() == wal
    cluster.sql("CREATE TABLE after_it (x int) TABLESPACE space")
    cluster.switch()  # and archived
    came = set(production.neighbours()) - set(neighbours)
    assert {Path(name).parent for name in came} == {cluster.root, production.space, production.wal_disk}
    assert all(".before-" in name or ".reprise-" in name for name in came), came

    rolled_back = operator.ask("rollback", report["run"], "--yes", expect=0).document
    assert rolled_back["outcome"] == "rolled-back"
    assert production.filled() == filled
    assert cluster.value("SELECT to_regclass('ledger') IS NULL")
    assert cluster.value("SELECT to_regclass('after_it') IS NULL")
    assert (cluster.data_dir / "pg_wal").readlink() == wal
    operator.ask("discard", report["run"], "--yes", expect=0)
    assert production.neighbours() == neighbours
    assert production.filled() == filled


def test_a_cluster_whose_tablespace_went_with_its_disk_is_replaced_and_comes_back(
    new_cluster: Callable[..., Cluster], open_dir: Path
) -> None:
    production = make_production(new_cluster, open_dir)
    cluster, operator = production.cluster, production.operator
    cluster.stop()
    production.space.rename(production.space.with_name("died"))
    before = sorted(cluster.root.iterdir())
    report = operator.call("restore", *production.in_place, "--yes", expect=0).document
    assert production.rows() == {row.id for row in cluster.rows}
    cluster.sql("CREATE TABLE after_it (x int) TABLESPACE space")
    operator.call("rollback", report["run"], "--yes", expect=0)
    operator.call("discard", report["run"], "--yes", expect=0)
    assert sorted(cluster.root.iterdir()) == before
