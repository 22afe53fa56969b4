"""WAL page headers (PostgreSQL's `src/include/access/xlog_internal.h`), versions 13 to 18, little-endian."""

import struct
from typing import NamedTuple

from engine.records.lsn import LONG_PAGE_HEADER, PAGE_SIZE, Lsn, format_lsn

# XLOG_PAGE_MAGIC of each major version's released branch.
VERSION_OF_MAGIC = {0xD106: 13, 0xD10D: 14, 0xD110: 15, 0xD113: 16, 0xD116: 17, 0xD118: 18}

FIRST_IS_CONTRECORD = 0x0001
LONG_HEADER = 0x0002
FIRST_IS_OVERWRITE_CONTRECORD = 0x0008
ALL_FLAGS = 0x000F

SMALLEST_SEGMENT = 1 << 20  # WalSegMinSize
LARGEST_SEGMENT = 1 << 30  # WalSegMaxSize

# xlp_magic, xlp_info, xlp_tli, xlp_pageaddr, xlp_rem_len, (padding), xlp_sysid, xlp_seg_size, xlp_xlog_blcksz
_LONG = struct.Struct("<HHIQI4xQII")


class FirstPage(NamedTuple):
    """The long header on a segment's first page."""

    version: int
    timeline: int
    address: Lsn
    remaining: int
    flags: int
    system_identifier: int
    segment_size: int


class DamagedPage(Exception):
    """A page header is not what it should be; the message says how."""


def read_first_page(data: bytes | bytearray | memoryview) -> FirstPage:
    """Read the header of a segment's first page from its first 40 bytes. Raises DamagedPage."""
    if len(data) < LONG_PAGE_HEADER:
        raise DamagedPage("empty file" if not len(data) else f"cut off after {len(data)} bytes")
    magic, flags, timeline, address, remaining, system_identifier, size, page_size = _LONG.unpack_from(data)
    if magic not in VERSION_OF_MAGIC:
        if not any(data[:LONG_PAGE_HEADER]):
            raise DamagedPage("its beginning is zeroed")
        raise DamagedPage(f"no WAL page of PostgreSQL 13 to 18 (magic {magic:04X})")
    if not flags & LONG_HEADER or flags & ~ALL_FLAGS:
        raise DamagedPage(f"its first page's flags are wrong ({flags:04X})")
    if page_size != PAGE_SIZE:
        raise DamagedPage(f"WAL pages of {page_size} bytes are not supported")
    if not SMALLEST_SEGMENT <= size <= LARGEST_SEGMENT or size & (size - 1):
        raise DamagedPage(f"its header names an impossible segment size ({size})")
    if address % size:
        raise DamagedPage(f"its first page's address {format_lsn(address)} is not the start of a segment")
    if bool(remaining) != bool(flags & FIRST_IS_CONTRECORD):
        raise DamagedPage("its first page contradicts itself about a continued record")
    return FirstPage(VERSION_OF_MAGIC[magic], timeline, address, remaining, flags, system_identifier, size)
