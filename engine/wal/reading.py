"""What was read of one segment. Without numpy, for those that only pass it on."""

from msgspec import Struct, field

from engine.records.lsn import Lsn
from engine.wal.packing import EndsSummary
from engine.wal.pages import FirstPage
from engine.wal.records import Findings


class SegmentReading(Struct):
    """What one segment file says. ``valid_to`` is where its sound WAL ends."""

    timeline: int
    number: int
    size: int
    version: int
    system_identifier: int
    head: bytes = b""  # the rest of a record that began earlier
    head_expected: int = 0  # how long that rest is, beyond this segment too
    overwrites: bool = False  # the record that began earlier was given up: XLP_FIRST_IS_OVERWRITE_CONTRECORD
    first_lsn: Lsn | None = None
    first_previous: Lsn | None = None
    last_lsn: Lsn | None = None  # the last whole record's start
    tail_lsn: Lsn | None = None  # a record that begins here and ends in a later segment
    tail: bytes = b""
    valid_to: Lsn = 0
    records: int = 0
    switched: bool = False
    damage: str | None = None
    ends: bytes = b""  # packed
    summary: EndsSummary = field(default_factory=EndsSummary)
    found: Findings = field(default_factory=Findings)

    @property
    def is_all_head(self) -> bool:
        """Nothing but the middle of one long record."""
        return self.damage is None and self.first_lsn is None and self.tail_lsn is None and self.head_expected > 0


def damaged(timeline: int, number: int, reason: str, page: FirstPage | None = None) -> SegmentReading:
    """A segment of which nothing can be used."""
    version, system, size = (page.version, page.system_identifier, page.segment_size) if page else (0, 0, 0)
    return SegmentReading(timeline, number, size, version, system, damage=reason, valid_to=number * size)
