"""The repository goes away in the middle of a run: moved, unmounted, or hanging as a hard NFS mount does. The run says
so and stays an operator's to command; when the repository is back, it ends as an undisturbed one does."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.run.control import send
from engine.steps.shared.promotion import standing
from tests.clusters import Cluster
from tests.end_to_end.large import MB, data_dir_of, into, is_whole, nothing_starts_below
from tests.end_to_end.middle import (
    FEED,
    WORKER,
    Run,
    answers_at_once,
    cancelled,
    operator_with_repository,
    start_run,
)
from tests.end_to_end.mounts import Hanging, mount_again, mounted, unmount
from tests.end_to_end.operator import Operator

pytestmark = pytest.mark.slow


@dataclass
class Vanishing:
    operator: Operator
    place: Path
    go: Callable[[], object]
    come_back: Callable[[], object]


@pytest.fixture(params=["moved", "unmounted"])
def vanishing(request: pytest.FixtureRequest, large: Cluster, open_dir: Path) -> Iterator[Vanishing]:
    """An operator, and his repository that can go away: moved elsewhere, or a mount that is taken away."""
    with ExitStack() as stack:
        place = open_dir / ("repository" if request.param == "moved" else "mounted")
        operator = operator_with_repository(large, open_dir, place)
        away = open_dir / "away"
        if request.param == "unmounted":
            stack.enter_context(mounted(open_dir / "repository", place))
            yield Vanishing(
                operator, place, lambda: unmount(place), lambda: mount_again(open_dir / "repository", place)
            )
        else:
            yield Vanishing(operator, place, lambda: place.rename(away), lambda: away.rename(place))


def test_a_repository_that_goes_away_in_mid_copy_is_named_and_the_copy_goes_on_when_it_is_back(
    vanishing: Vanishing,
) -> None:
    operator = vanishing.operator
    run = start_run(operator, *into(operator))
    with run.stopped_in("copy", WORKER, 4 * MB):  # long before it has opened its last file, on a busy machine too
        vanishing.go()
    state = run.wait_for_end("failed")
    assert state.error is not None
    assert str(vanishing.place / "base" / "one") in state.error.message
    assert "bring the repository back" in (state.error.remedy or "")
    nothing_starts_below(operator.copy_to())
    again = operator.call("resume", run.name, "--yes", expect=1).document
    assert str(vanishing.place) in again["error"]["message"]
    vanishing.come_back()
    is_whole(operator, operator.call("resume", run.name, "--yes", expect=0).document)


def test_a_repository_that_goes_away_in_mid_replay_is_waited_for_by_name(vanishing: Vanishing) -> None:
    operator = vanishing.operator
    run = start_run(operator, *into(operator))
    with run.stopped_in("replay", FEED, 8 * MB):
        vanishing.go()
    assert str(vanishing.place / "wal") in run.wait_for_words("waiting: ")
    assert run.state.outcome == "running"
    vanishing.come_back()
    is_whole(operator, operator.call("attach", run.name, expect=0).document)


def test_latest_is_not_decided_without_the_archive(cluster: Cluster, open_dir: Path) -> None:
    """Production is stopped, and its last WAL lies nowhere else: it is not given up without a word."""
    operator, run = _at_the_gate(cluster, open_dir, open_dir / "repository")
    (open_dir / "repository" / "wal").rename(open_dir / "away")
    failed = operator.call("finish", run.name, "--yes", expect=1).document
    assert "what --latest means now cannot be decided" in failed["error"]["message"]
    assert "reprise rollback" in failed["error"]["remedy"]
    (open_dir / "away").rename(open_dir / "repository" / "wal")
    assert operator.call("resume", run.name, "--yes", expect=0).document["outcome"] == "completed"
    assert {row[0] for row in cluster.sql("SELECT id FROM ledger")} == {row.id for row in cluster.rows}


def _at_the_gate(cluster: Cluster, home: Path, repository: Path) -> tuple[Operator, Run]:
    """In place to --latest, waiting at its gate; the running production has WAL that no archive has."""
    cluster.write(10, seed=1)
    cluster.base_backup("one")
    cluster.write(10, seed=2)
    cluster.switch()
    cluster.write(10, seed=3)
    operator = operator_with_repository(cluster, home, repository)
    paused = operator.call("restore", "--latest", "--in-place", "--action", "pause", "--yes", expect=4).document
    return operator, Run(operator, paused["run"])


# -- it hangs


def test_a_repository_that_hangs_in_mid_copy_and_in_mid_replay_is_named_and_the_run_goes_on_by_itself(
    hanging: Hanging, large: Cluster, open_dir: Path
) -> None:
    operator, run = _hangs_in_mid_copy(hanging, large, open_dir)
    hanging.go_on()
    _hangs_in_mid_replay(hanging, run)
    hanging.go_on()
    is_whole(operator, operator.call("attach", run.name, expect=0).document)


def test_a_repository_that_hangs_in_mid_copy_does_not_keep_a_run_from_being_rolled_back(
    hanging: Hanging, large: Cluster, open_dir: Path
) -> None:
    operator, run = _hangs_in_mid_copy(hanging, large, open_dir)
    cancelled(run)
    nothing_starts_below(operator.copy_to())
    assert operator.call("rollback", run.name, "--yes", expect=0).document["outcome"] == "rolled-back"
    assert not operator.copy_to().exists()


def test_a_repository_that_hangs_in_mid_replay_does_not_keep_a_run_from_being_cancelled_and_resumed(
    hanging: Hanging, large: Cluster, open_dir: Path
) -> None:
    operator = operator_with_repository(large, open_dir, hanging.place)
    run = start_run(operator, *into(operator))
    _hangs_in_mid_replay(hanging, run)
    cancelled(run)
    hanging.go_on()
    is_whole(operator, operator.call("resume", run.name, "--yes", expect=0).document)


def _hangs_in_mid_copy(hanging: Hanging, large: Cluster, home: Path) -> tuple[Operator, Run]:
    operator = operator_with_repository(large, home, hanging.place)
    run = start_run(operator, *into(operator))
    with run.stopped_in("copy", WORKER, 20 * MB):
        hanging.hang()
    assert str(hanging.place / "base" / "one") in run.wait_for_words("waiting: no byte")
    answers_at_once(run)
    return operator, run


def _hangs_in_mid_replay(hanging: Hanging, run: Run) -> None:
    with run.stopped_in("replay", FEED, 8 * MB):
        hanging.hang()
    run.wait_for_words("waiting: the archive does not answer")
    answers_at_once(run)
    assert standing(data_dir_of(run), 1) == "behind the gate"


@pytest.mark.parametrize("then", ["resumed", "rolled back"])
def test_an_archive_that_hangs_when_production_is_stopped_leaves_the_run_to_the_operator(
    hanging: Hanging, cluster: Cluster, open_dir: Path, then: str
) -> None:
    operator, run = _at_the_gate(cluster, open_dir, hanging.place)
    hanging.hang()
    send(run.folder, "finish")
    run.wait_for_step("salvage")
    assert str(hanging.place / "wal") in run.wait_for_words("does not answer")
    answers_at_once(run)
    cancelled(run)
    assert cluster.server.pid() is None
    if then == "rolled back":  # while it hangs
        assert operator.call("rollback", run.name, "--yes", expect=0).document["outcome"] == "rolled-back"
        assert cluster.server.pid() is not None
    else:
        hanging.go_on()
        report = operator.call("resume", run.name, "--yes", expect=0).document
        assert report["outcome"] == "completed"
        assert report["reached"]["new_timeline"] == 2
    assert {row[0] for row in cluster.sql("SELECT id FROM ledger")} == {row.id for row in cluster.rows}
