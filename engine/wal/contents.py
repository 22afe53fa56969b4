"""What a segment's sound records say: transaction ends, all at once where they are plain, and the rest one by one."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from engine.wal import records
from engine.wal.headers import Headers
from engine.wal.images import compression_seen
from engine.wal.marks import END, TOLD
from engine.wal.packing import EndsSummary, join
from engine.wal.records import HEADER_SIZE, Findings, Header, UnknownRecord
from engine.wal.stripped import SLACK, Numbers, Stripped


class Unreadable(Exception):
    """A record with a right checksum cannot be taken apart: its index, and why."""

    def __init__(self, index: int, why: str) -> None:
        super().__init__(why)
        self.index = index


class Contents:
    """Collects what the records of one segment say."""

    def __init__(self, stripped: Stripped, version: int) -> None:
        self.stripped = stripped
        self.base = stripped.base
        self.version = version
        self.found = Findings()
        self._ends: list[tuple[Numbers, ...]] = []

    def add(self, starts: Numbers, stops: Numbers, headers: Headers, marks: Numbers) -> None:
        """Add records by their offsets. Raises Unreadable, and then has added none."""
        found = Findings()
        for i, header, body in self._each(starts, stops, headers, np.flatnonzero(marks == TOLD)):
            lsn, end_lsn = self.stripped.lsn(int(starts[i])), self.stripped.lsn(int(stops[i]) + 7 & -8)
            try:
                records.read_other(found, header, body, lsn, end_lsn)
            except UnknownRecord as error:
                raise Unreadable(i, str(error)) from error
        chosen = np.flatnonzero(marks == END)
        ends = self._read_ends(found, starts, stops, headers, chosen) if len(chosen) else None
        found.compressed_with = compression_seen(self.stripped, starts, stops, self.version)
        if ends is not None:
            self._ends.append(ends)
        self.found.add(found)

    def _each(
        self, starts: Numbers, stops: Numbers, headers: Headers, chosen: Numbers
    ) -> Iterator[tuple[int, Header, memoryview]]:
        for i in chosen.tolist():
            body = self.stripped.view[int(starts[i]) + HEADER_SIZE : int(stops[i])]
            yield i, headers.header(i), body

    def _read_ends(
        self, found: Findings, starts: Numbers, stops: Numbers, headers: Headers, chosen: Numbers
    ) -> tuple[Numbers, ...]:
        places, limits = starts[chosen], stops[chosen]
        info, xids = headers[chosen].info(), headers[chosen].xids()
        kinds = (info & records.XACT_OPMASK) >> 4
        # Most of them: main data at once, and in it nothing but the time. The others are read one by one.
        form = self.stripped.data[places + HEADER_SIZE]
        data = np.minimum(places + HEADER_SIZE + np.where(form == 255, 2, 5), self.stripped.length + SLACK - 16)
        windows = self.stripped.windows(8)
        times = windows[data].view("<i8") + records.EPOCH_DIFFERENCE
        xinfo = windows[data + 8].view("<u4")[::2]
        has_info = (info & records.XACT_HAS_INFO) != 0
        plain = (form >= 254) & (kinds != records.PREPARE) & (limits >= data + np.where(has_info, 12, 8))
        plain &= ~has_info | ((xinfo & records.NEEDS_A_LOOK) == 0)
        plain &= (times >= records.EARLIEST) & (times <= records.LATEST)
        slow = np.flatnonzero(~plain)
        each = self._each(starts, stops, headers, chosen[slow])
        for at, (i, header, body) in zip(slow.tolist(), each, strict=True):
            try:
                xids[at], times[at], _, subxacts = records.read_end(header, body, self.version)
            except UnknownRecord as error:
                raise Unreadable(i, str(error)) from error
            if subxacts:
                lsn = self.stripped.lsn(int(starts[i]))
                found.subtransactions.extend((xid, lsn) for xid in subxacts)
        lsns = self.stripped.lsns(places)
        return lsns - np.uint64(self.base), self.stripped.lsns(limits + 7 & -8) - lsns, xids, times, kinds

    def packed_ends(self) -> tuple[bytes, EndsSummary]:
        """All transaction ends, as `packing` keeps them."""
        if not self._ends:
            return b"", EndsSummary()
        offsets, sizes, xids, times, kinds = (np.concatenate(column) for column in zip(*self._ends, strict=True))
        packed = join(
            np.diff(offsets, prepend=offsets.dtype.type(0)).astype("<u4").tobytes(),
            sizes.astype("<u4").tobytes(),
            np.diff(xids, prepend=xids.dtype.type(0)).astype("<u4").tobytes(),
            np.diff(times, prepend=times.dtype.type(0)).astype("<i8").tobytes(),
            kinds.astype(np.uint8).tobytes(),
        )
        decided = times[kinds != records.PREPARE]
        commits = times[(kinds == 0) | (kinds == 3)]
        subxacts = [xid for xid, _ in self.found.subtransactions]

        def extreme(values: Numbers, which: Any) -> int | None:
            return int(which(values)) if len(values) else None

        return packed, EndsSummary(
            len(kinds),
            len(commits),
            extreme(decided, np.min),
            extreme(decided, np.max),
            extreme(commits, np.min),
            extreme(commits, np.max),
            min(int(xids.min()), min(subxacts, default=1 << 32)),
            max(int(xids.max()), max(subxacts, default=0)),
        )
