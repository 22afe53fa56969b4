"""A whole restore in place by the real engine on a real cluster: its result, its rollback, its discard, its deaths."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from msgspec.structs import replace

from engine.postgres import processes
from engine.postgres.server import free_port
from engine.records.errors import RepriseError
from engine.run.control import send
from engine.run.folder import read_run
from engine.run.opening import open_application
from engine.run.starting import start_engine
from tests.clusters import own, wait_until
from tests.run.toys import ended
from tests.steps.in_place import Production, running_production


@pytest.fixture
def production() -> Iterator[Production]:
    with running_production() as found:
        yield found


def test_in_place_keeps_the_unarchived_tail_and_can_be_opened_rolled_back_and_discarded(production: Production) -> None:
    before = production.data_dir.lstat().st_ino
    run = production.new_run("latest")
    assert production.carry(run) == "completed", read_run(run).error
    state = read_run(run)
    assert production.count() == production.written
    assert state.salvaged and state.recovery is not None and state.recovery.rpo_seconds == 0
    assert state.reached is not None and state.reached.proven and state.reached.new_timeline == 2
    assert (state.host, state.port) == (str(production.cluster.server.socket_dir), production.cluster.server.port)
    assert production.cluster.sql("SELECT pg_is_in_recovery()") == [(False,)]
    assert (production.origin.archive / "00000002.history").exists()

    questions = {check.finding: check.ok for check in state.checks if check.name == "verify"}
    assert questions == {
        "SELECT count(*) > 0 FROM ledger: true": True,
        "SELECT 1 = 1: true": True,
    }
    assert {"collation", "invalid-indexes"} <= {check.name for check in state.checks if check.ok}

    assert production.said.read_text() == "stop\n"  # the application stays stopped until the operator opens it
    assert state.answers == ("rollback", "discard", "open")
    open_application(run)
    open_application(run)
    assert production.said.read_text() == "stop\nstart\n"
    told = (run / "report.md").read_text()
    assert f"reprise discard {run.name}" in told and "data.before-" in told and "standbys" in told
    assert "starting PostgreSQL" in (run / "server.log").read_text()

    production.cluster.sql("INSERT INTO ledger VALUES (1000, 'written since')")
    assert production.carry(run, "rollback") == "rolled-back", read_run(run).error
    assert production.data_dir.lstat().st_ino == before
    assert production.count() == production.written
    assert production.said.read_text() == "stop\nstart\nstop\nstart\n"
    state = read_run(run)
    assert state.answers == ("discard",)
    kept = Path(state.plan.layout.data_dir) if state.plan.layout else Path()
    assert (kept / "PG_VERSION").exists()  # the newer cluster is set aside, not deleted
    assert production.carry(run, "discard") == "discarded", read_run(run).error
    assert production.beside() == []
    assert production.count() == production.written


def test_where_pg_wal_is_not_the_one_that_the_server_wrote_to_nobody_says_that_nothing_is_lost(
    production: Production,
) -> None:
    """As where its disk died, and its mount point stands there empty."""
    production.cluster.server.stop("immediate")  # no time to archive the tail
    wal = production.data_dir / "pg_wal"
    wal.rename(production.root / "died")
    wal.mkdir(mode=0o700)
    own(wal, production.cluster.user)
    run = production.new_run("latest")
    assert production.carry(run) == "completed", read_run(run).error
    state = read_run(run)
    assert production.count() == production.archived
    assert not state.salvaged and state.recovery is not None and state.recovery.rpo_seconds is None
    assert "what production wrote last was not found" in (run / "engine.log").read_text()


def test_a_shutdown_that_takes_its_time_holds_no_request_up(production: Production) -> None:
    server = production.cluster.server
    [checkpointer] = [
        child.pid for child in psutil.Process(server.pid()).children() if "checkpointer" in "".join(child.cmdline())
    ]
    run = production.new_run("lsn")
    os.kill(checkpointer, signal.SIGSTOP)  # a checkpoint without an end
    try:
        start_engine(run, "apply")
        wait_until(lambda: _status(production.data_dir) == "stopping", "the server was not told to stop")
        assert send(run, "status", timeout=5)["act"] == "apply"
        send(run, "cancel", timeout=5)
        assert ended(run).outcome == "interrupted"
        assert server.pid() is not None
        start_engine(run, "rollback")
        wait_until(lambda: _waits_for_its_end(run), "the rollback did not wait for the server's end", 10)
        assert send(run, "status", timeout=5)["act"] == "rollback"
    finally:
        os.kill(checkpointer, signal.SIGCONT)
    assert ended(run).outcome == "rolled-back", read_run(run).error
    assert production.count() == production.written


def _status(data_dir: Path) -> str | None:
    noted = processes.read_postmaster_file(data_dir)
    return noted.status if noted is not None else None


def _waits_for_its_end(run: Path) -> bool:
    told = [step.progress.detail for step in read_run(run).steps if step.progress is not None]
    return "waiting for the server to end" in told


def test_discard_deletes_what_was_set_aside_once_no_server_runs_on_it_and_then_nothing_rolls_back(
    production: Production,
) -> None:
    run = production.new_run("lsn")
    assert production.carry(run) == "completed", read_run(run).error
    assert production.count() == production.archived  # the target is no "latest": the tail is not in it
    assert len(production.beside()) == 2
    layout = read_run(run).plan.layout
    assert layout is not None and layout.set_aside is not None
    moved = replace(production.cluster.server, data_dir=Path(layout.set_aside), port=free_port())
    moved.start()
    try:
        assert production.carry(run, "discard") == "failed"
        assert (Path(layout.set_aside) / "global" / "pg_control").exists()
    finally:
        moved.stop("immediate")
    assert production.carry(run, "discard") == "discarded"
    assert production.beside() == []
    assert production.count() == production.archived
    assert read_run(run).answers == ("open",)
    with pytest.raises(RepriseError, match="cannot be taken by rollback"):
        start_engine(run, "rollback")


@pytest.mark.slow
def test_a_server_that_did_not_run_is_not_started_by_a_rollback(production: Production) -> None:
    production.cluster.server.stop("fast")
    run = production.new_run("lsn")
    assert production.carry(run) == "completed", read_run(run).error
    assert production.count() == production.archived
    assert production.carry(run, "rollback") == "rolled-back", read_run(run).error
    assert processes.processes_in(production.data_dir) == []


def test_with_no_data_directory_at_all_the_cluster_comes_up_in_its_place(production: Production) -> None:
    production.cluster.server.stop("fast")
    production.data_dir.rename(production.root / "lost")
    run = production.new_run("lsn", bare=True)
    assert production.carry(run) == "completed", read_run(run).error
    assert production.count() == production.archived
    assert production.carry(run, "rollback") == "rolled-back", read_run(run).error
    assert not production.data_dir.exists()
