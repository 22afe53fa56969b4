"""Bringing the index up to date with an archive: what is new or has changed is read, what has vanished is dropped.

Files are read in WAL order and committed in batches, so that a reader sees the index grow.
"""

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from engine.records.copies import WalFile
from engine.wal.cache import Cache, signed, writing
from engine.wal.comparing import compare
from engine.wal.reading import SegmentReading
from engine.wal.side_by_side import read_files
from engine.wal.storing import Home, drop, keep

_BATCH_SECONDS = 0.5
_BATCH_FILES = 512


def refresh(
    cache: Cache,
    files: Sequence[WalFile],
    histories: Mapping[int, str],
    *,
    system_identifier: int | None,
    progress: Callable[[int, int], None] | None,
    stop: Callable[[], bool] | None,
    workers: int,
) -> bool:
    """Read what is new. False if ``stop`` ended it before everything was read."""
    connection = cache.connection()
    home = _home(connection, files, system_identifier)
    found = compare(connection, files)
    with writing(connection):
        connection.execute("DELETE FROM history")
        connection.executemany("INSERT INTO history VALUES (?, ?)", histories.items())
        connection.execute("DELETE FROM apart")
        connection.executemany("INSERT OR REPLACE INTO apart VALUES (?, ?, ?)", found.apart)
        drop(connection, found.gone)
    done = found.total - len(found.wanted)
    if progress is not None:
        progress(done, found.total)
    batch: list[tuple[WalFile, SegmentReading | None]] = []
    began = time.monotonic()
    for each in read_files([files[index] for index in found.wanted], workers, stop):
        batch.append(each)
        if time.monotonic() - began > _BATCH_SECONDS or len(batch) >= _BATCH_FILES:
            keep(connection, batch, home)
            done += len(batch)
            batch, began = [], time.monotonic()
            if progress is not None:
                progress(done, found.total)
    keep(connection, batch, home)
    done += len(batch)
    if progress is not None and batch:
        progress(done, found.total)
    return done == found.total


def _home(connection: sqlite3.Connection, files: Sequence[WalFile], system_identifier: int | None) -> Home | None:
    """The system identifier and segment size that count as this archive's own: the given one, else what most segments
    say. Segments that were judged by another are dropped, to be read again."""
    votes: Counter[Home] = Counter()
    for system, size, count in connection.execute(
        "SELECT system_identifier, segment_size, count(*) FROM segment WHERE segment_size > 0 GROUP BY 1, 2"
    ):
        votes[system, size] += count
    if not votes:
        votes.update(_sample(files))
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
            if known:
                drop(connection, connection.execute("SELECT timeline, number FROM segment").fetchall())
    return home


def _sample(files: Sequence[WalFile]) -> Iterator[Home]:
    """What some segments, spread over the archive, say of themselves."""
    from engine.wal.files import DamagedFile, read_beginning
    from engine.wal.pages import DamagedPage, read_first_page

    for index in range(0, len(files), max(1, len(files) // 16)):
        file = files[index]
        if file.partial:
            continue
        try:
            page = read_first_page(read_beginning(Path(file.path)))
        except (OSError, DamagedFile, DamagedPage):
            continue
        yield signed(page.system_identifier), page.segment_size
