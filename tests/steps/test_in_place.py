"""A whole restore in place by the real engine on a real cluster: its result, its rollback, its discard, its deaths."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.postgres import processes
from engine.records.errors import RepriseError
from engine.run.folder import read_run
from engine.run.opening import open_application
from engine.run.starting import start_engine
from tests.steps.in_place import Production, production


@pytest.fixture
def cluster(open_dir: Path) -> Iterator[Production]:
    with production(open_dir) as found:
        yield found


def test_in_place_keeps_the_unarchived_tail_and_can_be_opened_rolled_back_and_discarded(cluster: Production) -> None:
    before = cluster.data_dir.lstat().st_ino
    run = cluster.new_run("latest")
    assert cluster.carry(run) == "completed", read_run(run).error
    state = read_run(run)
    assert cluster.count() == cluster.written
    assert state.reached is not None and state.reached.proven and state.reached.new_timeline == 2
    assert (state.host, state.port) == (str(cluster.origin.server.socket_dir), cluster.origin.server.port)
    assert cluster.origin.sql("SELECT pg_is_in_recovery()") == [(False,)]
    assert (cluster.origin.archive / "00000002.history").exists()

    questions = {check.finding: check.ok for check in state.checks if check.name == "verify"}
    assert questions == {
        "SELECT count(*) > 0 FROM ledger: true": True,
        "SELECT 1 = 1: true": True,
    }
    assert {"collation", "invalid-indexes"} <= {check.name for check in state.checks if check.ok}

    assert cluster.said.read_text() == "stop\n"  # the application stays stopped until the operator opens it
    assert state.answers == ("rollback", "discard", "open")
    open_application(run)
    open_application(run)
    assert cluster.said.read_text() == "stop\nstart\n"
    told = (run / "report.md").read_text()
    assert f"reprise discard {run.name}" in told and "data.before-" in told and "standbys" in told
    assert "starting PostgreSQL" in (run / "server.log").read_text()

    cluster.origin.sql("INSERT INTO ledger VALUES (1000, 'written since')")
    assert cluster.carry(run, "rollback") == "rolled-back", read_run(run).error
    assert cluster.data_dir.lstat().st_ino == before
    assert cluster.count() == cluster.written
    assert cluster.said.read_text() == "stop\nstart\nstop\nstart\n"
    state = read_run(run)
    assert state.answers == ("discard",)
    kept = Path(state.plan.layout.data_dir) if state.plan.layout else Path()
    assert (kept / "PG_VERSION").exists()  # the newer cluster is set aside, not deleted
    assert cluster.carry(run, "discard") == "discarded", read_run(run).error
    assert cluster.beside() == []
    assert cluster.count() == cluster.written


def test_discard_deletes_what_was_set_aside_and_then_nothing_rolls_back(cluster: Production) -> None:
    run = cluster.new_run("lsn")
    assert cluster.carry(run) == "completed", read_run(run).error
    assert cluster.count() == cluster.archived  # the target is no "latest": the tail is not in it
    assert len(cluster.beside()) == 2
    assert cluster.carry(run, "discard") == "discarded", read_run(run).error
    assert cluster.beside() == []
    assert cluster.count() == cluster.archived
    assert read_run(run).answers == ("open",)
    with pytest.raises(RepriseError, match="cannot be taken by rollback"):
        start_engine(run, "rollback")


@pytest.mark.slow
def test_production_is_discarded_only_while_no_server_runs_on_it(cluster: Production) -> None:
    run = cluster.new_run("lsn")
    assert cluster.carry(run) == "completed", read_run(run).error
    layout = read_run(run).plan.layout
    assert layout is not None and layout.set_aside is not None
    moved = cluster.origin.server.__class__(
        cluster.origin.programs,
        Path(layout.set_aside),
        cluster.origin.user,
        cluster.root / "socket",
        cluster.origin.server.port + 1,
        cluster.root / "server.log",
    )
    moved.start()
    try:
        assert cluster.carry(run, "discard") == "failed"
        assert (Path(layout.set_aside) / "global" / "pg_control").exists()
    finally:
        moved.stop("immediate")
    assert cluster.carry(run, "discard") == "discarded"
    assert cluster.beside() == []


@pytest.mark.slow
def test_a_server_that_did_not_run_is_not_started_by_a_rollback(cluster: Production) -> None:
    cluster.origin.server.stop("fast")
    run = cluster.new_run("lsn")
    assert cluster.carry(run) == "completed", read_run(run).error
    assert cluster.count() == cluster.archived
    assert cluster.carry(run, "rollback") == "rolled-back", read_run(run).error
    assert processes.processes_in(cluster.data_dir) == []


def test_with_no_data_directory_at_all_the_cluster_comes_up_in_its_place(cluster: Production) -> None:
    cluster.origin.server.stop("fast")
    cluster.data_dir.rename(cluster.root / "lost")
    run = cluster.new_run("lsn", bare=True)
    assert cluster.carry(run) == "completed", read_run(run).error
    assert cluster.count() == cluster.archived
    assert cluster.carry(run, "rollback") == "rolled-back", read_run(run).error
    assert not cluster.data_dir.exists()
