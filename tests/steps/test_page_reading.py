"""Every page of a real cluster, read by us and by pg_checksums: the same verdict, the same blocks."""

import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engine.postgres.running import run
from engine.records.errors import RepriseError
from engine.steps.protocol import RunningStep, Stopped
from engine.steps.shared.layout import control_of
from engine.steps.shared.page_reading import PageReading, Place, read_again, read_pages, relation_files
from tests.clusters import Cluster, make_cluster, own
from tests.formats.test_pages import PAGE, signed

PAGE_SIZE = 8192


class Step(SimpleNamespace):
    """What reading needs of a step; ``told`` is its progress."""

    def __init__(self) -> None:
        super().__init__(told=[], cancelled=False)

    def progress(self, done: int, total: int | None, *_: str) -> None:
        self.told.append((done, total))

    def waiting(self, detail: str) -> None: ...

    def safe_point(self) -> None:
        if self.cancelled:
            raise Stopped


def read(data_dir: Path, step: Step | None = None, *, skipped: bool = False) -> PageReading:
    return read_pages(cast(RunningStep, step or Step()), data_dir, lambda: skipped)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A stopped cluster with all kinds of files of pages."""
    made = make_cluster("pages")
    try:
        fast = made.root / "fast"
        fast.mkdir()
        own(fast, made.user)
        made.sql(f"CREATE TABLESPACE fast LOCATION '{fast}'")
        made.sql("CREATE TABLE orders (id int PRIMARY KEY, note text) ")
        made.sql("INSERT INTO orders SELECT i, repeat(md5(i::text), 40) FROM generate_series(1, 4000) i")
        made.sql("CREATE TABLE moved TABLESPACE fast AS SELECT * FROM orders")
        made.sql("CREATE UNLOGGED TABLE scratch (x int)")
        made.sql("VACUUM orders")
        made.stop()
        yield made
    finally:
        made.destroy()


@pytest.fixture
def data_dir(cluster: Cluster, tmp_path: Path) -> Iterator[Path]:
    """A stopped cluster's copy, tablespace and all, that a test may damage."""
    copy = cluster.root / "copy"
    shutil.copytree(cluster.data_dir, copy / "data", symlinks=True)
    shutil.copytree(cluster.root / "fast", copy / "fast")
    (link,) = (copy / "data" / "pg_tblspc").iterdir()
    link.unlink()
    link.symlink_to(copy / "fast")
    own(copy, cluster.user)
    yield copy / "data"
    shutil.rmtree(copy)


def of_postgresql(cluster: Cluster, data_dir: Path) -> tuple[int, set[Place]]:
    """How many pages pg_checksums read, and which of them are wrong; blocks counted within the relation."""
    lines: list[str] = []
    with suppress(RepriseError):  # where it finds something
        run(cluster.programs, "pg_checksums", "--check", "-D", data_dir, user=cluster.user, on_line=lines.append)
    said = "\n".join(lines)
    found = re.findall(r'verification failed in file "(.*?)", block (\d+)', said)
    places = set()
    for name, block in found:
        segment = re.search(r"\.(\d+)$", name)
        first = int(segment[1]) * control_of(data_dir).blocks_per_file if segment else 0
        places.add(Place(str(Path(os.path.normpath(name)).relative_to(data_dir)), first + int(block)))
    pages = re.search(r"Blocks scanned: +(\d+)", said)
    return int(pages[1]) if pages else -1, places


def change(data_dir: Path, file: str, offset: int, how: int) -> None:
    with (data_dir / file).open("r+b") as opened:
        opened.seek(offset)
        byte = opened.read(1)[0]
        opened.seek(offset)
        opened.write(bytes([byte ^ how]))


def test_a_whole_cluster_is_right_and_every_page_of_it_was_read(cluster: Cluster, data_dir: Path) -> None:
    step = Step()
    reading = read(data_dir, step)
    pages, wrong = of_postgresql(cluster, data_dir)
    assert (reading.pages, set(reading.wrong)) == (pages, wrong) == (pages, set())
    assert reading.complete and not reading.doubtful
    assert reading.bytes == reading.total == pages * PAGE_SIZE
    assert step.told[-1] == (reading.total, reading.total)
    on_the_way = [done for done, total in step.told if total == reading.total and 0 < done < total]
    assert on_the_way == sorted(on_the_way) and 20 < len(on_the_way) <= 100
    names = {Path(name).name for name, _ in relation_files(data_dir)}
    assert {"_vm", "_fsm", "_init"} <= {name.lstrip("0123456789") for name in names}
    assert any(name.startswith("pg_tblspc/") for name, _ in relation_files(data_dir))


@pytest.mark.parametrize("seed", range(3))
def test_flipped_bits_are_found_in_the_very_blocks_that_pg_checksums_names(
    cluster: Cluster, data_dir: Path, seed: int
) -> None:
    chance = random.Random(seed)
    files = [(name, size) for name, size in sorted(relation_files(data_dir)) if size]
    hit = [f for f in files if f[0].startswith("pg_tblspc/")][:1] + chance.sample(files, 1 + 4 * seed)
    for name, size in hit:
        for _ in range(1 + seed):
            # not into pd_upper: a page whose pd_upper alone is zero is a new one to pg_checksums, and none to us
            offset = chance.randrange(size // PAGE_SIZE) * PAGE_SIZE + chance.randrange(24, PAGE_SIZE)
            page = offset // PAGE_SIZE * PAGE_SIZE
            if any((data_dir / name).read_bytes()[page : page + PAGE_SIZE]):
                change(data_dir, name, offset, 1 << chance.randrange(8))
    reading = read(data_dir)
    pages, wrong = of_postgresql(cluster, data_dir)
    assert wrong and set(reading.wrong) == wrong
    assert (reading.wrong_count, reading.pages) == (len(wrong), pages)


def test_a_later_file_of_a_big_relation_is_counted_on_from_the_first(cluster: Cluster, data_dir: Path) -> None:
    """Files of 1 GB are not made here: two pages with the checksums of blocks 131072 and 131073 are."""
    folder = next(path for path in (data_dir / "base").iterdir() if path.name != "1")
    later = folder / "99999.1"
    first = control_of(data_dir).blocks_per_file
    later.write_bytes(signed(PAGE, first) + signed(PAGE, first + 1))
    own(later.parent, cluster.user)
    name = str(later.relative_to(data_dir))
    assert not read(data_dir).doubtful and of_postgresql(cluster, data_dir)[1] == set()
    change(data_dir, name, PAGE_SIZE + 5000, 4)
    assert set(read(data_dir).wrong) == of_postgresql(cluster, data_dir)[1] == {Place(name, first + 1)}


def test_new_pages_pass_a_cut_off_page_and_an_unreadable_file_do_not(data_dir: Path) -> None:
    name = next(name for name, size in relation_files(data_dir) if size == PAGE_SIZE and name.startswith("base/"))
    file = data_dir / name
    file.write_bytes(file.read_bytes() + bytes(2 * PAGE_SIZE))
    assert not read(data_dir).doubtful
    file.write_bytes(file.read_bytes()[:-100])
    assert read(data_dir).wrong == [Place(name, 2)]
    file.unlink()
    file.symlink_to("/etc/passwd")
    assert not read(data_dir).doubtful  # whatever it is, no file of pages
    assert name not in dict(relation_files(data_dir))


def test_what_was_wrong_is_read_again_and_only_what_still_is_stays(data_dir: Path) -> None:
    files = [name for name, size in sorted(relation_files(data_dir)) if size > 2 * PAGE_SIZE][:2]
    for name in files:
        change(data_dir, name, PAGE_SIZE + 4000, 1)
    reading = read(data_dir)
    assert [place.file for place in reading.wrong] == files
    change(data_dir, files[0], PAGE_SIZE + 4000, 1)
    again = read_again(cast(RunningStep, Step()), data_dir, reading)
    assert again.wrong == [Place(files[1], 1)] and again.wrong_count == 1
    (data_dir / files[1]).unlink()  # dropped since
    assert not read_again(cast(RunningStep, Step()), data_dir, again).doubtful


def test_reading_can_be_skipped_and_cancelled(data_dir: Path) -> None:
    reading = read(data_dir, skipped=True)
    assert not reading.complete and not reading.doubtful
    step = Step()
    step.cancelled = True
    with pytest.raises(Stopped):
        read(data_dir, step)


@pytest.mark.slow
def test_a_server_at_work_gives_no_false_alarm(cluster: Cluster) -> None:
    cluster.start({"bgwriter_delay": "10ms"})
    with cluster.load(4, pause=0):
        for _ in range(6):
            cluster.sql("CHECKPOINT")
            reading = read(cluster.data_dir)
            assert reading.complete and reading.wrong == [] and not reading.unread
    cluster.stop()


def test_the_engine_itself_never_loads_numpy_for_it() -> None:
    code = "import engine.steps.inspect, engine.steps.check_result, sys; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_more_wrong_pages_than_are_named_are_counted(data_dir: Path) -> None:
    name, size = max(relation_files(data_dir), key=lambda each: each[1])
    for page in range(size // PAGE_SIZE):
        change(data_dir, name, page * PAGE_SIZE + 8000, 255)
    reading: Any = read(data_dir)
    assert reading.wrong_count > len(reading.wrong) == 200
    again = read_again(cast(RunningStep, Step()), data_dir, reading)
    assert (again.wrong_count, len(again.wrong)) == (reading.wrong_count, 200)
