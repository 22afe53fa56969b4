"""What only the WAL's own records tell: times that jump back (`clock`), page images that a build could not unpack
(`build-features`)."""

import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import crc32c
import pytest

from engine.postgres.server import Server, free_port
from engine.records.lsn import SegmentName
from tests.clusters import Cluster, make_cluster, own, wait_until
from tests.end_to_end.checks.place import Place, make_place, rewrite
from tests.waldump import Ended

PAGE, HEADER, CRC_AT = 8192, 24, 20  # xlogrecord.h
HOUR = timedelta(hours=1)


@dataclass
class Recorded:
    cluster: Cluster
    inserts: list[Ended]  # one row each, in WAL order

    @property
    def can_zstd(self) -> bool:
        return self.cluster.programs.version >= 15 and "--with-zstd" in self.cluster.programs.configure


@pytest.fixture(scope="module")
def recorded() -> Iterator[Recorded]:
    """A stopped cluster with small commits behind its backup; where the build can, its later page images are zstd."""
    made = Recorded(make_cluster("contents"), [])
    cluster = made.cluster
    try:
        cluster.sql("CREATE TABLE t (id int)")
        cluster.base_backup("one")
        insert = "INSERT INTO t VALUES (%s) RETURNING pg_current_xact_id()::text"
        xids = [int(cluster.value(insert, number)) for number in range(12)]
        if made.can_zstd:
            cluster.sql("ALTER SYSTEM SET wal_compression = zstd")  # the backup's own settings do not tell
            cluster.sql("SELECT pg_reload_conf()")
        cluster.sql("CREATE TABLE filled AS SELECT repeat('x', 100) AS x FROM generate_series(1, 500)")
        cluster.sql("CHECKPOINT")
        cluster.sql("UPDATE filled SET x = 'y'")
        cluster.switch()
        cluster.stop()
        made.inserts += [end for end in cluster.ends(1) if end.xid in xids]
        yield made
    finally:
        cluster.destroy()


@pytest.fixture
def place(recorded: Recorded, open_dir: Path) -> Place:
    return make_place(recorded.cluster, open_dir)


def set_clock_forward(place: Place, end: Ended, by: timedelta) -> None:
    """The commit's record as it would be had the clock gone wrong just then: xact_time changed, the CRC right."""
    size = place.original.segment_size
    at = end.lsn % size

    def change(content: bytes) -> bytes:
        (length,) = struct.unpack_from("=I", content, at)
        record = bytearray(content[at : at + length])
        assert at % PAGE + length < PAGE and record[HEADER] == 255  # one page, XLR_BLOCK_ID_DATA_SHORT
        time = HEADER + 2
        (was,) = struct.unpack_from("=q", record, time)
        struct.pack_into("=q", record, time, was + by // timedelta(microseconds=1))
        crc = crc32c.crc32c(bytes(record[:CRC_AT]), crc32c.crc32c(bytes(record[HEADER:])))
        struct.pack_into("=I", record, CRC_AT, crc)
        return content[:at] + bytes(record) + content[at + length :]

    rewrite(place.archive / SegmentName(1, end.lsn // size).text(size), change)


def rows_of_postgresqls_own_recovery(place: Place, until: str) -> int:
    cluster, data_dir = place.original, place.home / "own"
    shutil.copytree(cluster.backups / "one", data_dir)
    (data_dir / "recovery.signal").touch()
    data_dir.chmod(0o700)
    own(data_dir, cluster.user)
    server = Server(cluster.programs, data_dir, cluster.user, place.home, free_port(), place.home / "own.log")
    target = {"recovery_target_time": until, "recovery_target_action": "promote", "recovery_target_timeline": "1"}
    server.start({"restore_command": f'cp "{place.archive}/%f" "%p"', "archive_mode": "off", **target})
    try:
        server.wait_accepting()
        with server.connect() as connection:
            wait_until(lambda: connection.execute("SELECT pg_is_in_recovery()").fetchone() == (False,), "no end")
            row = connection.execute("SELECT count(*) FROM t").fetchone()
            assert row is not None
            return int(row[0])
    finally:
        server.stop("immediate")


def test_a_clock_that_was_set_back_is_told_and_the_stop_is_postgresqls_own(place: Place, recorded: Recorded) -> None:
    ends = recorded.inserts
    until = ends[6].at.isoformat()
    quiet = place.plan("--time", until)
    quiet.says("clock", "warn", True, "times rise")
    assert quiet.document["kept_until"]["xid"] == ends[6].xid
    set_clock_forward(place, ends[4], HOUR)
    checks = place.plan("--time", until)
    checks.says("clock", "warn", False, "jump back: 2 of the next", f"xid {ends[5].xid}")
    assert checks["clock"]["remedy"] is not None and "--lsn" in checks["clock"]["remedy"]
    assert checks.document["kept_until"]["xid"] == ends[3].xid
    assert checks.document["lost_from"]["xid"] == ends[4].xid
    assert rows_of_postgresqls_own_recovery(place, until) == 4


def test_page_images_that_the_build_cannot_unpack_are_found_in_the_wal(place: Place, recorded: Recorded) -> None:
    if not recorded.can_zstd:
        pytest.skip("this PostgreSQL was built without zstd, and cannot write such WAL")
    place.plan("--latest").says("build-features", "refuse", True, "zstd needed and there")
    place.plan("--immediate").says("build-features", "refuse", True, "nothing needed")
    programs, poor = recorded.cluster.programs, place.home / "poor"
    poor.mkdir()
    for program in Path(programs.bin_dir).iterdir():
        if program.name != "pg_config":
            (poor / program.name).symlink_to(program)
    config = poor / "pg_config"
    told = "'--with-icu' '--with-lz4'"
    config.write_text(f'#!/bin/sh\ncase $1 in --configure) echo "{told}";; *) echo {programs.library_dir};; esac\n')
    config.chmod(0o755)
    place.site(bin_dir=str(poor))
    place.plan("--latest").says("build-features", "refuse", False, "built without zstd")
    place.plan("--immediate").says("build-features", "refuse", True, "nothing needed")
