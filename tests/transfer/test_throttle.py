"""The throttle, by what it counts on a clock that only it moves; and that copy and feed ask it for every byte."""

from pathlib import Path

from msgspec.structs import replace

from engine.feed.feeding import Feeding
from engine.records.lsn import LONG_PAGE_HEADER
from engine.transfer.passing import Order, Tally, carry
from engine.transfer.throttle import Throttle
from tests.feed.segments import MB, archive, spec
from tests.transfer.backups import Backups


class Clock:
    """Time that passes only while somebody sleeps, or where a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def throttle_of(clock: Clock, rate: int) -> Throttle:
    return Throttle(rate, lambda: clock.now, clock.sleep)


def test_no_stretch_of_time_sees_more_bytes_than_its_share() -> None:
    clock = Clock()
    throttle, seen = throttle_of(clock, 1000), list[tuple[float, int]]()
    for number in range(200):
        throttle.take(10 + number % 7)
        seen.append((clock.now, 10 + number % 7))
        clock.now += number % 3 * 0.004  # work in between, now and then longer than the bytes' own time
    for begin in range(0, 200, 20):
        for end in range(begin + 1, 200):
            between = sum(count for _, count in seen[begin + 1 : end + 1])
            assert between <= 1000 * (seen[end][0] - seen[begin][0]) + 1e-6
    clock.now += 3600  # held for an hour: that is not made up for
    before = clock.now
    throttle.take(500)
    assert clock.now - before > 0.49


def test_a_copy_takes_the_time_that_its_bytes_have_and_one_that_goes_on_only_that_of_what_is_left(
    backups: Backups, open_dir: Path
) -> None:
    source, clock = backups.backup("plain"), Clock()
    order = Order(str(source.path), "plain", str(open_dir / "copy"), {backups.oid: str(open_dir / "space")}, None, True)
    tally = Tally(lambda: None, throttle_of(clock, MB))
    copied = carry(order, tally)["bytes"]
    assert clock.now - 1000 >= copied / MB * 0.999
    assert tally.done == copied
    again = Clock()
    carry(order, Tally(lambda: None, throttle_of(again, MB)))
    assert again.now == 1000.0  # all of it was there


def test_a_feed_takes_the_time_that_its_segments_have(tmp_path: Path) -> None:
    archive(tmp_path / "archive", 1, range(1, 5))
    clock = Clock()
    feeding = Feeding(replace(spec(tmp_path, 3 * MB + LONG_PAGE_HEADER + 8192, ahead=9), bytes_per_second=MB))
    feeding.spool.make()
    assert feeding.throttle.bytes_per_second == MB
    feeding.throttle = throttle_of(clock, MB)
    while feeding.round():
        pass
    assert feeding.spool.ready() and clock.now - 1000 >= 0.999 * len(feeding.spool.ready()) * 0.5
