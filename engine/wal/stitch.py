"""Records that begin in one segment and end in a later one."""

import crc32c
from msgspec import Struct

from engine.records.lsn import Lsn, format_lsn
from engine.wal import records
from engine.wal.records import HEADER_SIZE, Header


class Stitched(Struct, frozen=True):
    """A record put together over a segment border."""

    lsn: Lsn
    end_lsn: Lsn
    header: Header
    body: bytes


class Unstitchable(Exception):
    """What follows does not continue the record; the message says why."""


def put_together(lsn: Lsn, end_lsn: Lsn, data: bytes, previous: Lsn | None) -> Stitched:
    """A whole record from its parts. ``previous`` is where the record before it starts, if that is known. Raises
    Unstitchable."""
    if len(data) < HEADER_SIZE:
        raise Unstitchable(f"the record at {format_lsn(lsn)} is cut off")
    header = records.read_header(data)
    if header.length != len(data):
        raise Unstitchable(f"the record at {format_lsn(lsn)} is not continued")
    if previous is not None and header.previous != previous:
        raise Unstitchable(f"the record at {format_lsn(lsn)} names {format_lsn(header.previous)} as its predecessor")
    body = data[HEADER_SIZE:]
    if crc32c.crc32c(data[:20], crc32c.crc32c(body)) != header.crc:
        raise Unstitchable(f"at {format_lsn(lsn)}: a record's checksum does not match")
    return Stitched(lsn, end_lsn, header, body)
