"""The plan: where everything will lie, and the ordered steps from today's state to the recovery point.

Kinds of steps and their order: `engine/README.md`, "The steps of a plan". Nothing here looks at the machine: what is
needed of it stands in the Survey.
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any, Literal
from zoneinfo import ZoneInfo

from msgspec import Struct

from engine.records.copies import BaseBackup
from engine.records.plan import (
    Destination,
    Layout,
    Plan,
    PlannedStep,
    Resolution,
    TablespacePlace,
)
from engine.records.survey import Survey
from engine.records.target import RecoveryPoint, RecoveryTarget
from engine.recovery.checks import Question, WalFacts, run_checks
from engine.recovery.estimates import Measured, estimate
from engine.recovery.settings import raised_settings
from engine.recovery.sizes import bytes_to_copy, copied_bytes

SOCKET_PATH_LIMIT = 103  # sun_path holds 107 bytes on Linux and 103 on others, without the closing zero
PORT_DIGITS = 5


class SiteFacts(Struct, frozen=True):
    """What a plan needs of the site file. ``zone`` is how times are shown; None: titles name no times. ``reads_pages``:
    whether every page of the copy is read."""

    name: str
    data_dir: str
    has_application: bool = False
    verifies: int = 0
    reads_pages: bool = True
    zone: ZoneInfo | None = None


def make_plan(
    site: SiteFacts,
    target: RecoveryTarget,
    resolution: Resolution,
    survey: Survey,
    destination: Destination,
    *,
    action: Literal["finish", "pause"] = "finish",
    created_at: datetime,
    port: int,
    wal: WalFacts | None = None,
    measured: Iterable[Measured] = (),
) -> Plan:
    """The plan for one destination, with every check: first what the resolution found, then those of
    `engine/recovery/checks`. ``port`` is the recovered server's (in place: production's); ``wal`` what the index knows
    besides; ``measured`` the steps of earlier runs."""
    point = resolution.point
    layout: Layout | None = None
    if point is not None and survey.programs is not None:
        layout = make_layout(site, point, survey, destination, created_at=created_at, port=port)
    question = Question(
        target, point, survey, destination, layout, wal or WalFacts(), action == "pause", site.reads_pages
    )
    told = {check.name for check in resolution.checks}
    checks = (*resolution.checks, *(check for check in run_checks(question) if check.name not in told))
    if point is None or layout is None:
        return Plan(site.name, created_at, target, destination, None, point, (), checks)
    steps = tuple(_steps(site, point, survey, destination, layout, action))
    return Plan(
        site=site.name,
        created_at=created_at,
        target=target,
        destination=destination,
        layout=layout,
        point=point,
        steps=steps,
        checks=checks,
        raised_settings=raised_settings(point),
        bytes_to_copy=bytes_to_copy(point.chain),
        estimate=estimate(steps, measured),
    )


# Where everything lies


def make_layout(
    site: SiteFacts,
    point: RecoveryPoint,
    survey: Survey,
    destination: Destination,
    *,
    created_at: datetime,
    port: int,
) -> Layout:
    """Where everything of the run will lie. In place all of it is on production's file system, so that the
    switch-over is nothing but renames. Needs ``survey.programs``."""
    assert survey.programs is not None
    stamp = created_at.strftime("%Y%m%dT%H%M%SZ")
    production: str | None = None
    set_aside: str | None = None
    within_mount = False
    if destination.kind == "side-copy":
        container = PurePosixPath(destination.path)
        port = destination.port or port
    else:
        data_dir = PurePosixPath(survey.cluster.data_dir or site.data_dir)
        production = str(data_dir)
        within_mount = survey.cluster.exists and (survey.cluster.is_mount_point or _is_fixed(data_dir, survey))
        if within_mount:
            container, set_aside = data_dir / f".reprise-{stamp}", str(data_dir / f".before-{stamp}")
        else:
            container = data_dir.parent / f".{data_dir.name}.reprise-{stamp}"
            set_aside = f"{data_dir}.before-{stamp}"
        if not survey.cluster.exists:
            set_aside = None
    work = container / "own"
    return Layout(
        container=str(container),
        data_dir=str(container / "data"),
        staging=str(container / "staging"),
        work=str(work),
        socket_dir=socket_dir(work, container),
        port=port,
        run_as=survey.run_as,
        programs=survey.programs,
        tablespaces=tuple(_places(point, survey, destination, container, stamp)),
        production=production,
        set_aside=set_aside,
        within_mount=within_mount,
    )


def _is_fixed(data_dir: PurePosixPath, survey: Survey) -> bool:
    """Whether the folder above takes no rename, and the data directory itself does."""
    writable = {each.path: each.writable for each in survey.file_systems}
    return writable.get(str(data_dir.parent)) is False and writable.get(str(data_dir)) is True


def socket_dir(work: PurePosixPath, container: PurePosixPath) -> str:
    """The servers' socket folder: in the run's own folder, or where its path is too long for a socket's address a short
    one of its own, told apart by the container."""
    long = f"{work}/run/.s.PGSQL.{'0' * PORT_DIGITS}"
    if len(long.encode("utf-8", "surrogateescape")) <= SOCKET_PATH_LIMIT:
        return f"{work}/run"
    named = hashlib.sha256(str(container).encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"/tmp/reprise-{named}"


def _places(
    point: RecoveryPoint, survey: Survey, destination: Destination, container: PurePosixPath, stamp: str
) -> Iterable[TablespacePlace]:
    live = dict(survey.cluster.tablespaces)
    for tablespace in point.backup.tablespaces:
        if destination.kind == "side-copy":
            own = str(container / "tablespaces" / str(tablespace.oid))
            yield TablespacePlace(tablespace.oid, own, own)
        else:
            location = live.get(tablespace.oid, tablespace.location)
            yield TablespacePlace(tablespace.oid, str(PurePosixPath(location) / f".reprise-{stamp}"), location)


# The steps


def _steps(
    site: SiteFacts, point: RecoveryPoint, survey: Survey, destination: Destination, layout: Layout, action: str
) -> Iterable[PlannedStep]:
    in_place = destination.kind == "in-place"
    yield _step("prepare", f"prepare {layout.container}")
    yield from _copy_steps(site, point, layout)
    yield _step("settings", "write the copy's own settings")
    yield _step("replay", _replay_title(point), point.wal_bytes)
    yield _step("prove", "prove that replay stands at the target")
    yield _inspect_step(site, point)
    if action == "pause":
        yield _step("gate", "wait: you look, then decide")
    if not in_place:
        yield _step("promote", "open the copy for writes on a new timeline")
        yield _step("check-result", _check_title(site))
        yield _step("report", "write the report")
        return
    if site.has_application:
        yield _step("stop-application", "stop the application")
    if survey.cluster.exists:
        tail = len(survey.cluster.wal_tail or ())
        yield _step("stop-server", "stop the production server")
        yield _step("salvage", _salvage_title(survey.cluster.wal_tail), tail * point.segment_size)
        yield _step("set-aside", f"set production aside as {layout.set_aside}")
    yield _step("switch-over", f"put the copy in place as {layout.production}")
    yield _step("take-over", "start it with production's settings, on a new timeline")
    yield _step("check-result", _check_title(site))
    yield _step("open", "open it at production's address")
    yield _step("report", "write the report")


def long_steps(point: RecoveryPoint) -> tuple[PlannedStep, ...]:
    """What takes the time of any recovery to this point: copying and replaying, wherever it goes to."""
    copies = [_step("copy", backup.id, copied_bytes(backup)) for backup in point.chain]
    combining = [_step("combine", "", copied_bytes(point.chain[0]))] if len(point.chain) > 1 else []
    return (*copies, *combining, _step("replay", "", point.wal_bytes))


def _step(kind: str, title: str, bytes: int | None = None, name: str | None = None, **args: Any) -> PlannedStep:
    return PlannedStep(name or kind, kind, title, bytes, args)


def _copy_steps(site: SiteFacts, point: RecoveryPoint, layout: Layout) -> Iterable[PlannedStep]:
    if len(point.chain) == 1:
        backup = point.backup
        yield _step("copy", _copy_title(site, backup), copied_bytes(backup), backup=0, into=layout.data_dir)
        return
    members = [str(PurePosixPath(layout.staging) / str(number)) for number in range(len(point.chain))]
    for number, (backup, into) in enumerate(zip(point.chain, members, strict=True)):
        title = _copy_title(site, backup)
        yield _step("copy", title, copied_bytes(backup), f"copy-{number + 1}", backup=number, into=into)
    title = f"combine {len(members)} backups into one"
    yield _step("combine", title, copied_bytes(point.chain[0]), members=members, into=layout.data_dir)


def _copy_title(site: SiteFacts, backup: BaseBackup) -> str:
    kind = "incremental" if backup.incremental else "full"
    if backup.started_at is None or site.zone is None:
        return f"copy {kind} backup {backup.id}"
    at = backup.started_at.astimezone(site.zone)
    return f"copy {kind} backup {at.day} {at:%b %H:%M}"


def _replay_title(point: RecoveryPoint) -> str:
    number = f"{point.wal_segments:,}".replace(",", " ")
    before = f", stop before xid {point.lost.xid}" if point.lost is not None else ""
    return f"replay {number} WAL segment{'s' if point.wal_segments != 1 else ''}{before}"


def _inspect_step(site: SiteFacts, point: RecoveryPoint) -> PlannedStep:
    if not site.reads_pages or point.backup.data_checksums is False:
        return _step("inspect", "look up the copy's libraries")
    return _step("inspect", "look up the copy's libraries, read every page", copied_bytes(point.chain[0]))


def _salvage_title(tail: tuple[str, ...] | None) -> str:
    if tail is None:
        return "salvage WAL that the archive has not"
    return f"salvage {len(tail)} WAL segment{'s' if len(tail) != 1 else ''} that the archive has not"


def _check_title(site: SiteFacts) -> str:
    asked = f", {site.verifies} question{'s' if site.verifies != 1 else ''} of the site" if site.verifies else ""
    return f"check the result{asked}"
