"""Where PostgreSQL stops: its own rules, applied to what pg_waldump and a backup's manifest say. Knows nothing of the
engine's reading of WAL and backups.

The rules are recoveryStopsBefore and recoveryStopsAfter in src/backend/access/transam/xlogrecovery.c. Where CONTRACT
says something else on purpose, it stands here too: a subtransaction's id means the transaction it belongs to
(PostgreSQL never finds it), an LSN inside a record is none (PostgreSQL: the next record), of several restore points of
one name the last counts, ``latest`` ends behind the last transaction end, and a time equal to the very last one's keeps
it (PostgreSQL: FATAL, target not reached).
"""

import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from engine.records.lsn import Lsn, parse_lsn, skip_page_header
from engine.records.target import RecoveryTarget
from tests.histories import History

COMMITS = ("COMMIT", "COMMIT_PREPARED")
TIMED = (*COMMITS, "ABORT", "ABORT_PREPARED")  # what ends a transaction for the rules of time and xid
_LINE = re.compile(r"rmgr: (\S+) +len .*?, tx: +(\d+), lsn: (\S+), prev (\S+), desc: (\S*) ?(.*)")
_AT = re.compile(r"(?:gid .*?: |(\d+): )?(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+) UTC")


class Record(NamedTuple):
    """One record of the WAL. ``end`` is where the next one starts; ``kind`` is its description's first word. The last
    four are a transaction end's (``xid``: the prepared one's) or a restore point's."""

    timeline: int
    lsn: Lsn
    end: Lsn
    kind: str
    xid: int = 0
    at: datetime | None = None
    subxids: tuple[int, ...] = ()
    name: str = ""

    @property
    def is_end(self) -> bool:
        return self.kind in TIMED or self.kind == "PREPARE"


class Backup(NamedTuple):
    """A backup of the history: where its replay starts, and the first gate at which it is consistent."""

    id: str
    timeline: int
    start: Lsn
    consistent: Lsn


class Answer(NamedTuple):
    """Where replay stops, on which line, from which backup, and what that keeps and loses."""

    line: int
    backup: str
    gate: Lsn
    timeline: int
    kept: Record | None
    lost: Record | None
    kept_commit: Record | None
    lost_commit: Record | None
    lost_commits: int


@dataclass
class Rules:
    """PostgreSQL's answers over one recorded history."""

    history: History
    _lines: dict[int, list[Record]] = field(default_factory=dict)

    @cached_property
    def backups(self) -> list[Backup]:
        """Newest first, from the manifests' WAL ranges."""
        found = []
        for name in self.history.backups.values():
            folder = self.history.cluster.backups / name
            (told,) = json.loads((folder / "backup_manifest").read_text())["WAL-Ranges"]
            stop = skip_page_header(parse_lsn(told["End-LSN"]), self.history.cluster.segment_size)
            found.append(Backup(name, told["Timeline"], parse_lsn(told["Start-LSN"]), stop))
        return sorted(found, key=lambda each: each.consistent, reverse=True)

    def backup(self, id: str) -> Backup:
        return next(each for each in self.backups if each.id == id)

    def stands_on(self, backup: Backup, line: int) -> bool:
        return backup.timeline == line or (backup.timeline < line and backup.consistent <= self.history.fork)

    def line(self, timeline: int) -> list[Record]:
        """All records of a timeline and what came before its fork, in order; checked to be a whole chain."""
        if timeline not in self._lines:
            told = self._read(timeline)
            if timeline == 2:
                fork = self.history.fork
                told = [each for each in self._read(1) if each.lsn < fork] + [each for each in told if each.lsn >= fork]
            assert all(one.lsn == two.prev for one, two in pairwise(told)), "pg_waldump left a record out"
            ends = [each.lsn for each in told[1:]]
            # behind the archive's last record (a segment switch) the next one would start in the next segment
            assert told[-1].kind == "SWITCH"
            size = self.history.cluster.segment_size
            ends.append(skip_page_header((told[-1].lsn // size + 1) * size, size))
            self._lines[timeline] = [each.record(end) for each, end in zip(told, ends, strict=True)]
        return self._lines[timeline]

    def _read(self, timeline: int) -> "list[_Told]":
        cluster = self.history.cluster
        names = [name for name in cluster.segments() if int(name[:8], 16) == timeline]
        command = [f"{cluster.programs.bin_dir}/pg_waldump", f"--path={cluster.archive}", names[0], names[-1]]
        # the exit code tells of the end of the last segment's WAL only: the chain of records is checked instead
        done = subprocess.run(command, capture_output=True, text=True, env={"TZ": "UTC", "LC_ALL": "C"}, check=False)
        return [_told(timeline, line) for line in done.stdout.splitlines()]

    def answer(self, target: RecoveryTarget) -> Answer | list[int] | None:
        """Where PostgreSQL stops; several timelines where each has another answer; None where it would not get there
        (FATAL, or a silent stop that is too late)."""
        known = [2, 1] if target.timeline is None else [target.timeline]  # 2 is the live cluster's, which goes first
        if target.kind in ("latest", "immediate"):
            known = known[:1]
        answers = [found for line in known if (found := self.on_line(target, line)) is not None]
        kept = {(each.kept.timeline, each.kept.lsn) if each.kept else None for each in answers}
        if len(kept) > 1:
            return sorted(each.line for each in answers)
        return answers[0] if answers else None

    def on_line(self, target: RecoveryTarget, line: int) -> Answer | None:
        for backup in self.backups:
            if target.backup in (None, backup.id) and self.stands_on(backup, line):
                gate = self._gate(target, line, backup)
                if gate is not None:
                    return self._answer(line, backup, gate)
        return None

    def _gate(self, target: RecoveryTarget, line: int, backup: Backup) -> Lsn | None:
        before = [each for each in self.line(line) if each.lsn < backup.start]
        replayed = [each for each in self.line(line) if each.lsn >= backup.start]
        if target.kind == "lsn" and all(each.lsn != target.lsn for each in replayed):
            return None
        if target.kind == "xid":
            owners = [each.xid for each in self.line(line) if target.xid in each.subxids and each.kind in TIMED]
            gate = _stop(replayed, backup, target, owners[0] if owners else target.xid)
        else:
            gate = _stop(replayed, backup, target, None)
        if target.kind == "time":
            # PostgreSQL does not know what the backup holds already, and would stop too late without a word
            held = next((each for each in reversed(before) if each.kind in TIMED), None)
            if held is not None and _is_late(held, target):
                return None
        return gate if gate is not None and gate >= backup.consistent else None

    def _answer(self, line: int, backup: Backup, gate: Lsn) -> Answer:
        before = [each for each in self.line(line) if each.lsn < gate]
        behind = [each for each in self.line(line) if each.lsn >= gate]
        lost = [each for each in behind if each.kind in COMMITS]
        return Answer(
            line,
            backup.id,
            gate,
            before[-1].timeline,
            next((each for each in reversed(before) if each.is_end), None),
            next((each for each in behind if each.is_end), None),
            next((each for each in reversed(before) if each.kind in COMMITS), None),
            lost[0] if lost else None,
            len(lost),
        )


def _is_late(record: Record, target: RecoveryTarget) -> bool:
    assert record.at is not None and target.time is not None
    return record.at >= target.time if target.exclusive else record.at > target.time


def _stop(replayed: Sequence[Record], backup: Backup, target: RecoveryTarget, xid: int | None) -> Lsn | None:
    """The start of the first record that is not replayed. For each record first recoveryStopsBefore, then
    recoveryStopsAfter."""
    kind, exclusive, lsn = target.kind, target.exclusive, target.lsn or 0
    named: Lsn | None = None
    for record in replayed:
        timed = record.kind in TIMED
        if (
            (kind == "immediate" and record.lsn >= backup.consistent)
            or (kind == "lsn" and exclusive and record.lsn >= lsn)
            or (kind == "xid" and exclusive and timed and record.xid == xid)
            or (kind == "time" and timed and _is_late(record, target))
        ):
            return record.lsn
        if (
            (kind == "immediate" and record.end >= backup.consistent)
            or (kind == "lsn" and not exclusive and record.lsn >= lsn)
            or (kind == "xid" and not exclusive and timed and record.xid == xid)
        ):
            return record.end
        if kind == "name" and record.kind == "RESTORE_POINT" and record.name == target.name:
            named = record.end
    if kind in ("latest", "time"):
        ends = [each for each in replayed if each.is_end]
        if kind == "latest":
            return max(ends[-1].end if ends else 0, backup.consistent)
        assert target.time is not None and ends[-1].at is not None
        return ends[-1].end if target.time <= ends[-1].at else None
    return named


class _Told(NamedTuple):
    timeline: int
    lsn: Lsn
    prev: Lsn
    xid: int
    kind: str
    rest: str

    def record(self, end: Lsn) -> Record:
        if self.kind == "RESTORE_POINT":
            return Record(self.timeline, self.lsn, end, self.kind, name=self.rest)
        if self.kind not in (*TIMED, "PREPARE"):
            return Record(self.timeline, self.lsn, end, self.kind)
        told = _AT.match(self.rest)
        assert told, self
        at = datetime.fromisoformat(told[2]).replace(tzinfo=UTC)
        listed = re.search(r"; subxacts:((?: \d+)+)", self.rest)
        subxids = tuple(map(int, listed[1].split())) if listed else ()
        return Record(self.timeline, self.lsn, end, self.kind, int(told[1] or self.xid), at, subxids)


def _told(timeline: int, line: str) -> _Told:
    found = _LINE.match(line)
    assert found, f"pg_waldump says something new: {line}"
    rmgr, xid, lsn, prev, kind, rest = found.groups()
    known = rmgr == "Transaction" or (rmgr == "XLOG" and kind in ("RESTORE_POINT", "SWITCH"))
    return _Told(timeline, parse_lsn(lsn), parse_lsn(prev), int(xid), kind if known else rmgr, rest)
