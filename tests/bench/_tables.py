"""What the benchmarks of base backups share: a cluster of a known size."""

from tests.clusters import Cluster

_ROW = 330  # bytes, about


def fill_tables(cluster: Cluster, megabytes: int, tables: int) -> None:
    rows = megabytes * (1 << 20) // _ROW // tables
    for number in range(tables):
        cluster.sql(
            f"CREATE TABLE documents_{number} AS SELECT g AS id, md5(g::text) AS digest,"
            f" repeat('page ' || g % 977 || ' of the minutes ', 11) AS text, random() AS weight"
            f" FROM generate_series(1, {rows}) g"
        )
    cluster.sql("CHECKPOINT")
