"""What is known of a base backup besides what stands in it."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from engine.records.copying import Proof
from engine.recovery.backups import consistent, doubted, of_cluster
from tests.recovery.scenes import BACKUP, NOW

OWN = 7301


def proof(*, ok: bool | None) -> Proof:
    return Proof(BACKUP.id, "base", BACKUP.repository, NOW, ok, ("base.tar: checksum differs",))


@pytest.mark.parametrize("known", [None, 0, OWN])
def test_a_backup_of_the_archives_cluster_or_of_one_that_is_not_known_stays_as_it_is(known: int | None) -> None:
    backup = replace(BACKUP, system_identifier=OWN)
    assert of_cluster(backup, known) == backup
    unknown = replace(BACKUP, system_identifier=None)
    assert of_cluster(unknown, OWN) == unknown


def test_a_backup_of_another_cluster_serves_nobody_and_keeps_the_reason_that_it_had() -> None:
    stranger = of_cluster(replace(BACKUP, system_identifier=OWN + 1), OWN)
    assert stranger.stranger and not stranger.usable
    assert str(OWN) in (stranger.reason or "") and str(OWN + 1) in (stranger.reason or "")
    broken = of_cluster(replace(BACKUP, system_identifier=OWN + 1, usable=False, reason="no pg_control"), OWN)
    assert broken.stranger and broken.reason == "no pg_control"


def test_only_a_backup_that_does_not_say_where_it_is_consistent_is_looked_up_in_the_wal() -> None:
    assert BACKUP.stop_lsn is not None and consistent(BACKUP, lambda timeline, start: 1) == BACKUP
    bare = replace(BACKUP, stop_lsn=None)
    asked: list[tuple[int, int]] = []

    def backup_end(timeline: int, start: int) -> int:
        asked.append((timeline, start))
        return 0x9000028

    assert consistent(bare, backup_end).stop_lsn == 0x9000028
    assert asked == [(bare.timeline, bare.start_lsn)]
    assert consistent(replace(bare, start_lsn=None), backup_end).stop_lsn is None


def test_damage_that_the_last_proof_found_is_a_doubt_unless_the_backup_is_younger_than_that() -> None:
    before = replace(BACKUP, started_at=NOW - timedelta(hours=1))
    assert "base.tar: checksum differs" in (doubted(before, proof(ok=False)).doubt or "")
    assert doubted(before, proof(ok=False)).usable == before.usable
    for told in (None, proof(ok=True), proof(ok=None)):
        assert doubted(before, told) == before
    after = replace(BACKUP, started_at=NOW + timedelta(hours=1))
    assert doubted(after, proof(ok=False)) == after
