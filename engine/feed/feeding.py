"""The feed's worker: answers the restore script, and fetches segments ahead of the server."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from engine.feed.archive import Archive, Stamp, read_history_file, read_segment, stamp_of
from engine.feed.orders import (
    FeedSpec,
    FeedStatus,
    Gate,
    cut_of,
    first_segment,
    last_segment,
    read_gate,
    timelines_of,
)
from engine.feed.spool import HISTORY, Spool
from engine.feed.standing import Standing, words
from engine.records.errors import DamagedCopy, RepriseError, Unreachable
from engine.records.lsn import SegmentName, parse_segment
from engine.transfer.throttle import Throttle

TICK = 0.02  # seconds between looks at the spool
RETRY = 0.5  # seconds until what failed is tried again


class Feeding:
    """What the feed knows; ``work`` is its one worker."""

    def __init__(self, spec: FeedSpec) -> None:
        self.spec = spec
        self.gate: Gate = spec.gate
        self.archive = Archive(spec.roots)
        self.spool = Spool(Path(spec.spool), spec.uid, spec.gid)
        self.throttle = Throttle(spec.bytes_per_second)
        self.standing = Standing(FeedStatus(os.getpid(), spec.gate.lsn))
        self._next = first_segment(spec.gate, spec.segment_size)
        self._published: dict[str, tuple[Stamp, int, int]] = {}  # ready: source, cut, inode
        self._taken: dict[str, tuple[Stamp, int, int | None]] = {}  # the last one the server took
        self._not_before = 0.0

    # -- the worker's rounds

    def work(self, gate_file: Path) -> None:
        """For ever: look at the gate, at what was taken, at what is asked, fetch one segment ahead."""
        seen = 0
        while True:
            with contextlib.suppress(FileNotFoundError):
                changed = gate_file.stat().st_mtime_ns ^ gate_file.stat().st_ino
                if changed != seen and (gate := read_gate(gate_file)) is not None:
                    seen = changed
                    self.raise_gate(gate)
            try:
                progressed = self.round()
            except (OSError, RepriseError) as error:
                self.standing.wait("feed", words(error, str(self.spool.path)))
                progressed = False
                time.sleep(RETRY)
            else:
                self.standing.go_on("feed")
            if not progressed:
                time.sleep(TICK)

    def raise_gate(self, gate: Gate) -> None:
        """Work by another gate. What lies ready and is cut otherwise is withdrawn first."""
        if gate == self.gate:
            return
        self.gate = gate
        for name, (_, cut, _) in list(self._published.items()):
            segment = parse_segment(name, self.spec.segment_size)
            if cut != cut_of(gate, segment, self.spec.segment_size) and self.spool.take_back(name):
                del self._published[name]
                self._next = min(self._next, segment.number)
        self.standing.now(gate=gate.lsn, again=None)
        self._not_before = 0.0

    def round(self) -> bool:
        """One look at everything; True where there may be more to do at once."""
        if not self.standing.listed:
            self._list()
        self._notice_taken()
        progressed = False
        for name in self.spool.asked():
            self.standing.now(asked=name)
            progressed |= self._answer_history(name) if name.endswith(".history") else self._answer_segment(name)
        if len(self._published) < self._ahead() and time.monotonic() >= self._not_before:
            progressed |= self._fetch_ahead()
        return progressed

    def _ahead(self) -> int:
        """How many segments may lie ready: few until the server takes some. It begins by syncing all of its data
        directory (SyncDataDirectory in fd.c), and filling and syncing the spool meanwhile keeps the disk from it."""
        return min(self.spec.ahead, 2 + self.standing.count)

    def _list(self) -> None:
        with self.standing.reading("the list of the archive"):
            self.archive.refresh()
            self._bring_histories()
        self.standing.now(listed=True)

    def _bring_histories(self) -> None:
        """All history files of the archive, whatever line they belong to: the server chooses its next timeline's
        number by them. One that cannot be read stops the feeding only where the gate's own line needs it; else an
        empty file says what the server asks: that the number is taken (findNewestTimeLine in timeline.c)."""
        there = self.spool.histories()
        needed = {piece.timeline for piece in self.gate.pieces}
        for name in self.archive.histories():
            if name in there:
                continue
            try:
                data = self._read_history(name)
            except (OSError, RepriseError) as error:
                if int(name[:8], 16) in needed:
                    raise
                print(f"only known to be taken: {words(error, name)}", file=sys.stderr, flush=True)
                data = b""
            self.spool.publish(name, [data], HISTORY)
        self.standing.now(timelines=tuple(sorted(int(n[:8], 16) for n in self.spool.histories())))

    def _read_history(self, name: str) -> bytes:
        """The first of several files of one name that can be read. Raises OSError, RepriseError."""
        paths = self.archive.find(name)
        for number, path in enumerate(paths, 1):
            try:
                return read_history_file(path)
            except (OSError, RepriseError):
                if number == len(paths):
                    raise
        raise FileNotFoundError(name)

    def _notice_taken(self) -> None:
        ready = self.spool.ready()
        for name in sorted(set(self._published) - ready, key=lambda name: name[8:]):
            stamp, cut, inode = self._published.pop(name)
            self._taken = {name: (stamp, cut, inode if self._same_device() else None)}
            self.standing.took(name)
            self.standing.go_on("segment")
            number = parse_segment(name, self.spec.segment_size).number
            for older in list(self._published):  # asked for and, by then, had from pg_wal
                if parse_segment(older, self.spec.segment_size).number < number and self.spool.take_back(older):
                    del self._published[older]

    def _same_device(self) -> bool:
        """Whether a move into pg_wal keeps the inode."""
        try:
            return Path(self.spec.pg_wal).stat().st_dev == self.spool.path.stat().st_dev
        except OSError:
            return True

    # -- answers to the restore script

    def _answer_history(self, name: str) -> bool:
        if name not in self.spool.histories():
            with self.standing.reading(name):
                self.archive.refresh()
                self._bring_histories()
        self.standing.go_on("segment")
        self.spool.answer(name)
        return True

    def _answer_segment(self, name: str) -> bool:
        if name in self._published:
            self.spool.answer(name)
            return True
        size = self.spec.segment_size
        try:
            segment = parse_segment(name, size)
        except ValueError:
            self.spool.answer(name)
            return True
        if segment.number > last_segment(self.gate, size):
            return self._hold(name)  # behind the gate
        lines = timelines_of(self.gate, segment.number, size)
        if segment.timeline not in lines:
            self.spool.answer(name)
            return True
        with self.standing.reading(name):
            there = self.archive.find(name)
        if not there and segment.timeline != lines[-1]:
            self.spool.answer(name)  # at a fork without the child's file, the server asks for the parent's next
            return True
        if self._unchanged(name, segment):
            return self._hold(name)
        if time.monotonic() < self._not_before:
            return False
        self._next = segment.number
        if not self._fetch(segment):
            return False
        self._next = segment.number + 1
        return True

    def _hold(self, name: str) -> bool:
        """Nothing new to give: the script waits its second, or hears it at once."""
        self.standing.now(again=name)
        if not self.gate.hold:
            self.spool.answer(name)
        return False

    def _unchanged(self, name: str, segment: SegmentName) -> bool:
        """Whether the server has this very segment, up to this gate, from this very file."""
        if name not in self._taken:
            return False
        stamp, cut, inode = self._taken[name]
        if cut != cut_of(self.gate, segment, self.spec.segment_size):
            return False
        try:
            has = (Path(self.spec.pg_wal) / name).stat().st_ino
        except OSError:
            return False
        if inode is None:  # moved over a file system's border: the file is the one that we see there first
            self._taken[name] = (stamp, cut, has)
            inode = has
        with self.standing.reading(name), contextlib.suppress(OSError):
            return has == inode and stamp_of(Path(stamp[0])) == stamp
        return has == inode  # the archive is away: nothing new can come from there

    # -- segments

    def _fetch_ahead(self) -> bool:
        size = self.spec.segment_size
        if self._next > last_segment(self.gate, size):
            return False
        lines = timelines_of(self.gate, self._next, size)
        for timeline in lines:
            segment = SegmentName(timeline, self._next)
            name = segment.text(size)
            with self.standing.reading(name):
                there = self.archive.find(name)
            if (there or timeline == lines[-1]) and name not in self._published and not self._fetch(segment):
                return False
            if there:
                break
        self._next += 1
        return True

    def _fetch(self, segment: SegmentName) -> bool:
        """One segment from the archive into the spool; False where that is not possible now, and the status says
        why."""
        name = segment.text(self.spec.segment_size)
        cut = cut_of(self.gate, segment, self.spec.segment_size)
        try:
            with self.standing.reading(name):
                paths = self.archive.find(name)
            if not paths:
                raise Unreachable(f"segment {name} is not in the archive ({', '.join(self.spec.roots)})")
            self._published[name] = self._publish_best(paths, segment, cut)
            self.spool.answer(name)
        except (OSError, RepriseError) as error:
            if isinstance(error, FileNotFoundError):
                self.archive.forget(name)
            self.standing.wait("segment", words(error, name))
            self._not_before = time.monotonic() + RETRY
            return False
        self.standing.go_on("segment")
        return True

    def _publish_best(self, paths: list[Path], segment: SegmentName, cut: int) -> tuple[Stamp, int, int]:
        """Publish the first of several files of one name that is right. Raises what was wrong with the first."""
        name = segment.text(self.spec.segment_size)
        first_error: Exception | None = None
        for path in paths:
            try:
                with self.standing.reading(name):
                    stamp = stamp_of(path)
                return stamp, cut, self.spool.publish(name, self._parts(path, segment, cut))
            except (OSError, EOFError, ValueError, RepriseError) as error:
                first_error = first_error or error
        if first_error is None or isinstance(first_error, (OSError, RepriseError)):
            raise first_error or FileNotFoundError()
        raise DamagedCopy(f"{paths[0]} cannot be unpacked: {first_error}")

    def _parts(self, path: Path, segment: SegmentName, cut: int) -> Iterator[memoryview | bytes]:
        """A segment's content up to the cut, and zeros behind it."""
        size = self.spec.segment_size
        blocks = read_segment(path, segment, size, self.spec.system_identifier, cut)
        while True:
            with self.standing.reading(segment.text(size)):
                block = next(blocks, None)
            if block is None:
                break
            self.throttle.take(len(block))
            yield block
        yield bytes(size - cut)
