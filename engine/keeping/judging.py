"""What the policy lets go: every place of a site judged by its rules, and each second place behind its first.

Nothing goes of what does not answer, nor of the files where it is not known what is promised. What was read of the
places is handed in; only the second places are listed here, once what the first ones have is known.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

import msgspec
from msgspec.structs import replace

from engine.keeping.expiring import leaving_copies, leaving_wal, newest_change, parts_beside
from engine.keeping.judging_there import SecondPlace, learn, second_place
from engine.keeping.proofs import Proofs, failed_ids
from engine.records.copies import BaseBackup, Dump, MediaSnapshot, WalFile
from engine.records.errors import RepriseError
from engine.records.history import WalHistory
from engine.records.keeping import Expiry, KeptKind, Leaving, Verdict
from engine.records.lsn import SegmentName
from engine.records.runs import RunState
from engine.records.target import RecoveryWindow
from engine.recovery.reach import Reach
from engine.recovery.retention import (
    SETTLED,
    BackupRule,
    CalendarRule,
    judge_backups,
    judge_by_calendar,
    judge_dumps,
    judge_wal,
    snapshots_needed,
)
from engine.recovery.windows import recovery_windows
from engine.remote.sent import Memory, SentKind
from engine.site import DatabaseRepository, KeepByCalendar, MediaRepository, Site
from engine.transfer.naming import shown

_OVER = ("completed", "rolled-back", "discarded")


class Judged(msgspec.Struct):
    """What is found of all places, one after the other."""

    leaving: list[Leaving] = msgspec.field(default_factory=list)
    verdicts: list[Verdict] = msgspec.field(default_factory=list)
    findings: list[str] = msgspec.field(default_factory=list)
    seconds: list[SecondPlace] = msgspec.field(default_factory=list)

    @property
    def expiry(self) -> Expiry:
        return Expiry(
            tuple(self.leaving), tuple(each for each in self.verdicts if each.keep), tuple(dict.fromkeys(self.findings))
        )

    def add(self, second: SecondPlace) -> None:
        self.leaving += second.leaving
        self.verdicts += second.verdicts
        self.findings += second.findings
        self.seconds.append(second)


class Judging(msgspec.Struct):
    """One judgement of a site, place by place, the databases' first. ``away``: folders and second places that are not
    to be touched; ``live``: the cluster's timeline, None where it is not known; ``in_use``: ids that runs read.
    ``windows`` are what stays reachable, None where that is not known."""

    site: Site
    state: Path
    away: Collection[str]
    reach: Reach
    dumps: Sequence[Dump]
    live: int | None
    at: datetime
    proofs: Proofs
    in_use: Collection[str]
    judged: Judged = msgspec.field(default_factory=Judged)
    windows: list[RecoveryWindow] | None = msgspec.field(default_factory=list)

    def database(
        self, repository: DatabaseRepository, wal_files: Sequence[WalFile], unread: Sequence[Path], *, answers: bool
    ) -> None:
        """Base backups, archived WAL and dumps of one repository. ``unread``: what may be a backup and cannot be read
        as one; ``answers``: whether its folders do."""
        name, judged = repository.base_backups, self.judged
        if not answers or not {name, repository.wal, repository.dumps}.isdisjoint(self.away):
            told = f"{name} or {repository.wal} does not answer"
            judged.findings.append(f"{told}: all of it stays, and so do all copies of the files")
            self.windows = None
            return
        rule, failed = self._backup_rule(), failed_ids(self.proofs, "base", name)
        verdicts = self._backups(name, rule, failed)
        backups = [each for each in self.reach.backups if each.repository == name]  # as they were judged
        judged.verdicts += verdicts
        judged.leaving += leaving_copies(_gone(verdicts, backups))
        kept = {each.id for each in verdicts if each.keep}
        staying = [each for each in backups if each.id in kept]
        history = self.reach.histories[name]
        windows = recovery_windows(Reach(staying, {name: history}))
        if self.windows is not None:
            self.windows += windows
        for path in unread if rule is not None else ():
            told = f"{shown(path)} may be a backup and cannot be read as one"
            judged.findings.append(f"{told}: no WAL leaves {repository.wal}")
        timelines, wal_goes = dict(history.timelines()), rule is not None and not unread
        wal_gone = judge_wal(wal_files, staying, timelines, history.segment_size, self.at) if wal_goes else []
        judged.leaving += leaving_wal(wal_gone)
        dumps = [each for each in self.dumps if each.repository == name]
        kept_dumps = self._dumps(dumps, failed_dumps := failed_ids(self.proofs, "dump", name))
        second = self._second(name, repository.second, {"base": backups, "dump": dumps})
        if second is None:
            return
        names = {each.id: each.path.name for each in backups}
        failed = frozenset(names.get(id, id) for id in failed)
        rules = partial(self._backups_there, name, second.listed(timelines, history.segment_size), failed)
        stay_there = second.judge("base", backups, kept, rules, safe=bool(windows))
        if wal_goes:
            gone = {file.path for file in wal_gone}
            files = (file for file in wal_files if file.path not in gone)
            here = {SegmentName(file.timeline, file.number) for file in files}
            second.judge_wal(stay_there, here, timelines, history.segment_size, self.at)
        sound = {each.database for each in dumps if each.ours and each.usable and each.id in kept_dumps}
        of_dumps = partial(self._dumps_there, sound, failed_dumps)
        second.judge("dump", dumps, kept_dumps, of_dumps, safe=bool(sound))
        judged.add(second)

    def media(self, place: MediaRepository, snapshots: Sequence[MediaSnapshot], *, answers: bool) -> None:
        """The snapshots of one repository."""
        judged = self.judged
        if not answers or place.path in self.away:
            judged.findings.append(f"{place.path} does not answer: all of it stays")
            return
        if self.windows is None:
            why = "what is promised is not known"
            judged.verdicts += [Verdict(each.id, "media", True, why) for each in snapshots]
            return
        rules = partial(self._snapshots, failed_ids(self.proofs, "media", place.path))
        dated = [each for each in snapshots if each.dated]
        verdicts = rules(dated)
        judged.verdicts += verdicts + [_not_ours(each, "media") for each in snapshots if not each.dated]
        judged.leaving += leaving_copies(_gone(verdicts, dated))
        if (second := self._second(place.path, place.second, {"media": snapshots})) is not None:
            sound = any(each.usable and verdict.keep for each, verdict in zip(dated, verdicts, strict=True))
            kept = {each.id for each in snapshots} - _gone_ids(verdicts)
            second.judge("media", snapshots, kept, rules, safe=sound)
            judged.add(second)

    def _second(
        self, name: str, address: str | None, here: Mapping[SentKind, Sequence[BaseBackup | Dump | MediaSnapshot]]
    ) -> SecondPlace | None:
        """A repository's second place, where something was sent there and it may be judged now. ``here``: what the
        first has."""
        if address is None:
            return None
        memory = Memory(self.state, self.site.name, address)
        learn(memory, here)
        if address in self.away:
            self.judged.findings.append(f"somebody pushes to {address} now: all of it stays there")
            return None
        try:
            return second_place(memory, address, name, here.keys())
        except RepriseError as error:
            self.judged.findings.append(f"{address} cannot be listed, all of it stays there: {error}")
            return None

    def _backup_rule(self) -> BackupRule | None:
        rule = self.site.retention.base_backups
        return BackupRule(rule.count, rule.days) if rule else None

    def _backups(self, name: str, rule: BackupRule | None, failed: frozenset[str]) -> list[Verdict]:
        """The rules' verdicts, and nothing goes in which something was changed within the last hour: somebody may still
        be writing it, whatever its own times say."""
        busy = set(self.in_use)
        paths = {each.id: each.path for each in self.reach.backups}
        while True:
            judged = judge_backups(self.reach, name, rule, self.at, busy, live=self.live, failed=failed)
            gone = (each.id for each in judged if not each.keep)
            written = {id for id in gone if newest_change(paths[id]) > self.at - SETTLED}
            if not written:
                return judged
            busy |= written

    def _backups_there(
        self, name: str, there: WalHistory, failed: frozenset[str], backups: Sequence[BaseBackup]
    ) -> list[Verdict]:
        """The rules' verdicts at a second place, of whose archive the names are known."""
        reach = Reach(backups, {name: there})
        return judge_backups(reach, name, self._backup_rule(), self.at, self.in_use, live=self.live, failed=failed)

    def _dumps(self, dumps: Sequence[Dump], failed: frozenset[str]) -> set[str]:
        """The ids of the dumps that stay in the first place. Of dumps that others took nobody knows which belong
        together: they stay, and none of them counts for another."""
        ours = [each for each in dumps if each.ours]
        verdicts = self._judge_dumps(ours, failed)
        self.judged.verdicts += verdicts + [_not_ours(each, "dump") for each in dumps if not each.ours]
        self.judged.leaving += leaving_copies(_gone(verdicts, ours))
        return {each.id for each in dumps} - _gone_ids(verdicts)

    def _judge_dumps(self, dumps: Sequence[Dump], failed: frozenset[str]) -> list[Verdict]:
        rule = _rule(self.site.retention.dumps)
        return judge_dumps(dumps, rule, _used(self.in_use), self.at, failed)

    def _dumps_there(
        self, sound: Collection[str | None], failed: frozenset[str], dumps: Sequence[Dump]
    ) -> list[Verdict]:
        """Of a database that is not among ``sound``, of which the first place keeps no usable dump, all stay."""
        lost = "the first place keeps no usable dump of its database"
        verdicts = self._judge_dumps(dumps, failed)
        return [
            verdict if dump.database in sound else replace(verdict, keep=True, why=lost)
            for verdict, dump in zip(verdicts, dumps, strict=True)
        ]

    def _snapshots(self, failed: frozenset[str], dated: Sequence[MediaSnapshot]) -> list[Verdict]:
        since = min((each.from_at for each in self.windows or () if each.from_at), default=None)
        needed = _used(self.in_use) | snapshots_needed(dated, since, self.at, failed)
        return judge_by_calendar(dated, _rule(self.site.retention.media), "media", needed, self.at, failed)


def _gone_ids(verdicts: Iterable[Verdict]) -> set[str]:
    return {each.id for each in verdicts if not each.keep}


def _used(ids: Iterable[str]) -> dict[str, str]:
    return dict.fromkeys(ids, "a run reads it now")


def _not_ours(copy: Dump | MediaSnapshot, kind: KeptKind) -> Verdict:
    return Verdict(copy.id, kind, True, "not ours: stays")


def _gone(
    judged: Sequence[Verdict], copies: Sequence[BaseBackup | Dump | MediaSnapshot]
) -> list[tuple[Verdict, tuple[Path, ...]]]:
    """What goes, each copy with what Reprise put beside it; never a path that is a copy itself."""
    listed = {copy.path for copy in copies}
    return [
        (verdict, (copy.path, *(path for path in parts_beside(verdict.kind, copy.path) if path not in listed)))
        for verdict, copy in zip(judged, copies, strict=True)
        if not verdict.keep
    ]


def _rule(rule: KeepByCalendar | None) -> CalendarRule | None:
    return CalendarRule(**msgspec.structs.asdict(rule)) if rule is not None else None


def in_use(runs: Iterable[RunState]) -> set[str]:
    """The copies that a run which is not over reads, or will read when it is resumed: what it restores, what it loads,
    what the copy that it takes is based on, and that copy itself."""
    found: set[str] = set()
    for plan in (run.plan for run in runs if run.outcome not in _OVER and (run.answers or run.pid)):
        if plan.point is not None:
            found |= {backup.id for backup in plan.point.chain} | {shot.id for shot in plan.point.media}
        if plan.files is not None:
            found |= {shot.id for shot in plan.files.snapshots}
        if plan.loading is not None:
            found.add(plan.loading.dump)
        if plan.copying is not None:
            found |= {plan.copying.id, *([plan.copying.parent] if plan.copying.parent else [])}
    return found


def places_of(site: Site) -> Iterator[tuple[Path, KeptKind]]:
    """The folders that copies leave, and of which kind these are."""
    for repository in site.database.repository:
        yield Path(repository.base_backups), "base"
        if repository.dumps is not None:
            yield Path(repository.dumps), "dump"
    for media in site.media.repository if site.media else ():
        if media.kind == "directory":
            yield Path(media.path), "media"
