"""The recovering server is killed under the engine: in mid-replay, at the gate, inside its promotion. It is never up on
the old timeline, and the archive stays as it is, byte for byte."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from engine.records.lsn import format_lsn
from engine.run.starting import start_engine
from engine.steps.shared.promotion import standing
from tests.clusters import Cluster, processes_below, wait_until
from tests.end_to_end.large import MB, data_dir_of, into, is_whole, last_commit
from tests.end_to_end.middle import FEED, Run, kill_server, start_run
from tests.end_to_end.operator import Operator, operator_for
from tests.end_to_end.production import fingerprint
from tests.histories import History

pytestmark = pytest.mark.slow


def test_a_server_killed_in_mid_replay_ends_the_run_and_resume_goes_on(operator: Operator) -> None:
    run = start_run(operator, *into(operator))
    with run.stopped_in("replay", FEED, 8 * MB):
        data_dir = data_dir_of(run)
        kill_server(data_dir, all_of_it=False)
    state = run.wait_for_end("failed")
    assert state.error is not None
    assert "the recovering server ended" in state.error.message
    assert standing(data_dir, 1) == "behind the gate"
    is_whole(operator, operator.ask("resume", run.name, "--yes", expect=0).document)


def test_a_server_killed_at_the_gate_is_started_again_behind_it(history: History, open_dir: Path) -> None:
    operator = operator_for(history.cluster, open_dir)
    gate = [end for end in history.cluster.ends(1) if end.kind == "COMMIT" and end.lsn < history.before_accident][-2]
    words = ["--lsn", format_lsn(gate.lsn), "--exclusive", "--timeline", "1", "--backup", "1-plain"]
    paused = operator.call(
        "restore", *words, "--into", operator.copy_to(), "--action", "pause", "--yes", expect=4
    ).document
    kill_server(Path(paused["data_dir"]))
    report = operator.ask("finish", paused["run"], "--yes", expect=0).document
    assert report["outcome"] == "completed"
    assert report["reached"]["new_timeline"] == 3
    assert operator.rows(report) == history.cluster.rows_before(gate.lsn, 1)


# -- inside the promotion

GAP_KILLS = 6  # the last one takes the postmaster alone
ENOUGH = 3


@dataclass
class Promotion:
    """Kills the server of one run inside PostgreSQL's promotion, again and again: each time a little later after the
    signal file has gone, until a kill comes too late. Between, in the gap, a plain start would be deadly."""

    run: Run
    data_dir: Path
    gap: list[str] = field(default_factory=list)  # kills: signal file gone, pg_control on the old timeline
    late: int = 0  # kills behind it
    begun: set[str] = field(default_factory=set)  # histories of timelines that were begun and given up

    @property
    def numbers_taken(self) -> int:
        """By the timelines that were begun and given up: the one behind their histories gets a fresh number. A kill may
        come before its own promotion wrote one; then only those of earlier kills lie there."""
        return len(self.begun)

    def sweep(self) -> None:
        """Until a kill comes too late, or often enough; the engine is started again after each, and ends its run."""
        seconds = 0.0  # from the signal file's going to the kill
        while not self.late and len(self.gap) < GAP_KILLS:
            self._kill(seconds, all_of_it=len(self.gap) < GAP_KILLS - 1)
            state = self.run.wait_for_end("completed", "failed")
            if state.outcome == "failed":
                wait_until(lambda: not processes_below(self.data_dir), "processes of the killed server stay")
            stands = standing(self.data_dir, 1)
            assert stands != "on the old timeline"
            if stands == "died between":
                histories = {path.name for path in (self.data_dir / "pg_wal").glob("*.history")}
                self.begun |= histories
                self.gap.append("with its history" if histories else "without a history")
                seconds = 2 * seconds + 0.001
            elif stands == "promoted":
                self.late += 1
            if state.outcome == "failed":
                start_engine(self.run.folder)
        self.run.wait_for_end("completed")

    def _kill(self, seconds: float, *, all_of_it: bool) -> None:
        signal_file, deadline = self.data_dir / "standby.signal", time.monotonic() + 60
        while not signal_file.exists():
            assert time.monotonic() < deadline, "the server was not started behind the gate"
            time.sleep(0.001)
        while signal_file.exists():
            assert time.monotonic() < deadline, "the promotion did not begin"
        time.sleep(seconds)
        kill_server(self.data_dir, all_of_it=all_of_it)


def _until_enough(begin: Callable[[int], Promotion]) -> Promotion:
    """Promotions, begun one after the other, until one was killed often enough in the gap."""
    for number in range(8):
        promotion = begin(number)
        promotion.sweep()
        print(f"killed in the gap: {Counter(promotion.gap)}, behind it: {promotion.late}")
        if len(promotion.gap) >= ENOUGH:
            return promotion
    pytest.fail(f"only {promotion.gap} fell into the gap")


def test_a_server_killed_in_mid_promotion_never_comes_up_on_the_old_timeline(history: History, open_dir: Path) -> None:
    operator, archived = operator_for(history.cluster, open_dir), fingerprint(history.cluster.archive)
    gate = [end for end in history.cluster.ends(1) if end.kind == "COMMIT" and end.lsn < history.before_accident][-2]
    words = ["--lsn", format_lsn(gate.lsn), "--exclusive", "--timeline", "1", "--backup", "1-plain"]

    def begin(number: int) -> Promotion:
        copy = operator.copy_to(f"copy-{number}")
        return Promotion(start_run(operator, *words, "--into", copy), copy / "data")

    promotion = _until_enough(begin)
    report = operator.ask("report", promotion.run.name, expect=0).document
    assert report["reached"]["new_timeline"] == 3 + promotion.numbers_taken
    if not processes_below(promotion.data_dir):  # the last kill came behind the run's end
        operator.call("start", promotion.run.name, "--yes", expect=0)
    assert operator.rows(report) == history.cluster.rows_before(gate.lsn, 1)
    assert fingerprint(history.cluster.archive) == archived


def test_production_killed_in_mid_promotion_never_comes_up_on_the_old_timeline(
    cluster: Cluster, open_dir: Path
) -> None:
    cluster.write(20, seed=1)
    cluster.base_backup("one")
    cluster.write(20, seed=2)
    cluster.accident()
    cluster.switch()
    cluster.stop()
    operator, archived = operator_for(cluster, open_dir), fingerprint(cluster.archive)
    words = ["--lsn", format_lsn(last_commit(cluster).lsn), "--exclusive", "--in-place"]

    def begin(number: int) -> Promotion:
        if number:
            operator.ask("rollback", "latest", "--yes", expect=0)
            operator.ask("discard", "latest", "--yes", expect=0)
            for path in cluster.archive.iterdir():
                if not path.name.startswith("00000001"):
                    path.unlink()
        return Promotion(start_run(operator, *words), cluster.data_dir)

    promotion = _until_enough(begin)
    report = operator.ask("report", promotion.run.name, expect=0).document
    assert report["reached"]["new_timeline"] == 2 + promotion.numbers_taken
    if cluster.server.pid() is None:
        cluster.start()
    assert {row[0] for row in cluster.sql("SELECT id FROM ledger")} == {row.id for row in cluster.rows}
    cluster.catch_up_archive()
    after = fingerprint(cluster.archive)
    assert {name: what for name, what in after.items() if name in archived} == archived
    assert all(2 <= int(Path(name).name[:8], 16) <= 2 + promotion.numbers_taken for name in set(after) - set(archived))
