"""What the status says of made-up catalogs: one thing wrong at a time, and a healthy one that keeps quiet."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.keeping.proofs import key_of
from engine.keeping.status import LiveFacts, SetUp, advise, judge
from engine.records.copies import BaseBackup, Catalog, MediaSnapshot, SourceCopy
from engine.records.copying import Proof
from engine.records.status import THINGS, ArchiverFacts, Level, Stream, Thing, ThingName, worst
from engine.records.survey import FileSystem

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
PLACES: dict[ThingName, list[str]] = {
    "database-full": ["/backup/base"], "database-incremental": ["/backup/wal"], "files": ["/backup/media"],
    "source": [], "environment": [],
}  # fmt: skip
POLICY: dict[ThingName, int | None] = dict.fromkeys(THINGS, 3600)
QUIET = ArchiverFacts("on", "cp %p /backup/wal/%f", None, None, NOW, "0" * 24, 0, "0" * 24, True, 1 << 30, 1 << 30)


def ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def status(
    minutes: float = 5, *, archiver: ArchiverFacts | None = QUIET, archived: float | None = 1,
    proofs: tuple[Proof, ...] = (), usable: bool = True, **live: object,
) -> dict[str, Thing]:  # fmt: skip
    backup = BaseBackup(
        "b1", "/backup/base", Path("/backup/base/b1"), "tar", started_at=ago(minutes), usable=usable, reason="broken"
    )
    shot = MediaSnapshot("m1", "/backup/media", Path("/backup/media/m1"), ago(minutes), ago(minutes - 1), usable=usable)
    catalog = Catalog("archive", base_backups=(backup,), media_snapshots=(shot,))
    known = {key_of(proof): proof for proof in proofs}
    facts = replace(LiveFacts(archiver=archiver, no_archiver="it is down", reached=True), **live)  # type: ignore[arg-type]
    archived_to = ago(archived) if archived is not None else None
    found = judge(SetUp("archive", PLACES, POLICY), catalog, archived_to, known, facts, NOW)
    return {thing.name: thing for thing in found.things}


def test_a_healthy_site_is_ok_and_says_only_what_was_never_verified() -> None:
    found = status()
    assert {thing.level for thing in found.values()} == {Level.OK}
    assert found["files"].findings == ("never verified",)
    assert (found["database-full"].newest, found["database-full"].age_seconds) == ("b1", 300)
    assert (found["database-full"].lose_seconds, found["database-incremental"].lose_seconds) == (300, 60)
    assert found["source"].findings == ("not set up in the site file",)


@pytest.mark.parametrize(("minutes", "level"), [(59, Level.OK), (61, Level.WARNING), (121, Level.CRITICAL)])
def test_age_is_held_against_the_policy(minutes: float, level: Level) -> None:
    assert status(minutes)["files"].level is level


def test_unusable_copies_are_none() -> None:
    found = status(usable=False)
    assert found["files"].level is found["database-full"].level is Level.CRITICAL
    assert "no copy" in found["files"].findings[0]


@pytest.mark.parametrize(
    ("change", "level", "words"),
    [
        ({"mode": "off"}, Level.CRITICAL, "archive_mode is off"),
        ({"command": ""}, Level.CRITICAL, "archive_command is empty"),
        ({"failed_at": NOW, "archived_at": ago(1), "failed_segment": "0A"}, Level.CRITICAL, "fails, last for 0A"),
        ({"failed_at": ago(9)}, Level.OK, ""),
        ({"waiting": 9}, Level.WARNING, "9 segments wait"),
        ({"wal_bytes": 3 << 30}, Level.WARNING, "twice max_wal_size"),
        ({"slots": (("old_standby", 2 << 30),)}, Level.WARNING, "old_standby holds"),
    ],
)
def test_what_is_wrong_with_archiving_is_named(change: dict[str, object], level: Level, words: str) -> None:
    thing = status(archiver=replace(QUIET, **change))["database-incremental"]  # type: ignore[arg-type]
    assert thing.level is level
    assert words in " ".join(thing.findings)


STREAM = Stream("reprise_archive", True, segment="0A", behind_bytes=100, lag_seconds=2.5)


@pytest.mark.parametrize(
    ("change", "joins", "level", "lose", "words"),
    [
        ({}, True, Level.OK, 2.5, "0A.partial"),
        ({"behind_bytes": 0}, True, Level.OK, 0, ""),
        ({"behind_bytes": 0}, False, Level.CRITICAL, 12000, "goes on behind a gap"),
        ({"lag_seconds": None}, True, Level.CRITICAL, 12000, "is 3 hours"),  # it catches up
        ({"lag_seconds": 4000.0}, True, Level.WARNING, 4000, "the policy wants"),
        ({"active": False, "held_bytes": 3 << 20}, True, Level.CRITICAL, 12000, "nobody streams: no change is copied; "
         "replication slot reprise_archive holds 3.0 MiB"),
        ({"active": False, "lost": True}, True, Level.CRITICAL, 12000, "has lost WAL"),
        ({"held_bytes": 2 << 30}, True, Level.WARNING, 2.5, "reprise_archive holds 2.0 GiB"),
    ],
)  # fmt: skip
def test_a_stream_counts_as_far_as_it_says_that_it_is_and_one_that_is_not_there_is_critical(
    change: dict[str, object], joins: bool, level: Level, lose: float, words: str
) -> None:
    facts = replace(QUIET, mode="off", stream=replace(STREAM, **change))  # type: ignore[arg-type]
    thing = status(archiver=facts, archived=200, joins=joins)["database-incremental"]
    assert (thing.level, thing.lose_seconds) == (level, lose)
    assert words in " ".join(thing.findings)


def test_a_stream_that_is_away_while_the_archive_command_works_is_a_warning() -> None:
    thing = status(archiver=replace(QUIET, stream=replace(STREAM, active=False)))["database-incremental"]
    assert thing.level is Level.WARNING and "archive_command goes on" in thing.findings[0]


def test_an_idle_database_loses_nothing_however_old_its_last_commit_is() -> None:
    thing = status(archiver=replace(QUIET, begun=False), archived=6000)["database-incremental"]
    assert (thing.level, thing.lose_seconds) == (Level.OK, 0)
    thing = status(archiver=replace(QUIET, begun=False, waiting=1), archived=100)["database-incremental"]
    assert (thing.level, thing.lose_seconds) == (Level.WARNING, 6000)


def test_an_idle_database_whose_archive_no_backup_reaches_loses_all_since_and_is_critical() -> None:
    thing = status(archiver=replace(QUIET, begun=False), archived=200, reached=False)["database-incremental"]
    assert (thing.level, thing.lose_seconds) == (Level.CRITICAL, 12000)
    assert "lies behind a gap, or behind no backup: reprise backup base" in thing.findings[0]


def test_where_no_change_can_be_brought_back_all_since_the_newest_backup_would_be_lost() -> None:
    thing = status(archiver=replace(QUIET, begun=False), archived=None, reached=False)["database-incremental"]
    assert (thing.level, thing.newest, thing.lose_seconds) == (Level.CRITICAL, None, 300)


def test_a_server_that_does_not_answer_is_unknown_not_well() -> None:
    assert status(archiver=None)["database-incremental"].level is Level.UNKNOWN


def test_a_repository_that_is_away_is_unknown_one_beside_its_original_a_warning_a_full_one_critical() -> None:
    assert status(away=frozenset({"/backup/media"}))["files"].level is Level.UNKNOWN
    assert status(beside=frozenset({"/backup/media"}))["files"].level is Level.WARNING
    room = FileSystem("/backup/media", "/backup/media", 1, "/backup", 1, 1000, True)
    assert status(rooms={"/backup/media": room})["files"].level is Level.CRITICAL
    room = replace(room, free_bytes=500)
    assert status(rooms={"/backup/media": room})["files"].level is Level.OK
    for free, level in ((0, Level.CRITICAL), (50, Level.WARNING), (500, Level.OK)):
        files = status(rooms={"/backup/media": replace(room, free_files=free, total_files=1000)})["files"]
        assert files.level is level and any("more files" in each for each in files.findings) is (level > 0)


def test_of_several_sources_the_one_that_is_furthest_behind_counts_and_one_without_a_copy_is_named() -> None:
    copies = tuple(
        SourceCopy(name, "mirror", Path(f"/backup/source/{name}"), f"/srv/{name}", ago(age), ago(age), None)
        for name, age in (("a", 5.0), ("b", 70.0), ("b", 90.0))
    )
    catalog = Catalog("archive", sources=copies)

    def source(*wanted: str) -> Thing:
        setup = SetUp("archive", {"source": ["/backup/source"]}, POLICY, wanted)
        return judge(setup, catalog, None, {}, LiveFacts(), NOW).things[0]

    assert (source("/srv/a", "/srv/b").level, source("/srv/a", "/srv/b").age_seconds) == (Level.WARNING, 70 * 60)
    lacking = source("/srv/a", "/srv/b", "/srv/c")
    assert lacking.level is Level.CRITICAL and lacking.findings[0] == "there is no copy of /srv/c"


def test_a_failed_proof_is_critical_and_one_of_a_copy_that_is_gone_counts_for_nothing() -> None:
    bad = Proof("m1", "media", "/backup/media", ago(3), False, ("a.pdf is missing",))
    thing = status(proofs=(bad,))["files"]
    assert (thing.level, thing.proof_ok) == (Level.CRITICAL, False)
    assert "a.pdf is missing" in thing.findings[0]
    assert status(proofs=(replace(bad, id="m0"),))["files"].proof_ok is None


def test_nothing_is_proven_of_a_copy_that_has_taken_the_place_of_the_one_that_was() -> None:
    for ok in (True, False):
        proof = Proof("b1", "base", "/backup/base", ago(30), ok, () if ok else ("base.tar: checksum",))
        replaced, same = (status(minutes, proofs=(proof,))["database-full"] for minutes in (20, 40))
        assert (replaced.level, replaced.proven_at, replaced.findings) == (Level.OK, None, ("never verified",))
        assert (same.proven_at, same.proof_ok) == (proof.at, ok)


def test_a_failed_proof_drill_is_critical_until_a_later_one_is_well_and_hides_no_damage_that_verifying_found() -> None:
    def drilled(run: str, minutes: float, ok: bool) -> Proof:
        why = () if ok else ("verify: SELECT 1 = 2: False",)
        return Proof("b1", "base", "/backup/base", ago(minutes), ok, why, drill=run)

    failed = status(30, proofs=(drilled("r1", 9, False),))["database-full"]
    assert (failed.level, failed.proof_ok, failed.proof_drill) == (Level.CRITICAL, False, "r1")
    assert failed.findings[0] == "b1 failed its proof drill (r1): verify: SELECT 1 = 2: False"
    assert advise([failed])[0].act == "look"
    older = replace(drilled("r0", 20, False), id="b0")  # of another backup, whose own result it stays
    well = status(30, proofs=(older, drilled("r1", 2, True)))["database-full"]
    assert (well.level, well.proof_ok) == (Level.OK, True)
    damaged = Proof("b1", "base", "/backup/base", ago(8), False, ("base.tar: checksum",))
    both = status(30, proofs=(damaged, drilled("r1", 2, True)))["database-full"]
    assert both.level is Level.CRITICAL and "is damaged" in both.findings[0]


def test_what_to_do_comes_most_urgent_first_and_the_never_verified_last() -> None:
    found = advise(status(minutes=200, archiver=replace(QUIET, waiting=9)).values())
    assert [(each.thing, each.act) for each in found] == [
        ("database-full", "copy"), ("files", "copy"), ("database-incremental", "look"),
    ]  # fmt: skip
    assert [(each.thing, each.act) for each in advise(status().values())] == [
        ("database-full", "verify"), ("database-incremental", "verify"), ("files", "verify"),
    ]  # fmt: skip


def test_critical_is_worse_than_unknown_and_that_than_a_warning() -> None:
    assert worst([Level.UNKNOWN, Level.WARNING]) is Level.UNKNOWN
    assert worst([Level.UNKNOWN, Level.CRITICAL]) is Level.CRITICAL
    assert worst([]) is Level.OK
