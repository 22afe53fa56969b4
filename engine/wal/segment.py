"""One WAL segment, verified record by record.

The pages are laid end to end without their headers, the records' lengths are followed through that, and everything
else is done for all records at once: headers, predecessors, page headers, checksums, transaction ends. What a segment
says is believed up to the first thing in it that is wrong. Rules: `src/backend/access/transam/xlogreader.c`.

A record may begin in one segment and end in a later one: ``head`` and ``tail`` are what this segment holds of such
records, for `stitch` to put together.
"""

import numpy as np
from msgspec import Struct

from engine.records.lsn import LONG_PAGE_HEADER, PAGE_SIZE, Lsn, format_lsn, skip_page_header
from engine.wal.checksums import count_right
from engine.wal.contents import Contents, Unreadable
from engine.wal.files import SegmentFile
from engine.wal.following import follow
from engine.wal.headers import Headers
from engine.wal.marks import SWITCH, UNKNOWN, marks_of
from engine.wal.pages import (
    ALL_FLAGS,
    FIRST_IS_CONTRECORD,
    FIRST_IS_OVERWRITE_CONTRECORD,
    LONG_HEADER,
    DamagedPage,
    FirstPage,
    read_first_page,
)
from engine.wal.reading import SegmentReading, damaged
from engine.wal.records import HEADER_SIZE
from engine.wal.stripped import BODY, FIRST, Numbers, Room, Stripped


class _Stop(Struct):
    """Where records end that follow one another without a break, and why. Offsets into the stripped pages."""

    at: int
    bad: str | None = None  # why there is no record at ``at``
    fragment: int | None = None  # a record that begins here and does not end
    switched: bool = False


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
    """The state of reading one segment."""

    def __init__(self, file: SegmentFile, timeline: int, number: int, page: FirstPage, room: Room) -> None:
        self.page = page
        self.stripped = Stripped(file, number * page.segment_size, page.segment_size, room)
        self.pages, self.lsn = self.stripped.pages, self.stripped.lsn
        self.contents = Contents(self.stripped, page.version)
        self.places: list[tuple[Lsn, Lsn]] | None = None
        self.reading = SegmentReading(
            timeline, number, page.segment_size, page.version, page.system_identifier, found=self.contents.found
        )
        if file.size < page.segment_size:
            self.reading.damage = f"cut off: {file.size} of {page.segment_size} bytes"

    # --- reading ----------------------------------------------------------------------------------------------------

    def read(self) -> SegmentReading:
        reading = self.reading
        sound_pages, page_trouble = self._sound_pages()
        limit = sound_pages * BODY
        whole = sound_pages * PAGE_SIZE == self.page.segment_size
        reading.valid_to = self.stripped.base
        start = self._read_head(limit) if sound_pages else 0
        settled = start is None  # damaged already: nothing to add
        if start is not None and start < limit:
            settled = self._read_records(start, limit, whole)
        if not whole and not settled:
            reading.damage = reading.damage or page_trouble or "cut off while it was read"
        reading.ends, reading.summary = self.contents.packed_ends()
        return reading

    def _read_records(self, start: int, limit: int, whole: bool) -> bool:
        """Read all records from ``start`` on. True if nothing behind them matters: a switch, or damage."""
        reading = self.reading
        overwriting = np.flatnonzero(self.pages["info"][: limit // BODY] & FIRST_IS_OVERWRITE_CONTRECORD) * BODY
        bounds = [int(place) for place in overwriting if place > start] + [limit]
        for bound in bounds:
            stop = self._read_region(start, bound)
            start = bound
            if stop.switched:
                reading.switched = True
                reading.valid_to = self.stripped.base + self.page.segment_size
                if self.places:  # a switch takes what is left of its segment (XLogNextRecord in xlogreader.c)
                    self.places[-1] = self.places[-1][0], skip_page_header(reading.valid_to, self.page.segment_size)
                return True
            reading.valid_to = self.lsn(stop.at)
            if stop.bad is None and bound != limit and stop.fragment is None:
                stop.bad = "a record is given up that does not exist"
            if stop.bad is not None:
                reading.damage = f"at {format_lsn(reading.valid_to)}: {stop.bad}"
                return True
            if bound == limit and stop.fragment is not None:
                reading.valid_to = self.lsn(stop.fragment)
                if whole:
                    reading.tail_lsn = reading.valid_to
                    reading.tail = bytes(self.stripped.view[stop.fragment : limit])
            elif bound == limit and whole:
                reading.valid_to = self.stripped.base + self.page.segment_size
        return False

    def _sound_pages(self) -> tuple[int, str | None]:
        """How many pages from the beginning on have a right header, and what is wrong with the next one."""
        pages = self.pages
        if not self.stripped.count:
            return 0, None
        info = pages["info"]
        numbers = np.arange(self.stripped.count, dtype=np.uint64)
        addresses = numbers * np.uint64(PAGE_SIZE) + np.uint64(self.stripped.base)
        good = (pages["magic"] == pages["magic"][0]) & (pages["addr"] == addresses) & (info <= ALL_FLAGS)
        good &= ((info & LONG_HEADER) != 0) == (numbers == 0)
        good &= (pages["tli"] <= self.reading.timeline) & (pages["tli"] >= np.maximum.accumulate(pages["tli"]))
        good &= ((info & FIRST_IS_CONTRECORD) != 0) == (pages["rem"] != 0)
        if good.all():
            return self.stripped.count, None
        bad = int(np.argmin(good))
        where = format_lsn(self.stripped.base + bad * PAGE_SIZE)
        if not pages[bad : bad + 1].view(np.uint8).any():
            return bad, f"zeroed from {where} on"
        if pages["magic"][bad] == pages["magic"][0] and pages["addr"][bad] != addresses[bad]:
            return bad, f"the page at {where} says that it is {format_lsn(int(pages['addr'][bad]))}"
        return bad, f"the page header at {where} is damaged"

    def _read_head(self, limit: int) -> int | None:
        """Take the rest of a record that began earlier. The offset of the first record that begins here (at or above
        ``limit``: none does); None where that rest is damaged."""
        reading, expected = self.reading, self.page.remaining
        stop = FIRST + expected
        borders = np.arange(1, (min(stop, limit) + BODY - 1) // BODY) * BODY
        info, rem = self.pages["info"][1 : len(borders) + 1], self.pages["rem"][1 : len(borders) + 1]
        wrong = np.flatnonzero(rem != stop - borders)
        reading.overwrites = bool(self.pages["info"][0] & FIRST_IS_OVERWRITE_CONTRECORD)
        if len(wrong) and info[wrong[0]] & FIRST_IS_OVERWRITE_CONTRECORD:
            reading.overwrites = True
            return int(borders[wrong[0]])
        reading.head_expected = expected
        if len(wrong):
            place = int(borders[wrong[0]])
            reading.head = bytes(self.stripped.view[FIRST:place])
            reading.damage = f"at {format_lsn(self.lsn(place))}: a page does not continue its record"
            return None
        reading.head = bytes(self.stripped.view[FIRST : min(stop, limit)])
        start = stop + 7 & -8
        if stop <= limit:
            reading.valid_to = self.lsn(start)
        return start

    # --- records ----------------------------------------------------------------------------------------------------

    def _read_region(self, start: int, limit: int) -> _Stop:
        """Read the records from ``start`` on; none may begin before ``limit`` and end behind it but the last one."""
        stop = _Stop(start)
        for places, headers in follow(self.stripped, start, limit):
            stop = self._read_some(places, headers, limit)
            if stop.bad is not None or stop.fragment is not None or stop.switched:
                return stop
        if stop.at < limit:
            length = int(self.stripped.data[stop.at : stop.at + 4].view("<u4")[0])
            stop.bad = f"a record cannot be {length} bytes long" if length else "zeroed from here on"
        return stop

    def _read_some(self, places: Numbers, headers: Headers, limit: int) -> _Stop:
        """Verify some records and take what is sound of them."""
        stops, marks = places + headers.lengths(), marks_of(headers)
        count, stop = len(places), _Stop(int(stops[-1]) + 7 & -8)
        switches = np.flatnonzero((marks == SWITCH) & (stops <= limit))
        if len(switches):
            count, stop.switched = int(switches[0]) + 1, True
        elif stops[-1] > limit:
            count, stop = count - 1, _Stop(limit, fragment=int(places[-1]))
        total = count + (stop.fragment is not None)
        sound, reason = self._count_sound(places[:total], stops[:total], headers[:total], marks[:total], limit)
        whole = min(sound, count)
        right = count_right(self.stripped, places[:whole], stops[:whole], headers[:whole])
        if right < whole:
            sound, reason = right, "a record's checksum does not match"
        count = min(count, sound)
        while count:
            try:
                self.contents.add(places[:count], stops[:count], headers[:count], marks[:count])
            except Unreadable as error:
                sound = count = error.index
                reason = f"a record {error}"
            else:
                self._note(places[:count], stops[:count], headers[:count])
                break
        return stop if sound == total else _Stop(int(places[sound]), reason)

    def _note(self, places: Numbers, stops: Numbers, headers: Headers) -> None:
        """Add sound records to the reading."""
        reading = self.reading
        reading.records += len(places)
        if reading.first_lsn is None:
            reading.first_lsn = self.lsn(int(places[0]))
            reading.first_previous = int(headers.previous[0])
        reading.last_lsn = self.lsn(int(places[-1]))
        if self.places is not None:
            starts, ends = self.stripped.lsns(places), self.stripped.lsns(stops + 7 & -8)
            self.places += zip(starts.tolist(), ends.tolist(), strict=True)

    def _count_sound(
        self, places: Numbers, stops: Numbers, headers: Headers, marks: Numbers, limit: int
    ) -> tuple[int, str]:
        """How many of the records have a right header and stand on pages that continue them, and what is wrong with the
        next one. The last one may end behind ``limit``; if even its header is cut, `stitch` looks at it."""
        known = marks != UNKNOWN
        linked = np.ones(len(places), np.bool_)
        linked[1:] = headers.previous[1:] == self.stripped.lsns(places[:-1])
        if self.reading.last_lsn is not None:
            linked[0] = int(headers.previous[0]) == self.reading.last_lsn
        if places[-1] + HEADER_SIZE > self.stripped.length:
            known[-1] = linked[-1] = True
        good = known & linked
        sound, reason = len(places), ""
        if not good.all():
            sound = int(np.argmin(good))
            reason = "a record's header is damaged"
            if known[sound]:
                reason = f"a record names {format_lsn(int(headers.previous[sound]))} as its predecessor"
        broken = self._first_broken_by_pages(places, stops, limit)
        return (broken, "a page does not continue its record") if broken < sound else (sound, reason)

    def _first_broken_by_pages(self, places: Numbers, stops: Numbers, limit: int) -> int:
        """The first record whose pages do not agree about where it goes on; their number if they all do."""
        last = min(int(stops[-1]), limit)
        pages = np.arange(-(-int(places[0]) // BODY), -(-last // BODY))
        borders = pages * BODY
        record = np.searchsorted(places, borders, "right") - 1
        expected = np.where(places[record] < borders, np.maximum(stops[record] - borders, 0), 0)
        wrong = np.flatnonzero(self.pages["rem"][pages] != expected)
        if not len(wrong):
            return len(places)
        first = int(wrong[0])
        which = int(record[first])
        return which if expected[first] or places[which] == borders[first] else which + 1
