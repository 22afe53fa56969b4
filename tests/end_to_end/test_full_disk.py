"""The disk fills up in the middle of a run: that is said, nothing half-restored can start, and room mends it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clusters import kill_processes_below
from tests.end_to_end.large import MB, into, is_whole, nothing_starts_below
from tests.end_to_end.middle import FEED, WORKER, start_run
from tests.end_to_end.mounts import fill_disk, small_disk
from tests.end_to_end.operator import Operator

pytestmark = pytest.mark.slow


@pytest.fixture
def disk(open_dir: Path) -> Iterator[Path]:
    """A file system of 300 MB."""
    with small_disk(open_dir / "disk", open_dir / "disk.img", 300) as place:
        yield place
        kill_processes_below(open_dir)


def test_a_disk_that_fills_up_in_mid_copy_is_named_and_room_mends_it(operator: Operator, disk: Path) -> None:
    run = start_run(operator, *into(operator, disk / "copy"))
    with run.stopped_in("copy", WORKER, 20 * MB):
        ballast = fill_disk(disk)
    state = run.wait_for_end("failed")
    assert state.error is not None
    assert "no room is left" in state.error.message
    assert str(disk) in (state.error.cause or "")
    assert "make room" in (state.error.remedy or "")
    nothing_starts_below(disk)
    ballast.unlink()
    is_whole(operator, operator.call("resume", run.name, "--yes", expect=0).document)


def test_a_disk_that_fills_up_in_mid_copy_can_be_rolled_back_while_it_is_full(operator: Operator, disk: Path) -> None:
    before = sorted(path.name for path in disk.iterdir())
    run = start_run(operator, *into(operator, disk / "copy"))
    with run.stopped_in("copy", WORKER, 20 * MB):
        ballast = fill_disk(disk)
    run.wait_for_end("failed")
    assert operator.call("rollback", run.name, "--yes", expect=0).document["outcome"] == "rolled-back"
    ballast.unlink()
    assert sorted(path.name for path in disk.iterdir()) == before


def test_a_disk_that_fills_up_in_mid_replay_is_named_and_room_mends_it(operator: Operator, disk: Path) -> None:
    run = start_run(operator, *into(operator, disk / "copy"))
    with run.stopped_in("replay", FEED, 8 * MB):
        ballast = fill_disk(disk)
    assert str(disk) in run.wait_for_words("No space left", "no room is left")
    state = run.wait_for_end("failed")  # PostgreSQL itself needs room to replay
    assert state.error is not None
    assert f"no room is left on the file system of {disk}" in state.error.message
    assert "make room" in (state.error.remedy or "")
    ballast.unlink()
    is_whole(operator, operator.call("resume", run.name, "--yes", expect=0).document)
