"""Base backups that were found damaged: which one is taken changes, what is reached never does."""

from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.records.target import RecoveryTarget
from engine.recovery.checks.backup import backup_damaged
from engine.recovery.reach import Reach
from engine.recovery.resolving import resolve_in
from tests.recovery.scenes import question
from tests.recovery.test_against_model import aims, set_up


@settings(max_examples=60, deadline=None)
@given(st.integers(min_value=0, max_value=2**32))
@example(472347)  # the doubt is that of the backup which an incremental one is based on
def test_a_doubted_backup_serves_only_where_no_other_reaches_the_same_moment(seed: int) -> None:
    draw, archive, _, sure = set_up(seed)
    backups = [replace(each, doubt="a bit flipped" if draw.random() < 0.6 else None) for each in sure.backups]
    reach = Reach(backups, sure.histories)
    named = RecoveryTarget("latest", backup=draw.choice(backups).id) if backups else RecoveryTarget("latest")
    wanted = [target for target, _ in aims(draw, archive)]
    for target in [*wanted, RecoveryTarget("latest", accept_gap=True), RecoveryTarget("immediate"), named]:
        expected, found = (resolve_in(each, target, live_timeline=None) for each in (sure, reach))
        assert (expected.point is None) == (found.point is None) and expected.choices == found.choices
        if expected.point is None or found.point is None:
            continue
        assert (found.point.gate, found.point.line, found.point.kept) == (
            expected.point.gate,
            expected.point.line,
            expected.point.kept,
        )
        footings = [each for each in reach.footings("r", found.point.line or 1) if each.reaches(found.point.gate)]
        whole = [each.backup.id for each in footings if each.doubt is None]
        if target.backup is not None:
            assert found.point.backup.id == target.backup
        elif whole:
            assert found.point.backup.id == whole[-1]
            newer = expected.point.backup
            if (newer.stop_lsn or 0) > (found.point.backup.stop_lsn or 0):
                own = any(each.id == newer.id and each.doubt for each in backups)
                assert (f"{newer.id}: a bit flipped" if own else f"{newer.id} needs ") in found.point.choice
        else:
            assert found.point.backup.id == expected.point.backup.id


def test_a_plan_with_a_doubted_backup_says_so() -> None:
    check = backup_damaged(question(backup={"doubt": "a bit flipped"}))
    assert check is not None and (check.level, check.ok) == ("warn", False)
    assert "a bit flipped" in check.finding and "no other backup" in check.finding and check.remedy
