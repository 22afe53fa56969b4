"""The WAL records that a recovery must know of, taken apart one by one.

Formats: `src/include/access/xlogrecord.h`, `access/xact.h` with `ParseCommitRecord` in `rmgrdesc/xactdesc.c`,
`access/xlog_internal.h`, `storage/standbydefs.h`. Integers are little-endian.
"""

import struct
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct, field

from engine.records.lsn import Lsn

if TYPE_CHECKING:  # a child that reads segments starts faster without
    from engine.records.history import EndKind

HEADER_SIZE = 24  # SizeOfXLogRecord
LARGEST_RECORD = 1020 << 20  # XLogRecordMaxSize

RM_XLOG = 0
RM_XACT = 1
RM_STANDBY = 8
LAST_BUILTIN_RMGR = 21  # RM_LOGICALMSG_ID
FIRST_CUSTOM_RMGR = 128  # RM_MIN_CUSTOM_ID, from PostgreSQL 15 on

XLOG_SWITCH = 0x40
XLOG_BACKUP_END = 0x50
XLOG_PARAMETER_CHANGE = 0x60
XLOG_RESTORE_POINT = 0x70
XLOG_RUNNING_XACTS = 0x10  # of RM_STANDBY

XACT_OPMASK = 0x70
XACT_HAS_INFO = 0x80
END_KINDS: "tuple[EndKind, ...]" = ("commit", "prepare", "abort", "commit prepared", "abort prepared")  # opcode >> 4
PREPARE = 1

_HAS_DBINFO, _HAS_SUBXACTS, _HAS_RELFILES, _HAS_INVALS, _HAS_TWOPHASE = 1, 2, 4, 8, 16
_HAS_DROPPED_STATS = 256
NEEDS_A_LOOK = _HAS_SUBXACTS | _HAS_TWOPHASE  # xinfo bits that say more than the time

_MAX_BLOCK_ID, _DATA_SHORT, _DATA_LONG, _ORIGIN, _TOPLEVEL_XID = 32, 255, 254, 253, 252

# PostgreSQL counts microseconds from 2000-01-01; the index keeps Unix time in microseconds.
EPOCH_DIFFERENCE = 946_684_800_000_000
# datetime's own range: times outside it are nonsense in a WAL record.
EARLIEST, LATEST = -62_135_596_800_000_000, 253_402_300_799_999_999

SETTINGS = (
    "max_connections", "max_worker_processes", "max_wal_senders",
    "max_prepared_transactions", "max_locks_per_transaction", "wal_level",
)  # fmt: skip

_HEADER = struct.Struct("<IIQBBHI")
_U32 = struct.Struct("<I")
_I64 = struct.Struct("<q")
_U64 = struct.Struct("<Q")


class Header(NamedTuple):
    """XLogRecord: 24 bytes at the start of every record."""

    length: int
    xid: int
    previous: Lsn
    info: int
    rmgr: int
    padding: int
    crc: int


class End(NamedTuple):
    """A transaction end. ``kind`` indexes END_KINDS, ``at`` is Unix time in microseconds."""

    lsn: Lsn
    end_lsn: Lsn
    xid: int
    at: int
    kind: int


class Findings(Struct):
    """What a segment's records say, apart from plain transaction ends, which are packed elsewhere."""

    subtransactions: list[tuple[int, Lsn]] = field(default_factory=list)  # xid, LSN of its top level's end
    restore_points: list[tuple[Lsn, Lsn, str, int]] = field(default_factory=list)  # start, end, name, time
    parameter_changes: list[tuple[Lsn, tuple[int, ...]]] = field(default_factory=list)  # as SETTINGS
    backup_ends: list[tuple[Lsn, Lsn, Lsn]] = field(default_factory=list)  # start, end, the backup's start
    running_xacts: list[tuple[Lsn, bool]] = field(default_factory=list)  # LSN, overflowed
    compressed_with: int = 0  # BKPIMAGE_COMPRESS_LZ4, _ZSTD

    def add(self, other: "Findings") -> None:
        self.subtransactions += other.subtransactions
        self.restore_points += other.restore_points
        self.parameter_changes += other.parameter_changes
        self.backup_ends += other.backup_ends
        self.running_xacts += other.running_xacts
        self.compressed_with |= other.compressed_with


class UnknownRecord(Exception):
    """A record that passed its checksum and still cannot be taken apart; the message says how."""


def read_header(data: bytes | memoryview) -> Header:
    return Header(*_HEADER.unpack_from(data))


def main_data(body: bytes | memoryview) -> bytes:
    """The main data of a record without block references, as all records taken apart here are."""
    at = 0
    while at < len(body):
        kind = body[at]
        if kind == _DATA_SHORT:
            return bytes(body[at + 2 : at + 2 + body[at + 1]])
        if kind == _DATA_LONG:
            (length,) = _U32.unpack_from(body, at + 1)
            return bytes(body[at + 5 : at + 5 + length])
        if kind == _ORIGIN:
            at += 3
        elif kind == _TOPLEVEL_XID:
            at += 5
        else:
            break
    raise UnknownRecord("without main data")


def read_end(header: Header, body: bytes | memoryview, version: int) -> tuple[int, int, int, tuple[int, ...]]:
    """A transaction end's xid (the prepared one's for COMMIT and ABORT PREPARED), Unix time in microseconds, kind,
    and the subtransactions that end with it."""
    data = main_data(body)
    kind = (header.info & XACT_OPMASK) >> 4
    try:
        if kind == PREPARE:
            (prepared,), (at,) = _U32.unpack_from(data, 8), _I64.unpack_from(data, 16)
            return prepared, unix_time(at), kind, ()
        (at,) = _I64.unpack_from(data, 0)
        xid: int = header.xid
        subxacts: tuple[int, ...] = ()
        if header.info & XACT_HAS_INFO:
            found, subxacts = _read_xinfo(data, version)
            xid = found or xid
    except struct.error as error:
        raise UnknownRecord("shorter than its own contents") from error
    return xid, unix_time(at), kind, subxacts


def _read_xinfo(data: bytes, version: int) -> tuple[int, tuple[int, ...]]:
    """The prepared transaction's xid (0: none) and the subtransactions."""
    (xinfo,) = _U32.unpack_from(data, 8)
    at = 12
    subxacts: tuple[int, ...] = ()
    if xinfo & _HAS_DBINFO:
        at += 8
    if xinfo & _HAS_SUBXACTS:
        (count,) = _U32.unpack_from(data, at)
        if count > len(data):
            raise UnknownRecord(f"with {count} subtransactions")
        subxacts = struct.unpack_from(f"<{count}I", data, at + 4)
        at += 4 + 4 * count
    if not xinfo & _HAS_TWOPHASE:
        return 0, subxacts
    if xinfo & _HAS_RELFILES:
        at += 4 + 12 * _U32.unpack_from(data, at)[0]
    if xinfo & _HAS_DROPPED_STATS and version >= 15:
        at += 4 + (16 if version >= 18 else 12) * _U32.unpack_from(data, at)[0]
    if xinfo & _HAS_INVALS:
        at += 4 + 16 * _U32.unpack_from(data, at)[0]
    return _U32.unpack_from(data, at)[0], subxacts


def read_other(found: Findings, header: Header, body: bytes | memoryview, lsn: Lsn, end_lsn: Lsn) -> None:
    """Add what a record of RM_XLOG or RM_STANDBY says to ``found``."""
    kind = header.info & 0xF0
    try:
        if header.rmgr == RM_STANDBY and kind == XLOG_RUNNING_XACTS:
            found.running_xacts.append((lsn, main_data(body)[8] != 0))
        elif header.rmgr != RM_XLOG:
            return
        elif kind == XLOG_RESTORE_POINT:
            data = main_data(body)
            name = data[8:72].split(b"\0", 1)[0].decode("utf-8", "backslashreplace")
            found.restore_points.append((lsn, end_lsn, name, unix_time(_I64.unpack_from(data)[0])))
        elif kind == XLOG_PARAMETER_CHANGE:
            found.parameter_changes.append((lsn, struct.unpack_from("<6i", main_data(body))))
        elif kind == XLOG_BACKUP_END:
            found.backup_ends.append((lsn, end_lsn, _U64.unpack_from(main_data(body))[0]))
    except (struct.error, IndexError) as error:
        raise UnknownRecord("shorter than its own contents") from error


def unix_time(timestamp: int) -> int:
    """PostgreSQL's TimestampTz as Unix time in microseconds, kept within what a datetime can hold."""
    return min(max(timestamp + EPOCH_DIFFERENCE, EARLIEST), LATEST)
