"""One WAL segment, verified record by record.

The pages are laid end to end without their headers, the records' lengths are followed through that, and everything
else is done for all records at once: headers, predecessors, page headers, checksums, transaction ends. What a segment
says is believed up to the first thing in it that is wrong. Rules: `src/backend/access/transam/xlogreader.c`.

A record may begin in one segment and end in a later one: ``head`` and ``tail`` are what this segment holds of such
records, for `stitch` to put together.
"""

from dataclasses import dataclass

import numpy as np

from engine.records.lsn import LONG_PAGE_HEADER, PAGE_SIZE, Lsn, format_lsn
from engine.wal.checksums import count_right
from engine.wal.contents import Contents, Unreadable
from engine.wal.files import SegmentFile
from engine.wal.following import follow
from engine.wal.headers import Headers
from engine.wal.marks import SWITCH, UNKNOWN, marks_of
from engine.wal.page_headers import PageHeaders
from engine.wal.pages import (
    FIRST_IS_OVERWRITE_CONTRECORD,
    DamagedPage,
    FirstPage,
    read_first_page,
)
from engine.wal.reading import SegmentReading, damaged
from engine.wal.records import HEADER_SIZE
from engine.wal.stripped import BODY, FIRST, Numbers, Room, Stripped

_FEW_PAGES, _MANY_PAGES = 128, 1024  # taken at a time where records are small, and where they are large
_LARGE = 512  # bytes


@dataclass(slots=True)
class _Region:
    """Records that follow one another without a break, as offsets into the stripped pages."""

    starts: Numbers
    stops: Numbers  # unaligned ends
    headers: Headers
    marks: Numbers
    limit: int  # where the region must end
    fragment: int | None = None  # a record that begins here and does not end here
    bad: str | None = None  # why the record at ``stopped_at`` is none
    stopped_at: int = 0
    switched: bool = False

    def end_before(self, index: int, why: str) -> None:
        """Believe only what comes before this record."""
        self.stopped_at, self.bad, self.fragment, self.switched = int(self.starts[index]), why, None, False
        self.keep(index)

    def keep(self, count: int) -> None:
        self.starts, self.stops = self.starts[:count], self.stops[:count]
        self.headers, self.marks = self.headers[:count], self.marks[:count]


def read_segment(file: SegmentFile, timeline: int, number: int, room: Room | None = None) -> SegmentReading:
    """Read a segment file, with ``room`` as memory to work in. Damage never raises: it ends what is read."""
    page = _first_page(file, timeline, number)
    if isinstance(page, SegmentReading):
        return page
    return _Reader(file, timeline, number, page, room or Room()).read()


def read_places(file: SegmentFile, timeline: int, number: int) -> tuple[list[tuple[Lsn, Lsn]], Lsn | None]:
    """Where the whole records of a segment start and where the next one does; the start of one that goes on in the
    next segment."""
    page = _first_page(file, timeline, number)
    if isinstance(page, SegmentReading):
        return [], None
    reader = _Reader(file, timeline, number, page, Room())
    reader.places = []
    reading = reader.read()
    return reader.places, reading.tail_lsn


def _first_page(file: SegmentFile, timeline: int, number: int) -> FirstPage | SegmentReading:
    """The segment's header; a reading that says what is wrong where it cannot be this segment's."""
    try:
        page = read_first_page(file.beginning(LONG_PAGE_HEADER))
    except DamagedPage as error:
        return damaged(timeline, number, str(error))
    size, reason = page.segment_size, None
    if page.address != number * size:
        reason = f"it holds the WAL from {format_lsn(page.address)} on, which is not what its name says"
    elif page.timeline > timeline or page.timeline == 0:
        reason = f"it holds WAL of timeline {page.timeline}"
    elif file.size > size:
        reason = f"longer than a segment ({file.size} bytes instead of {size})"
    return page if reason is None else damaged(timeline, number, reason, page)


class _Reader:
    """The state of reading one segment. Offsets are into ``stripped``, and get smaller when it goes on."""

    def __init__(self, file: SegmentFile, timeline: int, number: int, page: FirstPage, room: Room) -> None:
        self.page = page
        self.stripped = Stripped(file, number * page.segment_size, page.segment_size, room)
        self.headers = PageHeaders(self.stripped.base, timeline)
        self.limit = 0  # the pages before it are sound
        self.slice = _FEW_PAGES
        self.contents = Contents(self.stripped, page.version)
        self.places: list[tuple[Lsn, Lsn]] | None = None
        self.reading = SegmentReading(
            timeline, number, page.segment_size, page.version, page.system_identifier, found=self.contents.found
        )
        self.reading.valid_to = self.stripped.base
        if file.size < page.segment_size:
            self.reading.damage = f"cut off: {file.size} of {page.segment_size} bytes"

    # --- reading ----------------------------------------------------------------------------------------------------

    def read(self) -> SegmentReading:
        reading = self.reading
        start = self._read_head()
        settled = start is None  # damaged already: nothing to add
        if start is not None and start < self.limit:
            settled = self._read_records(start)
        if not settled and not self._is_whole():
            reading.damage = reading.damage or self.headers.trouble or "cut off while it was read"
        reading.ends, reading.summary = self.contents.packed_ends()
        return reading

    def _go_on(self, low: int) -> tuple[int, bool]:
        """Take the next pages; those before the one of offset ``low`` are not needed any more. Where ``low`` is now,
        and whether there was more."""
        if self.headers.trouble is not None:
            return low, False
        base = self.stripped.base
        new = self.stripped.go_on(low, self.slice)
        held = self.stripped.count - new
        sound = self.headers.count_sound(self.stripped.pages[held:])
        self.limit = (held + sound) * BODY
        return low - (self.stripped.base - base) // PAGE_SIZE * BODY, sound > 0

    def _is_whole(self) -> bool:
        return self.stripped.base + self.limit // BODY * PAGE_SIZE == self.stripped.end

    def _read_records(self, start: int) -> bool:
        """Read all records from ``start`` on. True if nothing behind them matters: a switch, or damage."""
        reading = self.reading
        while True:
            bound = self._bound(start)
            region = self._read_region(start, bound)
            self._take(region)
            if region.switched:
                reading.switched = True
                reading.valid_to = self.stripped.end
                return True
            reading.valid_to = self.stripped.lsn(region.stopped_at)
            if region.bad is None and bound != self.limit and region.fragment is None:
                region.bad = "a record is given up that does not exist"
            if region.bad is not None:
                reading.damage = f"at {format_lsn(reading.valid_to)}: {region.bad}"
                return True
            if bound != self.limit:
                start = bound
                continue
            self.slice = _MANY_PAGES if bound - start > len(region.starts) * _LARGE else _FEW_PAGES
            start, more = self._go_on(region.stopped_at if region.fragment is None else region.fragment)
            if more:
                continue
            if region.fragment is not None:
                reading.valid_to = self.stripped.lsn(start)
                if self._is_whole():
                    reading.tail_lsn = reading.valid_to
                    reading.tail = bytes(self.stripped.view[start : self.limit])
            elif self._is_whole():
                reading.valid_to = self.stripped.end
            return False

    def _bound(self, start: int) -> int:
        """Where the records from ``start`` on end: in front of a page that gives up the record before it, or behind
        the last page that was taken."""
        overwriting = self.stripped.pages["info"][: self.limit // BODY] & FIRST_IS_OVERWRITE_CONTRECORD
        return next((int(page) * BODY for page in np.flatnonzero(overwriting) if page * BODY > start), self.limit)

    def _take(self, region: _Region) -> None:
        """Add a region's sound records to the reading."""
        try:
            self.contents.add(region.starts, region.stops, region.headers, region.marks)
        except Unreadable as error:
            region.end_before(error.index, f"a record {error}")
            return self._take(region)
        reading, count = self.reading, len(region.starts)
        if not count:
            return
        reading.records += count
        if reading.first_lsn is None:
            reading.first_lsn = self.stripped.lsn(int(region.starts[0]))
            reading.first_previous = int(region.headers.previous[0])
        reading.last_lsn = self.stripped.lsn(int(region.starts[-1]))
        if self.places is not None:
            starts, ends = self.stripped.lsns(region.starts), self.stripped.lsns(region.stops + 7 & -8)
            self.places += zip(starts.tolist(), ends.tolist(), strict=True)

    def _read_head(self) -> int | None:
        """Take the rest of a record that began earlier. The offset of the first record that begins here (at or above
        ``limit``: none does); None where that rest is damaged."""
        reading, expected = self.reading, self.page.remaining
        stop = FIRST + expected
        start, more = stop + 7 & -8, True
        while more and self.limit <= start:
            _, more = self._go_on(0)
        if not self.limit:
            return 0
        borders = np.arange(1, (min(stop, self.limit) + BODY - 1) // BODY) * BODY
        pages = self.stripped.pages[1 : len(borders) + 1]
        wrong = np.flatnonzero(pages["rem"] != stop - borders)
        reading.overwrites = bool(self.page.flags & FIRST_IS_OVERWRITE_CONTRECORD)
        if len(wrong) and pages["info"][wrong[0]] & FIRST_IS_OVERWRITE_CONTRECORD:
            reading.overwrites = True
            return int(borders[wrong[0]])
        reading.head_expected = expected
        if len(wrong):
            place = int(borders[wrong[0]])
            reading.head = bytes(self.stripped.view[FIRST:place])
            reading.damage = f"at {format_lsn(self.stripped.lsn(place))}: a page does not continue its record"
            return None
        reading.head = bytes(self.stripped.view[FIRST : min(stop, self.limit)])
        if stop <= self.limit:
            reading.valid_to = self.stripped.lsn(start)
        return start

    def _read_region(self, start: int, limit: int) -> _Region:
        places, headers, after = follow(self.stripped, start, limit)
        stops, marks = places + headers.lengths(), marks_of(headers)
        region = _Region(places, stops, headers, marks, limit, stopped_at=min(after, limit))
        switches = np.flatnonzero((marks == SWITCH) & (stops <= limit))
        count = len(places)
        if len(switches):
            count, region.switched = int(switches[0]) + 1, True
        elif count and region.stops[-1] > limit:
            count, region.fragment = count - 1, int(places[-1])
        elif after < limit:
            region.bad = self._why_no_record(after)
        total = count + (region.fragment is not None)
        sound, reason = self._sound_records(region, total)
        whole = min(sound, count)
        right = count_right(self.stripped, places[:whole], stops[:whole], headers[:whole])
        if right < whole:
            sound, reason = right, "a record's checksum does not match"
        if sound < total:
            region.end_before(sound, reason)
        region.keep(count)
        return region

    def _why_no_record(self, offset: int) -> str:
        length = int(self.stripped.data[offset : offset + 4].view("<u4")[0])
        return f"a record cannot be {length} bytes long" if length else "zeroed from here on"

    def _sound_records(self, region: _Region, total: int) -> tuple[int, str]:
        """How many of the first ``total`` records have a right header and stand on pages that continue them, and what
        is wrong with the next one. The last one may be a fragment; if even its header is cut, `stitch` looks at it."""
        headers, places = region.headers[:total], region.starts[:total]
        known = region.marks[:total] != UNKNOWN
        linked = np.ones(total, np.bool_)
        linked[1:] = headers.previous[1:] == self.stripped.lsns(places[:-1])
        if total and self.reading.last_lsn is not None:
            linked[0] = int(headers.previous[0]) == self.reading.last_lsn
        if region.fragment is not None and region.fragment + HEADER_SIZE > self.stripped.length:
            known[-1] = linked[-1] = True
        good = known & linked
        sound, reason = total, ""
        if not good.all():
            sound = int(np.argmin(good))
            reason = "a record's header is damaged"
            if known[sound]:
                reason = f"a record names {format_lsn(int(headers.previous[sound]))} as its predecessor"
        broken = self._first_broken_by_pages(region, total)
        return (broken, "a page does not continue its record") if broken < sound else (sound, reason)

    def _first_broken_by_pages(self, region: _Region, total: int) -> int:
        """The first record whose pages do not agree about where it goes on; ``total`` if they all do."""
        if not total:
            return 0
        places, stops = region.starts[:total], region.stops[:total]
        last = min(int(stops[-1]), region.limit)
        pages = np.arange(-(-int(places[0]) // BODY), (last + BODY - 1) // BODY)
        borders = pages * BODY
        record = np.searchsorted(places, borders, "right") - 1
        expected = np.where(places[record] < borders, np.maximum(stops[record] - borders, 0), 0)
        wrong = np.flatnonzero(self.stripped.pages["rem"][pages] != expected)
        if not len(wrong):
            return total
        first = int(wrong[0])
        which = int(record[first])
        return which if expected[first] or places[which] == borders[first] else which + 1
