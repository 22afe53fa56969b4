"""Spoiled segments never raise, never hang, and never show a transaction that is not there."""

import contextlib
import random
import struct
from collections.abc import Callable
from pathlib import Path

import crc32c
import pytest

from engine.records.history import Piece
from engine.records.lsn import LONG_PAGE_HEADER, PAGE_SIZE, skip_page_header
from engine.wal import packing
from engine.wal.files import DamagedFile, open_segment
from engine.wal.index import WalIndex
from engine.wal.reading import SegmentReading
from engine.wal.records import End
from engine.wal.segment import read_places, read_segment
from tests.wal.real_wal import MB, RealWal, list_files

ROUNDS = 90


def read(path: Path, number: int) -> SegmentReading:
    with open_segment(path) as file:
        return read_segment(file, 1, number)


def ends(reading: SegmentReading) -> set[End]:
    unpacked = packing.unpack(reading.ends)
    return {unpacked.end(i, reading.number * MB) for i in range(len(unpacked))}


@pytest.fixture(scope="module")
def segments(one_wal: RealWal) -> list[tuple[int, bytes]]:
    return [(file.number, Path(file.path).read_bytes()) for file in one_wal.files() if file.timeline == 1][:7]


def spoil(rng: random.Random, data: bytearray) -> None:
    kind = rng.randrange(6)
    at = rng.randrange(len(data))
    if kind == 0:
        data[at] ^= 1 << rng.randrange(8)
    elif kind == 1:
        del data[at:]
    elif kind == 2:
        length = rng.randrange(1, 40_000)
        data[at : at + length] = bytes(len(data[at : at + length]))
    elif kind == 3:
        length = rng.randrange(1, 200)
        data[at : at + length] = rng.randbytes(len(data[at : at + length]))
    elif kind == 4:  # a page from elsewhere
        page, other = (rng.randrange(len(data) // 8192) * 8192 for _ in range(2))
        data[page : page + 8192] = data[other : other + 8192]
    else:  # page headers
        for _ in range(3):
            data[rng.randrange(len(data) // 8192) * 8192 + rng.randrange(24)] = rng.randrange(256)


@pytest.mark.parametrize("seed", range(3))
def test_spoiled_segments_show_nothing_but_true_transactions(
    segments: list[tuple[int, bytes]], tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    path = tmp_path / "segment"
    true: dict[int, SegmentReading] = {}
    for number, data in segments:
        path.write_bytes(data)
        true[number] = read(path, number)
        assert true[number].damage is None
    for _ in range(ROUNDS // 3):
        number, data = rng.choice(segments)
        spoiled = bytearray(data)
        for _ in range(rng.randrange(1, 3)):
            if spoiled:
                spoil(rng, spoiled)
        path.write_bytes(spoiled)
        reading = read(path, number)
        assert ends(reading) <= ends(true[number])
        if reading.damage is None:
            assert (reading.valid_to, reading.tail_lsn) == (true[number].valid_to, true[number].tail_lsn)
        else:
            assert reading.valid_to <= true[number].valid_to
            assert all(end.lsn < reading.valid_to for end in ends(reading))
            lost = {end for end in ends(true[number]) if end.end_lsn <= reading.valid_to}
            assert lost <= ends(reading)


def test_records_that_lie_under_a_right_checksum_are_damage(segments: list[tuple[int, bytes]], tmp_path: Path) -> None:
    """The checksum is made right again after the change: what a hostile archive could hold."""
    rng = random.Random(7)
    path = tmp_path / "segment"
    number, data = segments[1]
    path.write_bytes(data)
    with open_segment(path) as file:
        places, _ = read_places(file, 1, number)
    inside = [(lsn % MB, end % MB) for lsn, end in places if lsn // 8192 == (end - 1) // 8192 and lsn % MB > 8192]
    for _ in range(ROUNDS):
        spoiled = bytearray(data)
        for _ in range(4):
            at, _end = rng.choice(inside)
            length = struct.unpack_from("<I", spoiled, at)[0]
            for _ in range(rng.randrange(1, 6)):
                spoiled[at + rng.randrange(4, length)] = rng.randrange(256)
            if rng.random() < 0.7:
                spoiled[at + 16 : at + 18] = bytes(
                    (rng.choice((0, 0x10, 0x20, 0x30, 0x40, 0x80, 0xB0)), rng.choice((0, 1, 8)))
                )
            crc = crc32c.crc32c(bytes(spoiled[at : at + 20]), crc32c.crc32c(bytes(spoiled[at + 24 : at + length])))
            struct.pack_into("<I", spoiled, at + 20, crc)
        path.write_bytes(spoiled)
        reading = read(path, number)
        assert packing.summarise(packing.unpack(reading.ends), [x for x, _ in reading.found.subtransactions]) == (
            reading.summary
        )


def test_a_spoiled_archive_has_in_its_unbroken_runs_all_that_is_true_and_nothing_else(
    segments: list[tuple[int, bytes]], open_index: Callable[..., WalIndex], tmp_path: Path
) -> None:
    """Segments spoiled, gone, empty, and under each other's names; read as an archive, linked from one to the next."""
    rng = random.Random(13)

    def indexed(contents: dict[int, bytes], name: str) -> WalIndex:
        folder = tmp_path / name
        folder.mkdir()
        for number, data in contents.items():
            (folder / f"{1:08X}{number // 4096:08X}{number % 4096:08X}").write_bytes(data)
        index = open_index(f"{name}.sqlite")
        assert index.refresh(list_files(folder, MB), {})
        return index

    true = indexed(dict(segments), "true").ends(Piece(1, 0, 1 << 64), limit=1 << 30)
    assert len(true) > 100
    for turn in range(15):
        contents = dict(segments)
        for _ in range(rng.randrange(1, 4)):
            number, other = rng.sample(sorted(contents), 2)
            spoiled = bytearray(contents[number])
            how = rng.randrange(5)
            if how == 0:
                del contents[number]
                continue
            if how == 1:
                spoiled = bytearray(contents[other])
            elif len(spoiled) > PAGE_SIZE:
                spoil(rng, spoiled)
            contents[number] = bytes(spoiled)
        index = indexed(contents, f"spoiled-{turn}")
        for run in index.runs(1):
            low = run.first * MB
            found = index.ends(Piece(1, low, run.valid_to), limit=1 << 30)
            high = skip_page_header(run.valid_to, MB)  # where a record behind would start
            assert found == [end for end in true if low <= end.lsn and end.end_lsn <= high], turn


def test_files_that_are_no_segments_are_damaged(tmp_path: Path) -> None:
    rng = random.Random(11)
    path = tmp_path / "segment"
    beginnings = [b"", b"\x1f\x8b", b"\x04\x22\x4d\x18", b"\x28\xb5\x2f\xfd", bytes(LONG_PAGE_HEADER), b"\x10\xd1"]
    for _ in range(60):
        path.write_bytes(rng.choice(beginnings) + rng.randbytes(rng.choice((0, 10, 39, 5000))))
        with contextlib.suppress(DamagedFile):
            assert read(path, 5).damage is not None
