"""The folder between the feed and the server: `ready` segments, `asked` names, the archive's `history` files.

A segment is written under `draft` and renamed into `ready`, from where the restore script moves it. An empty file in
`asked` is a question of the script's; the feed takes it away as the answer: by then the file is ready, or there is
none. A question that stays makes the script wait, a second at most. Nothing here is ever linked to an archive's file.
"""

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

READY, ASKED, HISTORY, DRAFT = "ready", "asked", "history", "draft"
_ASKABLE = re.compile(r"[0-9A-F]{24}|[0-9A-F]{8}\.history")


class Spool:
    """One spool folder. All methods raise OSError as the file system does."""

    def __init__(self, path: Path, uid: int, gid: int) -> None:
        self.path, self.uid, self.gid = path, uid, gid

    def make(self) -> None:
        """Make the folder, and empty it of what was left: of what lies ready a new feed does not know the gate, and
        of a question not whether anybody still waits for the answer (who does, asks again). An empty history file
        stands for one that could not be read: the new feed may need it."""
        for name in (READY, DRAFT, ASKED):
            shutil.rmtree(self.path / name, ignore_errors=True)
        for folder in (self.path, *(self.path / name for name in (READY, ASKED, HISTORY, DRAFT))):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.chown(folder, self.uid, self.gid, follow_symlinks=False)
        for history in (self.path / HISTORY).iterdir():
            if history.lstat().st_size == 0:
                history.unlink()

    def publish(self, name: str, parts: Iterable[bytes | memoryview], folder: str = READY) -> int:
        """Write a file whole and rename it into place; return its inode. Where ``parts`` raises, nothing is published,
        and that goes on to the caller."""
        draft = self.path / DRAFT / name
        draft.unlink(missing_ok=True)
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            for part in parts:
                with _told_of(draft):
                    rest = memoryview(part)
                    while rest:
                        rest = rest[os.write(handle, rest) :]
            with _told_of(draft):
                os.fchown(handle, self.uid, self.gid)
                os.fsync(handle)  # the server syncs it before it reads (durable_rename): here that costs replay nothing
                inode = os.fstat(handle).st_ino
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        finally:
            os.close(handle)
        draft.replace(self.path / folder / name)
        return inode

    def ready(self) -> set[str]:
        return {entry.name for entry in (self.path / READY).iterdir()}

    def asked(self) -> list[str]:
        """What the script waits for. Other names than WAL's are taken away unanswered."""
        names = [entry.name for entry in (self.path / ASKED).iterdir()]
        for name in names:
            if not _ASKABLE.fullmatch(name):
                self.answer(name)
        return [name for name in names if _ASKABLE.fullmatch(name)]

    def answer(self, name: str) -> None:
        (self.path / ASKED / name).unlink(missing_ok=True)

    def take_back(self, name: str) -> bool:
        """Withdraw a ready file; False where the server was faster."""
        try:
            (self.path / READY / name).unlink()
        except FileNotFoundError:
            return False
        return True

    def histories(self) -> set[str]:
        return {entry.name for entry in (self.path / HISTORY).iterdir()}


@contextmanager
def _told_of(path: Path) -> Iterator[None]:
    """An error of the file system's inside is told with this path: a full disk is known by its place."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None
