"""What the index says, against what pg_waldump says of the same files."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from engine.records.history import Piece, TransactionEnd
from engine.records.lsn import skip_page_header
from engine.wal.index import WalIndex
from tests.wal.real_wal import RealWal, Told

EVERYTHING = 1 << 64


@pytest.fixture(scope="module")
def index(wal: RealWal, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WalIndex]:
    index = WalIndex.open(tmp_path_factory.mktemp("index") / "wal.sqlite")
    assert index.refresh(wal.files(), wal.histories(), system_identifier=wal.system_identifier)
    yield index
    index.close()


def whole(timeline: int) -> Piece:
    return Piece(timeline, 0, EVERYTHING)


def all_ends(index: WalIndex, timeline: int) -> list[TransactionEnd]:
    return list(index.ends(whole(timeline), limit=1 << 30))


@pytest.mark.parametrize("timeline", [1, 2])
def test_every_end_has_pg_waldumps_lsn_xid_time_and_kind(wal: RealWal, index: WalIndex, timeline: int) -> None:
    told = wal.told(timeline)
    assert [(end.lsn, end.xid, end.at, end.kind) for end in all_ends(index, timeline)] == [
        (each.lsn, each.xid, each.at, each.kind) for each in told
    ]
    assert index.count(whole(timeline)) == sum(each.kind in ("commit", "commit prepared") for each in told)


def test_the_workload_holds_every_kind_of_end(wal: RealWal) -> None:
    kinds = {each.kind for each in wal.told(1)}
    assert kinds == {"commit", "abort", "prepare", "commit prepared", "abort prepared"}


def test_end_lsn_is_where_the_next_record_starts(wal: RealWal, index: WalIndex) -> None:
    ends = all_ends(index, 1)
    for end in [*ends[:3], *ends[:: max(1, len(ends) // 8)]]:
        here, after = index.records_around(1, end.lsn)
        assert here is not None and after is not None
        assert (here.lsn, here.end_lsn) == (end.lsn, end.end_lsn)
        assert after.lsn == end.end_lsn
        assert index.records_around(1, end.lsn + 1)[0] == here


def test_a_record_at_a_segments_end_a_switch_too_ends_where_the_next_one_starts(wal: RealWal, index: WalIndex) -> None:
    numbers = [file.number for file in wal.files() if file.timeline == 1]
    for number in numbers[:-1]:
        border = (number + 1) * wal.segment_size
        here, after = index.records_around(1, border - 1)
        assert here is not None and after is not None
        # behind a switch a record began that a crash made void
        assert here.end_lsn in (after.lsn, skip_page_header(border, wal.segment_size))
    end = (numbers[-1] + 1) * wal.segment_size
    last, none = index.records_around(1, end - 1)
    assert last is not None and none is None and last.end_lsn == skip_page_header(end, wal.segment_size)


def test_the_archive_is_one_run_for_each_timeline(wal: RealWal, index: WalIndex) -> None:
    for timeline in (1, 2):
        (run,) = index.runs(timeline)
        numbers = [file.number for file in wal.files() if file.timeline == timeline]
        assert (run.first, run.last) == (numbers[0], numbers[-1])
        assert run.stopped_by is None
        assert run.valid_to == (run.last + 1) * wal.segment_size  # a switch: to the segment's end
        assert run.bytes == len(numbers) * wal.segment_size
    assert index.problems() == [] and index.gaps() == []
    assert index.system_identifier == wal.system_identifier


def test_the_fork_is_where_the_restore_point_ended(index: WalIndex) -> None:
    second = index.timelines()[2]
    (fork,) = [point for point in index.restore_points(whole(1)) if point.name == "fork"]
    assert (second.parent, second.fork_lsn) == (1, fork.end_lsn)


def test_the_second_timelines_first_segment_repeats_the_first_timelines_records(index: WalIndex) -> None:
    fork = index.timelines()[2].fork_lsn
    assert fork is not None
    start = fork // index.segment_size * index.segment_size
    before = [(end.lsn, end.xid) for end in index.ends(Piece(1, start, fork), limit=10**6)]
    assert before and before == [(end.lsn, end.xid) for end in index.ends(Piece(2, start, fork), limit=10**6)]


def test_a_commit_record_longer_than_a_segment_is_put_together(wal: RealWal, index: WalIndex) -> None:
    end = index.find_xid(whole(1), wal.notes["long commit"])
    assert end is not None and end.kind == "commit"
    assert end.end_lsn - end.lsn > wal.segment_size
    here, _ = index.records_around(1, end.lsn + wal.segment_size)
    assert here is not None and here.lsn == end.lsn


def test_a_record_that_a_crash_cut_off_is_given_up(wal: RealWal, index: WalIndex) -> None:
    lsn = wal.notes["given up"]
    here, after = index.records_around(1, lsn)
    assert here is not None and here.lsn < lsn
    assert after is not None and after.lsn == (lsn + 100_000) // 8192 * 8192 + 24  # XLOG_OVERWRITE_CONTRECORD
    assert index.first_end(Piece(1, lsn, EVERYTHING)) is not None


def test_a_subtransactions_xid_finds_its_top_level_transaction(wal: RealWal, index: WalIndex) -> None:
    end = index.find_xid(whole(1), wal.notes["long commit's subtransaction"])
    assert end is not None and end.xid == wal.notes["long commit"]


def test_a_prepared_transaction_is_found_by_the_xid_it_had(wal: RealWal, index: WalIndex) -> None:
    kinds = {gid: index.find_xid(whole(1), wal.notes[f"prepared {gid}"]) for gid in "abcd"}
    assert {gid: end and end.kind for gid, end in kinds.items()} == {
        "a": "commit prepared", "b": "abort prepared", "c": "commit prepared", "d": None,
    }  # fmt: skip


def test_every_xid_is_found(wal: RealWal, index: WalIndex) -> None:
    told = [each for each in wal.told(1) if each.kind != "prepare"]
    for each in told[:: max(1, len(told) // 100)]:
        end = index.find_xid(whole(1), each.xid)
        assert end is not None and end.lsn == each.lsn
    assert index.find_xid(whole(1), 3_999_999_999) is None


def test_restore_points_and_settings_and_backup_ends_are_told(wal: RealWal, index: WalIndex) -> None:
    assert [point.name for point in index.restore_points(whole(1))] == ["first name", "naïve name", "fork"]
    points = index.restore_points(whole(1))
    assert all(left.lsn < right.lsn and left.at <= right.at for left, right in pairwise(points))
    assert [point.timeline for point in index.restore_points()] == [1, 1, 1]  # the copies behind the fork do not count
    assert [change.settings["max_connections"] for change in index.parameter_changes(whole(1))][-1] == 120
    end = index.backup_end(1, wal.notes["backup start"])
    assert end is not None and end > wal.notes["backup start"]
    assert index.backup_end(1, wal.notes["backup start"] + 8) is None


def reference(told: list[Told], after: datetime, inclusive: bool) -> Told | None:
    """PostgreSQL's rule, from recoveryStopsBefore."""
    for each in told:
        if each.kind != "prepare" and (each.at > after or (inclusive and each.at == after)):
            return each
    return None


def test_a_time_is_found_by_postgresqls_rule(wal: RealWal, index: WalIndex) -> None:
    told = wal.told(1)
    times = [each.at for each in told[:: max(1, len(told) // 60)]]
    times += [max(each.at for each in told), min(each.at for each in told)]
    for time in times:
        for after in (time - timedelta(microseconds=1), time, time + timedelta(microseconds=1)):
            for inclusive in (False, True):
                end = index.first_end(whole(1), after=after, inclusive=inclusive)
                expected = reference(told, after, inclusive)
                assert (end and end.lsn) == (expected and expected.lsn)


def test_pieces_are_half_open(wal: RealWal, index: WalIndex) -> None:
    told = wal.told(1)
    commits = [each.lsn for each in told if each.kind.startswith("commit")]
    for i in range(0, len(told) - 40, max(1, len(told) // 30)):
        low, high = told[i].lsn, told[min(i + 3000, len(told) - 1)].lsn
        piece = Piece(1, low, high)
        first, last = index.first_end(piece), index.last_end(piece)
        assert first is not None and first.lsn == low
        assert last is not None and last.lsn == told[min(i + 3000, len(told) - 1) - 1].lsn
        assert index.count(piece) == sum(low <= lsn < high for lsn in commits)
        backwards = index.ends(piece, limit=5, backwards=True)
        assert [end.lsn for end in backwards] == [each.lsn for each in reversed(told) if low <= each.lsn < high][:5]
    empty = Piece(1, told[3].lsn + 1, told[4].lsn)
    assert (index.first_end(empty), index.last_end(empty), index.count(empty)) == (None, None, 0)


@pytest.mark.parametrize("columns", [1, 7, 150])
def test_density_counts_every_commit_in_its_column(wal: RealWal, index: WalIndex, columns: int) -> None:
    commits = [each for each in wal.told(1) if each.kind.startswith("commit")]
    start, stop = commits[len(commits) // 5].at, commits[-len(commits) // 5].at
    width = stop - start
    for piece in (whole(1), Piece(1, commits[300].lsn, commits[-300].lsn)):
        expected = [0] * columns
        for each in commits:
            if start <= each.at < stop and piece.low <= each.lsn < piece.high:
                expected[(each.at - start) * columns // width] += 1
        assert list(index.density(piece, start, stop, columns)) == expected


def test_ranges_tell_commits_and_times(wal: RealWal, index: WalIndex) -> None:
    first, second = index.wal_ranges()
    commits = [each for each in wal.told(1) if each.kind.startswith("commit")]
    assert (first.commits, first.first_commit_at, first.last_commit_at) == (
        len(commits), commits[0].at, commits[-1].at,
    )  # fmt: skip
    fork = index.timelines()[2].fork_lsn
    assert fork is not None
    own = [each for each in wal.told(2) if each.kind.startswith("commit") and each.lsn >= fork]
    assert (second.commits, second.first_commit_at) == (len(own), own[0].at)


def test_reading_with_child_processes_says_the_same(
    wal: RealWal, index: WalIndex, open_index: Callable[..., WalIndex], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.wal.side_by_side._IN_PROCESS_BYTES", 0)
    other = open_index()
    seen: list[tuple[int, int]] = []
    assert other.refresh(wal.files(), wal.histories(), progress=lambda done, total: seen.append((done, total)))
    assert all_ends(other, 1) == all_ends(index, 1) and all_ends(other, 2) == all_ends(index, 2)
    assert other.runs(1) == index.runs(1)
    assert seen[-1] == (len(wal.files()), len(wal.files())) and seen == sorted(seen)
