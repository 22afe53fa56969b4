"""Where records start.

Every page says how much of an earlier record it begins with, and so where its own first record starts. The pages are
therefore followed side by side, each from its first record to its end, one step for all of them at a time. What comes
out is believed as far as each record ends where the next one starts; from there on it is followed record by record.
"""

import numpy as np

from engine.wal.headers import Headers, headers_at
from engine.wal.records import HEADER_SIZE, LARGEST_RECORD
from engine.wal.stripped import BODY, Numbers, Stripped

_STEPS = BODY // HEADER_SIZE + 1  # a page has no more records than that


def follow(stripped: Stripped, start: int, limit: int) -> tuple[Numbers, Headers, int]:
    """The offsets at which records start, from ``start`` on and below ``limit`` (both aligned), their headers, and
    where the next one would start. It ends early where a length is none."""
    places = _side_by_side(stripped, start, limit)
    headers = headers_at(stripped, places)
    lengths = headers.lengths()
    after = places + lengths + 7 & -8
    none = (lengths < HEADER_SIZE) | (lengths > LARGEST_RECORD)
    ends = none[:-1] | (after[:-1] != places[1:])
    last = int(np.argmax(ends)) if ends.any() else len(places) - 1
    if none[last]:
        return places[:last], headers[:last], int(places[last])
    places, headers, place = places[: last + 1], headers[: last + 1], int(after[last])
    if place < limit:
        more, place = _one_by_one(stripped, place, limit)
        places = np.concatenate((places, more))
        headers = headers_at(stripped, places)
    return places, headers, place


def _side_by_side(stripped: Stripped, start: int, limit: int) -> Numbers:
    pages = np.arange(start // BODY, -(-limit // BODY), dtype=np.int64)
    ends = (pages + 1) * BODY
    ends[-1] = limit
    places = (pages * BODY + stripped.pages["rem"][pages].astype(np.int64) + 7) & -8
    places[0] = start
    lengths = stripped.data.view("<u4")
    steps: list[Numbers] = []
    going = (places >= pages * BODY) & (places < ends)
    while going.any() and len(steps) < _STEPS:
        if not going.all():
            places, ends = places[going], ends[going]
        steps.append(places)
        after = places + lengths[places >> 2] + 7 & -8
        going = (after > places) & (after < ends)
        places = after
    found = np.concatenate(steps)
    found.sort()
    return found


def _one_by_one(stripped: Stripped, place: int, limit: int) -> tuple[Numbers, int]:
    lengths = stripped.data.view("<u4").data
    places: list[int] = []
    while place < limit and HEADER_SIZE <= (length := lengths[place >> 2]) <= LARGEST_RECORD:
        places.append(place)
        place += length + 7 & -8
    return np.array(places, dtype=np.int64), place
