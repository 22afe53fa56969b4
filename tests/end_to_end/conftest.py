"""Fixtures of the end-to-end tests."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clusters import Cluster, make_cluster, own
from tests.end_to_end.large import make_large
from tests.end_to_end.middle import operator_with_repository
from tests.end_to_end.mounts import Hanging
from tests.end_to_end.operator import Operator
from tests.recorded import once_a_run


@pytest.fixture(scope="session")
def large() -> Cluster:
    """The large cluster, built once per run and read by all workers: its server is stopped, nobody may change it."""
    return once_a_run("large", make_large)


@pytest.fixture
def operator(large: Cluster, open_dir: Path) -> Operator:
    """An operator of the large cluster, with a repository of his own."""
    return operator_with_repository(large, open_dir)


@pytest.fixture(scope="module")
def shared_cluster() -> Iterator[Cluster]:
    """One cluster for a module's tests, with a place for dumps; they get it by ``lent``."""
    cluster = make_cluster("shared")
    cluster.backups.with_name("dumps").mkdir()
    own(cluster.root, cluster.user)
    yield cluster
    cluster.destroy()


@pytest.fixture
def lent(shared_cluster: Cluster) -> Iterator[Cluster]:
    """The module's cluster, running; afterwards it is as new: no copies, no settings, nothing of anybody's in it. Only
    its archive goes on."""
    yield shared_cluster
    if shared_cluster.server.pid() is None:
        shared_cluster.start()
    found = shared_cluster.sql("SELECT pg_is_in_recovery(), pg_stat_reset_shared('archiver') IS NULL")
    assert found[0][0] is False
    shared_cluster.sql("ALTER SYSTEM RESET ALL")
    shared_cluster.sql("SELECT pg_reload_conf()")
    for (name,) in shared_cluster.sql("SELECT datname::text FROM pg_database WHERE datname LIKE 'pa per%'"):
        shared_cluster.sql(f'DROP DATABASE "{name}" WITH (FORCE)')
    shared_cluster.sql("DROP TABLE IF EXISTS ledger")
    shared_cluster.sql("DROP ROLE IF EXISTS clerk")
    shared_cluster.sql("ALTER ROLE postgres PASSWORD NULL")
    for place in (shared_cluster.backups, shared_cluster.backups.with_name("dumps")):
        for entry in place.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


@pytest.fixture
def hanging(open_dir: Path) -> Iterator[Hanging]:
    """What `repository` holds, seen through a file system that can hang."""
    (open_dir / "repository").mkdir(exist_ok=True)
    mount = Hanging(open_dir / "repository", open_dir / "mounted")
    yield mount
    mount.close()
