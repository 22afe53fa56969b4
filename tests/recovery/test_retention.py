"""What expire may take away: whatever the history, each promised moment is still reached from what stays."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.records.copies import Dump, MediaSnapshot, WalFile
from engine.records.lsn import Lsn, SegmentName
from engine.recovery import retention
from engine.recovery.listed import ListedWal
from engine.recovery.reach import Reach
from engine.recovery.retention import (
    BackupRule,
    CalendarRule,
    judge_backups,
    judge_by_calendar,
    judge_dumps,
    judge_wal,
    snapshots_needed,
)
from engine.recovery.windows import recovery_windows
from tests.recovery.model import ENDS, SIZE, Archive, build

many = settings(max_examples=120, deadline=None)
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
FRESH = retention._FRESH


def expire(archive: Archive, reach: Reach, rule: BackupRule, now: datetime) -> Reach:
    """Take away what the rule lets go, WAL files included."""
    kept = {each.id for each in judge_backups(reach, "r", rule, now) if each.keep}
    backups = [each for each in reach.backups if each.id in kept]
    files = [
        WalFile(f"/wal/{timeline}-{number}", timeline, number, None, SIZE, 0, 0)
        for timeline, numbers in archive.files.items()
        for number in numbers
    ]
    for file in judge_wal(files, backups, archive.tree, SIZE, now + timedelta(days=1)):
        archive.files[file.timeline].discard(file.number)
    return Reach(backups, {"r": archive})


@pytest.fixture(autouse=True, scope="module")
def a_day_in_a_moment() -> Iterator[None]:
    """The histories here last minutes: with the rule that keeps a day's backups, nothing would ever go."""
    retention._FRESH = timedelta(0)
    yield
    retention._FRESH = FRESH


def promised(archive: Archive, reach: Reach, since: datetime) -> set[tuple[int, Lsn]]:
    """Every reachable cut behind a transaction end that is not older than ``since``, by timeline."""
    found = set()
    for timeline in archive.tree:
        for footing in reach.footings("r", timeline):
            for record in archive.replay(timeline, footing.backup.start_lsn or 0):
                if record.kind in ENDS and record.at >= since and footing.reaches(record.end_lsn):
                    found.add((timeline, record.end_lsn))
    return found


@many
@given(st.integers(0, 2**32), st.integers(0, 3), st.integers(0, 20))
def test_every_moment_that_is_promised_is_reached_after_expiring(seed: int, count: int, minutes: int) -> None:
    archive, backups = build(seed)
    reach = Reach(backups, {"r": archive})
    now = max((record.at for records in archive.own.values() for record in records), default=NOW)
    since = now - timedelta(minutes=minutes)
    before = promised(archive, reach, since)
    after = expire(archive, reach, BackupRule(count or None, minutes / 1440), now)
    for timeline, gate in before:
        assert after.newest_footing("r", timeline, gate) is not None, (timeline, gate)


@many
@given(st.integers(0, 2**32), st.integers(0, 3), st.integers(0, 20))
def test_so_it_is_where_only_the_names_of_the_archive_are_known(seed: int, count: int, minutes: int) -> None:
    archive, backups = build(seed)
    now = max((record.at for records in archive.own.values() for record in records), default=NOW)
    before = promised(archive, Reach(backups, {"r": archive}), now - timedelta(minutes=minutes))
    names = [SegmentName(timeline, number) for timeline, numbers in archive.files.items() for number in numbers]
    listed = Reach(backups, {"r": ListedWal(names, archive.tree, SIZE)})
    after = expire(archive, listed, BackupRule(count or None, minutes / 1440), now)
    for timeline, gate in before:
        assert after.newest_footing("r", timeline, gate) is not None, (timeline, gate)


@many
@given(st.integers(0, 2**32), st.integers(1, 3))
def test_what_stays_reaches_as_far_as_before(seed: int, count: int) -> None:
    archive, backups = build(seed)
    reach = Reach(backups, {"r": archive})
    before = {(each.backup, each.timeline): each for each in recovery_windows(reach)}
    after = expire(archive, reach, BackupRule(count), NOW)
    kept = {each.id for each in after.backups}
    found = {(each.backup, each.timeline): each for each in recovery_windows(after)}
    assert {key for key in before if key[0] in kept} == set(found)
    for key, window in found.items():
        was = before[key]
        assert (window.from_lsn, window.last_gate, window.to_at) == (was.from_lsn, was.last_gate, was.to_at)


@many
@given(st.integers(0, 2**32))
def test_the_last_usable_backup_and_all_that_it_builds_on_always_stay(seed: int) -> None:
    archive, backups = build(seed)
    reach = Reach(backups, {"r": archive})
    kept = {each.id for each in judge_backups(reach, "r", BackupRule(count=0, days=0), NOW) if each.keep}
    known = {each.id: each for each in backups}
    for each in backups:
        if each.id in kept and each.incremental and each.parent in known:
            assert each.parent in kept
    standing = [footing.backup for timeline in archive.tree for footing in reach.footings("r", timeline)]
    if standing:
        assert max(standing, key=lambda each: (each.started_at or NOW, each.id)).id in kept


def test_without_a_rule_and_while_a_run_reads_it_nothing_goes() -> None:
    archive, backups = build(7, harm=False)
    reach = Reach(backups, {"r": archive})
    assert all(each.keep for each in judge_backups(reach, "r", None, NOW))
    every = [each.id for each in backups]
    assert all(each.keep for each in judge_backups(reach, "r", BackupRule(count=1), NOW, in_use=every))


def test_wal_of_unknown_timelines_and_without_any_backup_stays() -> None:
    archive, backups = build(3, harm=False)
    stranger = WalFile("/wal/9", 9, 0, None, SIZE, 0, 0)
    old = WalFile("/wal/1", 1, 0, None, SIZE, 0, 0)
    assert judge_wal([stranger, old], [], archive.tree, SIZE, NOW) == []
    assert stranger not in judge_wal([stranger, old], backups, archive.tree, SIZE, NOW)


@dataclass(frozen=True)
class Copy:
    id: str
    started_at: datetime
    usable: bool = True


def hourly(days: int) -> list[Copy]:
    return [Copy(f"c{n}", NOW - timedelta(hours=n, minutes=7)) for n in range(24 * days)]


def test_the_calendar_keeps_the_newest_of_each_hour_day_week_and_month() -> None:
    copies = hourly(120)
    rule = CalendarRule(hourly=24, daily=14, weekly=8, monthly=12)
    kept = {each.id: each.why for each in judge_by_calendar(copies, rule, "media", {}, NOW) if each.keep}
    by_id = {each.id: each.started_at for each in copies}
    assert {f"c{n}" for n in range(24)} <= kept.keys()
    assert sum("hour" in why for why in kept.values()) == 23  # and the newest of all is the last usable one
    days = {by_id[id].date() for id in kept}
    assert len([day for day in days if day > (NOW - timedelta(days=14)).date()]) == 14
    months = {(by_id[id].year, by_id[id].month) for id in kept}
    assert months == {(each.started_at.year, each.started_at.month) for each in copies}


@many
@given(st.integers(0, 2**32))
def test_the_calendar_never_takes_the_last_usable_copy_nor_what_is_needed(seed: int) -> None:
    draw = random.Random(seed)
    copies = [
        Copy(f"c{n}", NOW - timedelta(hours=draw.randint(2, 5000)), draw.random() < 0.7)
        for n in range(draw.randint(1, 40))
    ]
    needed = {draw.choice(copies).id: "asked for"}
    rule = CalendarRule(*(draw.choice((0, 0, 1, 3)) for _ in range(4)))
    kept = {each.id for each in judge_by_calendar(copies, rule, "dump", needed, NOW) if each.keep}
    usable = [each for each in copies if each.usable]
    assert needed.keys() <= kept
    if usable:
        assert max(usable, key=lambda each: (each.started_at, each.id)).id in kept
    again = [each for each in copies if each.id in kept]
    assert {each.id for each in judge_by_calendar(again, rule, "dump", needed, NOW) if each.keep} == kept


def test_dumps_are_thinned_each_database_by_itself_and_told_of_in_their_own_order() -> None:
    dumps = [
        Dump(f"{name}{days}", "d", Path(f"/d/{name}{days}"), "custom", NOW - timedelta(days=days), 1, name)
        for days in (1, 2, 3)
        for name in ("docs", "mail")
    ]
    verdicts = judge_dumps(dumps, CalendarRule(daily=2), {}, NOW)
    assert [each.id for each in verdicts] == [each.id for each in dumps]
    assert {each.id for each in verdicts if each.keep} == {"docs1", "docs2", "mail1", "mail2"}


def test_the_edges_of_the_promised_window_keep_the_snapshots_around_them() -> None:
    shots = [
        MediaSnapshot(f"m{n}", "m", Path(f"/m/{n}"), NOW + timedelta(hours=n), NOW + timedelta(hours=n, minutes=5))
        for n in range(6)
    ]
    inside = NOW + timedelta(hours=2, minutes=2)  # while m2 was taken
    assert set(snapshots_needed(shots, inside, None)) == {"m1", "m3"}
    assert set(snapshots_needed(shots, NOW - timedelta(hours=1), NOW + timedelta(hours=9))) == {"m0", "m5"}


@many
@given(st.integers(0, 2**32))
def test_the_newest_backup_of_the_live_line_stays_and_a_failed_one_takes_nobodys_place(seed: int) -> None:
    archive, backups = build(seed)
    reach = Reach(backups, {"r": archive})
    failed = {each.id for each in random.Random(seed).sample(backups, len(backups) // 2)}
    much_later, rule = NOW + timedelta(days=4000), BackupRule(count=1, days=0)
    for live in archive.tree:
        kept = {each.id for each in judge_backups(reach, "r", rule, much_later, live=live, failed=failed) if each.keep}
        whole = {each.id for each in judge_backups(reach, "r", rule, much_later, live=live) if each.keep}
        assert whole <= kept
        line = reach.footings("r", live)
        sound = [each for each in line if not any(part.id in failed for part in each.chain)]
        for standing in (line, sound):
            assert not standing or standing[-1].backup.id in kept


def test_no_backup_younger_than_a_day_goes_usable_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_FRESH", FRESH)
    archive, backups = build(14, harm=False)
    reach = Reach([replace(each, usable=False) for each in backups], {"r": archive})
    newest = max(each.stopped_at or each.started_at or NOW for each in backups)
    for hours, all_stay in ((1, True), (24 * 4000, False)):
        judged = judge_backups(reach, "r", BackupRule(count=1), newest + timedelta(hours=hours))
        young = [each for each in judged if hours == 1 and "younger than a day" in each.why]
        assert bool(young) is all_stay


def test_another_clusters_backup_stays_and_takes_nobodys_place() -> None:
    archive, backups = build(14, harm=False)
    much_later, rule = NOW + timedelta(days=4000), BackupRule(count=1, days=0)
    own = judge_backups(Reach(backups, {"r": archive}), "r", rule, much_later)
    newest = max(backups, key=lambda each: each.started_at or NOW)
    strange = replace(newest, id="strange", usable=False, stranger=True, incremental=False, parent=None)
    judged = judge_backups(Reach([*backups, strange], {"r": archive}), "r", rule, much_later)
    *same, last = judged
    assert same == own
    assert last.id == "strange" and last.keep and "another cluster" in last.why
