"""A production cluster as they stand in the field: running, with a tablespace, a linked pg_wal, an accident, and WAL
that no archive has yet; and its backup: an incremental chain where PostgreSQL can, else tar with gzip."""

import os
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from crc32c import crc32c

from engine.records.lsn import Lsn, format_lsn
from tests.clusters import Cluster, own
from tests.end_to_end.operator import Operator, operator_for

FILL = "INSERT INTO filler SELECT g, repeat(md5(g::text), 28) FROM generate_series(1, {}) g"  # about 1 kB a row
Tree = dict[str, str]


@dataclass
class Production:
    """The cluster, who restores it, and the commit of the accident: the first one to be lost."""

    cluster: Cluster
    operator: Operator
    accident: Lsn

    @property
    def in_place(self) -> list[str]:
        """The words that bring it back."""
        return ["--lsn", format_lsn(self.accident), "--exclusive", "--in-place"]

    @property
    def space(self) -> Path:
        return self.cluster.root / "space"

    @property
    def wal_disk(self) -> Path:
        return self.cluster.root / "wal-disk"

    def places(self) -> tuple[Path, ...]:
        """All that a restore in place may touch."""
        return self.cluster.data_dir, self.space, self.wal_disk

    def neighbours(self) -> list[str]:
        """What lies beside data directory, tablespace and pg_wal: containers, and what was set aside."""
        folders = (self.cluster.root, self.space, self.wal_disk)
        return sorted(str(path) for folder in folders for path in folder.iterdir())

    def settle(self) -> None:
        """From now on no look at it changes a page, and all pages are in its files."""
        self.cluster.sql("VACUUM")
        self.cluster.sql("CHECKPOINT")

    def archived(self) -> Tree:
        """The archive's files, when none is on its way."""
        self.cluster.catch_up_archive()
        return fingerprint(self.cluster.archive)

    def rows(self) -> set[int]:
        return {row[0] for row in self.cluster.sql("SELECT id FROM ledger")}

    def filled(self) -> int:
        return int(self.cluster.value("SELECT count(*) FROM filler"))


def make_production(new_cluster: Callable[..., Cluster], home: Path) -> Production:
    """About 4 s."""
    cluster = new_cluster("production", settings={"autovacuum": "off"})
    space = _give_places(cluster)
    cluster.sql(f"CREATE TABLESPACE space LOCATION '{space}'")
    cluster.sql("CREATE TABLE filler (id int, text text) TABLESPACE space")
    cluster.sql("ALTER TABLE filler ALTER text SET STORAGE PLAIN")
    cluster.sql(FILL.format(10_000))
    cluster.write(20, seed=1)
    if cluster.can_increment:
        for name, parent in (("full", None), ("incremental", "full")):
            mapped = cluster.root / f"space-of-{name}"
            cluster.base_backup(name, parent=parent, extra=("-T", f"{space}={mapped}"))
            cluster.sql(FILL.format(2_000))
    else:
        cluster.base_backup("full", "tar.gz")
    cluster.sql(FILL.format(36_000))  # more than the feed fetches ahead
    cluster.write(20, seed=2)
    cluster.accident()
    cluster.switch()
    commits = [end for end in cluster.ends(1) if end.kind == "COMMIT"]
    cluster.sql(FILL.format(3_000))  # stays in pg_wal: to be salvaged
    return Production(cluster, operator_for(cluster, home, application=True), commits[-1].lsn)


def _give_places(cluster: Cluster) -> Path:
    """A folder for a tablespace, and pg_wal on a disk of its own."""
    space, disk = cluster.root / "space", cluster.root / "wal-disk"
    cluster.stop()
    for folder in (space, disk):
        folder.mkdir(mode=0o700)
    wal = cluster.data_dir / "pg_wal"
    wal.rename(disk / "wal")
    wal.symlink_to(disk / "wal")
    for folder in (space, disk, wal):
        own(folder, cluster.user)
    cluster.start()
    return space


def fingerprint(*folders: Path, without: "re.Pattern[str] | None" = None, masked: bool = False) -> Tree:
    """Every file's content, owner and mode, and every link, below some folders. ``masked``: relations as
    ``mask_page`` leaves them."""
    found = {}
    for folder in folders:
        for place, inner, files in os.walk(folder):
            for name in (*inner, *files):
                path = Path(place) / name
                told = str(path.relative_to(folder.parent))
                if without is not None and without.search(told):
                    continue
                status = path.lstat()
                what = f"{status.st_mode:o} {status.st_uid}:{status.st_gid}"
                if path.is_symlink():
                    what += f" -> {path.readlink()}"
                elif path.is_file():
                    data = path.read_bytes()
                    if masked and _RELATION.search(told):
                        data = b"".join(mask_page(data[at : at + _PAGE]) for at in range(0, len(data), _PAGE))
                    what += f" {status.st_size} {crc32c(data):08x}"
                found[told] = what
    return found


_RELATION = re.compile(r"/(global|base/\d+|PG_\d+_\d+/\d+)/\d+(\.\d+)?$")
_PAGE = 8192
_NORMAL = 1  # LP_NORMAL in itemid.h


def mask_page(page: bytes) -> bytes:
    """A page without what reading alone may change, as wal_consistency_checking masks it (mask_page_hint_bits and
    mask_unused_space in bufmask.c, heap_mask in heapam.c): LSN, checksum, flags, unused space, tuples' hint bits."""
    lower, upper, special = struct.unpack_from("=HHH", page, 12)
    if not 24 <= lower <= upper <= special <= len(page):
        return page
    masked = bytearray(page)
    masked[0:12], masked[20:24], masked[lower:upper] = bytes(12), bytes(4), bytes(upper - lower)
    if special == _PAGE:  # a heap's
        for (item,) in struct.iter_unpack("=I", page[24:lower]):
            if item >> 15 & 3 == _NORMAL:
                masked[(item & 0x7FFF) + 21] &= 0xF0  # t_infomask, HEAP_XMIN_COMMITTED to HEAP_XMAX_INVALID
    return bytes(masked)


def differences(one: Tree, other: Tree) -> list[str]:
    """What is not the same, for a failed test's report."""
    return [
        f"{name}: {one.get(name, 'not there')} | {other.get(name, 'not there')}"
        for name in sorted(one.keys() | other.keys())
        if one.get(name) != other.get(name)
    ]
