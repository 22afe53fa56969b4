"""The stand-in's protected things: what the overview asks of `engine.acts`, answered with the mock-up's figures."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from engine.acts import Desk
from engine.records.copies import Catalog
from engine.records.copying import Copying, Proof, TakenCopy
from engine.records.keeping import Expiry, Leaving, Verdict
from engine.records.loading import Loading
from engine.records.plan import Check, Destination, Plan, PlannedStep
from engine.records.runs import Progress, RunState, StepState
from engine.records.status import (
    Advice,
    Level,
    ScheduleEntry,
    ScheduleState,
    SiteStatus,
    Thing,
    ThingName,
)
from engine.records.survey import OsUser, Programs
from engine.records.target import RecoveryTarget
from tests.tui.files_source import StandInFiles
from tests.tui.history import ARCHIVED, NOW, utc

GIB = 1024**3
HOUR, DAY = 3600, 86400


def _thing(name: ThingName, level: Level, newest: str, at: Any, policy: int, proven: Any, **more: Any) -> Thing:
    return Thing(name, level, newest, at, (NOW - at).total_seconds(), policy, proven, proven and True, **more)


def status(*, healthy: bool = False) -> SiteStatus:
    """The mock-up's; ``healthy``: all of it well."""
    proven = utc(8, 10)
    ok = [
        _thing("database-full", Level.OK, "22-02", utc(22, 2), 7 * DAY, proven, proof_drill="r11"),
        _thing("database-incremental", Level.OK, "wal", ARCHIVED, 5 * 60, proven, lose_seconds=28.0),
    ]
    well = [
        _thing("files", Level.OK, "m23", utc(23, 4, 38), DAY, proven, lose_files=0),
        _thing("source", Level.OK, "docs.git", utc(23, 11, 2), DAY, utc(20, 9)),
        _thing("environment", Level.OK, "i2", utc(2, 9), 365 * DAY, utc(20, 9)),
    ]
    if healthy:
        return SiteStatus("orders-prod", NOW, (*ok, *well), (), ARCHIVED)
    old, older = "the newest copy is 10 hours old, the policy wants 8 hours", "21 days old, the policy wants 7 days"
    things = (
        *ok,
        _thing("files", Level.WARNING, "m23", utc(23, 4, 38), 8 * HOUR, proven, lose_files=312, findings=(old,)),
        well[1],
        _thing("environment", Level.CRITICAL, "i2", utc(2, 9), 7 * DAY, None, findings=(older, "never verified")),
    )
    to_do = (
        Advice("environment", "copy", "copy the environment", older),
        Advice("files", "copy", "copy the files", old),
        Advice("source", "verify", "verify the copies of the source code", "never verified"),
    )
    return SiteStatus("orders-prod", NOW, things, to_do, ARCHIVED)


def copy_plan(*, refused: bool = False) -> Plan:
    path = "/backup/media/20261123T144200Z"
    copying = Copying("media", "20261123T144200Z", "/backup/media", path, "/backup/media/.draft", OsUser("root", 0, 0))
    steps = [("take-media", "copy /srv/orders/media, sharing what did not change with m23"),
             ("publish", f"put it on disk as {path}"), ("report", "write the report")]  # fmt: skip
    check = Check(
        "media-folder", "refuse", not refused, "/srv/orders/media is away, or empty", "see that it is mounted"
    )
    return Plan(
        "orders-prod", NOW, None, Destination("repository", "/backup/media"), None, None,
        tuple(PlannedStep(kind, kind, title, None, {}) for kind, title in steps), (check,), copying=copying,
    )  # fmt: skip


def copy_run(plan: Plan, *, done: bool = False) -> RunState:
    assert plan.copying is not None
    first = StepState("take-media", "take-media", plan.steps[0].title, "done" if done else "running", NOW, 41.0,
                      progress=None if done else Progress(31_200, 50_000, "files", 900.0, "", NOW))  # fmt: skip
    rest = [StepState(each.name, each.kind, each.title, "done" if done else "to do", seconds=0.2 if done else None)
            for each in plan.steps[1:]]  # fmt: skip
    taken = TakenCopy("20261123T144200Z", "media", plan.copying.path, 88 * GIB, NOW, NOW + timedelta(seconds=41))
    return RunState(
        run="20261123T144200Z-orders-prod", folder="/var/lib/reprise/runs/20261123T144200Z-orders-prod", plan=plan,
        outcome="completed" if done else "running", pid=None if done else 8812, started_at=NOW,
        finished_at=NOW + timedelta(seconds=42) if done else None, steps=(first, *rest),
        answers=() if done else ("cancel", "hold"), taken=taken if done else None,
    )  # fmt: skip


def dump_plan(dump: str, database: str, beside: bool) -> Plan:
    programs = Programs("/usr/lib/postgresql/17/bin", 17, "17.6")
    aside = None if beside else f"{database}-before-20261123T144100Z"
    loading = Loading(
        dump, "custom", "/d/database.dump", "/d/globals.sql", f"{database}-reprise-20261123T144100Z",
        None if beside else database, aside, OsUser("postgres", 26, 26), programs, "/run/postgresql", 5432, "postgres",
    )  # fmt: skip
    steps = [("roles", "make the roles that are missing", None), ("load", f"load {dump} into a fresh database", GIB)]
    steps += [] if beside else [("swap-database", f"set {database} aside as {aside}", None)]
    steps.append(("report", "write the report", None))
    checks = (
        Check("server-running", "refuse", True, "PostgreSQL 17 answers on /run/postgresql:5432"),
        Check("database", "refuse", True, f"{database} is set aside and kept"),
        Check("full-way", "info", True, "a dump holds the moment at which it was taken, and no other"),
    )
    return Plan(
        "orders-prod", NOW, RecoveryTarget("dump", name=dump), Destination("database", database), None, None,
        tuple(PlannedStep(kind, kind, title, size, {}) for kind, title, size in steps), checks,
        bytes_to_copy=GIB, loading=loading,
    )  # fmt: skip


class Protected(StandInFiles):
    """Their half of the stand-in."""

    asked: list[tuple[Any, ...]]
    catalog: Catalog

    def __init__(self) -> None:
        self.told = status()
        self.copy_refused = False

    def status(self, desk: Desk) -> SiteStatus:
        return self.told

    def show_schedule(self, desk: Desk) -> ScheduleState:
        entry = ScheduleEntry("files", "hourly", NOW + timedelta(minutes=18), "reprise backup media")
        return ScheduleState((entry,), "systemd", True, "")

    def plan_media_snapshot(self, desk: Desk) -> Plan:
        return copy_plan(refused=self.copy_refused)

    def plan_image(self, desk: Desk) -> Plan:
        return copy_plan(refused=self.copy_refused)

    def plan_base_backup(self, desk: Desk, *, incremental: bool = False) -> Plan:
        return copy_plan(refused=self.copy_refused)

    def plan_source_copies(self, desk: Desk) -> list[Plan]:
        return [copy_plan(refused=self.copy_refused)]

    def plan_dump_restore(self, desk: Desk, dump: str, *, database: str | None = None, beside: bool = False) -> Plan:
        self.asked.append(("plan_dump_restore", dump, database, beside))
        return dump_plan(dump, database or "orders", beside)

    def verify(self, desk: Desk, ids: list[str], *, progress: Any) -> list[Proof]:
        self.asked.append(("verify", ids))
        progress(ids[0], 10, 40)
        return [Proof(ids[0], "media", "/backup/media", NOW, True)]

    def proofs(self, desk: Desk, catalog: Catalog) -> list[Proof]:
        return [
            Proof("m23", "media", "main", utc(23, 6), True),
            Proof("m22", "media", "main", utc(22, 6), False, ("2026/11/03/scan.pdf has other content",)),
        ]

    def expire(self, desk: Desk, *, apply: bool = False) -> Expiry:
        self.asked.append(("expire", apply))
        gone = [Verdict(f"m{day}", "media", False, "the newest of no hour, day, week or month") for day in (3, 5, 6)]
        stays = [Verdict(f"m{day}", "media", True, "the newest of its day") for day in range(10, 24)]
        return Expiry(tuple(Leaving(each, (Path("/m"),), 3 * GIB) for each in gone), tuple(stays))
