"""What goes wrong around a run: damage that no check saw, a repository that goes away, a full disk, a server killed
under the engine, a second run, a closed terminal. Nothing is promoted unproven, nothing is lost, all can be mended."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.records.lsn import Lsn, SegmentName, format_lsn
from engine.records.runs import RunState
from engine.run.folder import list_runs
from engine.steps.shared.promotion import standing
from tests.clusters import Cluster, kill_processes_below, make_cluster, processes_below, wait_until
from tests.end_to_end.middle import (
    FEED,
    WORKER,
    Run,
    document_of,
    kill_server,
    open_command,
    operator_with_repository,
    replace_file,
    start_run,
)
from tests.end_to_end.operator import Operator, operator_for
from tests.end_to_end.test_survival import _fingerprint
from tests.histories import History
from tests.waldump import Ended

pytestmark = pytest.mark.slow

MB = 1 << 20
_FILL = "INSERT INTO filler SELECT g, repeat(md5(g::text), 28) FROM generate_series(1, {}) g"  # about 1 kB a row


@pytest.fixture(scope="module")
def large() -> Iterator[Cluster]:
    """A stopped cluster with a plain base backup of some 70 MB and some 40 segments of WAL behind it."""
    cluster = make_cluster("large")
    cluster.sql("CREATE TABLE filler (id int, text text)")
    cluster.sql("ALTER TABLE filler ALTER text SET STORAGE PLAIN")
    cluster.sql(_FILL.format(45_000))
    cluster.write(10, seed=1)
    cluster.base_backup("one")
    for seed in range(2, 6):
        cluster.sql(_FILL.format(9_000))
        cluster.write(10, seed=seed)
    cluster.switch()
    cluster.stop()
    yield cluster
    cluster.destroy()


@pytest.fixture
def operator(large: Cluster, open_dir: Path) -> Operator:
    """An operator of the large cluster, with a repository of his own."""
    return operator_with_repository(large, open_dir)


def _last_commit(cluster: Cluster) -> Ended:
    return [end for end in cluster.ends(1) if end.kind == "COMMIT"][-1]


def _into(operator: Operator, destination: Path | None = None) -> list[str]:
    """A side copy up to the last commit, which is lost."""
    lsn = format_lsn(_last_commit(operator.cluster).lsn)
    return ["--lsn", lsn, "--exclusive", "--into", str(destination or operator.copy_to())]


def _is_whole(operator: Operator, report: dict[str, object], lsn: Lsn | None = None) -> None:
    """The run has ended as an undisturbed one does, and not on the old timeline."""
    assert report["outcome"] == "completed", report
    reached = report["reached"]
    assert isinstance(reached, dict)
    assert reached["proven"] is True
    assert reached["new_timeline"] > reached["timeline"]
    wanted = operator.cluster.rows_before(lsn if lsn is not None else _last_commit(operator.cluster).lsn, 1)
    assert operator.rows(report) == wanted


def _nothing_starts_below(folder: Path) -> None:
    """Nothing below looks like a whole data directory."""
    assert not [path for path in folder.rglob("pg_control") if path.parent.name == "global"]


# -- proof


def _damaged(kind: str, wal: Path, cluster: Cluster, gate: Lsn, kept: Lsn) -> tuple[Path, bytes]:
    """Damage in the archive: a file and what it will hold from now on. ``kept`` is a commit's record before the gate:
    it is hit where a record is."""
    size = cluster.segment_size
    number = kept // size if kind in ("flipped", "last record") else gate // size - 1
    path = wal / SegmentName(1, number).text(size)
    data = bytearray(path.read_bytes())
    if kind == "flipped":
        data[kept % size + 20] ^= 0x40  # its CRC (xlogrecord.h)
    elif kind == "truncated":
        del data[size // 2 :]
    elif kind == "another segment":
        data[:] = (wal / SegmentName(1, number - 1).text(size)).read_bytes()
    elif kind == "last record":
        data[kept % size : gate % size] = bytes(gate % size - kept % size)
    return path, bytes(data)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("flipped", ["does not get past segment"]),
        ("truncated", ["waiting: segment"]),
        ("another segment", ["holds another place of the WAL"]),
        ("gone", ["is not in the archive"]),
        ("last record", ["does not get past segment"]),
    ],
)
def test_damage_after_the_planning_is_never_proven_nor_promoted(
    history: History, open_dir: Path, kind: str, words: list[str]
) -> None:
    operator = operator_with_repository(history.cluster, open_dir)
    commits = [end for end in history.cluster.ends(1) if end.kind == "COMMIT" and end.lsn < history.before_accident]
    kept, lost = commits[-30 if kind == "flipped" else -3].lsn, commits[-2].lsn
    path, data = _damaged(kind, open_dir / "repository" / "wal", history.cluster, lost, kept)
    whole = path.read_bytes()
    run = start_run(
        operator, "--lsn", format_lsn(lost), "--exclusive", "--timeline", "1", "--backup", "1-plain",
        "--into", operator.copy_to(),
        meanwhile=path.unlink if kind == "gone" else lambda: replace_file(path, data),
    )  # fmt: skip
    assert path.name in run.wait_for_words(*words)
    state = run.state
    assert state.outcome == "running"
    assert state.reached is None or not state.reached.proven
    operator.call("cancel", run.name, "--yes", expect=0)
    report = operator.call("report", run.name, expect=0).document
    assert report["outcome"] == "interrupted"
    assert standing(Path(report["data_dir"]), 1) == "behind the gate"
    path.write_bytes(whole)
    report = operator.call("resume", run.name, "--yes", expect=0).document
    assert report["outcome"] == "completed"
    assert report["reached"]["proven"] is True
    assert operator.rows(report) == history.cluster.rows_before(lost, 1)


def test_damage_found_in_place_leaves_production_running_and_untouched(cluster: Cluster, open_dir: Path) -> None:
    cluster.write(20, seed=1)
    cluster.base_backup("one")
    cluster.write(20, seed=2)
    cluster.sql("SELECT pg_switch_wal()")
    cluster.write(20, seed=3)
    cluster.switch()
    operator = operator_for(cluster, open_dir)
    commits = [end for end in cluster.ends(1) if end.kind == "COMMIT"]
    last = commits[-1]
    path, data = _damaged("flipped", cluster.archive, cluster, last.lsn, commits[-30].lsn)
    whole, neighbours = path.read_bytes(), sorted(path.name for path in cluster.root.iterdir())
    inode, server = cluster.data_dir.stat().st_ino, cluster.server.pid()
    run = start_run(operator, "--lsn", format_lsn(last.lsn), "--in-place", meanwhile=lambda: replace_file(path, data))
    run.wait_for_words("does not get past segment")
    operator.call("cancel", run.name, "--yes", expect=0)
    assert (cluster.data_dir.stat().st_ino, cluster.server.pid()) == (inode, server)
    assert {row[0] for row in cluster.sql("SELECT id FROM ledger")} == {row.id for row in cluster.rows}
    operator.call("rollback", run.name, "--yes", expect=0)
    assert (cluster.data_dir.stat().st_ino, cluster.server.pid()) == (inode, server)
    assert sorted(path.name for path in cluster.root.iterdir()) == neighbours
    replace_file(path, whole)


# -- the repository goes away


def test_a_repository_that_goes_away_in_mid_copy_is_named_and_the_copy_goes_on_when_it_is_back(
    operator: Operator, large: Cluster
) -> None:
    repository, away = operator.home / "repository", operator.home / "away"
    run = start_run(operator, *_into(operator))
    with run.stopped_in("copy", WORKER, 20 * MB):
        repository.rename(away)
    state = run.wait_for_end("failed")
    assert state.error is not None
    assert str(repository / "base" / "one") in state.error.message
    assert "bring the repository back" in (state.error.remedy or "")
    _nothing_starts_below(operator.copy_to())
    again = operator.call("resume", run.name, "--yes", expect=1).document
    assert str(repository) in again["error"]["message"]
    away.rename(repository)
    _is_whole(operator, operator.call("resume", run.name, "--yes", expect=0).document)


def test_a_repository_that_goes_away_in_mid_replay_is_waited_for_by_name(operator: Operator, large: Cluster) -> None:
    repository, away = operator.home / "repository", operator.home / "away"
    run = start_run(operator, *_into(operator))
    with run.stopped_in("replay", FEED, 8 * MB):
        repository.rename(away)
    assert str(repository / "wal") in run.wait_for_words("waiting: ")
    assert run.state.outcome == "running"
    away.rename(repository)
    _is_whole(operator, operator.call("attach", run.name, expect=0).document)


# -- a full disk


@pytest.fixture
def small_disk(open_dir: Path) -> Iterator[Path]:
    """A file system of 300 MB of its own: an ext4 image, else a tmpfs."""
    if os.geteuid() != 0:
        pytest.skip("a file system can be mounted by root only")
    place, image = open_dir / "disk", open_dir / "disk.img"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(300 * MB)
    ways = [["-o", "loop", str(image)], ["-t", "tmpfs", "-o", "size=300m", "tmpfs"]]
    if shutil.which("mkfs.ext4") is None or subprocess.run(["mkfs.ext4", "-q", image], check=False).returncode != 0:
        del ways[0]
    told = (subprocess.run(["mount", *way, str(place)], capture_output=True, check=False) for way in ways)
    if all(each.returncode != 0 for each in told):
        pytest.skip("neither a loop device nor a tmpfs can be mounted here")
    place.chmod(0o755)
    yield place
    kill_processes_below(open_dir)
    subprocess.run(["umount", "-l", place], check=True)


def _fill(disk: Path) -> Path:
    """No byte is left there."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for block in (MB, 4096):
            try:
                while file.write(bytes(block)) == block:
                    pass
            except OSError:
                continue
    return ballast


def test_a_disk_that_fills_up_in_mid_copy_is_named_and_room_mends_it(operator: Operator, small_disk: Path) -> None:
    run = start_run(operator, *_into(operator, small_disk / "copy"))
    with run.stopped_in("copy", WORKER, 20 * MB):
        ballast = _fill(small_disk)
    state = run.wait_for_end("failed")
    assert state.error is not None
    assert "no room is left" in state.error.message
    assert str(small_disk) in (state.error.cause or "")
    assert "make room" in (state.error.remedy or "")
    _nothing_starts_below(small_disk)
    ballast.unlink()
    _is_whole(operator, operator.call("resume", run.name, "--yes", expect=0).document)


def test_a_disk_that_fills_up_in_mid_copy_can_be_rolled_back_while_it_is_full(
    operator: Operator, small_disk: Path
) -> None:
    before = sorted(path.name for path in small_disk.iterdir())
    run = start_run(operator, *_into(operator, small_disk / "copy"))
    with run.stopped_in("copy", WORKER, 20 * MB):
        ballast = _fill(small_disk)
    run.wait_for_end("failed")
    assert operator.call("rollback", run.name, "--yes", expect=0).document["outcome"] == "rolled-back"
    ballast.unlink()
    assert sorted(path.name for path in small_disk.iterdir()) == before


def test_a_disk_that_fills_up_in_mid_replay_is_named_and_room_mends_it(operator: Operator, small_disk: Path) -> None:
    run = start_run(operator, *_into(operator, small_disk / "copy"))
    with run.stopped_in("replay", FEED, 8 * MB):
        ballast = _fill(small_disk)
    assert str(small_disk) in run.wait_for_words("No space left", "no room is left")
    state = run.wait_for_end("failed")  # PostgreSQL itself needs room to replay
    assert state.error is not None
    assert f"no room is left on the file system of {small_disk}" in state.error.message
    assert "make room" in (state.error.remedy or "")
    ballast.unlink()
    _is_whole(operator, operator.call("resume", run.name, "--yes", expect=0).document)


# -- the server is killed under the engine


def test_a_server_killed_in_mid_replay_ends_the_run_and_resume_goes_on(operator: Operator) -> None:
    run = start_run(operator, *_into(operator))
    with run.stopped_in("replay", FEED, 8 * MB):
        data_dir = _data_dir(run)
        kill_server(data_dir, all_of_it=False)
    state = run.wait_for_end("failed")
    assert state.error is not None
    assert "the recovering server ended" in state.error.message
    assert standing(data_dir, 1) == "behind the gate"
    _is_whole(operator, operator.call("resume", run.name, "--yes", expect=0).document)


def _data_dir(run: Run) -> Path:
    found = run.state.data_dir
    assert found is not None
    return Path(found)


def test_a_server_killed_at_the_gate_is_started_again_behind_it(history: History, open_dir: Path) -> None:
    operator = operator_for(history.cluster, open_dir)
    gate = [end for end in history.cluster.ends(1) if end.kind == "COMMIT" and end.lsn < history.before_accident][-2]
    words = ["--lsn", format_lsn(gate.lsn), "--exclusive", "--timeline", "1", "--backup", "1-plain"]
    paused = operator.call(
        "restore", *words, "--into", operator.copy_to(), "--action", "pause", "--yes", expect=4
    ).document
    kill_server(Path(paused["data_dir"]))
    report = operator.call("finish", paused["run"], "--yes", expect=0).document
    assert report["outcome"] == "completed"
    assert report["reached"]["new_timeline"] == 3
    assert operator.rows(report) == history.cluster.rows_before(gate.lsn, 1)


def _kill_in_promotion(run: Run, step: str, data_dir: Path, wait: float, *, all_of_it: bool) -> None:
    """SIGKILL ``wait`` seconds after the server removed its signal file: from there on a plain start is deadly."""
    run.wait_for_step(step)
    signal_file, deadline = data_dir / "standby.signal", time.monotonic() + 60
    while not (data_dir / "PG_VERSION").exists() or not signal_file.exists():
        assert time.monotonic() < deadline, "the server was not started behind the gate"
    while signal_file.exists():
        assert time.monotonic() < deadline, "the promotion did not begin"
    time.sleep(wait)
    kill_server(data_dir, all_of_it=all_of_it)


_MOMENTS = [0.0, 0.01, 0.002, 0.05, 0.005][: int(os.environ.get("REPRISE_TEST_SEEDS", "2"))]


@pytest.mark.parametrize("wait", _MOMENTS)
def test_a_server_killed_in_mid_promotion_never_comes_up_on_the_old_timeline(
    history: History, open_dir: Path, wait: float
) -> None:
    operator, archived = operator_for(history.cluster, open_dir), _fingerprint(history.cluster.archive)
    gate = [end for end in history.cluster.ends(1) if end.kind == "COMMIT" and end.lsn < history.before_accident][-2]
    run = start_run(
        operator, "--lsn", format_lsn(gate.lsn), "--exclusive", "--timeline", "1", "--backup", "1-plain",
        "--into", operator.copy_to(),
    )  # fmt: skip
    run.wait_for_step("replay")
    wait_until(lambda: run.state.data_dir is not None, "the server was not started")
    _kill_in_promotion(run, "replay", _data_dir(run), wait, all_of_it=wait != 0.01)
    state = run.wait_for_end("completed", "failed")
    data_dir = _data_dir(run)
    assert standing(data_dir, 1) != "on the old timeline"
    if state.outcome == "failed":
        operator.call("resume", run.name, "--yes", expect=0)
    report = operator.call("report", run.name, expect=0).document
    assert report["reached"]["new_timeline"] == 3
    if not processes_below(data_dir):
        operator.call("start", run.name, "--yes", expect=0)
    assert operator.rows(report) == history.cluster.rows_before(gate.lsn, 1)
    assert _fingerprint(history.cluster.archive) == archived


@pytest.mark.parametrize("wait", _MOMENTS)
def test_production_killed_in_mid_promotion_never_comes_up_on_the_old_timeline(
    cluster: Cluster, open_dir: Path, wait: float
) -> None:
    cluster.write(20, seed=1)
    cluster.base_backup("one")
    cluster.write(20, seed=2)
    cluster.accident()
    cluster.switch()
    cluster.stop()
    operator, archived = operator_for(cluster, open_dir), _fingerprint(cluster.archive)
    run = start_run(operator, "--lsn", format_lsn(_last_commit(cluster).lsn), "--exclusive", "--in-place")
    run.wait_for_step("take-over")
    _kill_in_promotion(run, "take-over", cluster.data_dir, wait, all_of_it=wait != 0.01)
    state = run.wait_for_end("completed", "failed")
    assert standing(cluster.data_dir, 1) != "on the old timeline"
    if state.outcome == "failed":
        operator.call("resume", run.name, "--yes", expect=0)
    report = operator.call("report", run.name, expect=0).document
    assert report["reached"]["new_timeline"] == 2
    if cluster.server.pid() is None:
        cluster.start()
    assert {row[0] for row in cluster.sql("SELECT id FROM ledger")} == {row.id for row in cluster.rows}
    after = _fingerprint(cluster.archive)
    assert {name: what for name, what in after.items() if name in archived} == archived
    assert all(name.startswith("00000002") for name in set(after) - set(archived))


# -- other runs, closed terminals, second thoughts


def test_a_second_run_is_refused_and_the_first_goes_on(history: History, open_dir: Path) -> None:
    operator = operator_for(history.cluster, open_dir)
    words = ["--latest", "--timeline", "2", "--into", str(operator.copy_to()), "--yes"]
    first = operator.call("restore", *words, "--action", "pause", expect=4).document
    second = operator.call("restore", *words, expect=3).document
    held = next(check for check in second["checks"] if check["name"] == "another-run")
    assert held["ok"] is False
    assert first["run"] in held["finding"]
    assert len(operator.call("runs", expect=0).document["runs"]) == 1
    assert operator.call("finish", first["run"], "--yes", expect=0).document["outcome"] == "completed"


def test_of_two_runs_started_at_once_one_completes_and_the_other_is_refused(history: History, open_dir: Path) -> None:
    operator = operator_for(history.cluster, open_dir)
    words = ["restore", "--latest", "--timeline", "2", "--into", str(operator.copy_to()), "--yes"]
    operator.call("catalog", expect=0)
    both = [open_command(operator, *words) for _ in range(2)]
    said = [document_of(each) for each in both]
    codes = sorted(each.returncode for each in both)
    assert codes in ([0, 1], [0, 3]), (codes, said)
    whole = next(document for document in said if document.get("outcome") == "completed")
    assert operator.rows(whole) == history.cluster.rows_before(Lsn(1 << 62), 2, history.fork)


def test_a_second_run_in_place_is_refused_and_the_first_goes_on(cluster: Cluster, open_dir: Path) -> None:
    cluster.write(10, seed=1)
    cluster.base_backup("one")
    cluster.switch()
    operator = operator_for(cluster, open_dir)
    first = operator.call("restore", "--latest", "--in-place", "--action", "pause", "--yes", expect=4).document
    second = operator.call("restore", "--latest", "--in-place", "--yes", expect=3).document
    assert next(check for check in second["checks"] if check["name"] == "another-run")["ok"] is False
    assert operator.call("finish", first["run"], "--yes", expect=0).document["outcome"] == "completed"
    assert {row[0] for row in cluster.sql("SELECT id FROM ledger")} == {row.id for row in cluster.rows}


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL])
def test_a_run_outlives_the_terminal_that_follows_it(history: History, open_dir: Path, number: signal.Signals) -> None:
    operator = operator_for(history.cluster, open_dir)
    terminal = open_command(operator, "restore", "--latest", "--timeline", "2", "--into", operator.copy_to(), "--yes")
    started: list[RunState] = []

    def begun() -> bool:
        started[:] = [run for run in list_runs(operator.home / "state")[0] if run.pid is not None]
        return bool(started)

    wait_until(begun, "no run was started")
    run = started[0].run
    os.killpg(terminal.pid, number)
    terminal.communicate(timeout=30)
    assert terminal.returncode == -number
    report = operator.call("attach", run, expect=0).document
    assert report["outcome"] == "completed"


def test_a_run_cancelled_in_mid_copy_is_interrupted_and_rollback_leaves_nothing(operator: Operator) -> None:
    run = start_run(operator, *_into(operator))
    before = sorted(path.name for path in operator.home.iterdir() if path != operator.copy_to())
    with run.stopped_in("copy", WORKER, 20 * MB):
        operator.call("cancel", run.name, "--yes", expect=0)
    assert operator.call("report", run.name, expect=0).document["outcome"] == "interrupted"
    _nothing_starts_below(operator.copy_to())
    assert operator.call("rollback", run.name, "--yes", expect=0).document["outcome"] == "rolled-back"
    assert not operator.copy_to().exists()
    assert sorted(path.name for path in operator.home.iterdir()) == before
