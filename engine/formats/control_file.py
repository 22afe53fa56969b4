"""`global/pg_control`, read without PostgreSQL (`src/include/catalog/pg_control.h`, versions 13 to 18).

PostgreSQL 13 to 16 share one layout (version 1300); 17 (1700) puts ``wal_level`` into what was padding of the
checkpoint; 18 (1800) adds ``default_char_signedness`` before the nonce. The file is in the byte order and alignment of
the machine that wrote it, which is the one that can read it: so is ``struct``'s native mode.
"""

from collections.abc import Mapping
from struct import Struct
from struct import error as StructError

import crc32c
import msgspec

from engine.records.errors import DamagedCopy
from engine.records.lsn import PAGE_SIZE, Lsn

CONTROL_FILE_SIZE = 8192  # PG_CONTROL_FILE_SIZE: zeros behind the data

# In the order of pg_control.h; "0q" rounds the CheckPoint struct up to its alignment.
_BEGIN = "@QII" + "iqQ"  # system_identifier, versions; state, time, checkPoint
_CHECKPOINT = "QII?iQ7Iq3I0q"  # redo, TLI, previous TLI, full_page_writes, wal_level (17+), nextXid …
_RECOVERY = "QQIQQ?"  # unloggedLSN, minRecoveryPoint and TLI, backupStartPoint, backupEndPoint, backupEndRequired
_SETTINGS = "i?iiiii?"
_BUILD = "Id8I?I"  # maxAlign, floatFormat, block sizes and limits, float8ByVal, data_checksum_version
_BODY = _BEGIN + _CHECKPOINT + _RECOVERY + _SETTINGS + _BUILD
_LAYOUTS = {1300: Struct(_BODY + "32sI"), 1700: Struct(_BODY + "32sI"), 1800: Struct(_BODY + "?32sI")}

_MAJOR_OF_CATALOG = {  # CATALOG_VERSION_NO of the releases: fixed within a major version
    202007201: 13,
    202107181: 14,
    202209061: 15,
    202307071: 16,
    202406281: 17,
    202506291: 18,
}
_MAJOR_OF_CONTROL = {1700: 17, 1800: 18}

_STATES = (  # as pg_controldata prints enum DBState
    "starting up",
    "shut down",
    "shut down in recovery",
    "shutting down",
    "in crash recovery",
    "in archive recovery",
    "in production",
)
WAL_LEVELS = ("minimal", "replica", "logical")


class ControlFile(msgspec.Struct, frozen=True):
    """What `pg_controldata` prints, as far as a recovery needs it. LSNs are 0 where PostgreSQL has none.

    ``settings`` are the origin's max_connections, max_worker_processes, max_wal_senders,
    max_prepared_transactions, max_locks_per_transaction, wal_level (0 minimal, 1 replica, 2 logical), wal_log_hints
    and track_commit_timestamp (0 or 1), under PostgreSQL's setting names.
    """

    system_identifier: int
    version: int
    control_version: int
    catalog_version: int
    state: str
    written_at: int  # seconds since 1970, UTC
    checkpoint_lsn: Lsn
    redo_lsn: Lsn
    timeline: int
    previous_timeline: int
    checkpoint_at: int  # seconds since 1970, UTC
    min_recovery_point: Lsn
    min_recovery_timeline: int
    backup_start_lsn: Lsn
    backup_end_lsn: Lsn
    backup_end_required: bool
    segment_size: int
    block_size: int
    blocks_per_file: int  # RELSEG_SIZE: of a relation that is cut into files
    data_checksums: bool
    settings: Mapping[str, int]


def read_control_file(data: bytes) -> ControlFile:
    """Read the bytes of pg_control. Raises DamagedCopy where its CRC-32C, size or version is not right."""
    try:
        system_identifier, control_version, catalog_version = Struct("@QII").unpack_from(data)
        layout = _LAYOUTS.get(control_version)
        if layout is None:
            raise DamagedCopy(
                f"pg_control has version {control_version}, which is none of PostgreSQL 13 to 18",
                cause="another major version of PostgreSQL, another byte order, or a damaged file",
            )
        values = layout.unpack_from(data)
    except StructError as error:
        raise DamagedCopy(f"pg_control is cut off: it has {len(data)} bytes of {CONTROL_FILE_SIZE}") from error
    crc = crc32c.crc32c(data[: layout.size - 4])
    if crc != values[-1]:
        raise DamagedCopy("pg_control is damaged: its CRC-32C does not match its content")
    state, written_at, checkpoint, redo, timeline, previous_timeline = values[3:9]
    checkpoint_at = values[19]
    recovery = values[23:29]
    settings = values[29:37]
    build = values[37:49]
    version = _MAJOR_OF_CONTROL.get(control_version) or _MAJOR_OF_CATALOG.get(catalog_version)
    if version is None:
        raise DamagedCopy(
            f"pg_control has catalog version {catalog_version}, which is no release of PostgreSQL 13 to 18",
            cause="a development version, or a fork of PostgreSQL with its own catalogs",
        )
    block_size, blocks_per_file, wal_block_size, segment_size = build[2:6]
    if wal_block_size != PAGE_SIZE:
        raise DamagedCopy(f"the cluster has WAL pages of {wal_block_size} bytes; only {PAGE_SIZE} are supported")
    if segment_size & (segment_size - 1) or not 1 << 20 <= segment_size <= 1 << 30:
        raise DamagedCopy(f"pg_control says WAL segments of {segment_size} bytes, which PostgreSQL does not have")
    return ControlFile(
        system_identifier=system_identifier,
        version=version,
        control_version=control_version,
        catalog_version=catalog_version,
        state=_STATES[state] if 0 <= state < len(_STATES) else f"unrecognized status code {state}",
        written_at=written_at,
        checkpoint_lsn=checkpoint,
        redo_lsn=redo,
        timeline=timeline,
        previous_timeline=previous_timeline,
        checkpoint_at=checkpoint_at,
        min_recovery_point=recovery[1],
        min_recovery_timeline=recovery[2],
        backup_start_lsn=recovery[3],
        backup_end_lsn=recovery[4],
        backup_end_required=recovery[5],
        segment_size=segment_size,
        block_size=block_size,
        blocks_per_file=blocks_per_file,
        data_checksums=build[11] != 0,
        settings={
            "wal_level": settings[0],
            "wal_log_hints": int(settings[1]),
            "max_connections": settings[2],
            "max_worker_processes": settings[3],
            "max_wal_senders": settings[4],
            "max_prepared_transactions": settings[5],
            "max_locks_per_transaction": settings[6],
            "track_commit_timestamp": int(settings[7]),
        },
    )
