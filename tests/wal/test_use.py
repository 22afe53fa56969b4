"""How the index is used: imported in the start path, read while it grows, by several threads."""

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil

from engine.records.history import Piece
from engine.wal.index import WalIndex
from engine.wal.tail import read_tail
from tests.wal.real_wal import MB, RealWal


def test_importing_and_asking_the_index_does_not_import_numpy() -> None:
    program = (
        "import sys, tempfile, pathlib\n"
        "from engine.records.history import Piece\n"
        "from engine.wal.index import WalIndex\n"
        "index = WalIndex.open(pathlib.Path(tempfile.mkdtemp()) / 'i'); piece = Piece(1, 0, 1 << 64)\n"
        "index.runs(1), index.first_end(piece), index.count(piece), index.wal_ranges(), index.problems()\n"
        "sys.exit('numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_other_threads_see_the_index_grow(one_wal: RealWal, open_index: Callable[..., WalIndex]) -> None:
    index = open_index()
    piece = Piece(1, 0, 1 << 64)
    seen: list[int] = []
    errors: list[BaseException] = []

    def ask() -> None:
        try:
            seen.append(index.count(piece))
            assert sum(run.last - run.first + 1 for run in index.runs(1)) <= len(one_wal.files())
        except BaseException as error:
            errors.append(error)

    def progress(done: int, total: int) -> None:
        askers = [threading.Thread(target=ask) for _ in range(3)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()

    for half in (len(one_wal.files()) // 2, len(one_wal.files())):
        index.refresh(one_wal.files()[:half], {}, progress=progress)
    assert errors == []
    assert seen[0] == 0 and seen[-1] == index.count(piece) > 0
    assert seen == sorted(seen)


def test_threads_that_have_ended_leave_no_file_open(open_index: Callable[..., WalIndex]) -> None:
    """A screen asks from a new thread for each key: a connection kept for each would use up the open files."""
    index = open_index()
    before = psutil.Process().num_fds()
    for _ in range(20):
        asker = threading.Thread(target=index.timelines)
        asker.start()
        asker.join()
    assert psutil.Process().num_fds() <= before + 5


def test_a_single_file_is_read_without_an_index(one_wal: RealWal, open_index: Callable[..., WalIndex]) -> None:
    index = open_index()
    index.refresh(one_wal.files(), {})
    file = one_wal.files()[2]
    tail = read_tail(Path(file.path), 1, file.number)
    assert tail is not None and not tail.is_empty and tail.ended_by is None
    piece = Piece(1, file.number * MB, (file.number + 1) * MB)
    assert list(tail.ends) == [end for end in index.ends(piece, limit=1 << 30) if end.lsn < tail.valid_to]
    recycled = read_tail(Path(file.path), 1, file.number + 100)
    assert recycled is not None and recycled.is_empty
    assert read_tail(Path(file.path).with_name("none"), 1, 1) is None
