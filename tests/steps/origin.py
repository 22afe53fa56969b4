"""A small real cluster with an archive, a base backup and some history; and a step's run that journals nothing."""

import itertools
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.formats.backup_label import read_backup_label
from engine.formats.control_file import read_control_file
from engine.postgres.programs import programs_for
from engine.postgres.running import run
from engine.postgres.server import Server, free_port
from engine.postgres.users import everyday_user, is_root
from engine.records.copies import BaseBackup
from engine.records.errors import RepriseError
from engine.records.history import Piece, TransactionEnd
from engine.records.lsn import SegmentName, parse_lsn, segment_of
from engine.records.plan import Check, Destination, Layout, Plan
from engine.records.runs import Reached
from engine.records.survey import OsUser, Programs
from engine.records.target import RecoveryPoint, RecoveryTarget
from engine.site import Database, DatabaseRepository, Identity, Site
from engine.steps.protocol import Stopped
from engine.steps.shared.recovering import server_of, stop_feed

MB = 1 << 20
_END = re.compile(
    r"rmgr: Transaction .*tx: +(\d+), lsn: ([0-9A-F]+/[0-9A-F]+), prev \S+ desc: (COMMIT|ABORT)(_PREPARED)?"
    r" (?:\S+: )?(\S+ \S+) UTC"
)
_ANY = re.compile(r"lsn: ([0-9A-F]+/[0-9A-F]+), prev")
_HARMLESS = {"listen_addresses": "", "logging_collector": "off", "lc_messages": "C", "ssl": "off"}


@dataclass
class Origin:
    """The production cluster of a test. ``ends`` are all transaction ends of its archive on ``timeline``."""

    root: Path
    user: OsUser
    programs: Programs
    server: Server
    backup: BaseBackup | None = None
    segment_size: int = MB
    archived_in: Path | None = None

    @property
    def archive(self) -> Path:
        return self.archived_in or self.root / "archive"

    def sql(self, *statements: str) -> list[Any]:
        rows: list[Any] = []
        with self.server.connect(statement_timeout=120) as connection:
            for statement in statements:
                done = connection.execute(statement)  # type: ignore[call-overload]
                rows = done.fetchall() if done.description else []
        return rows

    def archived(self, name: str) -> None:
        """Switch the segment and wait until everything up to it is in the archive."""
        row = self.sql("SELECT pg_walfile_name(pg_switch_wal())")[0]
        self.server.wait(lambda: (self.archive / str(row[0])).exists(), 30, f"{name}: not archived")

    def take_backup(self, name: str = "b1") -> BaseBackup:
        path = self.root / "base" / name
        run(
            self.programs, "pg_basebackup", "-h", self.server.socket_dir, "-p", str(self.server.port), "-D", path,
            "-X", "none", "-c", "fast", "-U", "postgres", "--no-sync",
            user=self.user, timeout=120,
        )  # fmt: skip
        label = read_backup_label((path / "backup_label").read_text())
        control = read_control_file((path / "global" / "pg_control").read_bytes())
        return BaseBackup(
            id=name,
            repository="r1",
            path=path,
            format="plain",
            start_lsn=label.start_lsn,
            timeline=label.timeline,
            version=control.version,
            system_identifier=control.system_identifier,
            segment_size=control.segment_size,
        )

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

    def records(self, timeline: int = 1) -> list[int]:
        return [parse_lsn(found[1]) for line in self._waldump(timeline).splitlines() if (found := _ANY.search(line))]

    def _waldump(self, timeline: int) -> str:
        assert self.backup is not None and self.backup.start_lsn is not None
        first = SegmentName(timeline, segment_of(self.backup.start_lsn, self.segment_size)).text(self.segment_size)
        here = sorted(p.name for p in self.archive.iterdir() if re.fullmatch(f"{timeline:08X}[0-9A-F]{{16}}", p.name))
        names = [name for name in here if name >= first] if timeline == self.backup.timeline else here
        dumped = subprocess.run(
            [f"{self.programs.bin_dir}/pg_waldump", "-p", self.archive, names[0], names[-1]],
            capture_output=True, text=True, env={"LC_ALL": "C", "TZ": "UTC"}, check=False,
        )  # fmt: skip
        return dumped.stdout

    def point(self, gate: int, pieces: Sequence[Piece] | None = None) -> RecoveryPoint:
        """The recovery point at a gate, from pg_waldump's account."""
        assert self.backup is not None and self.backup.start_lsn is not None
        low = self.backup.start_lsn
        pieces = tuple(pieces or [Piece(1, low, gate)])
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
            segment_size=self.segment_size,
            wal_first=None,
            wal_last=None,
            wal_segments=0,
            wal_bytes=gate - low,
            kept=kept[-1] if kept else None,
            lost=lost[0] if lost else None,
            lost_commits=len(lost_commits),
            kept_commit=commits[-1] if commits else None,
            lost_commit=lost_commits[0] if lost_commits else None,
        )

    def rehearse(self, point: RecoveryPoint, name: str, **changes: Any) -> "Rehearsal":
        """A side copy in a folder of its own, as the copy step leaves it, and the run that shall recover it."""
        assert self.backup is not None
        container = self.root / name
        work, data_dir = container / "work", container / "data"
        container.mkdir()
        work.mkdir(mode=0o700)
        shutil.copytree(self.backup.path, data_dir)
        own(container, self.user)
        run_dir = self.root / f"{name}.run"
        run_dir.mkdir(mode=0o700)
        layout = Layout(
            container=str(container),
            data_dir=str(data_dir),
            staging=str(container / "staging"),
            work=str(work),
            socket_dir=str(work),
            port=free_port(),
            run_as=self.user,
            programs=self.programs,
        )
        layout = replace(layout, **changes)
        plan = Plan(
            site="test",
            created_at=datetime.now(UTC),
            target=point.target,
            destination=Destination("side-copy", str(container)),
            layout=layout,
            point=point,
            steps=(),
            checks=(),
        )
        return Rehearsal(plan, self.site(), run_dir)

    def site(self) -> Site:
        repository = DatabaseRepository("directory", str(self.root / "base"), str(self.archive))
        database = Database(
            data_dir=str(self.server.data_dir), repository=[repository], host=str(self.server.socket_dir),
            port=self.server.port,
        )  # fmt: skip
        return Site(Identity("test"), database)

    def own_recovery(self, name: str, settings: Mapping[str, str]) -> tuple[Path, str]:
        """PostgreSQL's own recovery with these recovery targets and `shutdown`: data directory and log."""
        assert self.backup is not None
        data_dir = self.root / name
        shutil.copytree(self.backup.path, data_dir)
        (data_dir / "recovery.signal").touch()
        own(data_dir, self.user)
        log = self.root / f"{name}.log"
        log.touch()
        own(log, self.user)
        server = replace(self.server, data_dir=data_dir, port=free_port(), log=log)
        with suppress(RepriseError):  # it may be through before anybody looks; the log tells
            server.start(
                {
                    **_HARMLESS,
                    "archive_mode": "off",
                    "restore_command": f"cp {self.archive}/%f %p",
                    "recovery_target_action": "shutdown",
                    **settings,
                }
            )
        server.wait(lambda: server.pid() is None and not server.processes(), 60, "its own recovery did not end")
        return data_dir, log.read_text()


@dataclass
class Told:
    """An operator's answer at the gate."""

    act: str
    target: Mapping[str, Any] | None = None


@dataclass
class Rehearsal:
    """A RunningStep that runs the steps and journals nothing."""

    plan: Plan
    site: Site
    run_dir: Path
    args: Mapping[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    undo_records: list[Mapping[str, Any]] = field(default_factory=list)
    progresses: list[tuple[int, int | None, str]] = field(default_factory=list)
    found: list[Mapping[str, Any]] = field(default_factory=list)
    proofs: list[Reached] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    answers: list[Told] = field(default_factory=list)
    notes: list[Mapping[str, Any]] = field(default_factory=list)
    at_safe_point: Callable[[], None] = lambda: None
    while_it_waits: Callable[[Callable[[], None] | None], None] = lambda _: None

    def before(self, **how_to_undo: Any) -> None:
        self.undo_records.append(how_to_undo)

    def fact(self, **found: Any) -> None:
        self.facts |= found

    def progress(self, done: int, total: int | None, unit: str = "bytes", detail: str = "") -> None:
        self.progresses.append((done, total, detail))

    def safe_point(self) -> None:
        self.at_safe_point()

    def wait_for_answer(self, finding: Mapping[str, Any], *, meanwhile: Callable[[], None] | None = None) -> Told:
        self.found.append(finding)
        self.while_it_waits(meanwhile)
        if not self.answers:
            raise Stopped
        return self.answers.pop(0)

    def reached(self, reached: Reached) -> None:
        self.proofs.append(reached)

    def check(self, check: Check) -> None:
        self.checks.append(check)

    def server(self, **where: Any) -> None:
        self.facts["server"] = where

    def note(self, **content: Any) -> None:
        self.notes.append(content)

    def log(self, line: str) -> None:
        self.lines.append(line)

    @property
    def copy(self) -> Server:
        return server_of(self)

    def rows(self, query: str) -> list[Any]:
        with self.copy.connect() as connection:
            return connection.execute(query).fetchall()

    def end(self) -> None:
        stop_feed(self)
        self.copy.stop("immediate")


def own(path: Path, user: OsUser) -> None:
    if is_root():
        for place in (path, *(path.rglob("*") if path.is_dir() else ())):
            os.chown(place, user.uid, user.gid, follow_symlinks=False)
    if path.is_dir():
        path.chmod(0o700)


@contextmanager
def origin(root: Path, programs: Programs, *, segment_size_mb: int = 1, **settings: str) -> Iterator[Origin]:
    """A running cluster that archives into ``root``/archive, with an empty ledger and a base backup."""
    user = everyday_user()
    root.mkdir(mode=0o755)
    programs = programs_for(user, programs, root / "programs")
    for name in ("archive", "base", "socket"):
        (root / name).mkdir(mode=0o755)
        own(root / name, user)
    (root / "server.log").touch()
    own(root / "server.log", user)
    own_root = root / "data"
    own_root.mkdir(mode=0o700)
    own(own_root, user)
    run(
        programs, "initdb", "-D", own_root, "-U", "postgres", "-A", "trust", "--no-sync", "-k",
        f"--wal-segsize={segment_size_mb}", "-E", "UTF8", "--locale=C", user=user, timeout=120,
    )  # fmt: skip
    lines = {
        "archive_mode": "on",
        "archive_command": f"test ! -f {root}/archive/%f && cp %p {root}/archive/%f",
        "wal_level": "replica",
        "max_wal_senders": "4",
        "max_prepared_transactions": "5",
        "shared_buffers": "16MB",
        "fsync": "off",
        "autovacuum": "off",  # its commits would count as the ledger's
        **_HARMLESS,
        **settings,
    }
    with (own_root / "postgresql.conf").open("a") as conf:
        conf.writelines(f"{name} = '{value}'\n" for name, value in lines.items())
    server = Server(programs, own_root, user, root / "socket", free_port(), root / "server.log")
    cluster = Origin(root, user, programs, server, segment_size=segment_size_mb * MB)
    server.start()
    try:
        server.wait_accepting()
        cluster.sql("CREATE TABLE ledger (id int PRIMARY KEY, filler text)", "CHECKPOINT")
        cluster.backup = cluster.take_backup()
        yield cluster
    finally:
        server.stop("immediate")


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """The files of a folder with size and time: the same before and after means untouched."""
    return {path.name: (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.iterdir()}
