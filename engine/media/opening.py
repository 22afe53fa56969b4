"""Files below a folder, opened by their paths without following a link in any part of them."""

import errno
import os

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Opener:
    """Use it as a context, or for as long as the process lives. The folder of the last file stays open: the next one is
    often beside it. A file's time of access is left alone where we may (O_NOATIME: its owner, or root)."""

    def __init__(self, root: bytes) -> None:
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._above, self._folder = b"", self._root
        self._noatime = os.O_NOATIME

    def __enter__(self) -> "Opener":
        return self

    def __exit__(self, *problem: object) -> None:
        self._leave()
        os.close(self._root)

    def open(self, path: bytes) -> int:
        """A handle for reading. Raises OSError: ELOOP or ENOTDIR where a link or a file stands in the way."""
        above, _, name = path.rpartition(b"/")
        if name in (b"", b".", b".."):
            raise OSError(errno.EINVAL, "leads elsewhere")
        folder = self.enter(above)
        if self._noatime:
            try:
                return os.open(name, _FILE | self._noatime, dir_fd=folder)
            except PermissionError as problem:
                if problem.errno != errno.EPERM:
                    raise
                self._noatime = 0
        return os.open(name, _FILE, dir_fd=folder)

    def stands(self, root: bytes) -> bool:
        """Whether what has this name is still the folder that was opened."""
        try:
            return os.path.samestat(os.fstat(self._root), os.stat(root))  # noqa: PTH116
        except OSError:
            return False

    def enter(self, above: bytes) -> int:
        """The folder of this path, open until another one is entered. Raises OSError."""
        if above != self._above or not above:
            self._enter(above)
        return self._folder

    def _enter(self, above: bytes) -> None:
        self._leave()
        folder = self._root
        for name in above.split(b"/") if above else []:
            if name in (b"", b".", b".."):
                raise OSError(errno.EINVAL, "leads elsewhere")
            try:
                inner = os.open(name, _FOLDER, dir_fd=folder)
            finally:
                if folder != self._root:
                    os.close(folder)
            folder = inner
        self._above, self._folder = above, folder

    def _leave(self) -> None:
        if self._folder != self._root:
            os.close(self._folder)
        self._above, self._folder = b"", self._root
