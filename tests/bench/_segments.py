"""A long WAL archive for little: sparse segments of 1 MB, each a small real segment that was moved on in the WAL.

A real segment with a few transactions, closed by pg_switch_wal(), is all on its first page. Moved on, that page gets
its new address, and each record the new place of its predecessor, a later transaction id and commit time, and the
checksum that follows (XLogRecord in `xlogrecord.h`, xl_xact_commit in `xact.h`). The real reader accepts nothing less.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import crc32c

from engine.records.lsn import LONG_PAGE_HEADER, PAGE_SIZE

SEGMENT_SIZE = 1 << 20
_RECORD = struct.Struct("<IIQBBxxI")  # length, xid, previous, info, resource manager, CRC-32C
_CRC = _RECORD.size - 4
_ADDRESS, _TIME = struct.Struct("<Q"), struct.Struct("<q")
_PAGE_ADDRESS = 8  # xlp_pageaddr's offset in the page header
_XLOG, _SWITCH, _XACT, _COMMIT = 0, 0x40, 1, 0x00
_SHORT_HEADER = 2  # XLR_BLOCK_ID_DATA_SHORT, length: before the main data of a commit without blocks


@dataclass(frozen=True)
class Template:
    """The first page of a real segment, its records' offsets, and the number of transaction ids in it."""

    page: bytes
    timeline: int
    number: int
    records: tuple[int, ...]
    xids: int


def read_template(path: Path) -> Template:
    """Take a closed segment apart. Raises ValueError where its records do not all lie on its first page."""
    page = path.read_bytes()[:PAGE_SIZE]
    offsets, xids = [], set()
    at = LONG_PAGE_HEADER
    while at + _RECORD.size <= PAGE_SIZE:
        length, xid, _, info, manager, _ = _RECORD.unpack_from(page, at)
        if not _RECORD.size <= length <= PAGE_SIZE - at:
            break
        offsets.append(at)
        if xid:
            xids.add(xid)
        if (manager, info & 0xF0) == (_XLOG, _SWITCH):
            number = _ADDRESS.unpack_from(page, _PAGE_ADDRESS)[0] // SEGMENT_SIZE
            return Template(page, int(path.name[:8], 16), number, tuple(offsets), max(xids) - min(xids) + 1)
        at = at + length + 7 & -8
    raise ValueError(f"{path.name} does not end on its first page")


def write_archive(template: Template, folder: Path, count: int, *, seconds: int, earlier: int) -> None:
    """``count`` segments from the template's own on, ``seconds`` apart, the first ``earlier`` seconds before it."""
    for step, page in zip(range(count), _pages(template, seconds, earlier), strict=False):
        number = template.number + step
        name = f"{template.timeline:08X}{number >> 12:08X}{number & 0xFFF:08X}"
        with (folder / name).open("wb", buffering=0) as file:
            file.write(page)
            file.truncate(SEGMENT_SIZE)


def _pages(template: Template, seconds: int, earlier: int) -> Iterator[bytes]:
    step = 0
    while True:
        page = bytearray(template.page)
        moved = step * SEGMENT_SIZE
        _ADDRESS.pack_into(page, _PAGE_ADDRESS, template.number * SEGMENT_SIZE + moved)
        for which, at in enumerate(template.records):
            length, xid, previous, info, manager, _ = _RECORD.unpack_from(page, at)
            if which == 0 and step:  # the switch that closed the segment before
                previous = (template.number - 1) * SEGMENT_SIZE + template.records[-1]
            previous += moved if which or step else 0
            xid += step * template.xids if xid else 0
            if manager == _XACT and info & 0x70 == _COMMIT:
                place = at + _RECORD.size + _SHORT_HEADER
                _TIME.pack_into(page, place, _TIME.unpack_from(page, place)[0] + (step * seconds - earlier) * 1_000_000)
            _RECORD.pack_into(page, at, length, xid, previous, info, manager, 0)
            body = bytes(page[at + _RECORD.size : at + length])
            checksum = crc32c.crc32c(bytes(page[at : at + _CRC]), crc32c.crc32c(body))
            struct.pack_into("<I", page, at + _CRC, checksum)
        yield bytes(page)
        step += 1
