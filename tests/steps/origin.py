"""What the tests of the recovering server recover from, and pg_waldump's account of it."""

import itertools
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from engine.formats.backup_label import read_backup_label
from engine.formats.control_file import read_control_file
from engine.postgres.server import free_port
from engine.records.copies import BaseBackup
from engine.records.errors import RepriseError
from engine.records.history import Piece, TransactionEnd
from engine.records.lsn import Lsn, SegmentName, parse_lsn, segment_of
from engine.records.plan import Destination, Layout, Plan
from engine.records.target import RecoveryPoint, RecoveryTarget
from engine.site import Database, DatabaseRepository, Identity, Site
from tests.clusters import Cluster, own
from tests.steps.rehearsal import Rehearsal

_END = re.compile(
    r"rmgr: Transaction .*tx: +(\d+), lsn: ([0-9A-F]+/[0-9A-F]+), prev \S+ desc: (COMMIT|ABORT)(_PREPARED)?"
    r" (?:\S+: )?(\S+ \S+) UTC"
)
_ANY = re.compile(r"lsn: ([0-9A-F]+/[0-9A-F]+), prev")


class Origin(Struct, frozen=True):
    """A plain backup of a cluster, and an archive: the cluster's own, or a test's copy of it."""

    cluster: Cluster
    backup: BaseBackup
    archive: Path

    @property
    def start(self) -> Lsn:
        """Where replay of the backup begins."""
        assert self.backup.start_lsn is not None
        return self.backup.start_lsn

    def ends(self, timeline: int = 1) -> list[TransactionEnd]:
        """Every transaction end behind the backup's start, by pg_waldump."""
        lines = self._waldump(timeline).splitlines()
        starts = [parse_lsn(found[1]) for line in lines if (found := _ANY.search(line))]
        following = dict(itertools.pairwise(starts))
        ends = []
        for line in lines:
            if (found := _END.search(line)) is None:
                continue
            lsn = parse_lsn(found[2])
            at = datetime.fromisoformat(found[5]).replace(tzinfo=UTC)
            kind = found[3].lower() + (" prepared" if found[4] else "")
            if lsn in following:
                ends.append(TransactionEnd(timeline, lsn, following[lsn], int(found[1]), at, kind))  # type: ignore[arg-type]
        return ends

    def _waldump(self, timeline: int) -> str:
        size = self.cluster.segment_size
        first = SegmentName(timeline, segment_of(self.start, size)).text(size)
        here = sorted(p.name for p in self.archive.iterdir() if re.fullmatch(f"{timeline:08X}[0-9A-F]{{16}}", p.name))
        names = [name for name in here if name >= first] if timeline == self.backup.timeline else here
        dumped = subprocess.run(
            [f"{self.cluster.programs.bin_dir}/pg_waldump", "-p", self.archive, names[0], names[-1]],
            capture_output=True, text=True, env={"LC_ALL": "C", "TZ": "UTC"}, check=False,
        )  # fmt: skip
        return dumped.stdout

    def point(self, gate: int, pieces: Sequence[Piece] | None = None) -> RecoveryPoint:
        """The recovery point at a gate, from pg_waldump's account."""
        pieces = tuple(pieces or [Piece(1, self.start, gate)])
        ends = [end for timeline in sorted({p.timeline for p in pieces}) for end in self.ends(timeline)]
        on = [end for end in ends if any(p.timeline == end.timeline and p.low <= end.lsn for p in pieces)]
        kept = [end for end in on if any(p.timeline == end.timeline and end.lsn < p.high for p in pieces)]
        lost = [end for end in on if end.timeline == pieces[-1].timeline and end.lsn >= gate]
        commits = [end for end in kept if end.is_commit]
        lost_commits = [end for end in lost if end.is_commit]
        return RecoveryPoint(
            target=RecoveryTarget("lsn", lsn=gate, exclusive=True),
            chain=(self.backup,),
            timeline=pieces[-1].timeline,
            gate=gate,
            pieces=pieces,
            segment_size=self.cluster.segment_size,
            wal_first=None,
            wal_last=None,
            wal_segments=0,
            wal_bytes=gate - self.start,
            kept=kept[-1] if kept else None,
            lost=lost[0] if lost else None,
            lost_commits=len(lost_commits),
            kept_commit=commits[-1] if commits else None,
            lost_commit=lost_commits[0] if lost_commits else None,
            last_lost_commit=lost_commits[-1] if lost_commits else None,
        )

    def rehearse(self, point: RecoveryPoint, container: Path, **changes: Any) -> Rehearsal:
        """A side copy in a new folder, as the copy step leaves it, and the run that shall recover it; ``changes`` are
        the layout's."""
        work, data_dir = container / "own", container / "data"
        container.mkdir(mode=0o700)
        work.mkdir(mode=0o700)
        shutil.copytree(self.backup.path, data_dir)
        own(container, self.cluster.user)
        run_dir = container.with_name(f"{container.name}.run")
        run_dir.mkdir(mode=0o700)
        layout = Layout(
            container=str(container), data_dir=str(data_dir), staging=str(container / "staging"), work=str(work),
            socket_dir=str(work), port=free_port(), run_as=self.cluster.user, programs=self.cluster.programs,
        )  # fmt: skip
        plan = Plan(
            site="test", created_at=datetime.now(UTC), target=point.target,
            destination=Destination("side-copy", str(container)), layout=replace(layout, **changes), point=point,
            steps=(), checks=(),
        )  # fmt: skip
        return Rehearsal(plan, self.site(), run_dir)

    def site(self) -> Site:
        server = self.cluster.server
        repository = DatabaseRepository("directory", str(self.cluster.backups), str(self.archive))
        database = Database(
            data_dir=str(server.data_dir), repository=[repository], host=str(server.socket_dir), port=server.port
        )
        return Site(Identity("test"), database)

    def own_recovery(self, folder: Path, settings: Mapping[str, str]) -> tuple[Path, str]:
        """PostgreSQL's own recovery below ``folder`` with these recovery targets and `shutdown`: data directory and
        log."""
        data_dir, log = folder / "own", folder / "own.log"
        shutil.copytree(self.backup.path, data_dir)
        (data_dir / "recovery.signal").touch()
        own(data_dir, self.cluster.user)
        server = replace(self.cluster.server, data_dir=data_dir, socket_dir=folder, port=free_port(), log=log)
        with suppress(RepriseError):  # it may be through before anybody looks; the log tells
            server.start(
                {
                    "archive_mode": "off",
                    "restore_command": f"cp {self.archive}/%f %p",
                    "recovery_target_action": "shutdown",
                    **settings,
                }
            )
        server.wait(lambda: server.pid() is None and not server.processes(), 60, "its own recovery did not end")
        return data_dir, log.read_text()


def origin_of(cluster: Cluster, name: str) -> Origin:
    """A cluster's plain backup of this name and its archive."""
    path = cluster.backups / name
    label = read_backup_label((path / "backup_label").read_text())
    control = read_control_file((path / "global" / "pg_control").read_bytes())
    backup = BaseBackup(
        id=name, repository="r1", path=path, format="plain", start_lsn=label.start_lsn, timeline=label.timeline,
        version=control.version, system_identifier=control.system_identifier, segment_size=control.segment_size,
    )  # fmt: skip
    return Origin(cluster, backup, cluster.archive)


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """The files of a folder with size and time: the same before and after means untouched."""
    return {path.name: (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.iterdir()}
