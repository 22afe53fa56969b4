"""Many files hashed at once, in processes of their own (SHA-256).

The workers are plain programs (`engine.media.hashing_worker`), not forks: a caller may have threads, and where a file
system hangs it is the worker that hangs. They end when their caller does. Each is given a few paths at a time and
answers file by file; the answers are handed on in the order in which the paths came.
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
from typing import NamedTuple

from engine.media.hashing_worker import ANSWER, FAILED, HASHED, SIGN_OF_LIFE
from engine.records.errors import RepriseError, RunFailed, Unreachable
from engine.transfer.naming import shown

_BATCH = 32  # files that a worker is given at a time
_AHEAD = 2  # batches that wait at a worker
_WINDOW = 16  # batches a worker that may be done before an earlier one is
_PATH = struct.Struct("<I")  # the length of what follows

Progress = Callable[[int], None]


class FileStatus(NamedTuple):
    """What stat(2) said of a file when it was read. Times in nanoseconds."""

    dev: int
    ino: int
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    ctime_ns: int


class Hashed(NamedTuple):
    """One file. ``sha256`` is hexadecimal; None where it could not be read, and ``errno`` says why: ENOENT, it is not
    there; ELOOP or ENOTDIR, a link or a file stands where a file or folder should; ESTALE, it changed while it was
    read, three times; EISDIR, EINVAL: it is a folder, or no plain file. ``status`` is None then."""

    path: bytes
    sha256: str | None
    size: int
    status: FileStatus | None
    errno: int = 0


def default_processes() -> int:
    """As many as the processors that we may use."""
    return min(8, len(os.sched_getaffinity(0)))


def hash_files(
    root: bytes, paths: Iterable[bytes], *, processes: int | None = None, progress: Progress = lambda bytes: None
) -> Generator[Hashed, None, None]:
    """Every path below ``root``, in the order asked; fastest where that is a catalogue's order, as neighbours in a
    folder are opened
    from it. No link is followed, in no component of a path. Neither paths nor answers are kept:
    memory is bounded. ``progress`` hears bytes read since it last heard, also in the midst of a large file; it is a
    sign of life.

    Close the iterator to end the workers early. Raises RunFailed where a worker dies, Unreachable where ``root``
    cannot be read.
    """
    workers = [_Worker(root) for _ in range(processes or default_processes())]
    try:
        yield from _Sharing(workers, paths, progress).answers()
    finally:
        for worker in workers:
            worker.end()


class _Worker:
    """One process. ``given`` are the paths that it still has to answer for, by batch."""

    def __init__(self, root: bytes) -> None:
        program = Path(__file__).with_name("hashing_worker.py")
        # -I -S: nothing but this file and the standard library, so that it starts in a few milliseconds
        command = [sys.executable, "-I", "-S", os.fspath(program), str(os.getpid())]
        self.process = subprocess.Popen([*command, root], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.orders, self.answers = self.process.stdin.fileno(), self.process.stdout.fileno()
        os.set_blocking(self.orders, False)
        self.root = root
        self.given: deque[_Batch] = deque()
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


class _Batch(NamedTuple):
    paths: list[bytes]
    found: list[Hashed]

    @property
    def done(self) -> bool:
        return len(self.paths) == len(self.found)


class _Sharing:
    """Paths shared out among workers."""

    def __init__(self, workers: list[_Worker], paths: Iterable[bytes], progress: Progress) -> None:
        self.workers, self.paths, self.progress = workers, iter(paths), progress
        self.batches: deque[_Batch] = deque()  # in the order asked
        self.selector = selectors.DefaultSelector()
        self.exhausted = False
        self.size = 1  # of the next batch: small at first, so that a few large files are shared out too

    def answers(self) -> Generator[Hashed, None, None]:
        try:
            for worker in self.workers:
                self.selector.register(worker.answers, selectors.EVENT_READ, worker)
            while True:
                self._give()
                while self.batches and self.batches[0].done:
                    yield from self.batches.popleft().found
                    self._give()
                if not self.batches:
                    return
                self._hear()
        finally:
            self.selector.close()

    def _give(self) -> None:
        while not self.exhausted and len(self.batches) < _WINDOW * len(self.workers):
            worker = min(self.workers, key=lambda each: len(each.given))
            if len(worker.given) >= _AHEAD:
                return
            batch = _Batch(list(islice(self.paths, self.size)), [])
            self.size = min(_BATCH, self.size + 1)
            if not batch.paths:
                self.exhausted = True
                return
            self.batches.append(batch)
            worker.given.append(batch)
            worker.unsent += b"".join(_PATH.pack(len(path)) + path for path in batch.paths)
            worker.send()
            if worker.unsent:
                self._watch_orders(worker)

    def _watch_orders(self, worker: _Worker) -> None:
        if worker.orders not in self.selector.get_map():
            self.selector.register(worker.orders, selectors.EVENT_WRITE, worker)

    def _hear(self) -> None:
        for key, events in self.selector.select():
            worker: _Worker = key.data
            if events & selectors.EVENT_WRITE:
                worker.send()
                if not worker.unsent:
                    self.selector.unregister(worker.orders)
            else:
                self._read(worker)

    def _read(self, worker: _Worker) -> None:
        data = os.read(worker.answers, 1 << 16)
        if not data:
            raise worker.died()
        data = worker.unread + data
        whole = len(data) - len(data) % ANSWER.size
        worker.unread = data[whole:]
        read = 0
        for answer in ANSWER.iter_unpack(data[:whole]):
            kind, errno, digest, more, size, *status = answer
            read += more
            if kind == SIGN_OF_LIFE:
                continue
            batch = worker.given[0]
            path = batch.paths[len(batch.found)]
            if kind == HASHED:
                batch.found.append(Hashed(path, digest.hex(), size, FileStatus(*status)))
            elif kind == FAILED:
                batch.found.append(Hashed(path, None, size, None, errno))
            if batch.done:
                worker.given.popleft()
        self.progress(read)
