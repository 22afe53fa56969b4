"""Where records stand: the neighbours of an LSN, read from the segment files themselves."""

from collections.abc import Callable
from pathlib import Path

from engine.records.history import Record
from engine.records.lsn import Lsn, segment_of
from engine.wal.records import LARGEST_RECORD

_File = Callable[[int], Path | None]


def records_around(file_of: _File, timeline: int, lsn: Lsn, segment_size: int) -> tuple[Record | None, Record | None]:
    """The last record that starts at or before ``lsn``, and the first that starts after it; as far as the segments
    are there and sound. A record is long at most, so that the search ends."""
    number = segment_of(lsn, segment_size)
    here = _records(file_of, timeline, number)
    before = [record for record in here if record.lsn <= lsn]
    after = [record for record in here if record.lsn > lsn]
    reach = LARGEST_RECORD // segment_size + 2
    step = number
    while not before and step > 0 and number - step < reach and file_of(step - 1) is not None:
        step -= 1
        before = _records(file_of, timeline, step)
    step = number
    while not after and step - number < reach and file_of(step + 1) is not None:
        step += 1
        after = _records(file_of, timeline, step)
    return (before[-1] if before else None), (after[0] if after else None)


def _records(file_of: _File, timeline: int, number: int) -> list[Record]:
    """The whole records that start in a segment; the end of one that goes on in a later one is where the first
    record of that one starts."""
    from engine.wal.files import DamagedFile, read_wal_file
    from engine.wal.segment import read_places

    path = file_of(number)
    if path is None:
        return []
    try:
        places, open_lsn, _ = read_places(read_wal_file(path), timeline, number)
    except (OSError, DamagedFile):
        return []
    found = [Record(lsn, end_lsn) for lsn, end_lsn in places]
    while open_lsn is not None:
        number += 1
        path = file_of(number)
        if path is None:
            break
        try:
            later, next_open, _ = read_places(read_wal_file(path), timeline, number)
        except (OSError, DamagedFile):
            break
        if later or next_open is not None:
            found.append(Record(open_lsn, later[0][0] if later else next_open or 0))
            break
    return found
