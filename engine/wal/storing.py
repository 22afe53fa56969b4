"""Writing what was read of segments into the index, and taking it out again."""

import sqlite3
from collections.abc import Iterable, Sequence

from engine.records.copies import WalFile
from engine.wal import tree
from engine.wal.cache import path_of, signed, writing
from engine.wal.comparing import Place
from engine.wal.linking import Linker, keep_ends, tell
from engine.wal.packing import pack_pairs
from engine.wal.reading import SegmentReading
from engine.wal.worker import Wanted, read_file

Home = tuple[int, int]  # the archive's own system identifier (as SQLite stores it) and segment size; 0: any

_LARGEST_LSN = 1 << 62  # what SQLite's numbers and sums hold with ease; 4 EiB of WAL


def keep(
    connection: sqlite3.Connection, batch: Sequence[tuple[WalFile, SegmentReading | None]], home: Home | None
) -> None:
    """Write a batch of readings, link it to what stands beside it, and sum up. None: the file has vanished."""
    if not batch:
        return
    places = [(file.timeline, file.number) for file, _ in batch]
    readings = dict(zip(places, (reading for _, reading in batch), strict=True))
    with writing(connection):
        for place, (file, reading) in zip(places, batch, strict=True):
            _remove(connection, place)
            if reading is None:
                continue
            _insert(connection, file, reading, home)
            subs = [(xid, lsn - reading.number * reading.size) for xid, lsn in reading.found.subtransactions]
            keep_ends(connection, *place, reading.ends, pack_pairs(subs), None, reading.summary)
            tell(connection, *place, reading.found)
        _link(connection, places, readings)


def drop(connection: sqlite3.Connection, gone: Sequence[Place]) -> None:
    """Forget segments, within a transaction."""
    for place in gone:
        _remove(connection, place)
    _link(connection, gone, {})


def _link(
    connection: sqlite3.Connection, places: Sequence[Place], readings: dict[Place, SegmentReading | None]
) -> None:
    """Link these segments, and those behind them, to what stands beside them, and sum up what lies above them."""

    def read(timeline: int, number: int) -> SegmentReading | None:
        place = timeline, number
        if place not in readings:
            path = path_of(connection, timeline, number)
            readings[place] = read_file(Wanted(path, timeline, number)) if path is not None else None
        return readings[place]

    linker = Linker(connection, read)
    linker.link_all({(timeline, number + step) for timeline, number in places for step in (0, 1)})
    _climb(connection, {*places, *linker.touched})


def _climb(connection: sqlite3.Connection, places: Iterable[Place]) -> None:
    numbers: dict[int, set[int]] = {}
    for timeline, number in places:
        numbers.setdefault(timeline, set()).add(number)
    for timeline, of_one in numbers.items():
        tree.climb(connection, timeline, of_one)


def _remove(connection: sqlite3.Connection, place: Place) -> None:
    for table in ("segment", "packed", "told"):
        connection.execute(f"DELETE FROM {table} WHERE timeline = ? AND number = ?", place)
    connection.execute("DELETE FROM node WHERE timeline = ? AND level = 0 AND place = ?", place)


def _insert(connection: sqlite3.Connection, file: WalFile, reading: SegmentReading, home: Home | None) -> None:
    damage, system = reading.damage, signed(reading.system_identifier)
    foreign = _foreign(reading, system, home)
    nothing = reading.first_lsn is None and reading.tail_lsn is None
    void = foreign is not None or (
        damage is not None and nothing and not (0 < reading.head_expected == len(reading.head))
    )
    if foreign is not None:
        damage = foreign
        reading.ends, reading.summary, reading.found = b"", type(reading.summary)(), type(reading.found)()
    connection.execute(
        "INSERT INTO segment (timeline, number, path, size_bytes, mtime_ns, inode, segment_size, version, "
        "system_identifier, void, damage, valid_to, head_expected, head_length, overwrites, all_head, switched, "
        "first_lsn, first_previous, last_lsn, tail_lsn, compressed_with) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            file.timeline, file.number, file.path, file.size_bytes, signed(file.mtime_ns), signed(file.inode),
            reading.size, reading.version, system, void, damage, min(reading.valid_to, _LARGEST_LSN),
            reading.head_expected, len(reading.head), reading.overwrites, reading.is_all_head, reading.switched,
            reading.first_lsn, None if reading.first_previous is None else signed(reading.first_previous),
            reading.last_lsn, reading.tail_lsn, reading.found.compressed_with,
        ),
    )  # fmt: skip
    if not void:
        connection.execute(
            "INSERT INTO node (timeline, level, place, bytes, ends, commits) VALUES (?, 0, ?, ?, 0, 0)",
            (file.timeline, file.number, file.size_bytes),
        )


def _foreign(reading: SegmentReading, system: int, home: Home | None) -> str | None:
    """Why a segment is none of this archive's."""
    if (reading.number + 1) * max(reading.size, 1) > _LARGEST_LSN:
        return "its name lies beyond all WAL"
    if home is None or reading.system_identifier == 0:
        return None
    if system != home[0]:
        return f"it belongs to another cluster (system identifier {reading.system_identifier})"
    if home[1] and reading.size != home[1]:
        return f"its segment size is {reading.size}, that of the others {home[1]}"
    return None
