"""One segment file read by itself, without an index: the end of a running or stopped cluster's pg_wal.

There the WAL ends within a segment: zeros follow, or, in a file that was recycled, old pages whose addresses tell. A
file that was recycled for WAL to come holds nothing of what its name says.
"""

from pathlib import Path

from msgspec import Struct

from engine.records.history import TransactionEnd
from engine.records.lsn import Lsn
from engine.wal.worker import Wanted, read_file


class Tail(Struct, frozen=True):
    """What one file holds. ``valid_to`` is where its sound WAL ends, ``ended_by`` why it ends within the segment.
    ``ends`` are the transactions that end in it, but for one in a record that goes on in the next segment."""

    timeline: int
    number: int
    segment_size: int
    system_identifier: int
    valid_to: Lsn
    ended_by: str | None
    ends: tuple[TransactionEnd, ...]

    @property
    def is_empty(self) -> bool:
        """Nothing in it is of the segment that its name says."""
        return self.valid_to <= self.number * self.segment_size


def read_tail(path: Path, timeline: int, number: int) -> Tail | None:
    """Read one segment file. None where it is not there."""
    from engine.wal import packing
    from engine.wal.ends import transaction_end

    reading = read_file(Wanted(str(path), timeline, number))
    if reading is None:
        return None
    ends = packing.unpack(reading.ends)
    return Tail(
        timeline,
        number,
        reading.size,
        reading.system_identifier,
        reading.valid_to,
        reading.damage,
        tuple(transaction_end(timeline, ends.end(i, number * reading.size)) for i in range(len(ends))),
    )
