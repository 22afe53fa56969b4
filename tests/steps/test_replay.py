"""Replay behind the gate, on a real server: against PostgreSQL's own targets, through damage, and over deaths."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.formats.control_file import read_control_file
from engine.records.coding import to_builtins
from engine.records.errors import RunFailed
from engine.records.history import ParameterChange
from engine.records.lsn import SegmentName, format_lsn, segment_of
from engine.records.target import RecoveryPoint
from engine.steps import gate, prove, replay, settings
from engine.steps.protocol import Stopped
from engine.steps.shared import recovering
from engine.steps.shared.server_log import log_since_start, said_end_at
from engine.steps.shared.socket_folder import ensure_socket_folder
from tests.clusters import Cluster, test_programs
from tests.steps.ledger import QUIET, TABLE, Ledger, once
from tests.steps.origin import origin_of
from tests.steps.rehearsal import Rehearsal, Told


@pytest.fixture
def begun(ledger: Ledger, open_dir: Path) -> Iterator[Callable[..., Rehearsal]]:
    """A recovery to a gate, up to where replay begins; all of its processes are gone afterwards."""
    made: list[Rehearsal] = []

    def begin(point: RecoveryPoint, **changes: object) -> Rehearsal:
        made.append(ledger.origin.rehearse(point, open_dir / "copy", **changes))
        settings.apply(made[-1])
        return made[-1]

    yield begin
    for step in made:
        step.end()


def count(step: Rehearsal) -> int:
    return int(step.rows("SELECT count(*) FROM ledger")[0][0])


@pytest.mark.parametrize("where", [0.0, 0.4, 1.0])
def test_rows_and_stop_equal_postgresqls_own_target(
    ledger: Ledger, begun: Callable[..., Rehearsal], open_dir: Path, where: float
) -> None:
    commits = [end for end in ledger.ends if end.is_commit]
    lost = commits[int(where * (len(commits) - 1))]
    step = begun(ledger.origin.point(lost.lsn))
    replay.apply(step)
    prove.apply(step)
    assert step.proofs[-1].proven, step.proofs[-1].finding
    assert count(step) == ledger.rows_before(lost.lsn)
    data_dir, log = ledger.origin.own_recovery(
        open_dir, {"recovery_target_lsn": format_lsn(lost.lsn), "recovery_target_inclusive": "off"}
    )
    assert f'recovery stopping before WAL location (LSN) "{format_lsn(lost.lsn)}"' in log
    stopped = read_control_file((data_dir / "global" / "pg_control").read_bytes())
    assert stopped.min_recovery_point == step.proofs[-1].lsn
    assert step.proofs[-1].last_commit_xid == max(
        (end.xid for end in ledger.ends if end.is_commit and end.lsn < lost.lsn), default=None
    )


def test_progress_is_measured_in_lsns_and_ends_at_the_gate(ledger: Ledger, begun: Callable[..., Rehearsal]) -> None:
    point = ledger.origin.point(ledger.ends[-2].lsn)
    step = begun(point)
    replay.apply(step)
    done = [progress[0] for progress in step.progresses]
    total = point.gate - point.backup.start_lsn  # type: ignore[operator]
    assert done == sorted(done)
    assert step.progresses[-1][:2] == (total, total)


def test_the_gate_is_raised_and_replay_goes_on(ledger: Ledger, begun: Callable[..., Rehearsal]) -> None:
    first, second = ledger.ends[20], ledger.ends[-10]
    step = begun(ledger.origin.point(first.lsn))
    replay.apply(step)
    lower = ledger.origin.point(ledger.ends[5].lsn)
    step.answers = [
        Told("advance", to_builtins(lower)),
        Told("advance", to_builtins(ledger.origin.point(second.lsn))),
        Told("finish"),
    ]
    gate.apply(step)
    assert [found["lsn"] for found in step.found] == [format_lsn(each.lsn) for each in (first, first, second)]
    assert "lies before the gate" in step.found[1]["note"]
    assert all(proof.proven for proof in step.proofs)
    assert count(step) == ledger.rows_before(second.lsn)


@once
@pytest.mark.parametrize("died", [False, True], ids=["advanced", "died before the configuration was written"])
def test_behind_a_later_gate_the_server_has_the_limits_that_the_wal_raises_and_the_gates_timeline(
    ledger: Ledger, begun: Callable[..., Rehearsal], died: bool
) -> None:
    step = begun(ledger.origin.point(ledger.ends[20].lsn))
    replay.apply(step)
    second = ledger.ends[-10].lsn
    change = ParameterChange(1, ledger.ends[30].lsn, {"max_connections": 321})
    later = to_builtins(replace(ledger.origin.point(second), parameter_changes=(change,)))
    if died:
        step.fact(point=later)
        conf = step.copy.data_dir / "postgresql.conf"
        conf.write_text(conf.read_text() + "recovery_target_timeline = '7'\n")
    else:
        step.answers.append(Told("advance", later))
    step.answers.append(Told("finish"))
    gate.apply(step)
    assert step.found[-1]["lsn"] == format_lsn(second) and step.proofs[-1].proven
    shown = dict(step.rows("SELECT name, setting FROM pg_settings"))
    assert shown["max_connections"] == "321" and shown["recovery_target_timeline"] == "1"


@once
def test_what_dies_while_the_run_waits_at_the_gate_is_started_again_and_told(
    ledger: Ledger, begun: Callable[..., Rehearsal]
) -> None:
    step = begun(ledger.origin.point(ledger.ends[20].lsn))
    replay.apply(step)

    def die(meanwhile: Callable[[], None] | None) -> None:
        assert meanwhile is not None
        meanwhile()
        assert step.notes == []
        os.kill(step.copy.pid() or 0, signal.SIGKILL)
        step.copy.wait(lambda: step.copy.pid() is None, 20, "it lives")
        meanwhile()
        assert step.copy.pid() is not None and recovering.feed_lives(step)

    step.while_it_waits = die
    step.answers = [Told("finish")]
    gate.apply(step)
    assert ["server ended" in note["text"] for note in step.notes] == [True]
    prove.apply(step)
    assert step.proofs[-1].proven


@once
def test_a_socket_folder_that_a_boot_took_away_is_made_again(
    ledger: Ledger, begun: Callable[..., Rehearsal], open_dir: Path, tmp_path: Path
) -> None:
    folder = open_dir / "sockets"
    step = begun(ledger.origin.point(ledger.ends[20].lsn), socket_dir=str(folder))
    replay.apply(step)
    status = folder.lstat()
    assert (status.st_mode & 0o777, status.st_uid) == (0o700, ledger.origin.cluster.user.uid)
    planted = tmp_path / "planted"
    planted.symlink_to(tmp_path)
    with pytest.raises(RunFailed, match="cannot be made"):
        ensure_socket_folder(replace(step.copy, socket_dir=planted))


class Damage:
    """Something wrong with the archive while replay runs; mended once the run says what it waits for."""

    def __init__(self, step: Rehearsal, mend: Callable[[], None], words: tuple[str, ...]) -> None:
        self.step, self.mend, self.words = step, mend, words
        self.seen: str | None = None
        step.at_safe_point = self.look
        self.deadline = time.monotonic() + 30

    def look(self) -> None:
        detail = self.step.progresses[-1][2] if self.step.progresses else ""
        if self.seen is None and all(word in detail for word in self.words):
            self.seen = detail
            self.mend()
        assert time.monotonic() < self.deadline, f"said only: {detail}"


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5000])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    inside = slice(len(data) // 2 + 100, len(data) // 2 + 164)  # no page header: only a record's CRC tells
    data[inside] = bytes(byte ^ 0xFF for byte in data[inside])
    path.write_bytes(data)


def foreign(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[24] ^= 0xFF  # the system identifier in the first page's header
    path.write_bytes(data)


@once
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (Path.unlink, ("waiting", "is not in the archive")),
        (cut_off, ("waiting", "bytes")),
        (foreign, ("waiting", "another cluster")),
        (flip, ("does not get past",)),
    ],
)
def test_a_damaged_segment_makes_it_wait_and_mended_it_goes_on(
    ledger: Ledger, begun: Callable[..., Rehearsal], damage: Callable[[Path], None], words: tuple[str, ...]
) -> None:
    point = ledger.origin.point(ledger.ends[-2].lsn)
    size = point.segment_size
    middle = SegmentName(1, (point.backup.start_lsn // size + point.gate // size + 1) // 2).text(size)  # type: ignore[operator]
    path = ledger.origin.archive / middle
    whole = path.read_bytes()
    step = begun(point)

    def mend() -> None:
        path.unlink(missing_ok=True)
        path.write_bytes(whole)

    hurt = Damage(step, mend, (*words, middle))
    damage(path)
    replay.apply(step)
    assert hurt.seen is not None
    prove.apply(step)
    assert step.proofs[-1].proven
    assert count(step) == ledger.rows_before(point.gate)


@once
def test_a_vanished_archive_makes_it_wait_and_back_again_it_goes_on(
    ledger: Ledger, begun: Callable[..., Rehearsal]
) -> None:
    point = ledger.origin.point(ledger.ends[-2].lsn)
    step = begun(point)
    archive = ledger.origin.archive
    elsewhere = archive.rename(archive.with_name("elsewhere"))
    hurt = Damage(step, lambda: void(elsewhere.rename(archive)), ("waiting", "cannot be read"))
    replay.apply(step)
    assert hurt.seen is not None
    assert count(step) == ledger.rows_before(point.gate)


def void(_: object) -> None:
    return None


@contextmanager
def away(path: Path) -> Iterator[None]:
    """A part of the archive is gone for as long as the block lasts."""
    path.rename(path.with_suffix(".away"))
    try:
        yield
    finally:
        path.with_suffix(".away").rename(path)


def last_segment(ledger: Ledger, point: RecoveryPoint) -> Path:
    """The one that the gate lies in."""
    size = point.segment_size
    return ledger.origin.archive / SegmentName(1, segment_of(point.gate, size)).text(size)


def waits(step: Rehearsal) -> bool:
    """Whether the step said at last that it waits for WAL."""
    return bool(step.progresses) and "waiting" in step.progresses[-1][2]


@once
def test_a_cancelled_replay_leaves_the_server_waiting_and_is_taken_up(
    ledger: Ledger, begun: Callable[..., Rehearsal]
) -> None:
    point = ledger.origin.point(ledger.ends[-2].lsn)
    step = begun(point)

    def cancel() -> None:
        if waits(step):
            raise Stopped

    step.at_safe_point = cancel
    with away(last_segment(ledger, point)), pytest.raises(Stopped):
        replay.apply(step)
    recovering.stop_feed(step)  # as the engine's end does
    pid = step.copy.pid()
    assert pid is not None
    step.at_safe_point = lambda: None
    replay.apply(step)
    assert step.copy.pid() == pid
    assert count(step) == ledger.rows_before(point.gate)


def test_a_killed_server_fails_the_step_with_its_log_and_a_second_try_ends_at_the_gate(
    ledger: Ledger, begun: Callable[..., Rehearsal]
) -> None:
    point = ledger.origin.point(ledger.ends[-2].lsn)
    step = begun(point)

    def kill() -> None:
        if waits(step) and (pid := step.copy.pid()) is not None:
            os.kill(pid, signal.SIGKILL)
            step.copy.wait(lambda: step.copy.pid() is None, 10, "it lives")

    step.at_safe_point = kill
    with away(last_segment(ledger, point)), pytest.raises(RunFailed, match="recovering server ended") as failed:
        replay.apply(step)
    assert failed.value.cause is not None and step.copy.log.read_text().rstrip().endswith(failed.value.cause[-40:])
    step.at_safe_point = lambda: None
    replay.apply(step)
    prove.apply(step)
    assert step.proofs[-1].proven
    assert count(step) == ledger.rows_before(point.gate)


@once
def test_a_killed_feed_fails_the_step_and_the_next_feed_serves_the_waiting_server(
    ledger: Ledger, begun: Callable[..., Rehearsal]
) -> None:
    point = ledger.origin.point(ledger.ends[30].lsn)
    step = begun(point)
    replay.apply(step)
    feed = recovering.ensure_feed(step, step.copy.data_dir)
    os.kill(feed.pid, signal.SIGKILL)
    later = ledger.origin.point(ledger.ends[-2].lsn)
    step.fact(point=to_builtins(later))
    replay.apply(step)
    prove.apply(step)
    assert step.proofs[-1].proven
    assert count(step) == ledger.rows_before(later.gate)


@once
def test_what_the_index_says_and_the_server_does_not_is_not_proven(
    ledger: Ledger, begun: Callable[..., Rehearsal]
) -> None:
    point = ledger.origin.point(ledger.ends[40].lsn)
    assert point.kept is not None
    wrong = replace(point, kept=replace(point.kept, at=point.kept.at.replace(year=2001)))
    step = begun(wrong)
    replay.apply(step)
    prove.apply(step)
    assert not step.proofs[-1].proven
    assert "the WAL index says 2001" in step.proofs[-1].finding


@once
def test_a_waiting_server_costs_next_to_nothing(ledger: Ledger, begun: Callable[..., Rehearsal]) -> None:
    """Counted in answers, not in seconds: at the gate the restore script runs about once a second."""
    step = begun(ledger.origin.point(ledger.ends[40].lsn))
    replay.apply(step)
    asked = Path(step.plan.layout.work) / "spool" / "asked"  # type: ignore[union-attr]
    times: set[int] = set()
    end = time.monotonic() + 3
    while time.monotonic() < end:
        times |= {entry.stat().st_mtime_ns for entry in asked.iterdir()}
        time.sleep(0.01)
    assert len(times) <= 6


@once
def test_no_python_starts_per_segment(ledger: Ledger, begun: Callable[..., Rehearsal]) -> None:
    step = begun(ledger.origin.point(ledger.ends[-2].lsn))
    seen: set[int] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit():
                    try:
                        if str(step.run_dir).encode() in (entry / "cmdline").read_bytes():
                            seen.add(int(entry.name))
                    except OSError:
                        continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        replay.apply(step)
    finally:
        done.set()
        watcher.join()
    assert len(seen) == 1


@once
def test_what_an_earlier_server_said_says_nothing_of_this_one(ledger: Ledger, begun: Callable[..., Rehearsal]) -> None:
    """A server is started again under a log that names the gate already, and an archive that is away."""
    point = ledger.origin.point(ledger.ends[40].lsn)
    step = begun(point)
    replay.apply(step)
    assert said_end_at(log_since_start(step.copy), point.gate)
    os.kill(step.copy.pid() or 0, signal.SIGKILL)
    step.copy.wait(lambda: step.copy.pid() is None, 20, "it lives")
    assert log_since_start(step.copy) == ""
    for path in (step.copy.data_dir / "pg_wal").glob("0*"):
        path.unlink()
    seen: list[int] = []

    def look() -> None:
        seen.append(len(seen))
        if len(seen) > 8:
            raise Stopped

    step.at_safe_point = look
    with away(ledger.origin.archive), pytest.raises(Stopped):
        replay.apply(step)


def test_a_subscriber_of_many_publishers_is_replayed(new_cluster: Callable[..., Cluster], open_dir: Path) -> None:
    """Where a server tracks more replication origins than it may have, it stops in mid-replay."""
    names = [f"publisher_{number}" for number in range(30)]
    limit = "max_active_replication_origins" if test_programs().version >= 18 else "max_replication_slots"
    subscriber = new_cluster(settings={limit: "40", **QUIET})
    subscriber.sql(TABLE)
    for name in names:
        subscriber.sql("SELECT pg_replication_origin_create(%s)", name)
    for name in names[:15]:
        subscriber.sql("SELECT pg_replication_origin_advance(%s, '0/100')", name)
    subscriber.base_backup("b1")  # holds the progress of 15 of them
    for name in names:
        subscriber.sql("SELECT pg_replication_origin_advance(%s, '0/200')", name)
    subscriber.sql("INSERT INTO ledger SELECT 1")
    subscriber.sql("INSERT INTO ledger SELECT 2")
    subscriber.switch()
    origin = origin_of(subscriber, "b1")
    ends = [end for end in origin.ends() if end.is_commit]
    step = origin.rehearse(origin.point(ends[-1].lsn), open_dir / "copy")
    try:
        settings.apply(step)
        replay.apply(step)
        assert step.rows("SELECT count(*) FROM pg_replication_origin_status WHERE remote_lsn = '0/200'") == [(30,)]
    finally:
        step.end()
