"""A production cluster with a backup, an archive and an unarchived tail, and the real engine's runs over it."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec.structs import replace

from engine.records.plan import Destination, Layout, Plan, PlannedStep
from engine.records.target import RecoveryTarget
from engine.run.folder import create_run
from engine.run.starting import start_engine
from engine.run.story import Act
from engine.site import Application, Site, Verify
from tests.clusters import Cluster, make_cluster
from tests.run.toys import ended, read_run
from tests.steps.ledger import QUIET, TABLE
from tests.steps.origin import Origin, origin_of

COPYING = ("prepare", "copy", "settings", "replay", "prove", "inspect")
STOPPING = ("stop-application", "stop-server", "salvage", "set-aside")
TAKING_OVER = ("switch-over", "take-over", "check-result", "open", "report")


@dataclass
class Production:
    """The cluster to be restored, and what its archive reaches."""

    origin: Origin
    gate: int
    archived: int  # rows that the archive reaches; the tail holds more
    written: int  # rows in all

    @property
    def cluster(self) -> Cluster:
        return self.origin.cluster

    @property
    def root(self) -> Path:
        return self.cluster.root

    @property
    def data_dir(self) -> Path:
        return self.cluster.data_dir

    @property
    def said(self) -> Path:
        """Where the site's application commands write."""
        return self.root / "said"

    def site(self) -> Site:
        site = self.origin.site()
        return msgspec.structs.replace(
            site,
            application=Application(f"echo stop >> {self.said}", f"echo start >> {self.said}"),
            verify=Verify(["SELECT count(*) > 0 FROM ledger", "SELECT 1 = 1"]),
        )

    def count(self) -> int:
        return int(self.cluster.value("SELECT count(*) FROM ledger"))

    def new_run(self, target: str = "latest", *, bare: bool = False) -> Path:
        """A planned run to the end of the archive; ``bare``: there is no production any more."""
        point = replace(self.origin.point(self.gate), target=RecoveryTarget(target))  # type: ignore[arg-type]
        stamp = "20261123T120000Z"
        container = self.root / f".data.reprise-{stamp}"
        layout = Layout(
            container=str(container),
            data_dir=str(container / "data"),
            staging=str(container / "staging"),
            work=str(container / "own"),
            socket_dir=str(container / "own" / "run"),
            port=self.cluster.port,
            run_as=self.cluster.user,
            programs=self.cluster.programs,
            production=str(self.data_dir),
            set_aside=None if bare else str(self.root / f"data.before-{stamp}"),
        )
        args = {"copy": {"backup": 0, "into": layout.data_dir}}
        kinds = (*COPYING, *(STOPPING[:1] if bare else STOPPING), *TAKING_OVER)
        steps = tuple(PlannedStep(kind, kind, kind, None, args.get(kind, {})) for kind in kinds)
        destination = Destination("in-place", str(self.data_dir))
        now = datetime.now(UTC)
        plan = Plan("test", now, point.target, destination, layout, point, steps, ())
        return create_run(self.root / "state", plan, self.site())

    def carry(self, run: Path, act: Act = "apply") -> str:
        """Start an engine and wait for its end."""
        start_engine(run, act)
        return ended(run).outcome

    def beside(self) -> list[str]:
        """What lies beside the data directory that was not there before."""
        return sorted(path.name for path in self.root.iterdir() if path.name.startswith((".data", "data.")))


@contextmanager
def running_production() -> Iterator[Production]:
    cluster = make_cluster("production", settings=QUIET)
    cluster.sql(f"ALTER SYSTEM SET port = {cluster.port}")
    cluster.sql(f"ALTER SYSTEM SET unix_socket_directories = '{cluster.socket_dir}'")
    cluster.sql(TABLE)
    cluster.base_backup("b1")
    cluster.sql("INSERT INTO ledger SELECT i, 'x' FROM generate_series(1, 100) i")
    cluster.switch()
    origin = origin_of(cluster, "b1")
    gate = origin.ends()[-1].end_lsn
    cluster.sql("INSERT INTO ledger SELECT i, 'tail' FROM generate_series(101, 150) i")
    try:
        yield Production(origin, gate, 100, 150)
    finally:
        for run in (cluster.root / "state" / "runs").glob("2*"):
            pid = read_run(run).pid
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
        cluster.destroy()
