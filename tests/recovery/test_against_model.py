"""Windows, choice, resolving and planning against the reference model: gaps, branches, damage, missing backups."""

import random
import re
import shlex
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.records.lsn import SegmentName, parse_lsn, segment_of
from engine.records.plan import Resolution
from engine.records.target import RecoveryTarget
from engine.recovery.lines import last_segment, unbroken
from engine.recovery.points import moment, same_transactions
from engine.recovery.reach import Reach
from engine.recovery.resolving import resolve_in
from engine.recovery.windows import axis_spans, recovery_windows
from engine.recovery.wording import Wording
from tests.recovery.model import ENDS, Archive, build
from tests.recovery.reference import Answer, Reference, consistent

seeds = st.integers(min_value=0, max_value=2**32)
many = settings(max_examples=80, deadline=None)


def set_up(seed: int) -> tuple[random.Random, Archive, Reference, Reach]:
    archive, backups = build(seed)
    return random.Random(seed + 1), archive, Reference(archive, backups), Reach(backups, {"r": archive})


@many
@given(seeds)
def test_windows_are_what_brute_force_finds(seed: int) -> None:
    _, archive, reference, reach = set_up(seed)
    found = {(each.backup, each.timeline): each for each in recovery_windows(reach)}
    expected = {}
    for timeline in archive.tree:
        for backup, replayed in reference.standing(timeline):
            ends = [each for each in replayed if each.kind in ENDS and each.lsn >= consistent(backup)]
            expected[backup.id, timeline] = (
                consistent(backup),
                ends[-1].lsn if ends else consistent(backup),
                ends[-1].end_lsn if ends else consistent(backup),
                ends[-1].at if ends else None,
            )
    assert {key: (each.from_lsn, each.to_lsn, each.last_gate, each.to_at) for key, each in found.items()} == expected


@many
@given(seeds)
def test_unbroken_wal_ends_where_replay_would(seed: int) -> None:
    draw, archive, _, _ = set_up(seed)
    timeline = draw.choice(sorted(archive.tree))
    records = archive.records_of(timeline)
    stretches = unbroken(archive, timeline)
    for record in records:
        on = [each for each in stretches if each.low <= record.lsn < each.end]
        assert bool(on) == archive.readable(timeline, record)
        if on:
            replayed = archive.replay(timeline, record.lsn)
            assert on[0].end == replayed[-1].end_lsn
            assert on[0].more_beyond or not any(
                archive.readable(timeline, each) for each in records if each.lsn >= on[0].end
            )


def check(resolution: Resolution, expected: Answer | None, reach: Reach) -> None:
    """The resolution is the expected answer, and is sound in itself."""
    if expected is None:
        assert resolution.point is None
        assert any(each.refuses and each.finding and each.remedy for each in resolution.checks)
        return
    point = resolution.point
    assert point is not None, resolution.checks
    assert point.line is not None
    kept = same_transactions(reach, "r", point.line, point.kept)
    assert (point.gate, point.backup.id, kept) == (expected.gate, expected.backup, expected.kept)
    assert not any(each.refuses for each in resolution.checks)
    assert point.pieces[0].low == point.backup.start_lsn and point.pieces[-1].high <= point.gate
    assert all(one.high == two.low for one, two in pairwise(point.pieces))
    size = point.segment_size
    names = [
        SegmentName(piece.timeline, number).text(size)
        for piece in point.pieces
        for number in range(segment_of(piece.low, size), last_segment(piece.high, size) + 1)
    ]
    assert (names[0], names[-1], len(names)) == (point.wal_first, point.wal_last, point.wal_segments)


def aims(
    draw: random.Random, archive: Archive
) -> list[tuple[RecoveryTarget, Callable[[Reference, int], Answer | None]]]:
    """Some targets of every kind, with the reference's way to answer them."""
    records = [each for timeline in archive.tree for each in archive.own[timeline]]
    found: list[tuple[RecoveryTarget, Callable[[Reference, int], Answer | None]]] = []
    for _ in range(4):
        one, exclusive = draw.choice(records), draw.random() < 0.5
        at = one.at + timedelta(microseconds=draw.choice((-1, 0, 0, 1, 500_000)))
        lsn = one.lsn
        xid = draw.choice((one.xid, *one.subxids))
        found += [
            (RecoveryTarget("time", time=at, exclusive=exclusive), lambda r, t, a=at, e=exclusive: r.time(t, a, e)),
            (RecoveryTarget("lsn", lsn=lsn, exclusive=exclusive), lambda r, t, a=lsn, e=exclusive: r.lsn(t, a, e)),
            (RecoveryTarget("xid", xid=xid, exclusive=exclusive), lambda r, t, a=xid, e=exclusive: r.xid(t, a, e)),
        ]
    found.append((RecoveryTarget("name", name="b"), lambda r, t: r.name(t, "b")))
    return found


@many
@given(seeds)
def test_a_target_on_a_named_timeline_resolves_as_brute_force_does(seed: int) -> None:
    draw, archive, reference, reach = set_up(seed)
    for timeline in archive.tree:
        for target, answer in aims(draw, archive):
            check(
                resolve_in(reach, replace(target, timeline=timeline), live_timeline=None),
                answer(reference, timeline),
                reach,
            )


@many
@given(seeds)
def test_without_a_timeline_one_answer_is_taken_and_several_are_refused(seed: int) -> None:
    draw, archive, reference, reach = set_up(seed)
    live = draw.choice([None, *archive.tree])
    for target, answer in aims(draw, archive):
        answers = {line: found for line in archive.tree if (found := answer(reference, line)) is not None}
        resolution = resolve_in(reach, target, live_timeline=live)
        if len({each.kept for each in answers.values()}) > 1:
            assert resolution.point is None and len(resolution.choices) > 1
            assert [each.name for each in resolution.checks] == ["timeline"] and resolution.checks[0].refuses
            continue
        expected = answers.get(live, answers[max(answers)]) if answers else None  # type: ignore[call-overload]
        check(resolution, expected, reach)


@many
@given(seeds)
def test_latest_stops_at_the_last_end_and_never_hides_wal_beyond_a_break(seed: int) -> None:
    _, archive, reference, reach = set_up(seed)
    for timeline in archive.tree:
        expected = reference.latest(timeline)
        accepted = resolve_in(reach, RecoveryTarget("latest", timeline=timeline, accept_gap=True), live_timeline=None)
        check(accepted, expected[0] if expected else None, reach)
        plain = resolve_in(reach, RecoveryTarget("latest", timeline=timeline), live_timeline=None)
        if plain.point is None and expected:
            assert {each.name for each in plain.checks if each.refuses} <= {"wal-gap", "wal-corrupt"}
        elif expected:
            assert expected[1] and plain.point is not None and plain.point.gate == expected[0].gate


@many
@given(seeds)
def test_a_named_backup_is_used_or_refused(seed: int) -> None:
    draw, archive, reference, reach = set_up(seed)
    for backup in reference.backups:
        timeline = draw.choice(sorted(archive.tree))
        standing = {each.id: replayed for each, replayed in reference.standing(timeline)}
        target = RecoveryTarget("immediate", backup=backup.id, timeline=timeline)
        gate = consistent(backup)
        expected = (
            Answer(gate, backup.id, reference.answer(timeline, backup, gate).kept) if backup.id in standing else None
        )
        check(resolve_in(reach, target, live_timeline=None), expected, reach)


@many
@given(seeds)
@example(1680953)  # the last record before a gap ends at a fork and begins on the parent
def test_a_moment_is_reachable_exactly_when_a_backup_reaches_it(seed: int) -> None:
    draw, archive, reference, reach = set_up(seed)
    timeline = draw.choice(sorted(archive.tree))
    for record in archive.records_of(timeline):
        expected = reference.at_gate(timeline, record.lsn)
        found = moment(reach, "r", timeline, record.lsn)
        if expected is None:
            assert found.point is None and found.why_not
            for near in (found.before, found.after):
                gates = (near.end_lsn, near.lsn) if near else ()
                assert not gates or any(reference.at_gate(timeline, gate) for gate in gates)
            continue
        assert found.point is not None
        assert (found.point.gate, found.point.backup.id) == (expected.gate, expected.backup)
        again = resolve_in(reach, found.point.target, live_timeline=None)
        assert again.point is not None and again.point.gate == record.lsn


@many
@given(seeds)
def test_kept_and_lost_split_the_commits_of_the_line(seed: int) -> None:
    draw, archive, reference, reach = set_up(seed)
    timeline = draw.choice(sorted(archive.tree))
    for _, replayed in reference.standing(timeline)[:1]:
        gate = draw.choice(replayed).end_lsn
        point = moment(reach, "r", timeline, gate).point
        if point is None:
            continue
        behind = [
            each for each in archive.records_of(timeline) if each.lsn >= gate and archive.readable(timeline, each)
        ]
        commits = [each for each in behind if each.kind in ("commit", "commit prepared")]
        assert point.lost_commits == len(commits)
        assert (point.lost_commit.lsn if point.lost_commit else None) == (commits[0].lsn if commits else None)
        last = point.last_lost_commit
        assert (last.lsn if last else None) == (commits[-1].lsn if commits else None)


@many
@given(seeds)
def test_the_axis_calls_reachable_what_a_moment_reaches(seed: int) -> None:
    draw, archive, _, reach = set_up(seed)
    live = draw.choice([None, *archive.tree])
    for timeline in archive.tree:
        spans = axis_spans(reach, "r", timeline, live)
        assert all(one.high <= two.low for one, two in pairwise(spans))
        for record in archive.own[timeline]:
            kinds = {span.kind for span in spans if span.low <= record.lsn < span.high}
            reached = moment(reach, "r", timeline, record.lsn).point is not None
            if archive.readable(timeline, record):
                assert bool(kinds & {"reachable", "left behind"}) == reached, (spans, record)
            else:
                assert not kinds & {"reachable", "left behind", "no backup"}


@many
@given(seeds)
def test_the_command_in_a_remedy_works(seed: int) -> None:
    draw, archive, _, reach = set_up(seed)
    for target, _ in aims(draw, archive):
        asked = replace(target, timeline=draw.choice([None, *archive.tree]))
        asked = replace(asked, backup=draw.choice([None, None, *(each.id for each in reach.backups)]))
        refused = resolve_in(reach, asked, live_timeline=None, wording=Wording(arguments="--into /copy"))
        for told in refused.checks if refused.point is None else ():
            if told.remedy and (command := re.search(r"reprise restore (.*) --into /copy", told.remedy)):
                again = parse_target(shlex.split(command[1]))
                found = resolve_in(reach, again, live_timeline=None)
                assert found.point is not None, (asked, told, found)
            else:
                assert told.name not in ("target-past-end", "target-in-backup"), told


def parse_target(words: list[str]) -> RecoveryTarget:
    """A target as `engine/cli` reads it."""
    found: dict[str, Any] = {"kind": "immediate"}
    left = iter(words)
    for word in left:
        name = word.removeprefix("--").replace("-", "_")
        if name in ("latest", "immediate"):
            found["kind"] = name
        elif name in ("exclusive", "accept_gap"):
            found[name] = True
        elif name in ("time", "lsn", "xid", "name"):
            read = {"time": datetime.fromisoformat, "lsn": parse_lsn, "xid": int, "name": str}[name]
            found |= {"kind": name, name: read(next(left))}  # type: ignore[operator]
        else:
            found[name] = {"timeline": int, "backup": str}[name](next(left))
    return RecoveryTarget(**found)
