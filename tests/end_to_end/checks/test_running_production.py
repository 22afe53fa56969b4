"""A running production with what makes a recovery awkward."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clusters import Cluster, make_cluster, own
from tests.end_to_end.checks.place import ROOT_ONLY, Place, make_place, tmpfs
from tests.histories import History


@pytest.fixture(scope="module")
def production() -> Iterator[Cluster]:
    """A running cluster with what makes a recovery awkward. Its backups: ``calm``, as tar; ``crowded``, plain, begun
    while a transaction had more than 64 subtransactions."""
    cluster = make_cluster("awkward", settings={"max_connections": "60", "wal_level": "logical"})
    try:
        _live(cluster)
        yield cluster
    finally:
        cluster.destroy()


def _live(cluster: Cluster) -> None:
    fast = cluster.root / "fast"
    fast.mkdir()
    own(fast, cluster.user)
    cluster.sql(f"CREATE TABLESPACE fast LOCATION '{fast}'")
    cluster.sql("CREATE TABLE moved TABLESPACE fast AS SELECT generate_series(1, 1000) AS x")
    cluster.sql("CREATE UNLOGGED TABLE scratch (x int)")
    cluster.sql("INSERT INTO scratch VALUES (1)")
    cluster.sql("CREATE SUBSCRIPTION from_elsewhere CONNECTION 'host=gone' PUBLICATION p WITH (connect = false)")
    cluster.sql("SELECT pg_create_physical_replication_slot('of_a_standby')")
    cluster.base_backup("calm", "tar")
    with cluster.connect() as connection:
        connection.execute("BEGIN")
        connection.execute("CREATE TABLE many (x int)")
        for number in range(70):
            connection.execute(f"SAVEPOINT s{number}".encode())
            connection.execute("INSERT INTO many VALUES (1)")
        mapping = ("--tablespace-mapping", f"{fast}={cluster.root / 'mapped-crowded'}")
        cluster.base_backup("crowded", extra=mapping)
        connection.execute("COMMIT")
    cluster.stop()
    with (cluster.data_dir / "postgresql.conf").open("a") as file:
        file.write("max_connections = 150\nsynchronous_standby_names = 'berlin'\nsynchronous_commit = local\n")
    cluster.start()
    cluster.write(10)
    cluster.switch()


@pytest.fixture
def awkward(production: Cluster, open_dir: Path) -> Place:
    return make_place(production, open_dir)


def test_a_running_production_is_seen_and_what_it_sets(awkward: Place) -> None:
    pid = str(awkward.original.server.pid())
    checks = awkward.plan("--latest", "--in-place", "--backup", "calm")
    assert checks.refusing == set()
    checks.says("server-running", "info", True, pid, "stopped at the switch-over")
    checks.says("sync-standby", "info", True, "'berlin'")
    checks.says("configuration", "refuse", True)
    checks.says("tablespaces", "refuse", True, "set aside")
    checks.says("rebuild", "info", None)
    checks.says("pause-ignored", "info", True)
    aside = awkward.plan("--latest", "--backup", "calm")
    aside.says("server-running", "info", True, pid, "left alone")
    aside.says("tablespaces", "refuse", True, "the copy's own")
    assert "rebuild" not in aside


def test_a_setting_raised_later_in_the_wal_is_found_there(awkward: Place) -> None:
    awkward.plan("--immediate", "--backup", "calm").says("settings-too-low", "refuse", True, "0 parameter changes")
    awkward.plan("--latest").says("settings-too-low", "refuse", True, "max_connections 60 to 150")


def test_too_many_subtransactions_at_the_backups_start_are_told(awkward: Place) -> None:
    checks = awkward.plan("--latest", "--backup", "crowded", "--action", "pause")
    checks.says("pause-ignored", "info", False, "64 subtransactions")
    checks.says("hot-standby-locks", "info", None)
    assert "hot-standby-locks" not in awkward.plan("--latest", "--backup", "crowded")


def test_a_subtransaction_is_resolved_to_its_transaction(awkward: Place) -> None:
    many = next(end for end in awkward.original.ends(1) if end.xid and _has_many(awkward.original, end.xid))
    inner = awkward.plan("--xid", str(many.xid + 5))
    inner.says("target-subtransaction", "refuse", True, str(many.xid))
    assert inner.document["kept_until"]["xid"] == many.xid
    assert "target-subtransaction" not in awkward.plan("--xid", str(many.xid))


def _has_many(cluster: Cluster, xid: int) -> bool:
    return bool(cluster.sql("SELECT 1 FROM pg_class WHERE relname = 'many' AND xmin::text = %s", str(xid)))


def test_wal_that_only_production_has_is_told(awkward: Place) -> None:
    awkward.original.switch()
    aside = awkward.plan("--latest")
    aside.says("unarchived-tail", "warn", False, "not reachable from a side copy")
    awkward.plan("--latest", "--in-place").says("unarchived-tail", "warn", True, "salvaged")


def test_settings_that_have_production_listen_elsewhere_than_the_site_says_are_told(awkward: Place) -> None:
    production = awkward.original
    conf = production.data_dir / "postgresql.conf"
    kept = conf.read_text()
    try:
        conf.write_text(f"{kept}\nport = 1\n")
        answering = awkward.plan("--latest", "--in-place")
        answering.says("configuration", "refuse", True, "in the data directory")
        production.stop()
        awkward.plan("--latest", "--in-place").says("configuration", "warn", False, "port 1, the site file says")
        awkward.plan("--latest").says("configuration", "refuse", True, "files of its own")
        conf.write_text(f"{kept}\nunix_socket_directories = '/elsewhere'\n")
        awkward.plan("--latest", "--in-place").says("configuration", "warn", False, "/elsewhere, the site file says")
    finally:
        conf.write_text(kept)
        production.start()
    awkward.plan("--latest", "--in-place").says("configuration", "refuse", True, "in the data directory")


def test_configuration_outside_the_data_directory_must_be_named(awkward: Place) -> None:
    production = awkward.original
    outside = production.root / "etc.conf"
    shutil.copy(production.data_dir / "postgresql.conf", outside)
    outside.chmod(0o644)
    production.stop()
    try:
        production.start({"config_file": str(outside)})
        awkward.plan("--latest", "--in-place").says("configuration", "refuse", False, str(outside))
        awkward.plan("--latest").says("configuration", "refuse", True, "files of its own")
        production.stop()
        awkward.plan("--latest", "--in-place").says("configuration", "refuse", False, str(outside))
        production.start()
        production.stop()
        awkward.plan("--latest", "--in-place").says("configuration", "refuse", True, "in the data directory")
        (production.data_dir / "postgresql.conf").rename(production.root / "kept.conf")
        awkward.plan("--latest", "--in-place").says("configuration", "refuse", False, "no postgresql.conf")
        (production.root / "kept.conf").rename(production.data_dir / "postgresql.conf")
        awkward.site(config_file=str(outside))
        awkward.plan("--latest", "--in-place").says("configuration", "refuse", True, str(outside))
    finally:
        production.stop()
        production.start()


def test_copies_of_another_cluster_are_refused_in_place(history: History, production: Cluster, open_dir: Path) -> None:
    place = make_place(history.cluster, open_dir, production.data_dir)
    place.plan("--latest", "--in-place").says("major-version", "refuse", False, "the production cluster is")
    for segment in place.operator.cluster.segments():
        (place.archive / segment).unlink()
    shutil.copytree(production.archive, place.archive, dirs_exist_ok=True)
    assert place.plan("--latest").refusing  # by whatever name: one cluster's backup, another's WAL


@ROOT_ONLY
def test_a_tablespace_that_cannot_be_written_to_is_refused(production: Cluster, open_dir: Path) -> None:
    place = make_place(production, open_dir, open_dir / "bare")
    words = ("--latest", "--in-place", "--backup", "calm")
    place.plan(*words).says("tablespaces", "refuse", True)
    with tmpfs(production.root / "fast", "8m"):
        subprocess.run(["mount", "-o", "remount,ro", production.root / "fast"], check=True)
        place.plan(*words).says("tablespaces", "refuse", False, "cannot be written to")


@ROOT_ONLY
def test_a_tablespaces_own_disk_that_is_too_small_is_refused(production: Cluster, open_dir: Path) -> None:
    place = make_place(production, open_dir, open_dir / "bare")
    words = ("--latest", "--in-place", "--backup", "calm")
    place.plan(*words).says("disk-space", "refuse", True)
    with tmpfs(production.root / "fast", "8m"):
        place.plan(*words).says("disk-space", "refuse", False, str(production.root / "fast"), "tablespace")


def test_without_production_a_plain_backups_tablespace_is_never_restored_into_the_backup(
    production: Cluster, open_dir: Path
) -> None:
    place = make_place(production, open_dir, open_dir / "bare")
    words = ("--latest", "--backup", "crowded")
    place.plan(*words, "--in-place").says("tablespaces", "refuse", False, "mapped-crowded", "write into the backup")
    place.plan(*words).says("tablespaces", "refuse", True, "the copy's own")
