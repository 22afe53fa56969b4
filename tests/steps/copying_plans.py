"""Plans that end with the copy: enough for `prepare`, `copy` and `combine`."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.records.copies import BaseBackup
from engine.records.plan import Destination, Layout, Plan, TablespacePlace
from engine.records.survey import Programs
from engine.records.target import RecoveryPoint, RecoveryTarget
from engine.site import Database, DatabaseRepository, Identity, Site
from engine.system.users import everyday_user
from tests.steps.rehearsal import Rehearsal


def rehearse(
    folder: Path,
    programs: Programs,
    chain: tuple[BaseBackup, ...],
    tablespaces: tuple[TablespacePlace, ...] = (),
    args: Mapping[str, Any] | None = None,
) -> Rehearsal:
    """A side copy into ``folder/into``, whose steps the test applies itself."""
    into = folder / "into"
    layout = Layout(
        container=str(into), data_dir=str(into / "data"), staging=str(into / "staging"), work=str(into / "own"),
        socket_dir=str(into / "own/run"), port=5999, run_as=everyday_user(), programs=programs,
        tablespaces=tablespaces,
    )  # fmt: skip
    point = RecoveryPoint(
        target=RecoveryTarget("latest"), chain=chain, timeline=1, gate=0, pieces=(), segment_size=1 << 20,
        wal_first=None, wal_last=None, wal_segments=0, wal_bytes=0, kept=None, lost=None, lost_commits=0,
    )  # fmt: skip
    plan = Plan(
        site="tests", created_at=datetime(2026, 11, 23, tzinfo=UTC), target=point.target,
        destination=Destination("side-copy", str(into)), layout=layout, point=point, steps=(), checks=(),
    )  # fmt: skip
    repository = DatabaseRepository("directory", "/nowhere", "/nowhere")
    site = Site(Identity("tests"), Database("/nowhere", [repository]))
    return Rehearsal(plan, site, Path("/runs/this"), args or {})
