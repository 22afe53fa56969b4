"""`verify`: every copy read to its end; what is wrong is named; the result is remembered."""

from pathlib import Path

import pytest

from engine.keeping.proofs import read_proofs
from tests.clusters import Cluster
from tests.end_to_end.operator import operator_for


@pytest.fixture
def cluster(lent: Cluster) -> Cluster:
    return lent


def test_all_is_right_until_a_bit_flips_and_a_segment_goes(cluster: Cluster, open_dir: Path) -> None:
    operator = operator_for(cluster, open_dir)
    cluster.sql("CREATE TABLE ledger (id int)")
    copy = operator.ask("backup", "base", expect=0).document["copy"]
    for number in range(3):
        cluster.sql(f"INSERT INTO ledger VALUES ({number})")
        cluster.switch()
    results = operator.ask("verify", "--all", expect=0).document["results"]
    assert {(each["kind"], each["ok"]) for each in results} == {("base", True), ("wal", True)}
    archive = next(Path(copy["path"]).glob("base.tar*"))
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    archive.write_bytes(content)
    sorted(path for path in cluster.archive.iterdir() if len(path.name) == 24)[-2].unlink()
    broken = operator.ask("verify", "--all", expect=1).document["results"]
    assert {(each["kind"], each["ok"]) for each in broken} == {("base", False), ("wal", False)}
    assert all(each["findings"] for each in broken)
    shown = operator.ask("catalog", expect=0).document
    assert [each["last_proof"]["ok"] for each in (*shown["base_backups"], *shown["wal_proofs"])] == [False, False]
    kept = read_proofs(operator.home / "state")
    assert [proof.ok for proof in kept.values()] == [False, False]


@pytest.mark.parametrize("how", ["away", "emptied"])
def test_an_archive_that_is_not_there_now_is_neither_damaged_nor_proven(
    cluster: Cluster, open_dir: Path, how: str
) -> None:
    operator = operator_for(cluster, open_dir)
    operator.ask("backup", "base", expect=0)
    cluster.sql("CREATE TABLE ledger (id int)")
    cluster.switch()
    operator.ask("status")  # sees that there is WAL
    away = cluster.archive.rename(cluster.archive.with_name("away"))
    try:
        if how == "emptied":
            cluster.archive.mkdir()  # an empty mount point
        results = operator.call("verify", "--all", expect=1).document["results"]
    finally:
        if how == "emptied":
            cluster.archive.rmdir()
        away.rename(cluster.archive)
    assert [(each["kind"], each["ok"]) for each in results] == [("base", True), ("wal", None)]
    assert ("does not answer" if how == "away" else "is empty, and had WAL") in results[1]["findings"][0]


def test_all_is_not_well_while_a_place_of_copies_is_away(cluster: Cluster, open_dir: Path) -> None:
    operator = operator_for(cluster, open_dir)
    operator.ask("backup", "base", expect=0)
    away = cluster.backups.rename(cluster.backups.with_name("away"))
    try:
        results = operator.ask("verify", "--all", expect=1).document["results"]
    finally:
        away.rename(cluster.backups)
    (told,) = [each for each in results if each["kind"] == "base"]
    assert (told["id"], told["ok"]) == (str(cluster.backups), None)
    assert "not there, or does not answer" in told["findings"][0]
    operator.ask("verify", "--all")
    assert str(cluster.backups) not in {proof.id for proof in read_proofs(operator.home / "state").values()}


def test_an_id_that_no_copy_has_is_wrong_usage(cluster: Cluster, open_dir: Path) -> None:
    operator = operator_for(cluster, open_dir)
    assert operator.ask("verify", "nonsense").code == 2
    assert operator.ask("verify").code == 2
