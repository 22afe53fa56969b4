"""Following records from one to the next by their lengths.

Where records are small, a step of Python for each would cost more than all else. There the records are found backwards
and all at once: a record starts where the record that it names as its predecessor ends. What is found so is believed
as far as it makes an unbroken chain; the rest is followed step by step.
"""

import numpy as np

from engine.records.lsn import PAGE_SIZE, SHORT_PAGE_HEADER
from engine.wal.records import HEADER_SIZE
from engine.wal.stripped import BODY, Numbers, Stripped

_STEPS = 256  # records that are followed one by one before the size of records is judged
_SMALL = 1024  # bytes; below this mean size the other way is faster
_BLOCK = 1 << 17  # 8-byte words looked at at once: they stay in the processor's cache


def follow(stripped: Stripped, start: int, limit: int) -> tuple[Numbers, int]:
    """The offsets at which records start, from ``start`` on and below ``limit`` (both aligned), and where the next one
    would. It ends early where a length is none."""
    found: list[Numbers] = []
    place, most = start, _STEPS
    while True:
        began = place
        steps, place = _step(stripped, place, limit, most)
        found.append(steps)
        if len(steps) < most:
            return np.concatenate(found), place
        if place - began < most * _SMALL:
            leaps, place = _leap(stripped, int(steps[-1]), place, limit)
            found.append(leaps)
            most = _STEPS if len(leaps) else 64 * _STEPS  # there the chain is broken: do not try again so soon
        else:
            most = 4 * _STEPS


def _step(stripped: Stripped, place: int, limit: int, most: int) -> tuple[Numbers, int]:
    """Follow up to ``most`` lengths."""
    lengths = stripped.data.view("<u4").data
    places: list[int] = []
    append = places.append
    while place < limit and len(places) < most:
        length = lengths[place >> 2]
        if length < HEADER_SIZE:
            break
        append(place)
        place += length + 7 & -8
    return np.array(places, dtype=np.int64), place


def _leap(stripped: Stripped, before: int, start: int, limit: int) -> tuple[Numbers, int]:
    """The records from ``start`` on that make an unbroken chain with the one at ``before``, and where the next one
    would start."""
    words, lengths = stripped.data.view("<u8"), stripped.data.view("<u4")
    base, size = np.uint64(stripped.base), np.uint64(stripped.whole // BODY * PAGE_SIZE)
    found: list[Numbers] = []
    for first in range(start >> 3, limit >> 3, _BLOCK):
        last = min(first + _BLOCK, limit >> 3)
        previous = words[first + 1 : last + 1] - base
        candidates = np.flatnonzero(previous < size)
        previous = previous[candidates].astype(np.int64)
        places = (candidates + first) << 3
        named = previous - SHORT_PAGE_HEADER * (previous // PAGE_SIZE + 1)
        right = (previous & 7 == 0) & (named >= before) & (named < places)
        places, named = places[right], named[right]
        right = named + (lengths[named >> 2].astype(np.int64) + 7 & -8) == places
        places, named = places[right], named[right]
        if not len(places):  # one long record, or the end
            break
        chained = named == np.concatenate(([before], places[:-1]))
        if not chained.all():
            found.append(places[: int(np.argmin(chained))])
            break
        found.append(places)
        before = int(places[-1])
    if not found or not len(found[-1]):
        found = found[:-1]
    if not found:
        return np.empty(0, np.int64), start
    last_place = int(found[-1][-1])
    return np.concatenate(found), last_place + (int(lengths[last_place >> 2]) + 7 & -8)
