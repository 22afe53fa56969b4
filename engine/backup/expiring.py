"""Copies that are past their time, taken away: what goes, how many bytes come back, and the deleting itself.

A copy is first renamed to a name with a dot, so that one which is half deleted is never listed, and then deleted. WAL
goes oldest first, base backups before the WAL that only they needed: whatever interrupts it, what is left is whole.
"""

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path

from engine.records.copies import WalFile
from engine.records.errors import RepriseError
from engine.records.keeping import Leaving, Verdict
from engine.transfer.durable import fsync_path
from engine.transfer.naming import shown

_DOOMED = ".expired-"


def leaving_copies(gone: Sequence[tuple[Verdict, tuple[Path, ...]]]) -> list[Leaving]:
    """Copies with their paths. Hard links between them are counted once, with the copy that goes last; those that a
    copy which stays has too, not at all."""
    seen: Counter[tuple[int, int]] = Counter()
    found = []
    for verdict, paths in gone:
        found.append(Leaving(verdict, paths, sum(_bytes_of(path, seen) for path in paths)))
    return found


def _bytes_of(path: Path, seen: Counter[tuple[int, int]]) -> int:
    """What deleting this gives back, after all that was counted in ``seen``."""
    total = 0
    for status in _statuses(os.fspath(path)):
        key = status.st_dev, status.st_ino
        seen[key] += 1
        if seen[key] >= status.st_nlink:
            total += status.st_blocks * 512
    return total


def _statuses(path: str) -> Iterable[os.stat_result]:
    """Every file at or below a path; no link is followed."""
    with suppress(FileNotFoundError):
        if not os.path.isdir(path) or os.path.islink(path):  # noqa: PTH112, PTH114
            yield os.lstat(path)
            return
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from _statuses(entry.path)
                else:
                    yield entry.stat(follow_symlinks=False)


def leaving_wal(files: Iterable[WalFile]) -> list[Leaving]:
    """Segments as ranges without a gap, one verdict each."""
    found = []
    numbered = enumerate(sorted(files, key=lambda file: (file.timeline, file.number, file.path)))
    for _, group in groupby(numbered, key=lambda pair: (pair[1].timeline, pair[1].number - pair[0])):
        segments = [file for _, file in group]
        first, last = (Path(file.path).name for file in (segments[0], segments[-1]))
        verdict = Verdict(first if first == last else f"{first}–{last}", "wal", False, "no backup that stays needs it")
        found.append(
            Leaving(verdict, tuple(Path(file.path) for file in segments), sum(file.size_bytes for file in segments))
        )
    return found


def take_away(leaving: Iterable[Leaving]) -> None:
    """Delete it. Raises RepriseError at the first thing that cannot be deleted; what was deleted stays deleted."""
    for each in leaving:
        for path in each.paths:
            try:
                _take_away(path)
            except FileNotFoundError:
                continue
            except OSError as problem:
                raise RepriseError(
                    f"{shown(path)} cannot be deleted", cause=problem.strerror, remedy="mend it, then expire again"
                ) from None


def _take_away(path: Path) -> None:
    if not path.is_dir() or path.is_symlink():
        path.unlink()
        return
    doomed = path.with_name(_DOOMED + path.name)
    path.rename(doomed)
    fsync_path(path.parent)
    shutil.rmtree(doomed)


def sweep(folders: Iterable[Path]) -> None:
    """Finish what an interrupted expiry has begun to delete. What cannot be deleted waits for the next time."""
    for folder in folders:
        with suppress(OSError):
            for path in folder.iterdir():
                if path.name.startswith(_DOOMED):
                    shutil.rmtree(path, ignore_errors=True)
