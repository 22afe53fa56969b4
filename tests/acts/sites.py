"""A site without a server: a media folder and its snapshots, for all that asks no database."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine import acts
from engine.acts.desk import Desk
from engine.records.plan import Plan
from engine.records.runs import RunState
from engine.records.target import RecoveryTarget
from engine.run.folder import create_run, read_run
from engine.run.starting import start_engine, wait_for_end
from engine.run.story import Act

LATEST = RecoveryTarget("latest")


@dataclass(frozen=True)
class MediaSite:
    """``home`` is an empty folder."""

    home: Path

    @property
    def live(self) -> Path:
        return self.home / "live"

    @property
    def desk(self) -> Desk:
        return acts.open_desk(self.home / "site.toml", self.home / "state")

    def snapshot(self) -> None:
        """Take one."""
        assert self._carry_out(acts.plan_media_snapshot(self.desk)).outcome == "completed"

    def plan(self, target: RecoveryTarget | None = LATEST, **asked: Any) -> Plan:
        return acts.plan_files(self.desk, target, **asked)

    def begin(self, plan: Plan) -> Path:
        """A run of it, not started."""
        assert not plan.refused, plan.checks
        return create_run(self.desk.state, plan, self.desk.site)

    def restore(self, target: RecoveryTarget | None = LATEST, **asked: Any) -> RunState:
        return self._carry_out(self.plan(target, **asked))

    def _carry_out(self, plan: Plan) -> RunState:
        return carry_on(self.begin(plan))


def carry_on(folder: Path, act: Act = "apply", program: list[str] | None = None) -> RunState:
    """An act of a run, to its end."""
    start_engine(folder, act, program=program)
    assert wait_for_end(folder, 60)
    return read_run(folder)


def time_of(moment: datetime) -> RecoveryTarget:
    return RecoveryTarget("time", time=moment.astimezone(UTC))


def make_site(home: Path, more: str = "") -> MediaSite:
    write_site(home, more=more)
    return MediaSite(home)


def write_site(
    home: Path, *, backups: str = "backups", copies: str = "copies", database: str = "", media: str = "", more: str = ""
) -> Path:
    """A site file, and the folders that it names. ``database``: more of its repository; ``media``: other repositories
    than a folder of ours."""
    for name in ("live", "wal", backups, *([] if media else [copies])):
        (home / name).mkdir(exist_ok=True)
    media = (
        media
        or f"""[[media.repository]]
kind = "directory"
path = "{home}/{copies}"
"""
    )
    (home / "site.toml").write_text(f"""
[site]
name = "archive"
[database]
data_dir = "{home}/data"
[[database.repository]]
kind = "directory"
base_backups = "{home}/{backups}"
wal = "{home}/wal"
{database}
[media]
path = "{home}/live"
{media}
{more}
""")
    return home / "site.toml"


def fill(live: Path, files: int) -> None:
    for number in range(files):
        place = live / f"{number % 5}"
        place.mkdir(exist_ok=True)
        (place / f"{number}.pdf").write_bytes(b"content of %d" % number)
        os.utime(place / f"{number}.pdf", (1_700_000_000 + number, 1_700_000_000 + number))
