"""Exactness: from every backup format, random targets of every kind over two timelines end where PostgreSQL ends.

All targets are resolved and held against PostgreSQL's rules (tests/end_to_end/stopping_rules.py); a sample is really
recovered, by PostgreSQL's own targets and by `reprise restore`.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from engine.acts.desk import open_desk
from engine.acts.looking import View, look, read_archive
from engine.postgres.connecting import connect
from engine.records.history import TransactionEnd
from engine.records.lsn import format_lsn, parse_lsn, skip_page_header
from engine.records.plan import Resolution
from engine.records.target import RecoveryTarget, TargetKind
from engine.recovery.resolving import resolve_in
from tests.end_to_end.operator import Operator, operator_for
from tests.end_to_end.postgres_recovery import contents, recover
from tests.end_to_end.stopping_rules import TIMED, Answer, Record, Rules
from tests.histories import History

FORMATS = ("plain", "tar", "tar.gz", "tar.zst", "tar.lz4", "incremental", "second timeline")
MICROSECOND = timedelta(microseconds=1)


@pytest.fixture(scope="module")
def rules(history: History) -> Rules:
    return Rules(history)


@pytest.fixture(scope="module")
def view(history: History, tmp_path_factory: pytest.TempPathFactory) -> View:
    home = tmp_path_factory.mktemp("view")
    desk = open_desk(operator_for(history.cluster, home).site, home / "state")
    read_archive(desk)
    return look(desk)


@pytest.fixture
def operator(history: History, open_dir: Path) -> Operator:
    return operator_for(history.cluster, open_dir)


def _backup_id(history: History, kind: str) -> str:
    if kind not in history.backups:
        pytest.skip(f"this PostgreSQL {history.cluster.programs.version} cannot make a backup of the kind {kind}")
    return history.backups[kind]


# Which targets


@dataclass
class Draw:
    """Seeded targets on one timeline's line: most of them behind a backup, some in it and before it."""

    random: random.Random
    records: list[Record]
    names: list[str]

    @classmethod
    def on(cls, rules: Rules, line: int, backup: str, seed: str) -> "Draw":
        early = rules.backup(backup).start - 100_000
        names = sorted({each.name for each in rules.line(line) if each.name})
        return cls(random.Random(seed), [each for each in rules.line(line) if each.lsn >= early], names)

    def one(self, *kinds: str) -> Record:
        return self.random.choice([each for each in self.records if each.kind in kinds])

    def time(self) -> datetime:
        """A transaction end's time, right beside it, or between it and the next."""
        at = self.one(*TIMED).at
        assert at is not None
        return at + self.random.choice((-1, 0, 0, 1, 700)) * MICROSECOND

    def subxid(self) -> int:
        return self.random.choice([xid for each in self.records for xid in each.subxids])

    def targets(self, rounds: int) -> Iterator[RecoveryTarget]:
        for exclusive in (False, True):
            for _ in range(rounds):
                yield RecoveryTarget("time", time=self.time(), exclusive=exclusive)
                yield RecoveryTarget("time", time=self.time(), exclusive=exclusive)
                yield RecoveryTarget("lsn", lsn=self.random.choice(self.records).lsn, exclusive=exclusive)
                yield RecoveryTarget("lsn", lsn=self.one(*TIMED, "PREPARE").lsn, exclusive=exclusive)
                for kind in TIMED:
                    yield RecoveryTarget("xid", xid=self.one(kind).xid, exclusive=exclusive)
                yield RecoveryTarget("xid", xid=self.subxid(), exclusive=exclusive)
        yield from (RecoveryTarget("name", name=name) for name in self.names)
        yield RecoveryTarget("latest")
        yield RecoveryTarget("immediate")


# The same answer


def _end(record: Record | None) -> tuple[Any, ...] | None:
    return (record.lsn, record.end, record.xid, record.at, record.kind) if record else None


def _read(end: TransactionEnd | None) -> tuple[Any, ...] | None:
    return (end.lsn, end.end_lsn, end.xid, end.at, end.kind.upper().replace(" ", "_")) if end else None


def _check(target: RecoveryTarget, expected: Answer | list[int] | None, found: Resolution) -> None:
    point = found.point
    if not isinstance(expected, Answer):
        assert point is None, target
        assert list(found.choices) == (expected or []), target
        assert any(check.refuses and check.finding and check.remedy for check in found.checks), target
        return
    assert point is not None, (target, expected, found.checks)
    told = (
        format_lsn(point.gate), point.backup.id, point.line, point.timeline, point.lost_commits,
        _read(point.kept), _read(point.lost), _read(point.kept_commit), _read(point.lost_commit),
    )  # fmt: skip
    wanted = (
        format_lsn(expected.gate), expected.backup, expected.line, expected.timeline, expected.lost_commits,
        _end(expected.kept), _end(expected.lost), _end(expected.kept_commit), _end(expected.lost_commit),
    )  # fmt: skip
    assert told == wanted, target


@pytest.mark.parametrize("kind", FORMATS)
def test_random_targets_end_where_postgres_rules_end(rules: Rules, view: View, history: History, kind: str) -> None:
    backup = _backup_id(history, kind)
    reached: list[RecoveryTarget] = []
    for line in (1, 2):
        if not rules.stands_on(rules.backup(backup), line):
            continue
        draw = Draw.on(rules, line, backup, f"{kind} {line}")
        for drawn in draw.targets(8 if kind == "second timeline" else 4):
            target = replace(drawn, backup=backup, timeline=line)
            expected = rules.answer(target)
            _check(target, expected, resolve_in(view.reach, target, live_timeline=view.live_timeline))
            reached += [target] if isinstance(expected, Answer) else []
    assert len(reached) >= 50
    kinds = {(target.kind, target.exclusive) for target in reached}
    assert kinds == {*((kind, out) for kind in ("time", "lsn", "xid") for out in (True, False)), *_PLAIN_KINDS}


_PLAIN_KINDS: set[tuple[TargetKind, bool]] = {("name", False), ("latest", False), ("immediate", False)}


def test_without_backup_and_timeline_the_newest_that_reaches_it_is_chosen_or_the_lines_are_named(
    rules: Rules, view: View, history: History
) -> None:
    first = rules.backups[-1].id
    answers = []
    for line in (1, 2):
        for target in Draw.on(rules, line, first, f"free {line}").targets(4):
            expected = rules.answer(target)
            _check(target, expected, resolve_in(view.reach, target, live_timeline=view.live_timeline))
            answers.append(expected)
    assert len({each.backup for each in answers if isinstance(each, Answer)}) > 2
    assert any(isinstance(each, list) for each in answers)


def test_every_transaction_is_a_target_that_keeps_it_or_loses_it(rules: Rules, view: View) -> None:
    """Each one of both timelines, not a sample."""
    for line in (1, 2):
        for record in rules.line(line):
            if record.kind in TIMED and record.timeline == line and record.lsn >= rules.backups[-1].consistent:
                target = RecoveryTarget("xid", xid=record.xid, timeline=line)
                kept = resolve_in(view.reach, target, live_timeline=2).point
                lost = resolve_in(view.reach, replace(target, exclusive=True), live_timeline=2).point
                assert kept and _read(kept.kept) == _end(record)
                assert lost and _read(lost.lost) == _end(record)


def test_an_lsn_inside_a_record_is_refused_and_its_neighbours_are_named(rules: Rules, view: View) -> None:
    draw = random.Random(5)
    for line in (1, 2):
        records = [each for each in rules.line(line) if each.lsn >= rules.backups[-1].consistent]
        for _ in range(20):
            place = draw.randrange(len(records) - 1)
            inside = draw.randrange(records[place].lsn + 1, records[place].end)
            found = resolve_in(view.reach, RecoveryTarget("lsn", lsn=inside, timeline=line), live_timeline=2)
            assert found.point is None
            (check,) = [each for each in found.checks if each.refuses]
            assert check.name == "target-lsn"
            assert format_lsn(records[place].lsn) in check.finding
            assert format_lsn(records[place + 1].lsn) in check.finding


# Really recovered


def _sample(kind: TargetKind, rules: Rules, line: int, backup: str, *, exclusive: bool, of: str) -> RecoveryTarget:
    """A target that the backup reaches, before the ledger's end on timeline 1."""
    draw = Draw.on(rules, line, backup, f"sample {kind} {line} {of}")
    draw.records = [each for each in draw.records if each.timeline == 2 or each.lsn < rules.history.before_accident]
    draw.records = [each for each in draw.records if each.timeline == line]
    while True:
        record = draw.one(of) if of else draw.random.choice(draw.records)
        target = RecoveryTarget(
            kind,
            time=record.at if kind == "time" else None,
            lsn=record.lsn if kind == "lsn" else None,
            xid=record.xid if kind == "xid" else None,
            name=record.name if kind == "name" else None,
            exclusive=exclusive,
            backup=backup,
            timeline=line,
        )
        if isinstance(rules.answer(target), Answer):
            return target


def _words(target: RecoveryTarget) -> list[str]:
    """As on the command line."""
    value = {
        "time": target.time.isoformat() if target.time else "",
        "lsn": format_lsn(target.lsn or 0),
        "xid": str(target.xid),
        "name": target.name or "",
    }
    words = [f"--{target.kind}", *([value[target.kind]] if target.kind in value else [])]
    words += ["--exclusive"] if target.exclusive else []
    return [*words, "--backup", str(target.backup), "--timeline", str(target.timeline)]


def _document(record: Record | None) -> dict[str, Any] | None:
    if record is None or record.at is None:
        return None
    return {"at": f"{record.at:%Y-%m-%dT%H:%M:%S.%f}Z", "xid": record.xid, "lsn": format_lsn(record.lsn)}


def _check_report(report: dict[str, Any], expected: Answer) -> None:
    assert report["outcome"] == "completed"
    assert (report["backup"], report["timeline"]) == (expected.backup, expected.timeline)
    assert report["kept_until"] == _document(expected.kept_commit)
    assert report["lost_from"] == _document(expected.lost_commit)
    assert report["lost_commits"] == expected.lost_commits
    reached = report["reached"]
    assert (reached["proven"], reached["timeline"], reached["new_timeline"]) == (True, expected.timeline, 3)
    kept = _document(expected.kept_commit) or {"at": None, "xid": None}
    assert (reached["last_commit_at"], reached["last_commit_xid"]) == (kept["at"], kept["xid"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("format", "line", "kind", "exclusive", "of"),
    [
        ("plain", 1, "time", False, "COMMIT"),
        ("tar", 1, "xid", True, "COMMIT_PREPARED"),
        ("tar.gz", 2, "lsn", False, ""),
        ("tar.zst", 2, "time", True, "COMMIT"),
        ("tar.lz4", 1, "time", False, "ABORT"),
        pytest.param("incremental", 1, "xid", False, "ABORT", marks=pytest.mark.chains),
        ("second timeline", 2, "lsn", True, "PREPARE"),
        ("tar", 1, "name", False, "RESTORE_POINT"),
        ("tar.gz", 1, "immediate", False, ""),
        ("second timeline", 2, "latest", False, ""),
    ],
)
def test_a_restore_ends_where_postgres_own_target_ends(
    operator: Operator,
    rules: Rules,
    history: History,
    format: str,
    line: int,
    kind: TargetKind,
    exclusive: bool,
    of: str,
) -> None:
    target = _sample(kind, rules, line, _backup_id(history, format), exclusive=exclusive, of=of)
    expected = rules.answer(target)
    assert isinstance(expected, Answer)
    stopped, held = recover(history, format, target, operator.home)
    size = history.cluster.segment_size
    stopped = skip_page_header(stopped, size)
    if kind == "latest":  # PostgreSQL goes on to the end of the WAL: no transaction end, no row more
        assert stopped == rules.line(line)[-1].end and expected.lost is None
    else:
        assert format_lsn(stopped) == format_lsn(expected.gate)
    report = operator.ask("restore", *_words(target), "--into", operator.copy_to(), "--yes", expect=0).document
    _check_report(report, expected)
    assert format_lsn(skip_page_header(parse_lsn(report["reached"]["lsn"]), size)) == format_lsn(expected.gate)
    with connect(host=report["host"], port=report["port"], user="postgres", as_user=history.cluster.user) as connection:
        assert contents(connection) == held
    assert held.rows
