"""Keeping copies as long as the policy says, and no longer."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path

import msgspec

from engine.acts.apart import refuse_one_place_for_two
from engine.acts.desk import Desk, writable
from engine.acts.following import damaged_runs, runs
from engine.acts.looking import View, contents_of, look, read_archive
from engine.acts.mounted import emptied, not_mounted, recall, unmarked
from engine.backup.expiring import leaving_copies, leaving_wal, newest_change, parts_beside, sweep, take_away
from engine.backup.proofs import failed_ids, read_proofs
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
from engine.run.locks import hold_folder, repository_lock, site_lock, take_lock
from engine.site import DatabaseRepository, KeepByCalendar, Site
from engine.transfer.naming import shown

_SETTLED = timedelta(hours=1)
_OVER = ("completed", "rolled-back", "discarded")


def expire(desk: Desk, *, apply: bool = False) -> Expiry:
    """What the policy lets go; with ``apply`` it is deleted, under the locks of the site and its repositories.

    Raises Refused where two places are one on disk, RepriseError where a run holds one of them, or something cannot be
    deleted.
    """
    refuse_one_place_for_two(desk.site)
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
        if media.kind == "directory":
            yield Path(media.path), "media"


@contextmanager
def _locked(desk: Desk) -> Iterator[None]:
    wanted = [(site_lock(desk.state, desk.site.name), f"the site {desk.site.name!r}")]
    wanted += [(repository_lock(desk.state, place), place) for place in desk.site.repositories]
    with ExitStack() as stack:
        for path, what in wanted:
            stack.callback(take_lock(path, "expire", f"a run holds {what}").release)
        folders = [*desk.site.repositories, *(each.wal for each in desk.site.database.repository)]
        for place in dict.fromkeys(folders):  # against a run of another state folder
            held = hold_folder(Path(place), f"another run holds {place}")
            if held is not None:
                stack.callback(held.release)
        yield


def _judge(desk: Desk) -> Expiry:
    if damaged := damaged_runs(desk):  # nobody knows what they read
        return Expiry((), (), tuple(f"the run {each.where} cannot be read: all stays" for each in damaged))
    strange = [_not_the_archive(desk, each) for each in desk.site.database.repository]
    if told := tuple(why for why in strange if why is not None):
        return Expiry((), (), told)
    read_archive(desk)
    view, at, proofs = look(desk), now(), read_proofs(desk.state)
    in_use = _in_use(desk)
    leaving: list[Leaving] = []
    verdicts: list[Verdict] = []
    findings: list[str] = []
    kept_windows = []
    answers = True
    for repository in desk.site.database.repository:
        contents = contents_of(desk, repository)
        if not (contents.backups_answer and contents.archive_answers):
            away = f"{repository.base_backups} or {repository.wal} does not answer"
            findings.append(f"{away}: all of it stays, and so do all copies of the files")
            answers = False
            continue
        rule = desk.site.retention.base_backups
        name = repository.base_backups
        judged = _judge_backups(
            view,
            name,
            BackupRule(rule.count, rule.days) if rule else None,
            at,
            in_use,
            failed_ids(proofs, "base", name),
        )
        verdicts += judged
        kept = {each.id for each in judged if each.keep}
        backups = [each for each in view.reach.backups if each.repository == name]  # as they were judged
        leaving += leaving_copies(_gone(judged, backups))
        staying = [each for each in backups if each.id in kept]
        history = view.histories[name]
        kept_windows += recovery_windows(Reach(staying, {name: history}))
        for path in contents.unread if rule is not None else ():
            findings.append(f"{shown(path)} may be a backup and cannot be read as one: no WAL leaves {repository.wal}")
        if rule is not None and not contents.unread:
            timelines = {each: history.timelines()[each] for each in history.timelines()}
            leaving += leaving_wal(judge_wal(contents.wal_files, staying, timelines, history.segment_size, at))
        of_dumps, gone = _judge_dumps(desk, repository, view, in_use, at, failed_ids(proofs, "dump", name))
        verdicts += of_dumps
        leaving += gone
    firsts = [each.from_at for each in kept_windows if each.from_at]
    for place in desk.site.media.repository if desk.site.media else []:
        if place.kind != "directory":
            continue  # another program's: what leaves it is that program's to say
        found = read_media(place, place.path)
        if not found.answers:
            findings.append(f"{place.path} does not answer: all of it stays")
            continue
        if not answers:
            verdicts += [Verdict(each.id, "media", True, "what is promised is not known") for each in found.snapshots]
            continue
        failed = failed_ids(proofs, "media", place.path)
        dated = [each for each in found.snapshots if each.dated]
        needed = _used(in_use) | snapshots_needed(dated, min(firsts, default=None), at, failed)
        judged = judge_by_calendar(dated, _rule(desk.site.retention.media), "media", needed, at, failed)
        verdicts += judged + [_not_ours(each, "media") for each in found.snapshots if not each.dated]
        leaving += leaving_copies(_gone(judged, dated))
    return Expiry(tuple(leaving), tuple(each for each in verdicts if each.keep), tuple(findings))


def _judge_dumps(
    desk: Desk,
    repository: DatabaseRepository,
    view: View,
    in_use: set[str],
    at: datetime,
    failed: frozenset[str],
) -> tuple[list[Verdict], list[Leaving]]:
    """The dumps of one repository, each database by itself. Of dumps that others took nobody knows which belong
    together: they stay, and none of them counts for another."""
    dumps = [each for each in view.catalog.dumps if each.repository == repository.base_backups]
    verdicts = [_not_ours(each, "dump") for each in dumps if not each.ours]
    leaving: list[Leaving] = []
    by_database = sorted((each for each in dumps if each.ours), key=lambda each: each.database or "")
    for _, group in groupby(by_database, key=lambda each: each.database or ""):
        of_one = list(group)
        judged = judge_by_calendar(of_one, _rule(desk.site.retention.dumps), "dump", _used(in_use), at, failed)
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
    """The copies that a run which is not over reads, or will read when it is resumed: what it restores, what it loads,
    what the copy that it takes is based on, and that copy itself."""
    found: set[str] = set()
    for plan in (run.plan for run in runs(desk) if run.outcome not in _OVER and run.answers):
        if plan.point is not None:
            found |= {backup.id for backup in plan.point.chain} | {shot.id for shot in plan.point.media}
        if plan.files is not None:
            found |= {shot.id for shot in plan.files.snapshots}
        if plan.loading is not None:
            found.add(plan.loading.dump)
        if plan.copying is not None:
            found |= {plan.copying.id, *([plan.copying.parent] if plan.copying.parent else [])}
    return found


def _judge_backups(
    view: View, name: str, rule: BackupRule | None, at: datetime, in_use: set[str], failed: frozenset[str]
) -> list[Verdict]:
    """The rules' verdicts, and nothing goes in which something was changed within the last hour: somebody may still be
    writing it, whatever its own times say."""
    busy = set(in_use)
    paths = {each.id: each.path for each in view.reach.backups}
    while True:
        judged = judge_backups(view.reach, name, rule, at, busy, live=view.live_timeline, failed=failed)
        written = {each.id for each in judged if not each.keep and newest_change(paths[each.id]) > at - _SETTLED}
        if not written:
            return judged
        busy |= written


def _not_the_archive(desk: Desk, repository: DatabaseRepository) -> str | None:
    """Why the folder that is there now cannot be the archive: fstab's mount is away, it is empty, or has no mark, and
    had. Asked before the index forgets what is gone. None also where it does not answer."""
    wal, contents = repository.wal, contents_of(desk, repository)
    if not contents.archive_answers:
        return None
    seen = recall(desk.state, wal)
    indexed = bool(look(desk).histories[repository.base_backups].timelines())
    why = not_mounted(wal) or emptied(wal, contents, seen, indexed=indexed) or unmarked(wal, contents, seen)
    return f"{why}: all stays" if why is not None else None


def now() -> datetime:
    return datetime.now(UTC)
