"""A stand-in for engine.acts: the same functions, answered from memory. The figures are those of the mock-ups."""

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from engine.acts import Desk, Moment, Psql, View
from engine.records.copies import BaseBackup, Catalog, Dump, MediaSnapshot
from engine.records.errors import Unreachable
from engine.records.history import Piece, TransactionEnd
from engine.records.lsn import Lsn, format_lsn
from engine.records.plan import Check, Destination, Estimate, Layout, Plan, PlannedStep, ProofDrill
from engine.records.runs import Progress, Reached, RunState, StepState
from engine.records.survey import OsUser, Programs
from engine.records.target import AxisSpan, RecoveryPoint, RecoveryTarget, RecoveryWindow
from engine.recovery.reach import Reach
from engine.recovery.snapshots import snapshots_for
from engine.site import Database, DatabaseRepository, Identity, Media, Site
from tests.tui.history import ACCIDENT, ARCHIVED, FORK, GAP, LEFT_END, NOW, SEGMENT, history, lsn_at, utc
from tests.tui.practised import Practised
from tests.tui.protected import copy_run

GIB = 1024**3


def desk(*, read_only: bool = False) -> Desk:
    site = Site(
        Identity("orders-prod", "Europe/Vienna"),
        Database("/srv/orders/data", [DatabaseRepository("directory", "/backup/base", "/backup/wal")]),
        Media("/srv/orders/media"),
    )
    return Desk(site, Path("/etc/reprise/site.toml"), Path("/var/lib/reprise"), read_only)


def _backup(day: int, hour: int = 2) -> BaseBackup:
    full = day in (1, 8, 15, 22) or (day, hour) == (18, 13)
    started = utc(day, hour)
    stopped = started + timedelta(minutes=76 if full else 16)
    parent = None if full else f"{day - 1:02d}-02"
    return BaseBackup(
        id=f"{day:02d}-{hour:02d}",
        repository="main",
        path=Path(f"/backup/base/2026-11-{day:02d}"),
        format="plain",
        started_at=started,
        stopped_at=stopped,
        start_lsn=lsn_at(started),
        stop_lsn=lsn_at(stopped),
        timeline=1 if started < FORK + timedelta(days=1) else 2,
        size_bytes=(412 if full else 6) * GIB,
        version=17,
        parent=parent,
        incremental=not full,
        has_manifest=True,
        usable=day != 12,
        reason="base.tar: checksum differs" if day == 12 else None,
    )


def catalog() -> Catalog:
    days = list(range(1, 24))
    media = [
        MediaSnapshot(f"m{day}", "main", Path("/m"), utc(day, 4), utc(day, 4, 38), 88 * GIB, 50_000)
        for day in days
        if day != 19
    ]
    dumps = [Dump(f"d{day}", "main", Path("/d"), "custom", utc(day, 3, 30), GIB, "orders") for day in (7, 14, 21)]
    known = history()
    return Catalog(
        site="orders-prod",
        base_backups=tuple(sorted([*map(_backup, days), _backup(18, 13)], key=lambda b: b.started_at or NOW)),
        timelines=tuple(known.known.values()),
        restore_points=tuple(known.points),
        dumps=tuple(dumps),
        media_snapshots=tuple(media),
    )


def _windows(found: Catalog) -> tuple[RecoveryWindow, ...]:
    windows = []
    for backup in found.base_backups:
        if not backup.usable or backup.stop_lsn is None or backup.stopped_at is None:
            continue
        for timeline, end in ((1, LEFT_END), (2, ARCHIVED)):
            if backup.timeline == 2 and timeline == 1:
                continue
            if timeline == 2 and backup.stopped_at > FORK and backup.timeline == 1:
                continue
            stop, ended = end, None
            if backup.stopped_at < GAP[0]:
                stop, ended = GAP[0], "ends at a WAL gap"
                if timeline == 2:
                    continue
            low, high = backup.stop_lsn, lsn_at(stop)
            if high > low:
                windows.append(
                    RecoveryWindow(
                        backup.id, timeline, low, backup.stopped_at, high, stop,
                        (high - low) // SEGMENT, high - low, ended,
                    )
                )  # fmt: skip
    return tuple(windows)


def _spans() -> tuple[AxisSpan, ...]:
    def span(timeline: int, kind: Any, start: datetime, stop: datetime, why: str = "") -> AxisSpan:
        return AxisSpan(timeline, kind, lsn_at(start), lsn_at(stop), start, stop, why)

    return (
        span(1, "reachable", utc(1, 3, 20), GAP[0]),
        span(1, "missing", *GAP, "2 WAL segments are missing"),
        span(1, "no backup", GAP[1], utc(14, 2, 16)),
        span(1, "reachable", utc(14, 2, 16), FORK),
        span(1, "left behind", FORK, LEFT_END),
        span(2, "reachable", utc(18, 13, 4), ARCHIVED),
    )


class StandIn(Practised):
    """engine.acts from memory. What is asked of it is noted in ``asked``."""

    def __init__(self, state: RunState | None = None) -> None:
        super().__init__()
        self.asked: list[tuple[Any, ...]] = []
        self.state = state
        self.refuse = False
        self.files_wanted: bool | None = None
        self.catalog = catalog()
        reach = Reach(self.catalog.base_backups, {"main": history()})
        self.view = View(
            self.catalog, {"main": history()}, _windows(self.catalog), 2, "17.6", ARCHIVED, reach, _spans()
        )

    @property
    def planned(self) -> list[tuple[Any, ...]]:
        """The plans that were asked for."""
        return [ask for ask in self.asked if ask[0] == "plan"]

    def look(self, desk: Desk) -> View:
        return self.view

    def read_archive(self, desk: Desk, progress: Callable[[int, int], None], stop: Callable[[], bool]) -> None:
        self.asked.append(("read_archive",))

    def moment(self, desk: Desk, view: View, timeline: int, gate: Lsn) -> Moment:
        known = history()
        ahead = [
            w
            for w in view.windows
            if w.timeline == timeline or (w.timeline == 2 and timeline == 1 and gate <= lsn_at(FORK))
        ]
        fitting = [w for w in ahead if w.from_lsn <= gate <= w.to_lsn + 64]
        kept, lost = _around(timeline, gate)
        if not fitting:
            before = max((w.to_lsn for w in ahead if w.to_lsn < gate), default=None)
            after = min((w.from_lsn for w in ahead if w.from_lsn > gate), default=None)
            return Moment(
                timeline, gate, False, None,
                "2 WAL segments are missing, 13 Nov 09:12 to 09:41",
                "later WAL needs a later base backup to start from",
                known.last_end(Piece(timeline, 0, before)) if before else None,
                known.first_end(Piece(timeline, after, 1 << 63)) if after else None,
                kept, lost, None,
            )  # fmt: skip
        window = max(fitting, key=lambda w: w.from_lsn)
        point = self._point(RecoveryTarget("lsn", lsn=gate, exclusive=True, timeline=timeline), timeline, gate, window)
        return Moment(timeline, gate, True, point, None, None, None, None, kept, lost, Estimate(5400, 6600, 8000, 3))

    def _point(self, target: RecoveryTarget, timeline: int, gate: Lsn, window: RecoveryWindow) -> RecoveryPoint:
        chain: list[BaseBackup] = []
        current = self.catalog.backup(window.backup)
        while current is not None:
            chain.insert(0, current)
            current = self.catalog.backup(current.parent) if current.parent else None
        low = chain[-1].start_lsn or 0
        kept, lost = _around(timeline, gate)
        at = kept.at if kept else NOW
        media = snapshots_for(self.catalog.media_snapshots, at)
        return RecoveryPoint(
            target, tuple(chain), timeline, gate, (Piece(timeline, low, gate),), SEGMENT, "A", "B",
            (gate - low) // SEGMENT + 1, gate - low, kept, lost,
            history().count(Piece(timeline, gate, 1 << 63)), media, "the latest one before the moment",
        )  # fmt: skip

    def plan(
        self,
        desk: Desk,
        target: RecoveryTarget,
        destination: Destination,
        *,
        action: str,
        files: bool | None = None,
        view: View | None = None,
    ) -> Plan:
        self.asked.append(("plan", target, destination, action))
        self.files_wanted = files
        known = history()
        gate = target.lsn or (known.of[2][-1].end_lsn if target.kind == "latest" else lsn_at(ARCHIVED))
        moment = self.moment(desk, self.view, target.timeline or 2, gate)
        return make_plan(target, destination, moment.point, refuse=self.refuse, action=action)

    def plan_proof_drill(self, desk: Desk, target: RecoveryTarget | None) -> Plan:
        self.asked.append(("plan_proof_drill", target))
        chosen = target or RecoveryTarget("lsn", lsn=lsn_at(ACCIDENT), timeline=2)
        gate = chosen.lsn or history().of[2][-1].end_lsn
        moment = self.moment(desk, self.view, 2, gate)
        place = Destination("side-copy", "/srv/proofs/orders-prod-20261123T134200Z")
        made = make_plan(chosen, place, moment.point, refuse=self.refuse, action="finish")
        return replace(made, proof=ProofDrill(28.0, "from the last commit that can be recovered to the drill's start"))

    def prepare_proof_drill(self, desk: Desk, target: RecoveryTarget | None) -> Plan:
        self.asked.append(("prepare_proof_drill", target))
        return self.plan_proof_drill(desk, target)

    def start(self, desk: Desk, plan: Plan) -> str:
        self.asked.append(("start", plan))
        self.state = copy_run(plan) if plan.copying is not None else run_state(plan)
        return self.state.run

    def runs(self, desk: Desk) -> list[RunState]:
        return [self.state] if self.state else []

    def run_state(self, desk: Desk, run: str) -> RunState:
        assert self.state is not None
        return self.state

    def log_lines(self, desk: Desk, run: str, which: str, last: int) -> list[str]:
        said = [f'restored log file "0000000200000A4F000000{number:02X}" from archive' for number in range(0xB1, 0xB8)]
        said.insert(0, "redo starts at C8/4A000028")
        said.insert(1, "consistent recovery state reached at C8/51C2E0F0")
        said.insert(2, "database system is ready to accept read-only connections")
        said.insert(6, "restartpoint starting: time")
        lines = [f"2026-11-23 13:40:{i:02d}.000 UTC [8812] LOG:  {text}" for i, text in enumerate(said, 8)]
        return lines[-last:]

    def prepare_psql(self, desk: Desk, run: str) -> Psql:
        """As `engine.acts` does it; there is no server behind it."""
        assert self.state is not None
        if (why := self.state.unreadable) is not None:
            raise Unreachable(why.finding, remedy=why.remedy)
        self.asked.append(("prepare_psql", run))
        return Psql(("true",), OsUser("postgres", os.geteuid(), os.getegid()), {}, 60)

    def hold_psql(self, psql: Psql) -> int:
        self.asked.append(("hold_psql", psql.command))
        return 0

    def _act(name: str) -> Callable[..., None]:  # type: ignore[misc]
        def act(self: "StandIn", desk: Desk, run: str, *more: Any, **named: Any) -> None:
            self.asked.append((name, run, *more, *named.items()))

        return act

    finish = _act("finish")
    advance = _act("advance")
    cancel = _act("cancel")
    hold = _act("hold")
    go_on = _act("go_on")
    skip = _act("skip")
    resume = _act("resume")
    rollback = _act("rollback")
    discard = _act("discard")
    stop_server = _act("stop_server")
    start_server = _act("start_server")
    open_application = _act("open_application")


def _around(timeline: int, gate: Lsn) -> tuple[TransactionEnd | None, TransactionEnd | None]:
    known = history()
    kept = known.last_end(Piece(timeline, 0, gate))
    if kept is None and timeline == 2:
        kept = known.last_end(Piece(1, 0, lsn_at(FORK)))
    return kept, known.first_end(Piece(timeline, gate, 1 << 63))


def make_plan(
    target: RecoveryTarget, destination: Destination, point: RecoveryPoint | None, *, refuse: bool, action: str
) -> Plan:
    checks = [
        Check("files-behind", "warn", False, "snapshot is 9 h 54 min older than the moment", None),
        Check("backup-damaged", "refuse", True, "full 22 Nov + incremental 23 Nov, checksums read 05:10"),
        Check("wal-gap", "refuse", True, "1 204 of 1 204 segments"),
        Check("disk-space", "refuse", True, "612 GiB free, 525 GiB needed"),
        Check("major-version", "refuse", True, "17.6 here, 17.6 in the backup"),
    ]
    if refuse:
        finding = "5433 is in use by postgres, pid 8812"
        checks.insert(0, Check("port", "refuse", False, finding, "choose another port, or leave it to Reprise"))
    steps = [
        ("prepare", "prepare", "prepare the folders", None),
        ("copy-1", "copy", "copy full backup 22 Nov 02:00", 412 * GIB),
        ("copy-2", "copy", "copy incremental backup 23 Nov 02:00", 6 * GIB),
        ("combine", "combine", "combine the chain", 418 * GIB),
        ("settings", "settings", "write harmless settings", None),
        ("replay", "replay", "replay WAL to the moment", int(18.8 * GIB)),
        ("prove", "prove", "prove where replay stopped", None),
    ]
    if action == "pause":
        steps.append(("gate", "gate", "wait: you look, then decide", None))
    steps += [
        ("promote", "promote", "open for writes", None),
        ("check-result", "check-result", "check the result", None),
        ("report", "report", "write the report", None),
    ]
    programs = Programs("/usr/lib/postgresql/17/bin", 17, "17.6")
    layout = Layout(
        "/srv/restore/orders", "/srv/restore/orders/data", "/srv/restore/orders/staging", "/srv/restore/orders/own",
        "/srv/restore/run", 5434, OsUser("postgres", 26, 26), programs,
    )  # fmt: skip
    return Plan(
        "orders-prod", NOW, target, destination, layout, point,
        tuple(PlannedStep(name, kind, title, size, {}) for name, kind, title, size in steps), tuple(checks), (),
        418 * GIB, Estimate(5400, 6600, 8000, 3),
    )  # fmt: skip


def run_state(plan: Plan, *, at: str = "replay") -> RunState:
    """A run that stands in the step ``at``: ``replay``, ``gate``, or ``end``."""
    names = [step.name for step in plan.steps]
    here = names.index(at) if at in names else len(names)
    steps = []
    for number, step in enumerate(plan.steps):
        state = StepState(step.name, step.kind, step.title, "to do")
        if number < here:
            seconds = {"copy-1": 4200.0, "copy-2": 60.0, "combine": 420.0, "replay": 1740.0}.get(step.name, 0.4)
            state = replace(state, outcome="done", seconds=seconds, bytes=step.bytes)
        elif number == here:
            progress = None
            if at == "replay" and plan.point:
                low = plan.point.pieces[0].low
                total = plan.point.gate - low
                progress = Progress(int(total * 0.59), total, "lsn", 11.0 * 1024**2, "", NOW)
            waits = "waiting" if at == "gate" else "running"
            state = replace(
                state, outcome=waits, started_at=NOW - timedelta(minutes=17), seconds=1020.0, progress=progress
            )
        steps.append(state)
    done = here == len(names)
    point = plan.point
    reached = None
    if point and at in ("gate", "end"):
        kept = point.kept
        reached = Reached(
            point.gate, kept.at if kept else None, kept.xid if kept else None, 2, 3 if done else None, True,
            f"replay stands at {format_lsn(point.gate)}, the last transaction is the planned one",
        )  # fmt: skip
    answers = (
        ("cancel",)
        if at == "replay"
        else ("finish", "advance", "cancel")
        if at == "gate"
        else ("discard", "stop", "rollback")
    )
    return RunState(
        run="20261123T134200Z-orders-prod",
        folder="/var/lib/reprise/runs/20261123T134200Z-orders-prod",
        plan=plan,
        outcome="completed" if done else "paused" if at == "gate" else "running",
        pid=None if done else 8812,
        started_at=NOW - timedelta(minutes=110),
        finished_at=NOW if done else None,
        steps=tuple(steps),
        checks=plan.checks,
        data_dir="/srv/restore/orders/data",
        host="/srv/restore/run" if at != "replay" else None,
        port=5434 if at != "replay" else None,
        reached=reached,
        server_log="/srv/restore/orders/own/server.log",
        answers=answers,
    )
