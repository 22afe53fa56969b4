"""Segments that are missing, damaged, foreign, packed or changed: the run ends where they do, and not before."""

import gzip
import shutil
import sqlite3
import struct
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import lz4.frame
import pytest

from engine.records.history import Piece
from engine.records.lsn import LONG_PAGE_HEADER, PAGE_SIZE
from engine.wal.index import WalIndex
from tests.wal.real_wal import MB, RealWal, Told, list_files, waldump

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Open = Callable[..., WalIndex]
WHOLE = Piece(1, 0, 1 << 64)


class Archive:
    """A copy of the beginning of a real archive, to be damaged: a dense workload of several writers."""

    def __init__(self, wal: RealWal, folder: Path) -> None:
        self.wal, self.folder = wal, folder
        folder.mkdir()
        files = wal.files()[:6]
        for file in files:
            shutil.copy(file.path, folder)
        self.told = waldump(wal.programs, folder, Path(files[0].path).name, Path(files[-1].path).name)

    @property
    def numbers(self) -> list[int]:
        return [file.number for file in list_files(self.folder, MB)]

    def path(self, number: int) -> Path:
        return self.folder / f"{1:08X}{number // 4096:08X}{number % 4096:08X}"

    def change(self, number: int, at: int, data: bytes) -> None:
        with self.path(number).open("r+b") as file:
            file.seek(at)
            file.write(data)

    def refresh(self, index: WalIndex) -> WalIndex:
        assert index.refresh(list_files(self.folder, MB), {}, system_identifier=self.wal.system_identifier)
        return index

    def busy(self) -> int:
        """A segment with many transaction ends in its second half, in the middle of others."""
        places = Counter(each.lsn // MB for each in self.told if each.lsn % MB > MB // 2)
        return max(self.numbers[1:-2], key=lambda number: places[number])

    def mine(self, index: WalIndex) -> list[tuple[int, int, str]]:
        return [(end.lsn, end.xid, end.kind) for end in index.ends(WHOLE, limit=1 << 30)]

    def expect(self, keep: Callable[[Told], bool]) -> list[tuple[int, int, str]]:
        return [(each.lsn, each.xid, each.kind) for each in self.told if keep(each)]


@pytest.fixture
def archive(one_wal: RealWal, tmp_path: Path) -> Archive:
    return Archive(one_wal, tmp_path / "archive")


def open_at(archive: Archive, index: WalIndex, number: int) -> int | None:
    """Where a record starts that goes on in this segment; its end is lost with the segment."""
    here, _ = index.records_around(1, number * MB - 1)
    return here.lsn if here is not None and here.end_lsn > number * MB + LONG_PAGE_HEADER else None


@pytest.mark.parametrize("how", ["truncated", "zeroed", "flipped", "emptied"])
def test_a_damaged_segment_ends_the_run_where_the_damage_is(archive: Archive, open_index: Open, how: str) -> None:
    number = archive.busy()
    victim = next(each for each in archive.told if each.lsn // MB == number and each.lsn % MB > MB // 2)
    at = victim.lsn % MB
    whole = archive.path(number).read_bytes()
    if how == "truncated":
        archive.path(number).write_bytes(whole[: at // 8192 * 8192])
    elif how == "zeroed":
        archive.change(number, at, bytes(MB - at))
    elif how == "flipped":
        archive.change(number, at + 30, bytes([whole[at + 30] ^ 4]))
    else:
        archive.path(number).write_bytes(b"")
    index = archive.refresh(open_index())
    first, second = index.runs(1)
    damaged_from = {"truncated": victim.lsn // 8192 * 8192 + 24, "emptied": number * MB}.get(how, victim.lsn)
    assert first.last == (number - 1 if how == "emptied" else number)
    assert first.valid_to <= damaged_from and first.stopped_by is not None
    assert archive.path(number).name in first.stopped_by
    if how in ("zeroed", "flipped"):
        assert first.valid_to == victim.lsn
    assert second.first == number + 1 and second.stopped_by is None
    lost = range(first.valid_to, (number + 1) * MB)
    assert archive.mine(index) == archive.expect(lambda each: each.lsn not in lost)
    (problem,) = index.problems()
    assert problem.where == str(archive.path(number))
    assert index.gaps() == []


def test_a_repaired_segment_heals_the_run(archive: Archive, open_index: Open) -> None:
    number = archive.busy()
    whole = archive.path(number).read_bytes()
    archive.change(number, MB // 2, bytes(50_000))
    index = archive.refresh(open_index())
    assert len(index.runs(1)) == 2
    archive.path(number).write_bytes(whole)
    archive.refresh(index)
    (run,) = index.runs(1)
    assert run.stopped_by is None and index.problems() == []
    assert archive.mine(index) == archive.expect(lambda each: True)


@pytest.mark.parametrize("what", ["system identifier", "segment size", "page size", "magic", "address", "timeline"])
def test_a_foreign_or_unreadable_header_makes_the_segment_unusable(
    archive: Archive, open_index: Open, what: str
) -> None:
    number = archive.busy()
    at, data = {
        "system identifier": (24, struct.pack("<Q", 1234567)),
        "segment size": (32, struct.pack("<I", 2 * MB)),
        "page size": (36, struct.pack("<I", 4096)),
        "magic": (0, b"\xd0\xd0"),
        "address": (8, struct.pack("<Q", 0x7FF00000)),
        "timeline": (4, struct.pack("<I", 2)),
    }[what]
    archive.change(number, at, data)
    index = archive.refresh(open_index())
    first, second = index.runs(1)
    assert (first.last, second.first) == (number - 1, number + 1)
    assert first.stopped_by is not None and archive.path(number).name in first.stopped_by
    assert len(index.problems()) == 1
    assert all(lsn // MB != number for lsn, _, _ in archive.mine(index))


def test_a_segment_under_another_ones_name_is_found_out(archive: Archive, open_index: Open) -> None:
    number = archive.busy()
    shutil.copy(archive.path(number + 1), archive.path(number))
    index = archive.refresh(open_index())
    assert [run.first for run in index.runs(1)] == [archive.numbers[0], number + 1]
    assert "not what its name says" in index.problems()[0].what


def test_a_missing_segment_is_a_gap_and_takes_the_record_over_its_border_with_it(
    archive: Archive, open_index: Open
) -> None:
    number = archive.busy()
    open_lsn = open_at(archive, archive.refresh(open_index("whole")), number)
    archive.path(number).unlink()
    index = archive.refresh(open_index())
    first, second = index.runs(1)
    assert (first.last, second.first) == (number - 1, number + 1)
    assert first.stopped_by is None
    assert first.valid_to == (number * MB if open_lsn is None else open_lsn)
    (gap,) = index.gaps()
    assert gap.first_missing == gap.last_missing == archive.path(number).name
    lost = range(first.valid_to, (number + 1) * MB)
    assert archive.mine(index) == archive.expect(lambda each: each.lsn not in lost)


def test_segments_that_come_in_any_order_end_in_the_same_index(archive: Archive, open_index: Open) -> None:
    hidden = archive.folder.with_name("hidden")
    hidden.mkdir()
    for path in archive.folder.iterdir():
        path.rename(hidden / path.name)
    index = open_index()
    names = sorted(path.name for path in hidden.iterdir())
    for some in (names[::3], names[1::3], names[2::3]):
        for name in some:
            (hidden / name).rename(archive.folder / name)
        archive.refresh(index)
    (run,) = index.runs(1)
    assert run.stopped_by is None and (run.first, run.last) == (archive.numbers[0], archive.numbers[-1])
    assert archive.mine(index) == archive.expect(lambda each: True)


def test_the_newest_segments_open_record_is_not_counted_until_its_rest_arrives(
    archive: Archive, open_index: Open
) -> None:
    index = archive.refresh(open_index())
    border = next(number for number in archive.numbers[2:] if open_at(archive, index, number) is not None)
    open_lsn = open_at(archive, index, border)
    later = [archive.path(number) for number in archive.numbers if number >= border]
    contents = {path: path.read_bytes() for path in later}
    for path in later:
        path.unlink()
    archive.refresh(index)
    (run,) = index.runs(1)
    assert run.last == border - 1 and run.valid_to == open_lsn and run.stopped_by is None
    assert archive.mine(index) == archive.expect(lambda each: each.lsn < run.valid_to)
    later[0].write_bytes(contents[later[0]])
    archive.refresh(index)
    (run,) = index.runs(1)
    assert run.last == border
    assert archive.mine(index) == archive.expect(lambda each: each.lsn < run.valid_to)


def test_a_segment_of_another_history_does_not_continue_the_run(archive: Archive, open_index: Open) -> None:
    """Sound in itself, but its first record follows another one: what a split brain leaves in an archive."""
    firsts = {number: _first_record(archive.path(number).read_bytes()) for number in archive.numbers[1:-2]}
    number = next(number for number, (at, length) in firsts.items() if at + length <= PAGE_SIZE)
    data = bytearray(archive.path(number).read_bytes())
    at, length = firsts[number]
    struct.pack_into("<Q", data, at + 8, struct.unpack_from("<Q", data, at + 8)[0] - 8)
    import crc32c

    crc = crc32c.crc32c(bytes(data[at : at + 20]), crc32c.crc32c(bytes(data[at + 24 : at + length])))
    struct.pack_into("<I", data, at + 20, crc)
    archive.path(number).write_bytes(data)
    index = archive.refresh(open_index())
    first, second = index.runs(1)
    assert (first.last, second.first) == (number - 1, number)
    assert first.stopped_by is not None and "follows" in first.stopped_by


def _first_record(data: bytes) -> tuple[int, int]:
    """Where the first record that begins in a segment starts, if that is on its first page, and its length."""
    at = LONG_PAGE_HEADER + (struct.unpack_from("<I", data, 16)[0] + 7 & -8)
    return at, struct.unpack_from("<I", data, min(at, PAGE_SIZE))[0]


@pytest.mark.parametrize("packing", ["gz", "lz4", "zst"])
def test_packed_segments_say_the_same(archive: Archive, open_index: Open, packing: str) -> None:
    pack = {"gz": partial(gzip.compress, compresslevel=1), "lz4": lz4.frame.compress, "zst": zstd.compress}[packing]
    for path in list(archive.folder.iterdir()):
        path.with_name(f"{path.name}.{packing}").write_bytes(pack(path.read_bytes()))
        path.unlink()
    index = archive.refresh(open_index())
    assert archive.mine(index) == archive.expect(lambda each: True)
    assert index.problems() == []


@pytest.mark.parametrize("packing", ["gz", "lz4", "zst"])
def test_a_packed_segment_that_is_cut_off_is_damaged(archive: Archive, open_index: Open, packing: str) -> None:
    pack = {"gz": partial(gzip.compress, compresslevel=1), "lz4": lz4.frame.compress, "zst": zstd.compress}[packing]
    path = archive.path(archive.busy())
    packed = pack(path.read_bytes())
    path.with_name(f"{path.name}.{packing}").write_bytes(packed[: len(packed) // 2])
    path.unlink()
    index = archive.refresh(open_index())
    first, _ = index.runs(1)
    assert first.stopped_by is not None and path.name in first.stopped_by


def test_partial_segments_are_named_and_kept_out_of_the_runs(archive: Archive, open_index: Open) -> None:
    files = list_files(archive.folder, MB)
    last = files[-1]._replace(path=files[-1].path + ".partial", partial=True)
    index = open_index()
    index.refresh([*files[:-1], last], {})
    assert index.runs(1)[0].last == files[-2].number
    assert [problem.where for problem in index.problems()] == [last.path]


def test_the_majority_says_whose_the_archive_is(archive: Archive, open_index: Open) -> None:
    number = archive.busy()
    archive.change(number, 24, struct.pack("<Q", 1234567))
    index = open_index()
    index.refresh(list_files(archive.folder, MB), {})
    assert index.system_identifier == archive.wal.system_identifier
    assert "another cluster" in index.problems()[0].what and len(index.problems()) == 1


def test_a_record_at_a_timelines_end_is_completed_from_the_timeline_that_went_on(
    one_wal: RealWal, tmp_path: Path, open_index: Open
) -> None:
    """After a failover the old timeline's last segment is often there under the new timeline's name only."""
    index = open_index("whole")
    index.refresh(one_wal.files(), {})
    end = index.find_xid(WHOLE, one_wal.notes["long commit"])
    assert end is not None
    number = end.lsn // MB + 1
    for file in one_wal.files():
        if file.timeline == 1:
            name = Path(file.path).name if file.number < number else "00000002" + Path(file.path).name[8:]
            shutil.copy(file.path, tmp_path / name)
    files = list_files(tmp_path, MB)
    for some in ([files], [[file for file in files if file.timeline == 1], files]):
        other = open_index(f"forked {len(some)}")
        for listed in some:
            other.refresh(listed, {})
        assert other.find_xid(Piece(1, 0, number * MB), end.xid) == end
        assert other.find_xid(Piece(1, 0, number * MB), one_wal.notes["long commit's subtransaction"]) == end
        assert [run.first for run in other.runs(2)] == [number]
    other.refresh([file for file in files if file.timeline == 1], {})
    assert other.find_xid(Piece(1, 0, number * MB), end.xid) is None


# --- the index's own file ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["garbage", "cut", "other database", "old schema", "holes"])
def test_a_spoiled_index_file_is_made_anew(archive: Archive, tmp_path: Path, how: str) -> None:
    path = tmp_path / "spoiled.sqlite"
    index = WalIndex.open(path)
    archive.refresh(index)
    index.close()
    if how == "garbage":
        path.write_bytes(b"not a database at all" * 1000)
    elif how == "cut":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif how == "holes":
        data = bytearray(path.read_bytes())
        for at in range(4096, len(data) - 4096, 8192):
            data[at : at + 2000] = b"\xff" * 2000
        path.write_bytes(data)
    else:
        connection = sqlite3.connect(path)
        if how == "old schema":
            connection.execute("PRAGMA user_version = 77")
        else:
            path.unlink()
            connection = sqlite3.connect(path)
            connection.execute("CREATE TABLE other (n INTEGER)")
            connection.commit()
        connection.close()
    index = WalIndex.open(path)
    archive.refresh(index)
    assert index.note is not None and "rebuilt" in index.note
    assert archive.mine(index) == archive.expect(lambda each: True)
    index.close()


def test_a_second_refresh_reads_nothing_again(
    archive: Archive, open_index: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = archive.refresh(open_index())
    read: list[str] = []
    monkeypatch.setattr("engine.wal.side_by_side.read_file", lambda wanted, room=None: read.append(wanted.path))
    archive.refresh(index)
    assert read == []
    archive.path(archive.numbers[2]).touch()
    archive.refresh(index)
    assert str(archive.path(archive.numbers[2])) in read


def test_a_stopped_refresh_keeps_what_it_read(archive: Archive, open_index: Open) -> None:
    index = open_index()
    asked = iter(range(1000))
    assert not index.refresh(list_files(archive.folder, MB), {}, stop=lambda: next(asked) >= 5)
    assert index.runs(1)[0].last == archive.numbers[4]
    archive.refresh(index)
    assert archive.mine(index) == archive.expect(lambda each: True)
