"""What only the recovered server can tell, read from the report of a real restore."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clusters import Cluster
from tests.end_to_end.checks.place import Place, add, flip, rewrite
from tests.end_to_end.operator import operator_for
from tests.histories import History


def test_a_flipped_bit_in_the_backup_ends_the_run_before_anything_starts(place: Place, history: History) -> None:
    backup = place.backup(history.backups["plain"])
    victim = max((backup / "base").rglob("[0-9]*"), key=lambda file: file.stat().st_size if file.is_file() else 0)
    rewrite(victim, flip)
    words = ("--name", "month end", "--backup", backup.name, "--timeline", "1", *place.into)
    said = place.operator.ask("restore", *words, "--yes", expect=1).document
    assert said["outcome"] == "failed"
    assert victim.name in json.dumps(said["error"])
    assert not list((place.home / "copy").rglob("pg_control"))


def test_leftovers_of_an_older_recovery_do_nothing_and_the_report_tells_what_was_looked_at(
    place: Place, history: History
) -> None:
    backup = place.backup(history.backups["plain"])
    for signal_file in ("recovery.signal", "standby.signal"):
        (backup / signal_file).touch()
    stale = ("recovery_target_time = '2020-01-01'", "restore_command = 'false'", "recovery_end_command = 'touch /x'")
    add(backup / "postgresql.auto.conf", *stale, "primary_conninfo = 'host=gone'", "max_connections = 5")
    words = ("--name", "month end", "--backup", backup.name, "--timeline", "1", *place.into)
    checks = place.restore(*words)
    data_dir = Path(checks.document["data_dir"])
    assert not (data_dir / "recovery.signal").exists() and not (data_dir / "standby.signal").exists()
    assert "gone" not in (data_dir / "postgresql.auto.conf").read_text()
    assert checks.document["reached"]["proven"]
    checks.says("collation", "warn", True)
    checks.says("page-checksums", "warn", True, "every checksum right", "no database has the extension amcheck")
    checks.says("unlogged", "info", True, "no unlogged tables")
    checks.says("large-jobs", "info", True, "no scheduled jobs and no subscriptions")


@pytest.mark.slow
def test_in_place_the_report_names_what_is_different_and_what_must_be_rebuilt(
    new_cluster: Callable[..., Cluster], open_dir: Path
) -> None:
    cluster = new_cluster(settings={"synchronous_standby_names": "berlin", "synchronous_commit": "local"})
    cluster.sql("CREATE UNLOGGED TABLE scratch (x int)")
    cluster.sql("CREATE SUBSCRIPTION from_elsewhere CONNECTION 'host=gone' PUBLICATION p WITH (connect = false)")
    cluster.sql("SELECT pg_create_physical_replication_slot('of_a_standby')")
    cluster.sql("CREATE EXTENSION amcheck")
    cluster.sql("CREATE TABLE orders (id int PRIMARY KEY)")
    cluster.sql("INSERT INTO orders SELECT generate_series(1, 5000)")
    cluster.sql(_SOME_COLLATION[cluster.programs.version < 17])
    cluster.sql("UPDATE pg_collation SET collversion = '0.1' WHERE collname = 'of_the_origin'")
    _damage_an_index(cluster)
    cluster.base_backup("one", extra=("--no-verify-checksums",))
    cluster.switch()
    checks = Place(operator_for(cluster, open_dir), cluster).restore("--latest", "--in-place")
    checks.says("unlogged", "info", True, "scratch")
    checks.says("large-jobs", "info", True, "from_elsewhere")
    checks.says("rebuild", "info", True, "berlin", "of_a_standby", "new base backup")
    checks.says("collation", "warn", False, "of_the_origin 0.1 is now")
    checks.says("page-checksums", "warn", False, "orders")
    assert cluster.value("SHOW synchronous_standby_names") == ""


# By whether the version is below 17: before, only libc and ICU provide collations, and ICU is not in every build.
_SOME_COLLATION = {
    True: "CREATE COLLATION of_the_origin (provider = libc, locale = 'C.UTF-8')",
    False: "CREATE COLLATION of_the_origin (provider = builtin, locale = 'C.UTF-8')",
}


def _damage_an_index(cluster: Cluster) -> None:
    """A flipped bit in a page of an index, as a bad disk leaves it; PostgreSQL must read it anew to notice."""
    file = cluster.value("SELECT pg_relation_filepath('orders_pkey')")
    cluster.stop()
    rewrite(cluster.data_dir / file, lambda content: content[: 8192 + 4000] + b"\xff\x00" + content[8192 + 4002 :])
    cluster.start()
