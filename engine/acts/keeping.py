"""Keeping copies as long as the policy says, and no longer."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import msgspec

from engine.acts.desk import Desk, writable
from engine.acts.following import runs
from engine.acts.looking import View, contents_of, look, read_archive
from engine.backup.expiring import leaving_copies, leaving_wal, parts_beside, sweep, take_away
from engine.catalog.media import read_media
from engine.records.copies import BaseBackup, Dump, MediaSnapshot
from engine.records.keeping import Expiry, KeptKind, Leaving, Verdict
from engine.recovery.reach import Reach
from engine.recovery.retention import (
    BackupRule,
    CalendarRule,
    judge_backups,
    judge_by_calendar,
    judge_wal,
    snapshots_needed,
)
from engine.recovery.windows import recovery_windows
from engine.run.locks import repository_lock, site_lock, take_lock
from engine.site import DatabaseRepository, KeepByCalendar, Site

_OVER = ("completed", "rolled-back", "discarded")


def expire(desk: Desk, *, apply: bool = False) -> Expiry:
    """What the policy lets go; with ``apply`` it is deleted, under the locks of the site and its repositories.

    Raises RepriseError where a run holds one of them, or something cannot be deleted.
    """
    if not apply:
        return _judge(desk)
    writable(desk)
    with _locked(desk):
        sweep(_places(desk.site))
        expiry = _judge(desk)
        take_away(expiry.leaving)
    return expiry


def _places(site: Site) -> Iterator[tuple[Path, KeptKind]]:
    """The folders that copies leave, and of which kind these are."""
    for repository in site.database.repository:
        yield Path(repository.base_backups), "base"
        if repository.dumps is not None:
            yield Path(repository.dumps), "dump"
    for media in site.media.repository if site.media else ():
        yield Path(media.path), "media"


@contextmanager
def _locked(desk: Desk) -> Iterator[None]:
    wanted = [(site_lock(desk.state, desk.site.name), f"the site {desk.site.name!r}")]
    wanted += [(repository_lock(desk.state, place), place) for place in desk.site.repositories]
    with ExitStack() as stack:
        for path, what in wanted:
            stack.callback(take_lock(path, "expire", f"a run holds {what}").release)
        yield


def _judge(desk: Desk) -> Expiry:
    read_archive(desk)
    view, now = look(desk), datetime.now(UTC)
    in_use = _in_use(desk)
    leaving: list[Leaving] = []
    verdicts: list[Verdict] = []
    findings: list[str] = []
    kept_windows = []
    for repository in desk.site.database.repository:
        contents = contents_of(desk, repository)
        if not (contents.backups_answer and contents.archive_answers):
            findings.append(f"{repository.base_backups} or {repository.wal} does not answer: all of it stays")
            continue
        rule = desk.site.retention.base_backups
        name = repository.base_backups
        judged = judge_backups(view.reach, name, BackupRule(rule.count, rule.days) if rule else None, now, in_use)
        verdicts += judged
        kept = {each.id for each in judged if each.keep}
        backups = [each for each in view.reach.backups if each.repository == name]  # as they were judged
        leaving += leaving_copies(_gone(judged, backups))
        staying = [each for each in backups if each.id in kept]
        history = view.histories[name]
        kept_windows += recovery_windows(Reach(staying, {name: history}))
        if rule is not None:
            timelines = {each: history.timelines()[each] for each in history.timelines()}
            leaving += leaving_wal(judge_wal(contents.wal_files, staying, timelines, history.segment_size, now))
        of_dumps, gone = _judge_dumps(desk, repository, view, in_use, now)
        verdicts += of_dumps
        leaving += gone
    firsts = [each.from_at for each in kept_windows if each.from_at]
    for place in desk.site.media.repository if desk.site.media else []:
        found = read_media(place, place.path)
        if not found.answers:
            findings.append(f"{place.path} does not answer: all of it stays")
            continue
        dated = [each for each in found.snapshots if each.dated]
        needed = _used(in_use) | snapshots_needed(dated, min(firsts, default=None), now)
        judged = judge_by_calendar(dated, _rule(desk.site.retention.media), "media", needed, now)
        verdicts += judged + [_not_ours(each, "media") for each in found.snapshots if not each.dated]
        leaving += leaving_copies(_gone(judged, dated))
    return Expiry(tuple(leaving), tuple(each for each in verdicts if each.keep), tuple(findings))


def _judge_dumps(
    desk: Desk, repository: DatabaseRepository, view: View, in_use: set[str], now: datetime
) -> tuple[list[Verdict], list[Leaving]]:
    """The dumps of one repository, each database by itself. Of dumps that others took nobody knows which belong
    together: they stay, and none of them counts for another."""
    dumps = [each for each in view.catalog.dumps if each.repository == repository.base_backups]
    verdicts = [_not_ours(each, "dump") for each in dumps if not each.ours]
    leaving: list[Leaving] = []
    by_database = sorted((each for each in dumps if each.ours), key=lambda each: each.database or "")
    for _, group in groupby(by_database, key=lambda each: each.database or ""):
        of_one = list(group)
        judged = judge_by_calendar(of_one, _rule(desk.site.retention.dumps), "dump", _used(in_use), now)
        verdicts += judged
        leaving += leaving_copies(_gone(judged, of_one))
    return verdicts, leaving


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


def _in_use(desk: Desk) -> set[str]:
    """The backups that a restore which is not over reads, or will read when it is resumed."""
    restoring = [run.plan.point for run in runs(desk) if run.outcome not in _OVER]
    return {backup.id for point in restoring if point is not None for backup in point.chain}
