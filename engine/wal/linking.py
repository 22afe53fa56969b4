"""How each segment continues the one before it: records over the border are put together, and the chain of
predecessors must go on. What comes out stands in ``segment.linked`` and ``segment.trouble``; the transaction end in a
record over the border belongs to the segment in which it starts.
"""

import sqlite3
from collections.abc import Callable

from engine.records.lsn import LONG_PAGE_HEADER, Lsn, SegmentName, format_lsn, skip_page_header
from engine.wal import packing, records
from engine.wal.cache import signed, timelines, unsigned
from engine.wal.reading import SegmentReading
from engine.wal.stitch import Stitched, Unstitchable, put_together

Read = Callable[[int, int], SegmentReading | None]


class _Broken(Exception):
    """A segment does not continue the one before it; the message says why."""


class Linker:
    """Links segments within one transaction of the cache. ``read`` gives a segment's reading, from memory or anew."""

    def __init__(self, connection: sqlite3.Connection, read: Read) -> None:
        self.connection = connection
        self.read = read
        self.touched: set[tuple[int, int]] = set()  # whose ends changed

    def row(self, timeline: int, number: int) -> sqlite3.Row | None:
        cursor = self.connection.cursor()
        cursor.row_factory = sqlite3.Row
        found: sqlite3.Row | None = cursor.execute(
            "SELECT * FROM segment WHERE timeline = ? AND number = ?", (timeline, number)
        ).fetchone()
        return found

    def link_all(self, places: set[tuple[int, int]]) -> None:
        """Link these segments (there or not) and those that a long record makes depend on them."""
        left = sorted(places | {border for place in places for border in self._forked_borders(*place)}, reverse=True)
        done: set[tuple[int, int]] = set()
        while left:
            place = left.pop()
            if place in done:
                continue
            done.add(place)
            row = self.row(*place)
            self.link(place[0], place[1], row)
            if row is not None and row["all_head"]:
                left.append((place[0], place[1] + 1))

    def link(self, timeline: int, number: int, row: sqlite3.Row | None) -> None:
        before = self.row(timeline, number - 1)
        trouble, linked = None, False
        whole = before is not None and not before["void"] and before["damage"] is None
        if not whole or row is None or row["void"]:
            if not whole or row is not None or before is None or not self._continue_in_a_child(before):
                self._forget_tail(timeline, before)
        else:
            assert before is not None
            try:
                self._continue(before, row)
                linked = True
            except _Broken as broken:
                self._forget_tail(timeline, before)
                trouble = str(broken)
        if row is not None:
            self.connection.execute(
                "UPDATE segment SET linked = ?, trouble = ?, starts = ? WHERE timeline = ? AND number = ?",
                (linked, trouble, not linked and not row["void"], timeline, number),
            )

    def _continue(self, before: sqlite3.Row, row: sqlite3.Row) -> None:
        """Raises _Broken where ``row`` does not go on where ``before`` ends."""
        timeline = row["timeline"]
        name = SegmentName(timeline, before["number"]).text(row["segment_size"])
        start = self._start_of_open_record(before)
        previous = self._last_whole_record(before)
        if row["overwrites"]:
            self._forget_tail(timeline, before)
        elif start is not None:
            whole = self._complete(start, row, previous)
            if whole is None:
                return  # it goes on in the next segment still
            self._keep(start, whole)
            previous = whole.lsn
        elif before["all_head"]:
            if before["head_expected"] - before["head_length"] != row["head_expected"]:
                raise _Broken(f"it does not go on with the record that {name} is full of")
            previous = None  # the record began before everything that is here
        elif row["head_expected"]:
            raise _Broken(f"it begins with the rest of a record that {name} does not hold")
        if row["first_previous"] is None or previous is None:
            return
        if (found := unsigned(row["first_previous"])) != previous:
            raise _Broken(
                f"its first record follows one at {format_lsn(found)}, {name} ends with {format_lsn(previous)}"
            )

    # --- forks ------------------------------------------------------------------------------------------------------

    def _forked_borders(self, timeline: int, number: int) -> list[tuple[int, int]]:
        """The ends of older timelines' WAL that a segment at the beginning of a younger one's may go on."""
        while number > 0 and (earlier := self.row(timeline, number - 1)) is not None and earlier["all_head"]:
            number -= 1
        if self.row(timeline, number - 1) is not None:
            return []
        rows = self.connection.execute(
            "SELECT DISTINCT timeline FROM node WHERE level = 3 AND timeline < ?", (timeline,)
        )
        return [(older, number) for (older,) in rows.fetchall()]

    def _continue_in_a_child(self, before: sqlite3.Row) -> bool:
        """Complete the record at the end of a timeline's last segment from the younger timeline that went on: after a
        failover the old timeline's next segment was often never archived. The checksum shows that it is the same."""
        start = self._start_of_open_record(before)
        if start is None:
            return False
        number, previous = before["number"] + 1, self._last_whole_record(before)
        for child in timelines(self.connection):
            row = self.row(child, number) if child > start["timeline"] else None
            while row is not None and row["all_head"]:
                row = self.row(child, row["number"] + 1)
            if row is None or row["void"] or row["overwrites"]:
                continue
            try:
                whole = self._complete(start, row, previous)
                if whole is not None:
                    self._keep(start, whole)
                    return True
            except _Broken:
                continue
        return False

    # --- records over a border --------------------------------------------------------------------------------------

    def _start_of_open_record(self, before: sqlite3.Row) -> sqlite3.Row | None:
        """The segment in which the record begins that is still open at the end of ``before``, if its parts are here."""
        row: sqlite3.Row | None = before
        while row is not None and row["all_head"] and row["linked"]:
            row = self.row(row["timeline"], row["number"] - 1)
        return row if row is not None and row["tail_lsn"] is not None else None

    def _last_whole_record(self, before: sqlite3.Row) -> Lsn | None:
        """Where the last record starts that ends in ``before`` or earlier, as far as what is linked tells."""
        row: sqlite3.Row | None = before
        while row is not None:
            if row["last_lsn"] is not None:
                return int(row["last_lsn"])
            if not row["linked"]:
                return None
            earlier = self.row(row["timeline"], row["number"] - 1)
            if earlier is not None and row["head_expected"] and not row["overwrites"] and not row["all_head"]:
                start = self._start_of_open_record(earlier)
                return int(start["tail_lsn"]) if start is not None else None
            row = earlier
        return None

    def _complete(self, start: sqlite3.Row, row: sqlite3.Row, previous: Lsn | None) -> Stitched | None:
        """The record that begins in ``start``, if it ends in ``row``; None where it goes on behind that."""
        timeline, number = start["timeline"], start["number"]
        first = self.read(timeline, number)
        if first is None or first.tail_lsn is None or first.tail_lsn != start["tail_lsn"]:
            raise _Broken("the segment before it has changed")
        data = first.tail
        length = int.from_bytes(data[:4], "little")
        head = 0
        while number < row["number"]:
            number += 1
            there = self.row(timeline, number) is not None
            reading = self.read(timeline if there else row["timeline"], number)
            if reading is None:
                raise _Broken("it has vanished")
            if reading.head_expected != length - len(data):
                raise _Broken(f"it does not go on with the record at {format_lsn(first.tail_lsn)}")
            data += reading.head
            head = reading.head_expected
            if len(reading.head) < reading.head_expected:
                if reading.damage is not None:
                    raise _Broken(reading.damage)
                if number == row["number"]:
                    return None
        size = row["segment_size"]
        pages = -(-(head - (8192 - LONG_PAGE_HEADER)) // (8192 - 24)) if head > 8192 - LONG_PAGE_HEADER else 0
        end = number * size + LONG_PAGE_HEADER + head + 24 * pages
        try:
            return put_together(first.tail_lsn, skip_page_header(end + 7 & -8, size), data, previous)
        except Unstitchable as error:
            raise _Broken(str(error)) from error

    # --- the ends in records over a border --------------------------------------------------------------------------

    def _keep(self, start: sqlite3.Row, whole: Stitched) -> None:
        header, found = whole.header, records.Findings()
        kind = (header.info & records.XACT_OPMASK) >> 4
        end = None
        try:
            if header.rmgr == records.RM_XACT and kind < len(records.END_KINDS):
                xid, at, kind, subxacts = records.read_end(header, whole.body, start["version"])
                end = records.End(whole.lsn, whole.end_lsn, xid, at, kind)
                found.subtransactions = [(subxact, whole.lsn) for subxact in subxacts]
            else:
                records.read_other(found, header, whole.body, whole.lsn, whole.end_lsn)
        except records.UnknownRecord as error:
            raise _Broken(f"the record at {format_lsn(whole.lsn)} is damaged: {error}") from error
        tell(self.connection, start["timeline"], start["number"], found)
        self._set_last_end(start, end, found)

    def _forget_tail(self, timeline: int, before: sqlite3.Row | None) -> None:
        start = None if before is None else self._start_of_open_record(before)
        if start is not None:
            self._set_last_end(start, None, records.Findings())
            self.connection.execute("DELETE FROM told WHERE timeline = ? AND lsn = ?", (timeline, start["tail_lsn"]))

    def _set_last_end(self, start: sqlite3.Row, end: records.End | None, found: records.Findings) -> None:
        place = start["timeline"], start["number"]
        base = start["number"] * start["segment_size"]
        packed, subtransactions, border = self.connection.execute(
            "SELECT ends, subtransactions, border FROM packed WHERE timeline = ? AND number = ?", place
        ).fetchone() or (b"", b"", None)
        if end is None and border is None:
            return
        if border is None:
            summary = self._summary(*place)
        else:  # another record was there
            subs = [pair for pair in packing.unpack_pairs(subtransactions) if pair[1] != start["tail_lsn"] - base]
            subtransactions = packing.pack_pairs(subs)
            summary = packing.summarise(packing.unpack(packed), [xid for xid, _ in subs])
        border = None
        if end is not None:
            border = packing.pack_border(end, base)
            own = [(xid, lsn - base) for xid, lsn in found.subtransactions]
            if own:
                subtransactions = packing.pack_pairs(packing.unpack_pairs(subtransactions) + own)
            summary = summary.plus(packing.summarise(packing.unpack(b"", border), [xid for xid, _ in own]))
        keep_ends(self.connection, *place, packed, subtransactions, border, summary)
        self.touched.add(place)

    def _summary(self, timeline: int, number: int) -> packing.EndsSummary:
        row = self.connection.execute(
            "SELECT ends, commits, smallest_at, largest_at, smallest_commit_at, largest_commit_at, smallest_xid, "
            "largest_xid FROM node WHERE timeline = ? AND level = 0 AND place = ?", (timeline, number)
        ).fetchone()  # fmt: skip
        return packing.EndsSummary(*row) if row else packing.EndsSummary()


def keep_ends(
    connection: sqlite3.Connection,
    timeline: int,
    number: int,
    ends: bytes,
    subtransactions: bytes,
    border: bytes | None,
    summary: packing.EndsSummary,
) -> None:
    """Write a segment's transaction ends, and what its node says of them."""
    if summary.ends:
        row = timeline, number, ends, subtransactions, border
        connection.execute("INSERT OR REPLACE INTO packed VALUES (?, ?, ?, ?, ?)", row)
    else:
        connection.execute("DELETE FROM packed WHERE timeline = ? AND number = ?", (timeline, number))
    connection.execute(
        "UPDATE node SET ends = ?, commits = ?, smallest_at = ?, largest_at = ?, smallest_commit_at = ?, "
        "largest_commit_at = ?, smallest_xid = ?, largest_xid = ? WHERE timeline = ? AND level = 0 AND place = ?",
        (
            summary.ends, summary.commits, summary.smallest_at, summary.largest_at, summary.smallest_commit_at,
            summary.largest_commit_at, summary.smallest_xid, summary.largest_xid, timeline, number,
        ),
    )  # fmt: skip


def tell(connection: sqlite3.Connection, timeline: int, number: int, found: records.Findings) -> None:
    """Write a segment's other findings. Of many harmless RUNNING_XACTS records the first is enough."""
    rows: list[tuple[str, Lsn, Lsn, int | None, str | None]] = []
    rows += [("restore point", lsn, end, at, name) for lsn, end, name, at in found.restore_points]
    rows += [("parameters", lsn, 0, None, " ".join(map(str, values))) for lsn, values in found.parameter_changes]
    rows += [("backup end", lsn, end, signed(start), None) for lsn, end, start in found.backup_ends]
    calm = False
    for lsn, overflowed in found.running_xacts:
        if overflowed or not calm:
            rows.append(("running xacts", lsn, 0, overflowed, None))
        calm = calm or not overflowed
    connection.executemany(
        "INSERT OR REPLACE INTO told (timeline, number, kind, lsn, end_lsn, value, text) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(timeline, number, *row) for row in rows],
    )
