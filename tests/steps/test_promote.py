"""Promoting a side copy at the gate: exactly there, harmless afterwards, and over a death in between."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.formats.history_file import read_history
from engine.records.coding import to_builtins
from engine.records.errors import RunFailed
from engine.records.lsn import skip_page_header
from engine.records.target import RecoveryPoint
from engine.steps import inspect, promote, prove, replay, settings
from engine.steps.shared import opening, promotion
from engine.steps.shared.recovering import stop_feed
from tests.clusters import Cluster
from tests.steps.ledger import QUIET, TABLE, Ledger, once
from tests.steps.origin import listing, origin_of
from tests.steps.rehearsal import Rehearsal


def middle(ledger: Ledger) -> RecoveryPoint:
    return ledger.origin.point(ledger.ends[len(ledger.ends) // 2].lsn)


def count(step: Rehearsal) -> int:
    return int(step.rows("SELECT count(*) FROM ledger")[0][0])


def test_it_forks_exactly_at_the_gate_and_stays_harmless(ledger: Ledger, begun: Callable[..., Rehearsal]) -> None:
    point = middle(ledger)
    before = listing(ledger.origin.archive)
    step = begun(point)
    promote.apply(step)
    reached = step.proofs[-1]
    assert reached.proven and reached.new_timeline == 2 and reached.timeline == 1
    data_dir = step.copy.data_dir
    (fork,) = read_history((data_dir / "pg_wal" / "00000002.history").read_text(), 2)
    assert skip_page_header(fork.lsn, point.segment_size) == point.gate
    assert count(step) == ledger.rows_before(point.gate)
    assert not (data_dir / "standby.signal").exists()
    promote.stop_copy(step.copy)
    promote.start_copy(step.copy)
    shown = dict(step.rows("SELECT name, setting FROM pg_settings"))
    assert shown["archive_mode"] == "off" and shown["restore_command"] == "" and shown["listen_addresses"] == ""
    step.rows("INSERT INTO ledger VALUES (-1, 'alive') RETURNING 1")
    step.rows("SELECT pg_switch_wal()")
    assert listing(ledger.origin.archive) == before


def test_applied_again_it_finds_the_promotion_done(ledger: Ledger, begun: Callable[..., Rehearsal]) -> None:
    point = middle(ledger)
    step = begun(point)
    promote.apply(step)
    step.rows("INSERT INTO ledger VALUES (-1, 'kept') RETURNING 1")
    os.kill(step.copy.pid() or 0, signal.SIGKILL)
    step.copy.wait(lambda: step.copy.pid() is None, 20, "it lives")
    stop_feed(step)
    promote.apply(step)
    assert step.proofs[-1].new_timeline == 2
    assert step.rows("SELECT filler FROM ledger WHERE id = -1") == [("kept",)]


def test_a_promotion_that_died_in_between_goes_back_behind_the_gate(
    ledger: Ledger, begun: Callable[..., Rehearsal]
) -> None:
    """As PostgreSQL leaves it when it is killed between removing the signal file and writing the history."""
    point = middle(ledger)
    step = begun(point)
    os.kill(step.copy.pid() or 0, signal.SIGKILL)
    step.copy.wait(lambda: not step.copy.processes(), 20, "it lives")
    (step.copy.data_dir / "standby.signal").unlink()
    assert promotion.standing(step.copy.data_dir, 1) == "died between"
    promote.apply(step)
    assert step.proofs[-1].new_timeline is not None and step.proofs[-1].new_timeline > 1
    assert count(step) == ledger.rows_before(point.gate)


@once
def test_a_promotion_that_finishes_until_its_server_is_stopped_is_kept(
    ledger: Ledger, begun: Callable[..., Rehearsal], monkeypatch: pytest.MonkeyPatch
) -> None:
    step = begun(middle(ledger))
    promote.apply(step)
    really = promotion.standing
    said = iter(["died between"])  # as it looked a moment ago
    monkeypatch.setattr(promotion, "standing", lambda *place: next(said, None) or really(*place))
    promote.apply(step)
    assert next(said, None) is None
    assert step.proofs[-1].new_timeline == 2
    assert not (step.copy.data_dir / "standby.signal").exists()


@once
def test_a_copy_that_was_opened_on_the_old_timeline_is_refused(ledger: Ledger, begun: Callable[..., Rehearsal]) -> None:
    step = begun(middle(ledger))
    step.copy.stop("fast")
    (step.copy.data_dir / "standby.signal").unlink()
    step.copy.start()
    step.copy.wait_accepting()
    with pytest.raises(RunFailed, match="read-write on the old timeline"):
        promote.apply(step)


@once
def test_nothing_is_promoted_that_is_not_proven(ledger: Ledger, begun: Callable[..., Rehearsal]) -> None:
    """The server stands behind the gate that the run is at: as after a mistake in the WAL index."""
    point = middle(ledger)
    step = begun(point)
    assert point.kept_commit is not None
    other = replace(point, kept_commit=replace(point.kept_commit, xid=point.kept_commit.xid + 60))
    step.fact(point=to_builtins(other))
    with pytest.raises(RunFailed, match="not proven"):
        promote.apply(step)
    assert not step.proofs[-1].proven
    assert (step.copy.data_dir / "standby.signal").exists()


def test_without_a_connection_the_log_proves_and_pg_ctl_promotes(
    ledger: Ledger, new_cluster: Callable[..., Cluster], open_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than 64 subtransactions are open at the backup's start: hot standby never begins, and is hoped for once."""
    monkeypatch.setattr(opening, "OPENING", 0.5)  # seconds
    cluster = new_cluster(programs=ledger.origin.cluster.programs, settings=QUIET)
    cluster.sql(TABLE)
    cluster.sql("INSERT INTO ledger VALUES (1, 'committed before')")
    with cluster.connect() as writer:
        writer.execute("BEGIN")
        for number in range(70):
            writer.execute("SAVEPOINT deep")
            writer.execute("INSERT INTO ledger VALUES (%s, 'never committed')", [10000 + number])
        cluster.base_backup("overflowed")
        for number in range(5):
            cluster.sql("INSERT INTO ledger VALUES (%s, '')", 20000 + number)
        cluster.switch()
        writer.execute("ROLLBACK")
    overflowed = origin_of(cluster, "overflowed")
    commits = [end for end in overflowed.ends() if end.is_commit]
    step = overflowed.rehearse(overflowed.point(commits[3].lsn), open_dir / "copy")
    try:
        settings.apply(step)
        replay.apply(step)
        prove.apply(step)
        assert step.proofs[-1].proven, step.proofs[-1].finding
        assert "no connections" in step.proofs[-1].finding
        assert [check.name for check in step.checks] == ["pause-ignored"]
        monkeypatch.setattr(opening, "OPENING", None)  # whoever waits again stumbles
        inspect.apply(step)
        promote.apply(step)
        assert step.proofs[-1].new_timeline == 2
        assert count(step) == 1 + 3
    finally:
        step.end()


@once
def test_a_number_that_the_archive_knows_is_not_taken_again(ledger: Ledger, begun: Callable[..., Rehearsal]) -> None:
    stray = ledger.origin.archive / "00000002.history"
    stray.write_text("1\t0/5000000\tanother recovery\n")
    try:
        step = begun(middle(ledger))
        promote.apply(step)
        assert step.proofs[-1].new_timeline == 3
    finally:
        stray.unlink()


@once
def test_the_copys_folder_holds_no_recovery_settings_afterwards(
    ledger: Ledger, begun: Callable[..., Rehearsal]
) -> None:
    step = begun(middle(ledger))
    promote.apply(step)
    for path in Path(step.copy.data_dir).glob("*.conf"):
        assert "restore_command" not in path.read_text(), path
