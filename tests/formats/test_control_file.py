"""pg_control against pg_controldata of a real cluster, and against damage."""

import struct
from collections.abc import Callable

import crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.formats.control_file import WAL_LEVELS, read_control_file
from engine.records.errors import DamagedCopy
from engine.records.lsn import format_lsn
from tests.clusters import Cluster


def test_pg_control_says_what_pg_controldata_says(new_cluster: Callable[..., Cluster]) -> None:
    cluster = new_cluster(
        "control", segment_mb=4, settings={"max_connections": "37", "max_locks_per_transaction": "71"}
    )
    cluster.stop()
    data = (cluster.data_dir / "global/pg_control").read_bytes()
    found = read_control_file(data)
    told = {
        name.strip(): value.strip()
        for name, _, value in (
            line.partition(":") for line in cluster.run("pg_controldata", cluster.data_dir).splitlines()
        )
    }
    assert str(found.system_identifier) == told["Database system identifier"]
    assert str(found.control_version) == told["pg_control version number"]
    assert str(found.catalog_version) == told["Catalog version number"]
    assert found.version == cluster.programs.version
    assert found.state == told["Database cluster state"] == "shut down"
    assert format_lsn(found.checkpoint_lsn) == told["Latest checkpoint location"]
    assert format_lsn(found.redo_lsn) == told["Latest checkpoint's REDO location"]
    assert str(found.timeline) == told["Latest checkpoint's TimeLineID"]
    assert str(found.previous_timeline) == told["Latest checkpoint's PrevTimeLineID"]
    assert format_lsn(found.min_recovery_point) == told["Minimum recovery ending location"]
    assert str(found.min_recovery_timeline) == told["Min recovery ending loc's timeline"]
    assert format_lsn(found.backup_start_lsn) == told["Backup start location"]
    assert format_lsn(found.backup_end_lsn) == told["Backup end location"]
    assert found.backup_end_required == (told["End-of-backup record required"] == "yes")
    assert str(found.segment_size) == told["Bytes per WAL segment"] == str(4 << 20)
    assert str(found.block_size) == told["Database block size"]
    assert found.data_checksums == (told["Data page checksum version"] != "0")
    settings = dict(found.settings)
    assert WAL_LEVELS[settings.pop("wal_level")] == told["wal_level setting"]
    assert settings == {
        "wal_log_hints": 0,
        "max_connections": 37,
        "max_worker_processes": int(told["max_worker_processes setting"]),
        "max_wal_senders": int(told["max_wal_senders setting"]),
        "max_prepared_transactions": int(told["max_prepared_xacts setting"]),
        "max_locks_per_transaction": 71,
        "track_commit_timestamp": 0,
    }
    for place in range(0, 290, 7):  # every byte counts
        damaged = bytearray(data)
        damaged[place] ^= 1
        with pytest.raises(DamagedCopy):
            read_control_file(bytes(damaged))
    for length in (0, 7, 15, 16, 100, 291):
        with pytest.raises(DamagedCopy):
            read_control_file(data[:length])


@pytest.mark.parametrize(
    ("control_version", "catalog_version", "size", "major"),
    [
        (1300, 202007201, 292, 13),
        (1300, 202107181, 292, 14),
        (1300, 202307071, 292, 16),
        (1700, 202406281, 292, 17),
        (1800, 202506291, 296, 18),
    ],
)
def test_the_layouts_of_the_other_versions(control_version: int, catalog_version: int, size: int, major: int) -> None:
    """Offsets from pg_control.h: wal_level setting 172, MaxConnections 180, xlog_blcksz and segment size 224."""
    data = bytearray(size)
    struct.pack_into("=QIIi", data, 0, 77, control_version, catalog_version, 6)
    struct.pack_into("=i", data, 180, 41)
    struct.pack_into("=II", data, 224, 8192, 1 << 26)
    struct.pack_into("=I", data, size - 4, crc32c.crc32c(bytes(data[:-4])))
    found = read_control_file(bytes(data) + bytes(8192 - size))
    assert (found.version, found.system_identifier, found.state) == (major, 77, "in production")
    assert (found.settings["max_connections"], found.segment_size) == (41, 1 << 26)


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(DamagedCopy):
        read_control_file(data)


@given(st.integers(0, 2**32), st.binary(min_size=288, max_size=288))
def test_arbitrary_content_with_a_right_checksum_is_read_or_refused(catalog: int, rest: bytes) -> None:
    data = struct.pack("=QII", 1, 1300, catalog % 2**32) + rest
    data = data[:288] + struct.pack("=I", crc32c.crc32c(data[:288]))
    with pytest.raises(DamagedCopy):
        read_control_file(data)
