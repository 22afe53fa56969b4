"""Log sequence numbers and WAL segment names.

An LSN is a plain ``int``: a byte position in the WAL. PostgreSQL prints it as ``X/X``
(`src/include/access/xlogdefs.h`); segment names are `src/include/access/xlog_internal.h`.
"""

import re
from typing import NamedTuple, TypeAlias

Lsn: TypeAlias = int

PAGE_SIZE = 8192  # XLOG_BLCKSZ; other values need a custom build and are refused by the readers
SHORT_PAGE_HEADER = 24  # SizeOfXLogShortPHD
LONG_PAGE_HEADER = 40  # SizeOfXLogLongPHD, on a segment's first page

_LSN = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})\Z")
_SEGMENT = re.compile(r"[0-9A-F]{24}\Z")


def format_lsn(lsn: Lsn) -> str:
    """As PostgreSQL prints it: ``16/B374D848``."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def parse_lsn(text: str) -> Lsn:
    """Read ``16/B374D848``. Raises ValueError with what would be right."""
    found = _LSN.match(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not an LSN; an LSN looks like 16/B374D848")
    return int(found[1], 16) << 32 | int(found[2], 16)


class SegmentName(NamedTuple):
    """One WAL segment: its timeline and its number counted from the start of the WAL."""

    timeline: int
    number: int

    def text(self, segment_size: int) -> str:
        """The 24 hexadecimal digits of the file name."""
        per_id = 0x1_0000_0000 // segment_size
        return f"{self.timeline:08X}{self.number // per_id:08X}{self.number % per_id:08X}"


def parse_segment(name: str, segment_size: int) -> SegmentName:
    """Read a segment's file name. Raises ValueError where it is none."""
    if not _SEGMENT.match(name):
        raise ValueError(f"{name!r} is not the name of a WAL segment (24 hexadecimal digits)")
    per_id = 0x1_0000_0000 // segment_size
    low = int(name[16:], 16)
    if low >= per_id:
        raise ValueError(f"{name!r} is not the name of a WAL segment of {segment_size} bytes")
    return SegmentName(int(name[:8], 16), int(name[8:16], 16) * per_id + low)


def segment_of(lsn: Lsn, segment_size: int) -> int:
    """The number of the segment that holds the byte at this LSN."""
    return lsn // segment_size


def skip_page_header(lsn: Lsn, segment_size: int) -> Lsn:
    """Where a record can start that is said to start at ``lsn``: behind the page header, if one stands there."""
    if lsn % segment_size == 0:
        return lsn + LONG_PAGE_HEADER
    if lsn % PAGE_SIZE == 0:
        return lsn + SHORT_PAGE_HEADER
    return lsn
