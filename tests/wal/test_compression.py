"""Which compression of full-page images replay needs: seen where it is used, and nowhere else."""

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.catalog.archive import list_archive, wal_files
from engine.records.history import Piece
from engine.wal.index import WalIndex
from tests.clusters import Cluster


@pytest.mark.parametrize("method", ["off", "pglz", "lz4", "zstd"])
def test_the_methods_of_compressed_page_images_are_seen_and_no_other(
    new_cluster: Callable[..., Cluster], tmp_path: Path, method: str
) -> None:
    cluster = new_cluster()
    version = cluster.programs.version
    if method in ("lz4", "zstd") and (version < 15 or f"--with-{method}" not in cluster.programs.configure):
        pytest.skip(f"this PostgreSQL {version} cannot compress page images with {method}")
    setting = "on" if method == "pglz" else method  # before 15 it is a Boolean, and on is pglz
    cluster.sql(f"ALTER SYSTEM SET wal_compression = '{setting}'")
    cluster.sql("SELECT pg_reload_conf()")
    cluster.write(10)
    cluster.sql("CREATE TABLE filled AS SELECT repeat(md5(x::text), 20) FROM generate_series(1, 3000) x")
    cluster.sql("CHECKPOINT")
    cluster.sql("UPDATE filled SET repeat = repeat || 'x'")
    cluster.switch()
    files, _ = wal_files(list_archive(cluster.archive, lambda: None), cluster.segment_size)
    index = WalIndex.open(tmp_path / "index")
    index.refresh(files, {}, workers=1)
    assert index.compression_methods(Piece(1, 0, 1 << 62)) == ({method} if method in ("lz4", "zstd") else set())
