"""One recorded history: a cluster's life over two timelines, with backups in every format that the build can write."""

from dataclasses import dataclass

from engine.records.lsn import Lsn, parse_lsn
from tests.clusters import Cluster


@dataclass
class History:
    """The (stopped) cluster, its backups' names by format, and what happened. ``fork`` is where timeline 2 left
    timeline 1; ``before_accident`` is the LSN just before the ledger was dropped on timeline 1."""

    cluster: Cluster
    backups: dict[str, str]  # "plain", "tar", "tar.gz", "tar.zst", "tar.lz4", "incremental", "second timeline"
    restore_points: list[tuple[str, int]]  # name, timeline; in WAL order
    before_accident: Lsn
    fork: Lsn


def record_history(cluster: Cluster) -> History:
    """Live through it; about 15 s."""
    backups: dict[str, str] = {}
    points: list[tuple[str, int]] = []

    def backup(kind: str, name: str, **how: object) -> None:
        cluster.base_backup(name, **how)  # type: ignore[arg-type]
        backups[kind] = name

    def point(name: str) -> None:
        cluster.restore_point(name)
        points.append((name, cluster.timeline))

    cluster.write(30, seed=1)
    with cluster.load(seed=2):
        backup("plain", "1-plain")
    cluster.write(30, seed=3)
    point("month end")
    with cluster.load(seed=4):
        backup("tar", "2-tar", format="tar", wal="fetch")
    point("twice")
    cluster.write(30, seed=5)
    point("twice")
    backup("tar.gz", "3-targz", format="tar.gz")
    if cluster.can_compress("tar.zst"):
        backup("tar.zst", "4-tarzst", format="tar.zst")
    if cluster.can_compress("tar.lz4"):
        backup("tar.lz4", "4-tarlz4", format="tar.lz4")
    cluster.write(20, seed=6)
    if cluster.can_increment:
        with cluster.load(seed=7):
            backup("incremental", "5-incremental", parent="1-plain")
    cluster.write(30, seed=8)
    point("before the accident")
    cluster.write(10, seed=9)
    before_accident = cluster.accident()
    cluster.write(30, seed=10)
    cluster.switch()
    cluster.promote_new_timeline("1-plain", {"recovery_target_name": "before the accident"})
    fork = _fork(cluster)
    cluster.write(30, seed=11)
    backup("second timeline", "6-second", format="plain")
    point("on the second timeline")
    cluster.write(40, seed=12)
    cluster.switch()
    cluster.stop()
    return History(cluster, backups, points, before_accident, fork)


def _fork(cluster: Cluster) -> Lsn:
    text = (cluster.archive / f"{cluster.timeline:08X}.history").read_text()
    return parse_lsn(text.splitlines()[-1].split("\t")[1])
