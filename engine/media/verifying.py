"""A snapshot held against its catalogue: every file read once, nothing missing, nothing that is not in it."""

import os
import stat
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from engine.media.catalogue import Entry, catalogue_of, key_of, open_catalogue
from engine.media.hashing import hash_files
from engine.media.walking import walk
from engine.records.errors import DamagedCopy
from engine.transfer.naming import shown

_TOLD = 50  # findings by name

Progress = Callable[[int, int], None]


def verify_snapshot(
    snapshot: Path, progress: Progress = lambda files, bytes: None, *, shared_with: Path | None = None
) -> list[str]:
    """What is wrong with a snapshot, the first fifty findings and the number of more; empty where all is right. A file
    that is one with the same file of ``shared_with``, another snapshot, is not read. ``progress`` hears files and
    bytes done.

    Raises OSError where the snapshot or its catalogue cannot be read, Unreachable, RunFailed.
    """
    verifier = _Verifier(snapshot, shared_with, progress)
    try:
        verifier.run()
    except DamagedCopy as error:
        verifier.tell(f"{error.message}: {error.cause}" if error.cause else error.message)
    progress(verifier.files, verifier.bytes)
    return [*verifier.findings, f"and {verifier.more} more"] if verifier.more else verifier.findings


class _Verifier:
    def __init__(self, snapshot: Path, shared_with: Path | None, progress: Progress) -> None:
        self.snapshot, self.progress = snapshot, progress
        self.shared_with = os.fsencode(shared_with) if shared_with is not None else None
        self.findings: list[str] = []
        self.more = self.files = self.bytes = 0
        self.awaited: deque[Entry] = deque()  # files that are being read, in order

    def run(self) -> None:
        with closing(hash_files(os.fsencode(self.snapshot), self._to_read(), progress=self._read)) as answers:
            for answer in answers:
                entry = self.awaited.popleft()
                if answer.sha256 is None:
                    self.tell(f"{_name(entry.path)} cannot be read: {os.strerror(answer.errno)}")
                elif answer.sha256 != entry.sha256:
                    self.tell(f"{_name(entry.path)} has other content than the catalogue says")
                self._count()

    def tell(self, finding: str) -> None:
        if len(self.findings) < _TOLD:
            self.findings.append(finding)
        else:
            self.more += 1

    def _read(self, bytes: int) -> None:
        """Some more bytes, also in the midst of a large file."""
        self.bytes += bytes
        self.progress(self.files, self.bytes)

    def _count(self) -> None:
        self.files += 1
        if not self.files & 0xFF:
            self.progress(self.files, self.bytes)

    def _to_read(self) -> Iterator[bytes]:
        """A merge of the catalogue and the folder, which come in the same order: the files whose content is to be
        looked at. All else is told at once."""
        there = walk(os.fsencode(self.snapshot))
        found = next(there, None)
        with open_catalogue(catalogue_of(self.snapshot)) as catalogue:
            for entry in catalogue:
                while found is not None and key_of(found[0]) < entry.key:
                    self.tell(f"{_name(found[0])} is not in the catalogue")
                    found = next(there, None)
                if found is None or found[0] != entry.path:
                    self.tell(f"{_name(entry.path)} is missing")
                    continue
                if self._wants_reading(entry, found[1]):
                    self.awaited.append(entry)
                    yield entry.path
                elif entry.kind == "f":
                    self._count()
                found = next(there, None)
        while found is not None:
            self.tell(f"{_name(found[0])} is not in the catalogue")
            found = next(there, None)

    def _wants_reading(self, entry: Entry, found: os.DirEntry[bytes]) -> bool:
        name = _name(entry.path)
        try:
            status = found.stat(follow_symlinks=False)
            kind = {stat.S_IFDIR: "d", stat.S_IFLNK: "l", stat.S_IFREG: "f"}.get(stat.S_IFMT(status.st_mode))
            if kind != entry.kind:
                self.tell(f"{name} is another kind of file than the catalogue says")
            elif kind == "l" and os.readlink(found.path) != entry.target:  # noqa: PTH115
                self.tell(f"{name} leads elsewhere than the catalogue says")
            elif kind == "f" and status.st_size != entry.size:
                self.tell(f"{name} has {status.st_size} bytes, the catalogue says {entry.size}")
            else:
                return kind == "f" and not self._is_shared(entry.path, status)
        except OSError as problem:
            self.tell(f"{name} cannot be read: {problem.strerror}")
        return False

    def _is_shared(self, path: bytes, status: os.stat_result) -> bool:
        if self.shared_with is None or status.st_nlink == 1:
            return False
        try:
            return os.path.samestat(status, os.lstat(self.shared_with + b"/" + path))
        except OSError:
            return False


def _name(path: bytes) -> str:
    return shown(os.fsdecode(path))
