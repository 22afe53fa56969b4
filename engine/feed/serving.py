"""The feed's own process: answers the restore script, and fetches segments ahead of the server.

One thread does all the work with files, and may hang with a network file system; the main thread only watches: it
tells how the feed stands, and ends the process when the engine goes (end of the pipe on standard input).
"""

import contextlib
import ctypes
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
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
    write_whole,
)
from engine.feed.spool import HISTORY, Spool
from engine.records.errors import DamagedCopy, RepriseError, Unreachable
from engine.records.lsn import SegmentName, parse_segment

GATE_FILE, STATUS_FILE = "gate.json", "status.json"
TICK = 0.02  # seconds between looks at the spool
HANGS_AFTER = 5.0  # seconds of one read of the archive without an end
RETRY = 0.5  # seconds until what failed is tried again
_PR_SET_PDEATHSIG = 1


class Feeding:
    """What the feed knows; ``work`` is its one worker."""

    def __init__(self, spec: FeedSpec) -> None:
        self.spec = spec
        self.gate: Gate = spec.gate
        self.archive = Archive(spec.roots)
        self.spool = Spool(Path(spec.spool), spec.uid, spec.gid)
        self.status = FeedStatus(os.getpid(), spec.gate.lsn)
        self.busy_with: tuple[str, float] | None = None  # what is read now, since when (monotonic)
        self._next = first_segment(spec.gate, spec.segment_size)
        self._published: dict[str, tuple[Stamp, int, int]] = {}  # ready: source, cut, inode
        self._taken: dict[str, tuple[Stamp, int, int | None]] = {}  # the last one the server took
        self._not_before = 0.0
        self._waits: dict[str, str] = {}

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
                self._wait("feed", _words(error, str(self.spool.path)))
                progressed = False
                time.sleep(RETRY)
            else:
                self._go_on("feed")
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
        self.status = replace(self.status, gate=gate.lsn, again=None)
        self._not_before = 0.0

    def round(self) -> bool:
        """One look at everything; True where there may be more to do at once."""
        if not self.status.listed:
            self._list()
        self._notice_taken()
        progressed = False
        for name in self.spool.asked():
            self.status = replace(self.status, asked=name)
            progressed |= self._answer_history(name) if name.endswith(".history") else self._answer_segment(name)
        if len(self._published) < self.spec.ahead and time.monotonic() >= self._not_before:
            progressed |= self._fetch_ahead()
        return progressed

    def _list(self) -> None:
        with self._reading("the list of the archive"):
            self.archive.refresh()
            self._bring_histories()
        self.status = replace(self.status, listed=True)

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
                print(f"only known to be taken: {_words(error, name)}", file=sys.stderr, flush=True)
                data = b""
            self.spool.publish(name, [data], HISTORY)
        self.status = replace(self.status, timelines=tuple(sorted(int(n[:8], 16) for n in self.spool.histories())))

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
            self.status = replace(self.status, served=name, count=self.status.count + 1, again=None)
            self._go_on("segment")
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
            with self._reading(name):
                self.archive.refresh()
                self._bring_histories()
        self._go_on("segment")
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
        with self._reading(name):
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
        self.spool.answer(name)
        return True

    def _hold(self, name: str) -> bool:
        """Nothing new to give: the script waits its second, or hears it at once."""
        self.status = replace(self.status, again=name)
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
        with self._reading(name), contextlib.suppress(OSError):
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
            with self._reading(name):
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
        size = self.spec.segment_size
        name = segment.text(size)
        cut = cut_of(self.gate, segment, size)
        try:
            with self._reading(name):
                paths = self.archive.find(name)
                if not paths:
                    raise Unreachable(f"segment {name} is not in the archive ({', '.join(self.spec.roots)})")
                stamp, data = self._read_best(paths, segment, cut)
            inode = self.spool.publish(name, [memoryview(data)[:cut], bytes(size - cut)])
        except (OSError, RepriseError) as error:
            if isinstance(error, FileNotFoundError):
                self.archive.forget(name)
            self._wait("segment", _words(error, name))
            self._not_before = time.monotonic() + RETRY
            return False
        self._published[name] = (stamp, cut, inode)
        self._go_on("segment")
        return True

    def _read_best(self, paths: list[Path], segment: SegmentName, cut: int) -> tuple[Stamp, bytes]:
        """The first of several files of one name that is right. Raises what was wrong with the first."""
        first_error: Exception | None = None
        for path in paths:
            try:
                stamp = stamp_of(path)
                return stamp, read_segment(path, segment, self.spec.segment_size, self.spec.system_identifier, cut)
            except (OSError, EOFError, ValueError, RepriseError) as error:
                first_error = first_error or error
        if first_error is None or isinstance(first_error, (OSError, RepriseError)):
            raise first_error or FileNotFoundError()
        raise DamagedCopy(f"{paths[0]} cannot be unpacked: {first_error}")

    # -- how it stands

    @contextlib.contextmanager
    def _reading(self, what: str) -> Iterator[None]:
        self.busy_with = (what, time.monotonic())
        try:
            yield
        finally:
            self.busy_with = None

    def _wait(self, about: str, why: str) -> None:
        self._waits[about] = why
        self._tell_waits()

    def _go_on(self, about: str) -> None:
        if self._waits.pop(about, None) is not None:
            self._tell_waits()

    def _tell_waits(self) -> None:
        waiting = "; ".join(dict.fromkeys(self._waits.values())) or None
        since = None if waiting is None else self.status.waiting_since or time.time()
        self.status = replace(self.status, waiting=waiting, waiting_since=since)

    def told(self) -> FeedStatus:
        """The status, from the watching thread: it also says where the worker hangs."""
        status, busy = self.status, self.busy_with
        if busy is not None and (hanging := time.monotonic() - busy[1]) >= HANGS_AFTER:
            why = f"the archive does not answer: reading {busy[0]} does not end"
            return replace(status, waiting=why, waiting_since=time.time() - hanging)
        return status


def _words(error: Exception, what: str) -> str:
    if isinstance(error, RepriseError):
        return error.message
    if isinstance(error, OSError) and error.strerror:
        where = error.filename if isinstance(error.filename, str) else what
        return f"{what}: {error.strerror}" + (f" ({where})" if where != what else "")
    return f"{what}: {error}"


def serve(spec: FeedSpec, home: Path) -> None:
    """Feed one server until standard input ends."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's is not meant for us
    feeding = Feeding(spec)
    threading.Thread(target=_work, args=(feeding, home / GATE_FILE), daemon=True).start()
    written: FeedStatus | None = None
    while not _ended(sys.stdin.fileno()):
        told = feeding.told()
        if told != written and (written is None or replace(told, waiting_since=written.waiting_since) != written):
            with contextlib.suppress(OSError):  # the state folder's disk is full: the next one will tell
                write_whole(home / STATUS_FILE, told)
                written = told
    os._exit(0)  # the worker may hang


def _work(feeding: Feeding, gate_file: Path) -> None:
    try:
        feeding.work(gate_file)
    except BaseException:  # a mistake of ours must not leave a feed that looks alive
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
        os._exit(70)


def _ended(handle: int) -> bool:
    """Wait a moment; whether the engine is gone."""
    readable, _, _ = select.select([handle], [], [], 0.05)
    return bool(readable) and not os.read(handle, 4096)
