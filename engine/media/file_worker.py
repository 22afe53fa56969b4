"""The process that reads files for others, to hash or to copy them. See `engine.media.sharing`, which starts it.

Orders come in on stdin (four bytes of length, then the kind and its fields), answers go out on stdout, one an order, in
order. Little is imported here: it must start at once.

A file is opened without following a link in any part of its path, and its time of access is left alone where we may.
"""

import ctypes
import errno
import hashlib
import os
import signal
import stat
import struct
import sys
import time

from engine.media.opening import Opener
from engine.media.putting import BLOCK, Unread, pour, storable, take_attributes

HASH, HASH_SIZED, COPY = b"h", b"s", b"c"
SIZED = struct.Struct("<Q")  # of an order to hash a file only where it has this size; the path follows
# of an order to copy: size, mtime in nanoseconds, mode, uid, gid, whether a hash is known, the hash, the length of the
# path in the root; that path and the one of the copy follow
COPY_ORDER = struct.Struct("<QqIII?32sH")
DONE, FAILED, SIGN_OF_LIFE, UNWRITABLE, DIFFERENT = 0, 1, 2, 3, 4
# kind, errno, digest, bytes read since the last answer, size; dev, ino, mode, uid, gid, mtime and ctime in nanoseconds
# of the file that was read; of a copy only its ino
ANSWER = struct.Struct("<BH32sQQQQIIIqq")

_TRIES = 3  # of a file that changes while it is read
_TOGETHER = 16  # answers
_ALIVE = 0.5  # seconds between two signs of life
_PR_SET_PDEATHSIG = 1
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Worker:
    def __init__(self, root: bytes) -> None:
        self._opener = Opener(root)
        self._buffer = memoryview(bytearray(BLOCK))
        self._read = 0
        self._told = time.monotonic()
        self._is_root = os.geteuid() == 0

    def answer(self, order: bytes) -> bytes:
        self._read = 0
        match order[:1]:
            case b"h":
                return self._hash(order[1:], None)
            case b"s":
                return self._hash(order[1 + SIZED.size :], SIZED.unpack_from(order, 1)[0])
        return self._copy(order)

    def slow(self) -> bool:
        """Whether the caller has heard nothing for a while."""
        now = time.monotonic()
        if now - self._told <= _ALIVE:
            return False
        self._told = now
        return True

    def _hash(self, path: bytes, wanted: int | None) -> bytes:
        """``wanted``: the only size for which it is worth while."""
        size = 0
        try:
            for _ in range(_TRIES):
                handle = self._opener.open(path)
                try:
                    before = os.fstat(handle)
                    size = before.st_size
                    _see_kind(before)
                    if wanted is not None and wanted != size:
                        return self._hashed(DIFFERENT, b"", before)
                    digest, count = self._digest(handle, size)
                    after = os.fstat(handle)
                finally:
                    os.close(handle)
                if (
                    count == after.st_size == size
                    and after.st_mtime_ns == before.st_mtime_ns
                    and after.st_ctime_ns == before.st_ctime_ns
                ):
                    return self._hashed(DONE, digest, after)
            failed = errno.ESTALE
        except OSError as problem:
            failed = problem.errno or errno.EIO
        except ValueError:
            failed = errno.EINVAL  # a zero byte
        return self._failed(FAILED, failed, size)

    def _hashed(self, kind: int, digest: bytes, s: os.stat_result) -> bytes:
        times = storable(s.st_mtime_ns), storable(s.st_ctime_ns)
        return ANSWER.pack(
            kind, 0, digest, self._read, s.st_size, s.st_dev, s.st_ino, s.st_mode, s.st_uid, s.st_gid, *times
        )

    def _digest(self, handle: int, size: int) -> tuple[bytes, int]:
        digest, count = hashlib.sha256(), 0
        if size > BLOCK:
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        while count < size or not size:
            got = os.readv(handle, [self._buffer])
            if not got:
                break
            digest.update(self._buffer[:got])
            count += got
            self._heard(got)
        return digest.digest(), count

    def _heard(self, count: int) -> None:
        """Bytes that were read; of a large file the caller hears on the way."""
        self._read += count
        if count >= BLOCK and self.slow():
            send(ANSWER.pack(SIGN_OF_LIFE, 0, b"", self._read, 0, 0, 0, 0, 0, 0, 0, 0))
            self._read = 0

    def _copy(self, order: bytes) -> bytes:
        size, mtime, mode, uid, gid, known, wanted, length = COPY_ORDER.unpack_from(order, 1)
        names = 1 + COPY_ORDER.size
        path, place = order[names : names + length], order[names + length :]
        try:
            handle = self._opener.open(path)
        except OSError as problem:
            return self._failed(FAILED, problem.errno or errno.EIO)
        try:
            status = os.fstat(handle)
            _see_kind(status)
            target = _new(place)
            try:
                digest, count = pour(handle, target, status, self._buffer, self._heard)
                self._read += count if count < BLOCK else count % BLOCK
                if count != size or (known and digest != wanted.hex()):
                    os.unlink(place)  # noqa: PTH108
                    return self._failed(DIFFERENT, 0, count)
                take_attributes(handle, target)
                if self._is_root:
                    os.fchown(target, uid, gid)
                os.fchmod(target, mode)
                os.utime(target, ns=(mtime, mtime))
                inode = os.fstat(target).st_ino
            finally:
                os.close(target)
        except Unread as problem:
            os.unlink(place)  # noqa: PTH108
            return self._failed(FAILED, problem.errno or errno.EIO)
        except _NoFile as problem:
            return self._failed(FAILED, problem.errno or errno.EIO)
        except OSError as problem:
            return self._failed(UNWRITABLE, problem.errno or errno.EIO)
        finally:
            os.close(handle)
        return ANSWER.pack(DONE, 0, bytes.fromhex(digest), self._read, count, 0, inode, 0, 0, 0, 0, 0)

    def _failed(self, kind: int, why: int, size: int = 0) -> bytes:
        return ANSWER.pack(kind, why, b"", self._read, size, 0, 0, 0, 0, 0, 0, 0)


def _new(place: bytes) -> int:
    """An empty file; what an attempt before has left goes."""
    try:
        return os.open(place, _NEW, 0o600)
    except FileExistsError:
        os.unlink(place)  # noqa: PTH108
        return os.open(place, _NEW, 0o600)


class _NoFile(OSError):
    """It is no plain file."""


def _see_kind(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise _NoFile(errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EINVAL, "no plain file")


def send(data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(1, rest) :]


def main() -> None:
    """``sys.argv``: the caller's process id, the root."""
    parent, root = int(sys.argv[1]), os.fsencode(sys.argv[2])
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(3)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the operator's ctrl+c is the caller's business
    try:
        worker, data = Worker(root), b""
    except OSError as problem:
        os._exit(problem.errno or errno.EIO)
    while more := os.read(0, 1 << 16):
        data += more
        answers, at = [], 0
        while len(data) - at >= 4 and len(data) - at >= 4 + (length := int.from_bytes(data[at : at + 4], "little")):
            answers.append(worker.answer(data[at + 4 : at + 4 + length]))
            at += 4 + length
            if len(answers) >= _TOGETHER or worker.slow():
                send(b"".join(answers))
                answers = []
        data = data[at:]
        send(b"".join(answers))
