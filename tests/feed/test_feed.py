"""The feed's process and its restore script together, without a server."""

import gzip
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from engine.feed.feed import Feed, start_feed
from engine.feed.orders import FeedStatus, Gate
from engine.feed.script import belongs_to, restore_command
from engine.records.errors import RunFailed
from engine.records.history import Piece
from engine.records.lsn import LONG_PAGE_HEADER
from tests.feed.segments import MB, archive, name, segment, spec


@pytest.fixture
def fed(tmp_path: Path) -> Iterator[Callable[..., Feed]]:
    started: list[Feed] = []

    def start(*arguments: object, **named: object) -> Feed:
        started.append(start_feed(spec(tmp_path, *arguments, **named), tmp_path / "home"))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for feed in started:
        feed.stop()


def restore(root: Path, file: str) -> subprocess.CompletedProcess[bytes]:
    """As the server calls its restore_command, from its data directory."""
    command = restore_command(root / "spo ol's").replace("%f", file).replace("%p", "pg_wal/RECOVERYXLOG")
    return subprocess.run(["/bin/sh", "-c", command.replace("%%", "%")], cwd=root, capture_output=True, timeout=20)


def take(root: Path, file: str) -> bytes | None:
    """Restore a segment and rename it as the server does; None: not now."""
    for _ in range(10):
        done = restore(root, file)
        assert done.returncode in (0, 1), done
        if done.returncode == 0:
            data = (root / "pg_wal" / "RECOVERYXLOG").read_bytes()
            (root / "pg_wal" / "RECOVERYXLOG").rename(root / "pg_wal" / file)
            return data
    return None


def until(feed: Feed, condition: Callable[[FeedStatus], bool]) -> FeedStatus:
    deadline = time.monotonic() + 20
    while (status := feed.status()) is None or not condition(status):
        assert time.monotonic() < deadline, status
        time.sleep(0.02)
    return status


def test_segments_come_whole_and_the_gates_is_zeroed_from_the_gate_on(tmp_path: Path, fed: Callable[..., Feed]) -> None:
    archive(tmp_path / "archive", 1, range(1, 6))
    fed(3 * MB + 5000)
    assert take(tmp_path, name(1, 1)) == segment(1, 1)
    assert take(tmp_path, name(1, 2)) == segment(1, 2)
    last = take(tmp_path, name(1, 3))
    assert last is not None
    assert last[:5000] == segment(1, 3)[:5000] and last[5000:] == bytes(MB - 5000)
    assert restore(tmp_path, name(1, 4)).returncode == 1
    assert not (tmp_path / "spo ol's" / "ready" / name(1, 4)).exists()


def test_little_is_fetched_before_the_server_takes_any(tmp_path: Path, fed: Callable[..., Feed]) -> None:
    archive(tmp_path / "archive", 1, range(1, 12))
    feed = fed(10 * MB + 5000, ahead=8)
    until(feed, lambda status: status.listed)
    time.sleep(0.5)
    ready = tmp_path / "spo ol's" / "ready"
    assert sorted(path.name for path in ready.iterdir()) == [name(1, 1), name(1, 2)]


def test_no_more_is_fetched_ahead_than_asked(tmp_path: Path, fed: Callable[..., Feed]) -> None:
    archive(tmp_path / "archive", 1, range(1, 12))
    feed = fed(10 * MB + 5000, ahead=3)
    assert take(tmp_path, name(1, 1)) is not None
    until(feed, lambda status: status.count == 1)
    deadline = time.monotonic() + 10
    ready = tmp_path / "spo ol's" / "ready"
    while len(list(ready.iterdir())) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert sorted(path.name for path in ready.iterdir()) == [name(1, number) for number in (2, 3, 4)]


def test_what_lies_ready_is_handed_out_without_a_question_and_without_the_script(
    tmp_path: Path, fed: Callable[..., Feed]
) -> None:
    archive(tmp_path / "archive", 1, range(1, 4))
    feed = fed(3 * MB + 5000)
    until(feed, lambda status: status.listed)
    (tmp_path / "spo ol's" / "restore.sh").write_text("exit 3\n")
    for number in range(1, 4):
        until(feed, lambda _, n=number: (tmp_path / "spo ol's" / "ready" / name(1, n)).exists())  # type: ignore[misc]
        assert restore(tmp_path, name(1, number)).returncode == 0
    assert restore(tmp_path, name(1, 4)).returncode == 3
    assert until(feed, lambda status: status.count == 3).asked is None


def test_all_that_a_restore_command_starts_is_known_by_its_command_line(tmp_path: Path) -> None:
    for folder in ("plain", "spo ol's", "100 %"):
        spool = tmp_path / folder / "spool"
        (spool / "ready").mkdir(parents=True)
        (spool / "restore.sh").write_text("sleep 60 & wait\n")
        command = restore_command(spool).replace("%f", "F").replace("%p", "P").replace("%%", "%")
        for words in (["-c", command], ["-c", f"sleep 60; {command}"]):  # in the script, and before it
            shell = subprocess.Popen(["/bin/sh", *words], cwd=tmp_path, start_new_session=True)
            try:
                time.sleep(0.2)
                assert belongs_to(spool, Path(f"/proc/{shell.pid}/cmdline").read_bytes())
                assert not belongs_to(tmp_path / "other", Path(f"/proc/{shell.pid}/cmdline").read_bytes())
            finally:
                os.killpg(shell.pid, signal.SIGKILL)
                shell.wait()


def test_a_raised_gate_gives_the_same_segment_anew_and_an_unchanged_one_does_not(
    tmp_path: Path, fed: Callable[..., Feed]
) -> None:
    archive(tmp_path / "archive", 1, range(1, 4))
    feed = fed(2 * MB + 5000)
    assert take(tmp_path, name(1, 1)) is not None and take(tmp_path, name(1, 2)) is not None
    assert restore(tmp_path, name(1, 2)).returncode == 1
    assert until(feed, lambda status: status.again == name(1, 2)).gate == 2 * MB + 5000
    feed.set_gate(Gate(2 * MB + 9000, (Piece(1, MB, 2 * MB + 9000),)))
    again = take(tmp_path, name(1, 2))
    assert again is not None and again[:9000] == segment(1, 2)[:9000] and not any(again[9000:])


def test_a_gate_behind_a_first_page_header_needs_nothing_of_that_segment(
    tmp_path: Path, fed: Callable[..., Feed]
) -> None:
    archive(tmp_path / "archive", 1, range(1, 4))
    feed = fed(2 * MB + LONG_PAGE_HEADER)
    assert take(tmp_path, name(1, 1)) is not None
    assert restore(tmp_path, name(1, 2)).returncode == 1
    assert until(feed, lambda status: status.again == name(1, 2))


def test_segments_are_given_again_to_a_server_that_started_anew(tmp_path: Path, fed: Callable[..., Feed]) -> None:
    archive(tmp_path / "archive", 1, range(1, 9))
    fed(8 * MB + 5000)
    for _ in range(2):
        for number in range(1, 6):
            assert take(tmp_path, name(1, number)) == segment(1, number)


def test_at_a_fork_the_childs_file_comes_first_and_the_parents_ends_at_the_fork(
    tmp_path: Path, fed: Callable[..., Feed]
) -> None:
    archive(tmp_path / "archive", 1, range(1, 4))
    archive(tmp_path / "archive", 2, range(3, 5))
    (tmp_path / "archive" / "00000002.history").write_text("1\t0/301000\tpromoted\n")
    fork, gate = 3 * MB + 4096, 4 * MB + 5000
    feed = fed(gate, pieces=(Piece(1, MB, fork), Piece(2, fork, gate)))
    assert restore(tmp_path, "00000002.history").returncode == 0
    assert (tmp_path / "pg_wal" / "RECOVERYXLOG").read_text().startswith("1\t0/301000")
    assert take(tmp_path, name(1, 2)) == segment(1, 2)
    assert take(tmp_path, name(2, 3)) == segment(2, 3)
    parents = take(tmp_path, name(1, 3))
    assert parents is not None and parents[:4096] == segment(1, 3)[:4096] and not any(parents[4096:])
    assert restore(tmp_path, name(3, 3)).returncode == 1
    assert until(feed, lambda status: status.timelines == (2,))


def test_an_absent_history_is_answered_at_once_and_a_new_one_is_found(tmp_path: Path, fed: Callable[..., Feed]) -> None:
    archive(tmp_path / "archive", 1, range(1, 3))
    feed = fed(2 * MB + 5000)
    until(feed, lambda status: status.listed)
    assert restore(tmp_path, "00000002.history").returncode == 1
    (tmp_path / "archive" / "00000002.history").write_text("1\t0/200000\tpromoted\n")
    assert restore(tmp_path, "00000002.history").returncode == 0


def test_a_damaged_history_of_another_line_stops_nothing_and_its_number_is_taken(
    tmp_path: Path, fed: Callable[..., Feed]
) -> None:
    archive(tmp_path / "archive", 1, range(1, 3))
    (tmp_path / "archive" / "00000002.history").touch()
    (tmp_path / "archive" / "00000003.history.gz").write_bytes(b"\x1f\x8b\x08\x00 cut")
    feed = fed(2 * MB + 5000)
    assert take(tmp_path, name(1, 1)) == segment(1, 1)
    assert restore(tmp_path, "00000002.history").returncode == 0
    assert until(feed, lambda status: status.listed).timelines == (2, 3)


def test_a_damaged_history_of_the_gates_own_line_makes_it_wait_until_it_is_mended(
    tmp_path: Path, fed: Callable[..., Feed]
) -> None:
    archive(tmp_path / "archive", 1, range(1, 4))
    archive(tmp_path / "archive", 2, range(3, 5))
    history = tmp_path / "archive" / "00000002.history"
    history.touch()
    fed(3 * MB + 5000).stop()  # a line that does not need it: known to be taken
    fork, gate = 3 * MB + 4096, 4 * MB + 5000
    feed = fed(gate, pieces=(Piece(1, MB, fork), Piece(2, fork, gate)))
    assert history.name in str(until(feed, lambda status: status.waiting is not None).waiting)
    assert restore(tmp_path, history.name).returncode == 1
    history.write_text("1\t0/301000\tpromoted\n")
    until(feed, lambda status: status.listed)
    assert restore(tmp_path, history.name).returncode == 0
    assert (tmp_path / "pg_wal" / "RECOVERYXLOG").read_text().startswith("1\t0/301000")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (segment(1, 2)[:-1], "bytes"),
        (segment(1, 2) + b"x", "more than"),
        (segment(1, 3), "another place"),
        (segment(2, 2), "timeline 2"),
        (segment(1, 2, system=5), "another cluster"),
        (bytes(MB), "no WAL page"),
        (segment(1, 2)[:-8192] + segment(1, 3)[-8192:], "page at 0/2FE000"),
        (b"\x1f\x8b\x08\x00 cut", "cut off"),
    ],
)
def test_a_wrong_segment_is_named_and_never_served(
    tmp_path: Path, fed: Callable[..., Feed], content: bytes, words: str
) -> None:
    archive(tmp_path / "archive", 1, range(1, 4))
    (tmp_path / "archive" / name(1, 2)).write_bytes(content)
    feed = fed(3 * MB + 5000)
    assert take(tmp_path, name(1, 1)) is not None
    told = until(feed, lambda status: status.waiting is not None and name(1, 2) in status.waiting)
    assert words in (told.waiting or "")
    for folder in ("ready", "draft"):
        assert name(1, 2) not in {path.name for path in (tmp_path / "spo ol's" / folder).iterdir()}
    (tmp_path / "archive" / name(1, 2)).write_bytes(segment(1, 2))
    assert take(tmp_path, name(1, 2)) == segment(1, 2)
    assert until(feed, lambda status: status.waiting is None)


def test_of_two_files_the_right_one_is_served(tmp_path: Path, fed: Callable[..., Feed]) -> None:

    archive(tmp_path / "archive", 1, range(1, 3))
    (tmp_path / "archive" / name(1, 1)).write_bytes(b"")
    (tmp_path / "archive" / "deep").mkdir()
    (tmp_path / "archive" / "deep" / f"{name(1, 1)}.gz").write_bytes(gzip.compress(segment(1, 1), 1))
    fed(2 * MB + 5000)
    assert take(tmp_path, name(1, 1)) == segment(1, 1)


def test_a_full_spool_is_told_and_never_ends_the_server(tmp_path: Path, fed: Callable[..., Feed]) -> None:
    """A small file system of its own, as far as the machine lets us mount one."""
    spool = tmp_path / "spo ol's"
    spool.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2500k", "tmpfs", spool]).returncode:
        pytest.skip("mounting needs root")
    try:
        archive(tmp_path / "archive", 1, range(1, 9))
        feed = fed(8 * MB + 5000, ahead=6)
        assert take(tmp_path, name(1, 1)) is not None
        told = until(feed, lambda status: status.waiting is not None)
        assert "No space left" in (told.waiting or "")
        for number in range(2, 9):
            assert take(tmp_path, name(1, number)) is not None
        feed.stop()
    finally:
        subprocess.run(["umount", spool], check=True)


def test_without_a_feed_or_a_spool_the_script_says_not_now(tmp_path: Path, fed: Callable[..., Feed]) -> None:
    archive(tmp_path / "archive", 1, range(1, 3))
    feed = fed(2 * MB + 5000)
    until(feed, lambda status: status.listed)
    os.kill(feed.pid, signal.SIGKILL)
    assert take(tmp_path, name(1, 1)) is not None  # what was ready is whole
    assert restore(tmp_path, name(1, 7)).returncode == 1
    with pytest.raises(RunFailed, match="feed died"):
        while True:
            feed.status()
            time.sleep(0.02)
    (tmp_path / "spo ol's").rename(tmp_path / "gone")
    assert restore(tmp_path, name(1, 1)).returncode == 1


def test_the_feed_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    archive(tmp_path / "archive", 1, range(1, 3))
    starter = (
        "import sys, time; from pathlib import Path; from tests.feed.segments import MB, spec;"
        "from engine.feed.feed import start_feed; root = Path(sys.argv[1]);"
        "print(start_feed(spec(root, 2 * MB + 5000), root / 'home').pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", starter, str(tmp_path)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 10
    with suppress(OSError):  # gone between two looks
        while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_what_lies_in_the_spool_is_no_link_to_the_archive(tmp_path: Path, fed: Callable[..., Feed]) -> None:
    archive(tmp_path / "archive", 1, range(1, 4))
    fed(3 * MB + 5000)
    assert take(tmp_path, name(1, 1)) is not None
    assert all(path.stat().st_nlink == 1 for path in (tmp_path / "archive").iterdir())
    assert (tmp_path / "pg_wal" / name(1, 1)).stat().st_ino != (tmp_path / "archive" / name(1, 1)).stat().st_ino
