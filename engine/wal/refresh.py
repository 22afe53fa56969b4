"""Bringing the index up to date with an archive: what is new or has changed is read, what has vanished is dropped.

Files are read in WAL order and committed in batches, so that a reader sees the index grow.
"""

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from engine.records.copies import WalFile
from engine.wal import tree
from engine.wal.cache import Cache, signed, writing
from engine.wal.linking import Linker, keep_ends, tell
from engine.wal.packing import pack_pairs
from engine.wal.reading import SegmentReading
from engine.wal.worker import Wanted, Worker, read_file

Progress = Callable[[int, int], None]
Place = tuple[int, int]

_CHUNK_BYTES = 32 << 20
_CHUNK_FILES = 32
_IN_PROCESS_BYTES = 64 << 20  # up to here, starting child processes costs more than it saves
_BATCH_SECONDS = 0.5
_LARGEST_LSN = 1 << 62  # what SQLite's numbers and sums hold with ease; 4 EiB of WAL


def refresh(
    cache: Cache,
    files: Sequence[WalFile],
    histories: Mapping[int, str],
    *,
    system_identifier: int | None,
    progress: Progress | None,
    stop: Callable[[], bool] | None,
    workers: int,
) -> bool:
    """Read what is new. False if ``stop`` ended it before everything was read."""
    connection = cache.connection()
    chosen, apart = _choose(files)
    with writing(connection):
        connection.execute("DELETE FROM history")
        connection.executemany("INSERT INTO history VALUES (?, ?)", histories.items())
        connection.execute("DELETE FROM apart")
        connection.executemany("INSERT OR REPLACE INTO apart VALUES (?, ?, ?)", apart)
    home = _home(connection, chosen, system_identifier)
    fresh, changed, gone = _compare(connection, chosen)
    if gone:
        with writing(connection):
            _drop(connection, gone, chosen)
    wanted = sorted(fresh + changed)
    total, done = len(chosen), len(chosen) - len(wanted)
    if progress is not None:
        progress(done, total)
    batch: list[tuple[Place, SegmentReading | None]] = []
    began = time.monotonic()
    for place, reading in _read_all(chosen, wanted, workers, stop):
        batch.append((place, reading))
        if time.monotonic() - began > _BATCH_SECONDS or len(batch) >= 512:
            _keep(connection, chosen, batch, home)
            done += len(batch)
            batch, began = [], time.monotonic()
            if progress is not None:
                progress(done, total)
    _keep(connection, chosen, batch, home)
    done += len(batch)
    if progress is not None and batch:
        progress(done, total)
    return done == total


def _choose(files: Sequence[WalFile]) -> tuple[dict[Place, WalFile], list[tuple[str, str, str | None]]]:
    """One file for each segment, and what is said of the others. Of several copies a plain one is preferred."""
    chosen: dict[Place, WalFile] = {}
    apart: list[tuple[str, str, str | None]] = []
    for file in files:
        if file.partial:
            apart.append((str(file.path), "an unfinished segment: replayed only on request", None))
            continue
        place = file.timeline, file.number
        other = chosen.get(place)
        if other is None or (file.compression is not None, str(file.path)) < (
            other.compression is not None,
            str(other.path),
        ):
            chosen[place] = file
    return chosen, apart


def _home(
    connection: sqlite3.Connection, chosen: Mapping[Place, WalFile], system_identifier: int | None
) -> tuple[int, int] | None:
    """The system identifier and segment size that count as this archive's own: the given one, else what most segments
    say. Segments that were judged by another are dropped, to be read again."""
    votes: Counter[tuple[int, int]] = Counter()
    for system, size, count in connection.execute(
        "SELECT system_identifier, segment_size, count(*) FROM segment WHERE segment_size > 0 GROUP BY 1, 2"
    ):
        votes[system, size] += count
    if not votes:
        votes.update(_sample(chosen))
    if system_identifier is not None:
        own = signed(system_identifier)
        votes = Counter({key: count for key, count in votes.items() if key[0] == own}) or Counter({(own, 0): 1})
    if not votes:
        return None
    home = max(votes, key=lambda key: (votes[key], key))
    known = connection.execute("SELECT value FROM fact WHERE name = 'home'").fetchone()
    text = f"{home[0]} {home[1]}"
    if known is None or known[0] != text:
        with writing(connection):
            connection.execute("INSERT OR REPLACE INTO fact VALUES ('home', ?)", (text,))
            rows = connection.execute("SELECT timeline, number FROM segment").fetchall() if known else []
            _drop(connection, rows, {})
    return home


def _sample(chosen: Mapping[Place, WalFile]) -> Iterator[tuple[int, int]]:
    """What some segments, spread over the archive, say of themselves."""
    from engine.wal.files import DamagedFile, read_beginning
    from engine.wal.pages import DamagedPage, read_first_page

    places = sorted(chosen)
    for place in places[:: max(1, len(places) // 16)]:
        try:
            page = read_first_page(read_beginning(chosen[place].path))
        except (OSError, DamagedFile, DamagedPage):
            continue
        yield signed(page.system_identifier), page.segment_size


def _compare(
    connection: sqlite3.Connection, chosen: Mapping[Place, WalFile]
) -> tuple[list[Place], list[Place], list[Place]]:
    """Which segments are new, which have changed, which have vanished."""
    known: dict[Place, tuple[str, int, int, int]] = {}
    for timeline, number, *rest in connection.execute(
        "SELECT timeline, number, path, size_bytes, mtime_ns, inode FROM segment"
    ):
        known[timeline, number] = (rest[0], rest[1], rest[2], rest[3])
    fresh, changed = [], []
    for place, file in chosen.items():
        before = known.pop(place, None)
        if before is None:
            fresh.append(place)
        elif before != (str(file.path), file.size_bytes, signed(file.mtime_ns), signed(file.inode)):
            changed.append(place)
    return fresh, changed, list(known)


# --- reading ----------------------------------------------------------------------------------------------------------


def _read_all(
    chosen: Mapping[Place, WalFile], wanted: Sequence[Place], workers: int, stop: Callable[[], bool] | None
) -> Iterator[tuple[Place, SegmentReading | None]]:
    """Each wanted segment's reading, in order; None where its file has vanished."""
    chunks = list(_chunks(chosen, wanted))
    if not chunks:  # nothing new: what reads segments need not even be imported
        return
    if workers < 2 or sum(chosen[place].size_bytes for place in wanted) <= _IN_PROCESS_BYTES or len(chunks) < 2:
        from engine.wal.stripped import Room

        room = Room()
        for chunk in chunks:
            for place in chunk:
                if stop is not None and stop():
                    return
                yield place, read_file(_wanted(chosen[place]), room)
        return
    yield from _read_in_children(chosen, chunks, workers, stop)


def _read_in_children(
    chosen: Mapping[Place, WalFile], chunks: Sequence[Sequence[Place]], workers: int, stop: Callable[[], bool] | None
) -> Iterator[tuple[Place, SegmentReading | None]]:
    free: SimpleQueue[Worker] = SimpleQueue()
    children = [Worker() for _ in range(min(workers, len(chunks)))]
    for child in children:
        free.put(child)

    def ask(chunk: Sequence[Place]) -> list[SegmentReading | None]:
        child = free.get()
        files = [_wanted(chosen[place]) for place in chunk]
        try:
            return list(child.read(files))
        except EOFError:  # the child was killed: go on without it
            return [read_file(file) for file in files]
        finally:
            free.put(child)

    pool = ThreadPoolExecutor(len(children), "wal-reader")
    try:
        ahead = 2 * len(children)
        waiting = [pool.submit(ask, chunk) for chunk in chunks[:ahead]]
        for at, chunk in enumerate(chunks):
            readings = waiting.pop(0).result()
            if at + ahead < len(chunks):
                waiting.append(pool.submit(ask, chunks[at + ahead]))
            yield from zip(chunk, readings, strict=True)
            if stop is not None and stop():
                return
    finally:
        for child in children:
            child.close()
        pool.shutdown(cancel_futures=True)


def _chunks(chosen: Mapping[Place, WalFile], wanted: Sequence[Place]) -> Iterator[list[Place]]:
    chunk: list[Place] = []
    size = 0
    for place in wanted:
        chunk.append(place)
        size += chosen[place].size_bytes
        if size >= _CHUNK_BYTES or len(chunk) >= _CHUNK_FILES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _wanted(file: WalFile) -> Wanted:
    return Wanted(str(file.path), file.timeline, file.number)


# --- keeping ----------------------------------------------------------------------------------------------------------


def _keep(
    connection: sqlite3.Connection,
    chosen: Mapping[Place, WalFile],
    batch: Sequence[tuple[Place, SegmentReading | None]],
    home: tuple[int, int] | None,
) -> None:
    """Write a batch of readings, link it to what stands beside it, and sum up."""
    if not batch:
        return
    readings: dict[Place, SegmentReading | None] = {place: reading for place, reading in batch if reading is not None}

    def read(timeline: int, number: int) -> SegmentReading | None:
        place = timeline, number
        if place not in readings:
            file = chosen.get(place)
            readings[place] = read_file(_wanted(file)) if file is not None else None
        return readings[place]

    with writing(connection):
        for place, _ in batch:
            _remove(connection, place)
            reading = readings.get(place)
            if reading is None:
                continue
            _insert(connection, chosen[place], reading, home)
            subs = [(xid, lsn - reading.number * reading.size) for xid, lsn in reading.found.subtransactions]
            keep_ends(connection, *place, reading.ends, pack_pairs(subs), reading.summary)
            tell(connection, *place, reading.found)
        linker = Linker(connection, read)
        linker.link_all({(timeline, number + step) for (timeline, number), _ in batch for step in (0, 1)})
        _climb(connection, {place for place, _ in batch} | linker.touched)


def _drop(connection: sqlite3.Connection, gone: Iterable[Place], chosen: Mapping[Place, WalFile]) -> None:
    gone = list(gone)
    for place in gone:
        _remove(connection, place)
    if not gone:
        return

    def read(timeline: int, number: int) -> SegmentReading | None:
        file = chosen.get((timeline, number))
        return read_file(_wanted(file)) if file is not None else None

    linker = Linker(connection, read)
    linker.link_all({(timeline, number + step) for timeline, number in gone for step in (0, 1)})
    _climb(connection, {*gone, *linker.touched})


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


def _insert(
    connection: sqlite3.Connection, file: WalFile, reading: SegmentReading, home: tuple[int, int] | None
) -> None:
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
            file.timeline, file.number, str(file.path), file.size_bytes, signed(file.mtime_ns), signed(file.inode),
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


def _foreign(reading: SegmentReading, system: int, home: tuple[int, int] | None) -> str | None:
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


def path_of(connection: sqlite3.Connection, timeline: int, number: int) -> Path | None:
    """The file of a segment."""
    row = connection.execute(
        "SELECT path FROM segment WHERE timeline = ? AND number = ?", (timeline, number)
    ).fetchone()
    return Path(row[0]) if row else None
