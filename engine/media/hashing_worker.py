"""The process that reads and hashes files: ``python -I -S hashing_worker.py PARENT ROOT``. See `engine.media.hashing`.

Paths come in on stdin (a length of four bytes, then the path), answers go out on stdout, one a path, in order. Nothing
of ours is imported here: it must start at once.

Each folder is opened once, component by component, never through a link, and kept open while its files are asked for.
A file is read with readv into one buffer; its time of access is left alone where we may (O_NOATIME: owner or root).
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

HASHED, FAILED, SIGN_OF_LIFE = 0, 1, 2
# kind, errno, digest, bytes read since the last answer, size; dev, ino, mode, uid, gid, mtime and ctime in nanoseconds
ANSWER = struct.Struct("<BH32sQQQQIIIqq")

_BLOCK = 1 << 20  # bytes
_TRIES = 3  # of a file that changes while it is read
_TOGETHER = 16  # answers
_ALIVE = 0.5  # seconds between two signs of life
_PR_SET_PDEATHSIG = 1
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Reader:
    def __init__(self, root: bytes) -> None:
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._names: list[bytes] = []  # of the folders that are open, one inside the other
        self._handles: list[int] = []
        self._buffer = memoryview(bytearray(_BLOCK))
        self._noatime = os.O_NOATIME
        self._read = 0
        self._told = time.monotonic()

    def answer(self, path: bytes) -> bytes:
        """The answer for one file."""
        self._read = 0
        size = 0
        try:
            *folders, name = path.split(b"/")
            folder = self._enter(folders)
            for _ in range(_TRIES):
                handle = self._open(name, folder)
                try:
                    before = os.fstat(handle)
                    size = before.st_size
                    if not stat.S_ISREG(before.st_mode):
                        raise OSError(errno.EISDIR if stat.S_ISDIR(before.st_mode) else errno.EINVAL, "no plain file")
                    digest, count = self._digest(handle, size)
                    after = os.fstat(handle)
                finally:
                    os.close(handle)
                if (
                    count == after.st_size == size
                    and after.st_mtime_ns == before.st_mtime_ns
                    and after.st_ctime_ns == before.st_ctime_ns
                ):
                    return ANSWER.pack(
                        HASHED, 0, digest, self._read, size, after.st_dev, after.st_ino, after.st_mode,
                        after.st_uid, after.st_gid, after.st_mtime_ns, after.st_ctime_ns,
                    )  # fmt: skip
            failed = errno.ESTALE
        except OSError as problem:
            failed = problem.errno or errno.EIO
        except ValueError:
            failed = errno.EINVAL  # a zero byte
        return ANSWER.pack(FAILED, failed, b"", self._read, size, 0, 0, 0, 0, 0, 0, 0)

    def slow(self) -> bool:
        """Whether the caller has heard nothing for a while."""
        now = time.monotonic()
        if now - self._told <= _ALIVE:
            return False
        self._told = now
        return True

    def _enter(self, folders: list[bytes]) -> int:
        """An open handle of the folder, through those that are open already."""
        same = 0
        for name, known in zip(folders, self._names, strict=False):
            if name != known:
                break
            same += 1
        for handle in self._handles[same:]:
            os.close(handle)
        del self._names[same:], self._handles[same:]
        folder = self._handles[-1] if self._handles else self._root
        for name in folders[same:]:
            if name in (b"", b".", b".."):
                raise OSError(errno.EINVAL, "leads elsewhere")
            folder = os.open(name, _FOLDER, dir_fd=folder)
            self._names.append(name)
            self._handles.append(folder)
        return folder

    def _open(self, name: bytes, folder: int) -> int:
        if name in (b"", b".", b".."):
            raise OSError(errno.EINVAL, "leads elsewhere")
        if self._noatime:
            try:
                return os.open(name, _FILE | self._noatime, dir_fd=folder)
            except PermissionError as problem:
                if problem.errno != errno.EPERM:
                    raise
                self._noatime = 0
        return os.open(name, _FILE, dir_fd=folder)

    def _digest(self, handle: int, size: int) -> tuple[bytes, int]:
        digest, count = hashlib.sha256(), 0
        if size > _BLOCK:
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        while count < size or not size:
            got = os.readv(handle, [self._buffer])
            if not got:
                break
            digest.update(self._buffer[:got])
            count += got
            self._read += got
            if size > _BLOCK and self.slow():
                send(ANSWER.pack(SIGN_OF_LIFE, 0, b"", self._read, 0, 0, 0, 0, 0, 0, 0, 0))
                self._read = 0
        return digest.digest(), count


def send(data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(1, rest) :]


def main() -> None:
    parent, root = int(sys.argv[1]), os.fsencode(sys.argv[2])
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(3)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the operator's ctrl+c is the caller's business
    try:
        reader, data = Reader(root), b""
    except OSError as problem:
        os._exit(problem.errno or errno.EIO)
    while more := os.read(0, 1 << 16):
        data += more
        answers, at = [], 0
        while len(data) - at >= 4 and len(data) - at >= 4 + (length := int.from_bytes(data[at : at + 4], "little")):
            answers.append(reader.answer(data[at + 4 : at + 4 + length]))
            at += 4 + length
            if len(answers) >= _TOGETHER or reader.slow():
                send(b"".join(answers))
                answers = []
        data = data[at:]
        send(b"".join(answers))


if __name__ == "__main__":
    main()
