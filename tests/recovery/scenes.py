"""A plain recovery question in which all is well; tests spoil one thing of it at a time."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from engine.records.copies import BaseBackup
from engine.records.history import Piece, TransactionEnd
from engine.records.plan import Destination
from engine.records.survey import ClusterFacts, DestinationFacts, FileSystem, OsUser, Programs, Survey
from engine.records.target import RecoveryPoint, RecoveryTarget
from engine.recovery.checks import Question, WalFacts
from engine.recovery.planning import SiteFacts, make_layout

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SEGMENT = 16 << 20
GIB = 1 << 30
SITE = SiteFacts("archive", "/srv/pg/main", has_application=True)
IN_PLACE = Destination("in-place", "/srv/pg/main")
SIDE_COPY = Destination("side-copy", "/restore/copy", 5440)

BACKUP = BaseBackup(
    id="20261122-020000",
    repository="/backup/base",
    path=Path("/backup/base/20261122-020000"),
    format="plain",
    started_at=datetime(2026, 11, 22, 2, tzinfo=UTC),
    stopped_at=datetime(2026, 11, 22, 2, 5, tzinfo=UTC),
    start_lsn=2 * SEGMENT + 40,
    stop_lsn=2 * SEGMENT + 4096,
    timeline=1,
    size_bytes=10 * GIB,
    files_size_bytes=10 * GIB,
    version=15,
    system_identifier=77,
    segment_size=SEGMENT,
    has_manifest=True,
    data_checksums=True,
    settings=(("max_connections", "100"), ("max_locks_per_transaction", "64")),
)
END = TransactionEnd(1, 5 * SEGMENT + 100, 5 * SEGMENT + 200, 800, datetime(2026, 11, 22, 11, tzinfo=UTC), "commit")
LOST = TransactionEnd(1, 5 * SEGMENT + 900, 5 * SEGMENT + 999, 802, datetime(2026, 11, 22, 12, tzinfo=UTC), "commit")
POINT = RecoveryPoint(
    target=RecoveryTarget("time", time=datetime(2026, 11, 22, 11, 30, tzinfo=UTC)),
    chain=(BACKUP,),
    timeline=1,
    gate=LOST.lsn,
    pieces=(Piece(1, 2 * SEGMENT + 40, LOST.lsn),),
    segment_size=SEGMENT,
    wal_first="000000010000000000000002",
    wal_last="000000010000000000000005",
    wal_segments=4,
    wal_bytes=4 * SEGMENT,
    kept=END,
    lost=LOST,
    lost_commits=3,
    line=1,
)
PROGRAMS = Programs(
    "/usr/lib/postgresql/15/bin", 15, "15.20", ("--with-icu", "--with-lz4", "--with-zstd"), "/usr/lib/postgresql/15/lib"
)
POSTGRES = OsUser("postgres", 101, 104)
CLUSTER = ClusterFacts(
    "/srv/pg/main",
    exists=True,
    owner=POSTGRES,
    mode=0o700,
    version=15,
    system_identifier=77,
    timeline=1,
    settings={"max_connections": "100"},
    postmaster_pid=99,
    running=True,
    answers=True,
)


def file_system(path: str, *, device: int = 1, free: int = 100 * GIB, writable: bool = True) -> FileSystem:
    return FileSystem(path, path, device, "/", free, 200 * GIB, writable)


SURVEY = Survey(
    taken_at=NOW,
    run_as=POSTGRES,
    as_root=True,
    programs=PROGRAMS,
    cluster=CLUSTER,
    destination=DestinationFacts("/restore/copy", "absent", port=5440),
    file_systems=(file_system("/"), file_system("/srv/pg"), file_system("/restore/copy", device=2)),
    memory_total=16 * GIB,
    memory_available=8 * GIB,
    backup_settings={"max_connections": "100", "shared_buffers": "4GB"},
    archive_answers=True,
)
WAL = WalFacts(
    system_identifier=77, compression=("pglz",), overflowed=False, history_files=(), timelines=(1,), unfinished=()
)


def question(
    destination: Destination = SIDE_COPY,
    *,
    survey: dict[str, Any] | None = None,
    cluster: dict[str, Any] | None = None,
    backup: dict[str, Any] | None = None,
    point: dict[str, Any] | None = None,
    wal: dict[str, Any] | None = None,
    target: RecoveryTarget | None = None,
    pauses: bool = False,
) -> Question:
    """All is well, but for what is named."""
    found = replace(SURVEY, cluster=replace(CLUSTER, **(cluster or {})))
    found = replace(found, **(survey or {}))
    spoilt = replace(POINT, chain=(replace(BACKUP, **(backup or {})),))
    spoilt = replace(spoilt, **(point or {}))
    layout = None
    if found.programs is not None:
        layout = make_layout(SITE, spoilt, found, destination, created_at=NOW, port=5432)
    facts = replace(WAL, **(wal or {}))
    return Question(target or spoilt.target, spoilt, found, destination, layout, facts, pauses)
