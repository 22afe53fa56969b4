"""Real base backups with a tablespace and an odd name, in every format, and a copy made of one."""

import hashlib
import os
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.records.copies import BaseBackup
from engine.system.users import is_root
from engine.transfer.copying import CopyResult, copy_backup
from tests.clusters import Cluster

FORMATS = ("plain", "tar", "tar.gz", "tar.lz4", "tar.zst", "sha256")
SLOWLY = 0.005  # seconds, for copying.PATIENCE: the worker goes on for so long at every sign of life, and pauses then
ODD_NAME = os.fsdecode(b"odd \xff name")


@dataclass(frozen=True)
class Backups:
    """``oid`` is the tablespace's; a test that changes a backup takes a copy of it first."""

    cluster: Cluster
    oid: int

    def path(self, kind: str) -> Path:
        return self.cluster.backups / kind

    def has(self, kind: str) -> bool:
        return self.path(kind).exists()

    def backup(self, kind: str, path: Path | None = None) -> BaseBackup:
        format = "tar" if kind.startswith("tar") else "plain"
        return BaseBackup(id=kind, repository="r", path=path or self.path(kind), format=format)  # type: ignore[arg-type]

    def own(self, kind: str, folder: Path) -> BaseBackup:
        """The backup in a folder that a test may spoil: its files are hard links, to be replaced and not written
        to (``rewrite``)."""
        path = folder / f"own {kind}"
        shutil.copytree(self.path(kind), path, symlinks=True, copy_function=_link)
        link = path / "pg_tblspc" / str(self.oid)
        if link.is_symlink():
            shutil.copytree(link.readlink(), folder / "own tablespace", copy_function=_link)
            link.unlink()
            link.symlink_to(folder / "own tablespace")
        return self.backup(kind, path)


def _link(source: str, target: str, *, follow_symlinks: bool = True) -> None:
    os.link(source, target, follow_symlinks=follow_symlinks)


def rewrite(path: Path, data: bytes) -> None:
    """Give a file of an ``own`` backup other bytes."""
    path.unlink()
    path.write_bytes(data)


def drop_templates(cluster: Cluster) -> None:
    """Two thirds of a new cluster, and so of the tests' time."""
    for template in ("template0", "template1"):
        cluster.sql(f"ALTER DATABASE {template} IS_TEMPLATE false")
        cluster.sql(f"DROP DATABASE {template}")


def take_backups(cluster: Cluster) -> Backups:
    location = cluster.root / "ts"
    location.mkdir()
    if is_root():
        os.chown(location, cluster.user.uid, cluster.user.gid)
    cluster.sql(f"CREATE TABLESPACE side LOCATION '{location}'")
    cluster.sql("CREATE TABLE here AS SELECT g, md5(g::text) FROM generate_series(1, 30000) g")
    drop_templates(cluster)
    cluster.sql("CREATE TABLE there TABLESPACE side AS SELECT * FROM here")
    (cluster.data_dir / ODD_NAME).write_bytes(b"whatever")
    (cluster.data_dir / ODD_NAME).chmod(0o644)
    for kind in FORMATS:
        extra: tuple[str, ...] = ()
        format: Any = kind
        if kind in ("plain", "sha256"):
            format, extra = "plain", (f"--tablespace-mapping={location}={cluster.backups / f'{kind}-ts'}",)
        if kind == "sha256":
            extra += ("--manifest-checksums=SHA256",)
        if cluster.can_compress(format):
            cluster.base_backup(kind, format, wal="fetch" if kind == "tar" else "none", extra=extra)
    oid = cluster.value("SELECT oid FROM pg_tablespace WHERE spcname = 'side'")
    cluster.stop()
    return Backups(cluster, oid)


def make_copy(
    source: BaseBackup,
    destination: Path,
    oid: int | None,
    *,
    safe_point: Callable[[], None] = lambda: None,
    progress: Callable[[int, int | None], None] = lambda done, total: None,
    **options: Any,
) -> CopyResult:
    """``source`` copied as its step does it; the tablespace goes beside ``destination``."""
    places = {oid: Path(f"{destination}-{oid}")} if oid is not None else {}
    return copy_backup(
        source,
        destination,
        tablespaces=places,
        owner=options.pop("owner", None),
        progress=progress,
        safe_point=safe_point,
        **options,
    )


def contents(folder: Path) -> dict[str, tuple[str, int, int, str]]:
    """Everything in a folder: kind, mode, owner, and a link's target or a file's SHA-256."""
    found = {}
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place, name)
            status = path.lstat()
            what = ""
            if path.is_symlink():
                what = str(path.readlink())
            elif path.is_file():
                what = hashlib.sha256(path.read_bytes()).hexdigest()
            mode = stat.S_IMODE(status.st_mode)
            found[str(path.relative_to(folder))] = (stat.filemode(status.st_mode)[0], mode, status.st_uid, what)
    return found


def files_of(folder: Path) -> dict[str, str]:
    """The files in a folder, by their SHA-256; links are not followed."""
    return {name: what for name, (kind, _, _, what) in contents(folder).items() if kind == "-"}
