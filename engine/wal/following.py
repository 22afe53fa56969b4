"""Where records start.

Every page says how much of an earlier record it begins with, and so where its own first record starts. The pages are
therefore followed side by side, each from its first record to its end, one step for all of them at a time. What comes
out is believed as far as each record ends where the next one starts; from there on it is followed record by record.
"""

from collections.abc import Iterator

import numpy as np

from engine.wal.headers import Headers, headers_at
from engine.wal.records import HEADER_SIZE, LARGEST_RECORD
from engine.wal.stripped import BODY, Numbers, Stripped

_AT_ONCE = 16384  # records: of small ones, as much WAL as stays in the processor's cache


def follow(stripped: Stripped, start: int, limit: int) -> Iterator[tuple[Numbers, Headers]]:
    """The records from ``start`` on and below ``limit`` (both aligned), some at a time: the offsets at which they
    start, and their headers. It ends early where a length is none."""
    places = _side_by_side(stripped, start, limit)
    for first in range(0, len(places), _AT_ONCE):
        some = places[first : first + _AT_ONCE]
        following = places[first + 1 : first + 1 + _AT_ONCE]
        headers = headers_at(stripped, some)
        lengths = headers.lengths()
        after = some + lengths + 7 & -8
        none = (lengths < HEADER_SIZE) | (lengths > LARGEST_RECORD)
        ends = none.copy()
        ends[: len(following)] |= after[: len(following)] != following
        if not ends.any():
            yield some, headers
            continue
        last = int(np.argmax(ends))
        count = last + (not none[last])
        if count:
            yield some[:count], headers[:count]
        if not none[last]:
            yield from _one_by_one(stripped, int(after[last]), limit)
        return
    if len(places) and after[-1] < limit:
        yield from _one_by_one(stripped, int(after[-1]), limit)


def _side_by_side(stripped: Stripped, start: int, limit: int) -> Numbers:
    """The offsets in order; what a wrong length or page header leads to stays within its page."""
    pages = np.arange(start // BODY, -(-limit // BODY), dtype=np.int32)
    ends = (pages + 1) * BODY
    ends[-1] = limit
    places = pages * BODY + stripped.pages["rem"][pages].astype(np.int32) + 7 & -8
    places[0] = start
    lengths = stripped.data.view("<i4")
    steps: list[Numbers] = []
    going = (places >= pages * BODY) & (places < ends)
    while going.any():
        if not going.all():
            places, ends = places[going], ends[going]
        steps.append(places)
        after = places + lengths[places >> 2] + 7 & -8
        going = (after > places) & (after < ends)
        places = after
    found = np.concatenate(steps)
    found.sort()
    return found.astype(np.int64)


def _one_by_one(stripped: Stripped, place: int, limit: int) -> Iterator[tuple[Numbers, Headers]]:
    lengths = stripped.data.view("<u4").data
    while place < limit:
        places: list[int] = []
        while place < limit and len(places) < _AT_ONCE:
            length = lengths[place >> 2]
            if not HEADER_SIZE <= length <= LARGEST_RECORD:
                break
            places.append(place)
            place += length + 7 & -8
        if not places:
            return
        some = np.array(places, dtype=np.int64)
        yield some, headers_at(stripped, some)
