"""One real cluster with base backups of every kind, made once: tests damage copies of them, never the originals."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.catalog.directory import RepositoryContents, read_repository
from engine.postgres.server import Server, free_port
from engine.site import DatabaseRepository
from tests.clusters import Cluster, make_cluster, own, wait_until
from tests.recorded import once_a_run


@dataclass
class Copies:
    """The stopped cluster; ``kinds`` are the backups' names in the order in which they were taken."""

    cluster: Cluster
    space: Path
    kinds: list[str]

    @property
    def site(self) -> DatabaseRepository:
        return DatabaseRepository("directory", str(self.cluster.backups), str(self.cluster.archive))


@pytest.fixture(scope="session")
def copies() -> Copies:
    return once_a_run("catalog", lambda: _take_copies(make_cluster("catalog")))


def _take_copies(cluster: Cluster) -> Copies:
    space = cluster.root / "space"
    space.mkdir()
    own(space, cluster.user)
    cluster.sql(f"CREATE TABLESPACE space LOCATION '{space}'")
    cluster.sql("CREATE TABLE here AS SELECT generate_series(1, 1000) AS n")
    cluster.sql("CREATE TABLE there TABLESPACE space AS SELECT generate_series(1, 1000) AS n")
    kinds: list[str] = []

    def mapped(name: str) -> tuple[str, ...]:
        return ("-T", f"{space}={cluster.backups / (name + '-space')}")

    def take(name: str, *arguments: object, **named: object) -> None:
        cluster.base_backup(name, *arguments, **named)  # type: ignore[arg-type]
        kinds.append(name)

    take("plain", wal="stream", extra=mapped("plain"))
    take("tar", "tar", wal="fetch")
    take("gzip", "tar.gz", wal="stream")
    for format, name in (("tar.lz4", "lz4"), ("tar.zst", "zstd")):
        if cluster.can_compress(format):  # type: ignore[arg-type]
            take(name, format)
    take("tar-without-manifest", "tar", extra=("--no-manifest",))
    take("plain-without-manifest", extra=("--no-manifest", *mapped("bare")))
    if cluster.can_increment:
        cluster.sql("INSERT INTO here VALUES (0)")
        take("increment", parent="plain", extra=mapped("increment"))
        cluster.sql("INSERT INTO here VALUES (0)")
        take("increment-tar", "tar", parent="increment")
    _from_standby(cluster, space)
    kinds.append("standby")
    cluster.switch()
    cluster.stop()
    return Copies(cluster, space, kinds)


def _from_standby(cluster: Cluster, space: Path) -> None:
    primary = cluster.server
    cluster.base_backup("seed", wal="stream", extra=("-R", "-T", f"{space}={cluster.root / 'standby-space'}"))
    data_dir = cluster.root / "data-standby"
    (cluster.backups / "seed").rename(data_dir)
    data_dir.chmod(0o700)
    standby = Server(cluster.programs, data_dir, cluster.user, cluster.socket_dir, free_port(), cluster.root / "log2")
    cluster.server = standby
    try:
        standby.start({"archive_mode": "off"})
        standby.wait_accepting()
        cluster.server = primary
        cluster.switch()
        cluster.sql("CHECKPOINT")
        here = str(cluster.value("SELECT pg_current_wal_flush_lsn()::text"))
        cluster.server = standby
        wait_until(lambda: cluster.value(f"SELECT pg_last_wal_replay_lsn() >= '{here}'"), "the standby stayed behind")
        cluster.base_backup("standby", "tar.gz")
        standby.stop()
    finally:
        cluster.server = primary


@pytest.fixture
def contents(copies: Copies) -> RepositoryContents:
    return read_repository(copies.site, "main")


@dataclass
class Shelf:
    """A repository of a test's own, into which it copies backups to damage them."""

    copies: Copies
    root: Path

    @property
    def base(self) -> Path:
        return self.root / "base"

    @property
    def wal(self) -> Path:
        return self.root / "wal"

    def put(self, kind: str, name: str | None = None) -> Path:
        folder = self.base / (name or kind)
        shutil.copytree(self.copies.cluster.backups / kind, folder, symlinks=True)
        return folder

    def read(self, **how: object) -> RepositoryContents:
        return read_repository(DatabaseRepository("directory", str(self.base), str(self.wal)), "shelf", **how)  # type: ignore[arg-type]


@pytest.fixture
def shelf(copies: Copies, tmp_path: Path) -> Shelf:
    made = Shelf(copies, tmp_path)
    made.base.mkdir()
    made.wal.mkdir()
    return made


Damage = Callable[[Path], None]
