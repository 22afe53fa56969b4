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
    read = _read(file_of, timeline, number)
    if read is None:
        return []
    found, open_lsn = [Record(lsn, end_lsn) for lsn, end_lsn in read[0]], read[1]
    while open_lsn is not None:
        number += 1
        later = _read(file_of, timeline, number)
        if later is None:
            break
        if later[0] or later[1] is not None:
            found.append(Record(open_lsn, later[0][0][0] if later[0] else later[1] or 0))
            break
    return found


def _read(file_of: _File, timeline: int, number: int) -> tuple[list[tuple[Lsn, Lsn]], Lsn | None] | None:
    from engine.wal.files import DamagedFile, open_segment
    from engine.wal.segment import read_places

    path = file_of(number)
    if path is None:
        return None
    try:
        with open_segment(path) as file:
            return read_places(file, timeline, number)
    except (OSError, DamagedFile):
        return None
