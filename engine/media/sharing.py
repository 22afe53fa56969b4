"""Orders about files shared out among processes of their own, which read the files (`file_worker`).

They are plain programs, not forks: a caller may have threads, and where a file system hangs it is they that hang. They
end when their caller does. Each is given a few orders at a time and answers one by one; the answers are handed on in
the order in which the orders came. Neither is kept: memory is bounded.
"""

import os
import selectors
import struct
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from errno import errorcode
from itertools import islice
from pathlib import Path
from typing import Any, Generic, TypeVar

from engine.media.file_worker import ANSWER, SIGN_OF_LIFE
from engine.records.errors import RepriseError, RunFailed, Unreachable
from engine.transfer.naming import shown

_BATCH = 32  # orders that a worker is given at a time
_AHEAD = 2  # batches that wait at a worker
_WINDOW = 16  # batches a worker that may be done before an earlier one is
_LENGTH = struct.Struct("<I")  # of what follows
_PROGRAM = "import sys; sys.path.append(sys.argv.pop(1)); from engine.media.file_worker import main; main()"

Answer = tuple[Any, ...]
"""As `file_worker.ANSWER` has it."""
Progress = Callable[[int], None]
Subject = TypeVar("Subject")


def default_processes() -> int:
    """As many as the processors that we may use."""
    return min(8, len(os.sched_getaffinity(0)))


def share_out(
    root: bytes,
    orders: Iterable[tuple[Subject, bytes]],
    *,
    processes: int | None = None,
    progress: Progress = lambda bytes: None,
) -> Generator[tuple[Subject, Answer], None, None]:
    """Every order's answer, with what it is about, in the order asked; fastest where that is a catalogue's order, as
    neighbours in a folder are opened from it. ``progress`` hears bytes read since it last heard, also in the midst of a
    large file; it is a sign of life. A process is started when there is something for it.

    Close the iterator to end the processes early. Raises RunFailed where one dies, Unreachable where ``root`` cannot be
    read.
    """
    sharing = _Sharing(root, orders, processes or default_processes(), progress)
    try:
        yield from sharing.answers()
    finally:
        sharing.end()


class _Batch(Generic[Subject]):
    def __init__(self, subjects: list[Subject]) -> None:
        self.subjects = subjects
        self.answers: list[Answer] = []

    @property
    def done(self) -> bool:
        return len(self.subjects) == len(self.answers)


class _Worker(Generic[Subject]):
    """One process. ``given`` is what it still has to answer for, by batch."""

    def __init__(self, root: bytes) -> None:
        # -I -S: nothing but this house and the standard library, so that it starts in a few milliseconds
        command = [sys.executable, "-I", "-S", "-c", _PROGRAM, os.fspath(Path(__file__).parents[2]), str(os.getpid())]
        self.process = subprocess.Popen([*command, root], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.orders, self.answers = self.process.stdin.fileno(), self.process.stdout.fileno()
        os.set_blocking(self.orders, False)
        self.root = root
        self.given: deque[_Batch[Subject]] = deque()
        self.unsent, self.unread = b"", b""

    def send(self) -> None:
        try:
            self.unsent = self.unsent[os.write(self.orders, self.unsent) :]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            raise self.died() from None

    def died(self) -> RepriseError:
        """Why it answers no more."""
        code = self.process.wait()
        if code in errorcode:
            return Unreachable(f"{shown(os.fsdecode(self.root))} cannot be read", cause=os.strerror(code))
        return RunFailed("a process that reads files died", cause=f"exit code {code}")

    def end(self) -> None:
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        with suppress(subprocess.TimeoutExpired):  # in the kernel, with a file system that hangs: left to it
            self.process.wait(2)


class _Sharing(Generic[Subject]):
    def __init__(self, root: bytes, orders: Iterable[tuple[Subject, bytes]], most: int, progress: Progress) -> None:
        self.root, self.orders, self.most, self.progress = root, iter(orders), most, progress
        self.workers: list[_Worker[Subject]] = []
        self.batches: deque[_Batch[Subject]] = deque()  # in the order asked
        self.selector = selectors.DefaultSelector()
        self.exhausted = False
        self.size = 1  # of the next batch: small at first, so that a few large files are shared out too

    def answers(self) -> Generator[tuple[Subject, Answer], None, None]:
        while True:
            self._give()
            while self.batches and self.batches[0].done:
                batch = self.batches.popleft()
                yield from zip(batch.subjects, batch.answers, strict=True)
                self._give()
            if not self.batches:
                return
            self._hear()

    def end(self) -> None:
        self.selector.close()
        for worker in self.workers:
            worker.end()

    def _give(self) -> None:
        while not self.exhausted and len(self.batches) < _WINDOW * self.most:
            idle = min(self.workers, key=lambda each: len(each.given), default=None)
            full = len(self.workers) >= self.most
            if full and idle is not None and len(idle.given) >= _AHEAD:
                return
            given = list(islice(self.orders, self.size))
            self.size = min(_BATCH, self.size + 1)
            if not given:
                self.exhausted = True
                return
            worker = idle if idle is not None and (full or not idle.given) else self._start()
            batch = _Batch([subject for subject, _ in given])
            self.batches.append(batch)
            worker.given.append(batch)
            worker.unsent += b"".join(_LENGTH.pack(len(order)) + order for _, order in given)
            worker.send()
            if worker.unsent:
                self._watch_orders(worker)

    def _start(self) -> _Worker[Subject]:
        worker: _Worker[Subject] = _Worker(self.root)
        self.workers.append(worker)
        self.selector.register(worker.answers, selectors.EVENT_READ, worker)
        return worker

    def _watch_orders(self, worker: _Worker[Subject]) -> None:
        if worker.orders not in self.selector.get_map():
            self.selector.register(worker.orders, selectors.EVENT_WRITE, worker)

    def _hear(self) -> None:
        for key, events in self.selector.select():
            worker: _Worker[Subject] = key.data
            if events & selectors.EVENT_WRITE:
                worker.send()
                if not worker.unsent:
                    self.selector.unregister(worker.orders)
            else:
                self._read(worker)

    def _read(self, worker: _Worker[Subject]) -> None:
        data = os.read(worker.answers, 1 << 16)
        if not data:
            raise worker.died()
        data = worker.unread + data
        whole = len(data) - len(data) % ANSWER.size
        worker.unread = data[whole:]
        read = 0
        for answer in ANSWER.iter_unpack(data[:whole]):
            read += answer[3]
            if answer[0] == SIGN_OF_LIFE:
                continue
            batch = worker.given[0]
            batch.answers.append(answer)
            if batch.done:
                worker.given.popleft()
        self.progress(read)
