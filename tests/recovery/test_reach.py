"""Which repository is asked about a gate."""

from msgspec.structs import replace

from engine.records.lsn import SegmentName
from engine.recovery.listed import ListedWal
from engine.recovery.reach import Reach
from tests.recovery.scenes import BACKUP, SEGMENT


def test_the_repository_that_reaches_the_gate_is_asked_else_one_that_knows_its_timeline() -> None:
    wal = ListedWal([SegmentName(1, number) for number in range(2, 6)], {}, SEGMENT)
    reach = Reach([replace(BACKUP, repository="second")], {"first": wal, "second": wal})
    assert reach.repository_of(1, 4 * SEGMENT + 40) == "second"
    assert reach.repository_of(1, 9 * SEGMENT + 40) == "first"
    assert reach.repository_of(2, 4 * SEGMENT + 40) is None
