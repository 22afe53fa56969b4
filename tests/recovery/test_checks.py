"""Each check of a plan: something that makes it speak up, and quiet where all is well."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from engine.records.copies import MediaSnapshot, Tablespace, UnfinishedSegment
from engine.records.history import ParameterChange
from engine.records.plan import Check
from engine.records.survey import DestinationFacts, FileSystem, LockHolder, OsUser
from engine.records.target import RecoveryTarget
from engine.recovery.checks import CHECKS, Question, run_checks
from tests.recovery.scenes import BACKUP, END, GIB, IN_PLACE, NOW, PROGRAMS, SEGMENT, SIDE_COPY, file_system, question

HOLDER = LockHolder("20261123-archive", 4711, "anna", NOW)
OCCUPIED = DestinationFacts("/restore/copy", "occupied", "3 entries")
DEAD = DestinationFacts("/restore/copy", "occupied", "a half-restored copy")
SNAPSHOT = MediaSnapshot(
    "m1", "/m", Path("/m/m1"), datetime(2026, 11, 22, 4, tzinfo=UTC), datetime(2026, 11, 22, 5, tzinfo=UTC)
)

UNFINISHED = UnfinishedSegment(
    Path("/wal/000000010000000000000007.partial"), "/wal", "000000010000000000000007", 1, 7 * SEGMENT + 96, 37,
    datetime(2026, 11, 22, 11, 3, 10, tzinfo=UTC), why_not="it continues nothing",
)  # fmt: skip


def answers(asked: Question, name: str) -> list[Check]:
    return [check for check in run_checks(asked) if check.name == name]


REFUSING: list[tuple[str, bool | None, Question]] = [
    ("target-offset", False, question(target=RecoveryTarget("time", time=datetime(2026, 11, 22)))),
    ("archive-unreachable", False, question(survey={"archive_answers": False, "archive_problem": "ESTALE"})),
    ("archive-unreachable", None, question(survey={"archive_answers": None})),
    ("backup-incomplete", False, question(backup={"usable": False, "reason": "no manifest end"})),
    ("backup-label", False, question(backup={"start_lsn": None})),
    ("major-version", False, question(survey={"programs": None})),
    ("major-version", False, question(survey={"programs": replace(PROGRAMS, version=16)})),
    ("major-version", False, question(backup={"version": 12})),
    ("major-version", None, question(backup={"version": None})),
    ("major-version", False, question(wal={"system_identifier": 78})),
    ("major-version", False, question(IN_PLACE, cluster={"system_identifier": 5})),
    ("major-version", False, question(backup={"segment_size": 1 << 20})),
    (
        "build-features",
        False,
        question(wal={"compression": ("zstd",)}, survey={"programs": replace(PROGRAMS, configure=("--with-icu",))}),
    ),
    (
        "build-features",
        None,
        question(wal={"compression": ("lz4",)}, survey={"programs": replace(PROGRAMS, configure=())}),
    ),
    (
        "build-features",
        False,
        question(
            survey={
                "programs": replace(PROGRAMS, configure=("x",)),
                "backup_settings": {"default_toast_compression": "lz4"},
            }
        ),
    ),
    ("libraries", False, question(survey={"missing_libraries": ("timescaledb",)})),
    ("libraries", None, question(survey={"missing_libraries": None})),
    ("destination", False, question(survey={"destination": OCCUPIED})),
    ("half-restored", False, question(survey={"destination": DEAD})),
    (
        "port",
        False,
        question(survey={"destination": DestinationFacts("/restore/copy", "absent", port=1, port_user="x, pid 1")}),
    ),
    ("disk-space", False, question(survey={"file_systems": (file_system("/restore/copy", free=10 * GIB),)})),
    ("disk-space", None, question(survey={"file_systems": ()})),
    (
        "mount-point",
        False,
        question(IN_PLACE, survey={"file_systems": (file_system("/"), file_system("/srv/pg", writable=False))}),
    ),
    ("mount-point", False, question(IN_PLACE, survey={"unmounted": "/srv is a mount point in /etc/fstab, and not"})),
    ("ownership", False, question(IN_PLACE, cluster={"owner": OsUser("anna", 1000, 1000)})),
    ("ownership", False, question(survey={"run_as": OsUser("root", 0, 0)})),
    ("ownership", None, question(IN_PLACE, cluster={"owner": None})),
    (
        "ownership",
        False,
        question(survey={"destination": DestinationFacts("/restore/copy", "absent", parent_writable=False)}),
    ),
    (
        "ownership",
        False,
        question(survey={"destination": DestinationFacts("/root/copy", "absent", closed="/root")}),
    ),
    (
        "ownership",
        False,
        question(IN_PLACE, survey={"destination": DestinationFacts("/srv/pg/main", "absent", closed="/srv")}),
    ),
    ("another-run", False, question(IN_PLACE, survey={"site_lock": HOLDER})),
    (
        "another-run",
        False,
        question(survey={"destination": DestinationFacts("/restore/copy", "empty", held_by=HOLDER)}),
    ),
    ("managed-elsewhere", False, question(IN_PLACE, survey={"managers": ("Patroni (pid 7)",)})),
    (
        "configuration",
        False,
        question(IN_PLACE, cluster={"settings": {"config_file": "/etc/postgresql/15/main/postgresql.conf"}}),
    ),
    (
        "tablespaces",
        False,
        question(
            IN_PLACE,
            backup={"format": "tar", "tablespaces": (Tablespace(16999, "/fast/ts"),)},
            survey={"file_systems": (file_system("/srv/pg"), file_system("/fast/ts", writable=False))},
        ),
    ),
    (
        "tablespaces",
        False,
        question(IN_PLACE, backup={"format": "tar", "tablespaces": (Tablespace(1, "/fast"), Tablespace(2, "/fast"))}),
    ),
    (
        "tablespaces",
        None,
        question(
            IN_PLACE,
            backup={"format": "tar", "tablespaces": (Tablespace(1, "/fast"),)},
            survey={"file_systems": (file_system("/srv/pg"),)},
        ),
    ),
    ("tablespaces", False, question(IN_PLACE, backup={"tablespaces": (Tablespace(1, "/backup/base/1"),)})),
    ("configuration", False, question(IN_PLACE, cluster={"lacks_configuration": True})),
]


@pytest.mark.parametrize(
    ("name", "ok", "asked"), REFUSING, ids=[f"{name}-{i}" for i, (name, *_) in enumerate(REFUSING)]
)
def test_a_fault_refuses_with_a_finding_and_a_remedy(name: str, ok: bool | None, asked: Question) -> None:
    told = [check for check in answers(asked, name) if check.refuses]
    assert len(told) == 1 and told[0].ok is ok
    assert told[0].finding and "\n" not in told[0].finding
    assert told[0].remedy or name == "major-version"


@pytest.mark.parametrize("asked", [question(), question(IN_PLACE)], ids=["side copy", "in place"])
def test_nothing_is_refused_or_warned_of_where_all_is_well(asked: Question) -> None:
    assert [check for check in run_checks(asked) if check.refuses] == []
    assert [check for check in run_checks(asked) if check.level == "warn" and check.ok is not True] == []
    assert len({check.name for check in run_checks(asked)}) == len(run_checks(asked))


def test_without_a_point_no_check_fails() -> None:
    asked = replace(question(), point=None, layout=None)
    assert all(check.finding for check in run_checks(asked))
    assert len(CHECKS) > 30


WARNING: list[tuple[str, bool | None, Question]] = [
    ("backup-damaged", False, question(backup={"has_manifest": False})),
    ("build-features", None, question(survey={"programs": replace(PROGRAMS, configure=("--with-lz4", "--with-zstd"))})),
    ("settings-too-low", None, question(backup={"settings": ()})),
    ("page-checksums", False, question(backup={"data_checksums": False})),
    ("disk-space", None, question(backup={"files_size_bytes": None, "format": "tar"})),
    ("memory", False, question(survey={"memory_available": 1 << 20})),
    ("memory", None, question(survey={"memory_available": None})),
    ("memory", False, question(IN_PLACE, cluster={"running": False, "settings": {"shared_buffers": "9GB"}})),
    ("unarchived-tail", False, question(cluster={"wal_tail": ("000000010000000000000006",)}, point={"lost": None})),
    ("unarchived-tail", None, question(cluster={"wal_tail": None})),
    ("unarchived-tail", None, question(IN_PLACE, cluster={"wal_tail": None})),
    ("archive-clash", False, question(wal={"timelines": (1, 2)})),
    ("archive-clash", None, question(wal={"history_files": None})),
    (
        "configuration",
        False,
        question(IN_PLACE, cluster={"exists": False, "settings": {}}, survey={"backup_settings": {}}),
    ),
    ("files-behind", False, question(point={"media": (SNAPSHOT,)})),
    ("logind", False, question(survey={"remove_ipc": True, "run_as": OsUser("anna", 1000, 1000)})),
    ("logind", False, question(survey={"kill_user_processes": True, "as_root": False})),
]


@pytest.mark.parametrize(("name", "ok", "asked"), WARNING, ids=[f"{name}-{i}" for i, (name, *_) in enumerate(WARNING)])
def test_a_doubt_warns_and_does_not_refuse(name: str, ok: bool | None, asked: Question) -> None:
    told = answers(asked, name)
    assert [(check.level, check.ok) for check in told] == [("warn", ok)]
    assert not any(check.refuses for check in run_checks(asked))


SAYING: list[tuple[str, str, Question]] = [
    ("settings-too-low", "max_connections 100 to 500", question(backup={"settings": (("max_connections", "500"),)})),
    (
        "settings-too-low",
        "max_worker_processes 8 to 32",
        question(point={"parameter_changes": (ParameterChange(1, 3 * SEGMENT, {"max_worker_processes": 32}),)}),
    ),
    ("partial-segment", "7.partial", question(wal={"unfinished": (UNFINISHED,)})),
    (
        "partial-segment",
        "7.partial holds 37 commits more until 2026-11-22 11:03:10 UTC",
        question(wal={"unfinished": (replace(UNFINISHED, why_not=None),)}),
    ),
    ("pause-ignored", "nothing can be read", question(wal={"overflowed": True})),
    ("pause-ignored", "not known", question(wal={"overflowed": None})),
    ("hot-standby-locks", "DROP", question(pauses=True)),
    ("server-running", "pid 99: stopped at the switch-over", question(IN_PLACE)),
    ("server-running", "does not answer at the site's address", question(cluster={"answers": False})),
    ("server-running", "no server runs", question(cluster={"running": False})),
    ("server-running", "is not known", question(cluster={"running": False, "mode": None, "owner": None})),
    ("server-running", "no production cluster", question(cluster={"exists": False})),
    ("managed-elsewhere", "left alone", question(survey={"managers": ("Patroni (pid 7)",)})),
    ("stale-settings", "primary_conninfo", question(survey={"backup_settings": {"primary_conninfo": "host=x"}})),
    ("stale-settings", "recovery_target_time", question(survey={"backup_settings": {"recovery_target_time": "x"}})),
    ("sync-standby", "'s1'", question(cluster={"settings": {"synchronous_standby_names": "s1"}})),
    ("unarchived-tail", "salvaged", question(IN_PLACE, cluster={"wal_tail": ("000000010000000000000006",)})),
    ("archive-clash", "will be 4", question(wal={"history_files": (2, 3), "timelines": (1, 2, 3)})),
    ("mount-point", "within it", question(IN_PLACE, cluster={"is_mount_point": True})),
    (
        "mount-point",
        "nothing can be renamed: its contents are moved aside within it",
        question(
            IN_PLACE, survey={"file_systems": (file_system("/srv/pg", writable=False), file_system("/srv/pg/main"))}
        ),
    ),
    (
        "configuration",
        "port 5433, the site file says 5432",
        question(IN_PLACE, survey={"listens_elsewhere": "port 5433, the site file says 5432"}),
    ),
    ("configuration", "/etc/pg.conf", question(survey={"config_outside": {"config_file": "/etc/pg.conf"}})),
    ("tablespaces", "places of the copy's own", question(backup={"tablespaces": (Tablespace(1, "/fast"),)})),
    ("ownership", "belong to postgres", question(IN_PLACE, cluster={"owner": OsUser("root", 0, 0)})),
    ("ownership", "SELinux", question(survey={"selinux": True})),
    ("logind", "scope of its own", question(survey={"kill_user_processes": True, "as_root": True})),
    ("logind", "scope of its own", question(survey={"kill_user_processes": True, "as_root": False, "lingers": True})),
    ("archiving-copy", "archive_mode = off", question()),
    ("memory", "origin's shared_buffers are 9.0 GiB", question(survey={"backup_settings": {"shared_buffers": "9GB"}})),
    (
        "memory",
        "8.0 GiB",
        question(IN_PLACE, cluster={"settings": {"shared_buffers": "1179648"}}),
    ),  # it gives them back
    ("libraries", "looked up in the copy", question()),
    ("libraries", "1 that production's functions call found", question(cluster={"libraries": {"$libdir/x": "x"}})),
    ("page-checksums", "before production is stopped", question(IN_PLACE)),
    ("page-checksums", "not every page is read", replace(question(), reads_pages=False)),
    ("rebuild", "standbys", question(IN_PLACE)),
]


@pytest.mark.parametrize(("name", "words", "asked"), SAYING, ids=[f"{name}-{i}" for i, (name, *_) in enumerate(SAYING)])
def test_what_is_mended_or_looked_at_later_is_said(name: str, words: str, asked: Question) -> None:
    told = answers(asked, name)
    assert len(told) == 1 and words in told[0].finding
    assert not told[0].refuses


@pytest.mark.parametrize("name", ["partial-segment", "hot-standby-locks", "logind", "files-behind", "rebuild"])
def test_what_does_not_concern_this_recovery_is_not_shown(name: str) -> None:
    assert answers(question(), name) == []


def test_space_counts_the_chain_its_result_and_the_wal() -> None:
    part = replace(BACKUP, id="part", incremental=True, parent=BACKUP.id, files_size_bytes=2 * GIB)
    room: dict[str, Any] = {"file_systems": (file_system("/restore/copy", free=24 * GIB),)}
    asked = question(survey=room)
    assert answers(asked, "disk-space")[0].ok is True
    assert answers(question(survey=room, point={"chain": (BACKUP, part)}), "disk-space")[0].ok is True
    room = {"file_systems": (file_system("/restore/copy", free=22 * GIB),)}
    told = answers(question(survey=room, point={"chain": (BACKUP, part)}), "disk-space")[0]
    assert told.ok is False and "10.0 GiB combined" in told.finding


def test_space_for_a_tablespace_is_looked_for_where_it_will_be_built() -> None:
    space = {"format": "tar", "tablespaces": (Tablespace(16999, "/fast/ts", 6 * GIB),)}

    def told(fast: int, main: int) -> Check:
        room = (file_system("/srv/pg", free=main * GIB), file_system("/fast/ts", device=3, free=fast * GIB))
        return answers(question(IN_PLACE, backup=space, survey={"file_systems": room}), "disk-space")[0]

    assert told(fast=7, main=5).ok is True
    assert told(fast=5, main=100).ok is False and "tablespace 16999" in told(fast=5, main=100).finding
    assert told(fast=100, main=4).ok is False
    beside = {"file_systems": (file_system("/restore/copy", free=9 * GIB),)}  # a side copy has them in its own folder
    assert answers(question(backup=space, survey=beside), "disk-space")[0].ok is False


def test_space_for_a_linked_pg_wal_is_looked_for_where_it_goes_and_not_where_it_stays() -> None:
    def told(link: FileSystem) -> Check:
        survey = {"file_systems": (file_system("/srv/pg"), link)}
        return answers(question(IN_PLACE, cluster={"wal_link": "/wal/15"}, survey=survey), "disk-space")[0]

    full = file_system("/wal/15", device=4, free=0)
    assert told(full).ok is False and "its pg_wal" in told(full).finding
    assert told(replace(full, mount_point="/wal/15")).ok is True
    assert told(replace(full, nearest="/wal")).ok is True  # its disk is gone


@pytest.mark.parametrize(("seconds", "words"), [(13, "13 s"), (95, "2 min"), (3 * 3600 + 60, "3 h 1 min")])
def test_how_much_older_than_the_moment_a_snapshot_is_is_told_in_words_that_fit(seconds: int, words: str) -> None:
    taken = END.at - timedelta(seconds=seconds)
    point = {"media": (replace(SNAPSHOT, started_at=taken, stopped_at=taken),)}
    assert f"older by {words}" in answers(question(point=point), "files-behind")[0].finding


def test_a_snapshot_begun_after_the_moment_is_not_behind_whatever_others_there_are() -> None:
    late = replace(SNAPSHOT, started_at=SNAPSHOT.started_at + timedelta(days=1))
    assert answers(question(point={"media": (late,)}), "files-behind")[0].ok is True
    assert answers(question(point={"media": (SNAPSHOT, late)}), "files-behind")[0].ok is True


def test_in_place_another_copys_lock_does_not_matter() -> None:
    held = DestinationFacts("/restore/copy", "empty", held_by=HOLDER)
    assert answers(question(IN_PLACE, survey={"destination": held}), "another-run")[0].ok is True
    assert answers(question(SIDE_COPY, survey={"site_lock": HOLDER}), "another-run")[0].ok is True
