"""Many files hashed at once (SHA-256), in processes of their own."""

from collections.abc import Generator, Iterable
from contextlib import closing
from typing import NamedTuple

from engine.media.file_worker import DONE, HASH
from engine.media.sharing import Progress, share_out


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


def hash_files(
    root: bytes, paths: Iterable[bytes], *, processes: int | None = None, progress: Progress = lambda bytes: None
) -> Generator[Hashed, None, None]:
    """Every path below ``root``, in the order asked. No link is followed, in no component of a path. As `share_out`
    says it."""
    orders = ((path, HASH + path) for path in paths)
    with closing(share_out(root, orders, processes=processes, progress=progress)) as answers:
        for path, (kind, errno, digest, _, size, *status) in answers:
            if kind == DONE:
                yield Hashed(path, digest.hex(), size, FileStatus(*status))
            else:
                yield Hashed(path, None, size, None, errno)
