"""A dump read to its end by the real pg_restore."""

from pathlib import Path

import pytest

from engine.dumps.whole import read_through
from engine.records.errors import DamagedCopy, RepriseError
from tests.clusters import Cluster

_MINOR = 6  # the byte of a custom dump that holds its format's minor version, behind "PGDMP" and the major one


def test_half_a_dump_is_damaged_and_one_of_a_later_version_is_not(cluster: Cluster, open_dir: Path) -> None:
    cluster.sql("CREATE TABLE ledger AS SELECT generate_series(1, 1000) AS id")
    whole, half, later = (open_dir / name for name in ("whole", "half", "later"))
    cluster.run("pg_dump", "-h", cluster.socket_dir, "-p", f"{cluster.port}", "-U", "postgres", "-Fc", "-f", whole)
    read_through(cluster.programs, whole, "custom", cluster.user)
    content = bytearray(whole.read_bytes())
    half.write_bytes(content[: len(content) - 2000])
    assert content[:5] == b"PGDMP"
    content[_MINOR] = 99
    later.write_bytes(content)
    for path in (half, later):
        path.chmod(0o644)
    with pytest.raises(DamagedCopy):
        read_through(cluster.programs, half, "custom", cluster.user)
    with pytest.raises(RepriseError) as strange:
        read_through(cluster.programs, later, "custom", cluster.user)
    assert not isinstance(strange.value, DamagedCopy) and "unsupported version" in (strange.value.cause or "")
