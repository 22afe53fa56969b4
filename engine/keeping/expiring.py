"""Copies that are past their time, taken away: what goes, how many bytes come back, and the deleting itself.

A copy is first renamed to a name with a dot, then what stands beside it, and only then deleted: one which is half
deleted is never listed, and nothing of it is left over, for `sweep` finishes later. WAL goes oldest first, base backups
before the WAL that only they needed: whatever interrupts it, what is left is whole.
"""

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from engine.records.copies import WalFile
from engine.records.copying import names_beside
from engine.records.errors import RepriseError
from engine.records.keeping import KeptKind, Leaving, Verdict
from engine.transfer.durable import fsync_path
from engine.transfer.naming import shown

_DOOMED = ".expired-"


def leaving_copies(gone: Sequence[tuple[Verdict, tuple[Path, ...]]]) -> list[Leaving]:
    """Copies with their paths. Hard links between them are counted once, with the copy that goes last; those that a
    copy which stays has too, not at all."""
    seen: Counter[object] = Counter()
    found = []
    for verdict, paths in gone:
        statuses = (status for path in paths for status in _statuses(os.fspath(path)))
        files = (((each.st_dev, each.st_ino), each.st_nlink, each.st_blocks * 512) for each in statuses)
        found.append(Leaving(verdict, paths, coming_back(files, seen)))
    return found


def coming_back(files: Iterable[tuple[object, int, int]], seen: Counter[object]) -> int:
    """The bytes that deleting these files gives back, after all that was counted in ``seen``. Of each: which one it is
    on disk, how many links it has, and what it occupies."""
    total = 0
    for key, links, bytes in files:
        seen[key] += 1
        if seen[key] >= links:
            total += bytes
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


def newest_change(path: Path) -> datetime:
    """When something at or below a path was last written, renamed or replaced: ctime, which nobody can set back. What
    cannot be asked counts as changed now."""
    try:
        folders = path.lstat().st_ctime
        found = max((max(status.st_ctime, status.st_mtime) for status in _statuses(os.fspath(path))), default=folders)
    except OSError:
        return datetime.now(UTC)
    return datetime.fromtimestamp(max(found, folders), UTC)


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


def parts_beside(kind: KeptKind, copy: Path) -> tuple[Path, ...]:
    """What Reprise put beside a copy, as far as it is there: a base backup has a folder, a snapshot its files."""
    paths = [copy.with_name(name) for name in _names(kind, copy.name)]
    return tuple(path for path in paths if (path.is_dir() if kind == "base" else path.is_file()))


def take_away(leaving: Iterable[Leaving]) -> None:
    """Delete it. Raises RepriseError at the first thing that cannot be deleted; what was deleted stays deleted.

    A copy's own name goes first: whatever is still beside it then is known by the name that it has now."""
    for each in leaving:
        try:
            if each.verdict.kind == "wal":
                for path in each.paths:
                    path.unlink(missing_ok=True)
            else:
                _take_away(each.paths[0], each.paths[1:])
        except OSError as problem:
            raise RepriseError(
                f"{shown(problem.filename or each.paths[0])} cannot be deleted",
                cause=problem.strerror,
                remedy="mend it, then expire again",
            ) from None


def _take_away(copy: Path, beside: Iterable[Path]) -> None:
    """All of it is out of sight before anything is deleted, and what is deleted last is the copy: until then ``sweep``
    sees that there is more."""
    doomed = _hide(copy)
    for part in [_hide(path) for path in beside]:
        _delete(part)
    _delete(doomed)


def _hide(path: Path) -> Path:
    """Rename it to a name with a dot, for good."""
    doomed = path.with_name(_DOOMED + path.name)
    with suppress(FileNotFoundError):
        path.rename(doomed)
        fsync_path(path.parent)
    return doomed


def _delete(path: Path) -> None:
    with suppress(FileNotFoundError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def sweep(places: Iterable[tuple[Path, KeptKind]]) -> None:
    """Finish what an interrupted expiry has begun to delete. What cannot be deleted waits for the next time."""
    for folder, kind in places:
        with suppress(OSError):
            for doomed in sorted(path for path in folder.iterdir() if path.name.startswith(_DOOMED)):
                copy = doomed.with_name(doomed.name.removeprefix(_DOOMED))
                with suppress(OSError):
                    hidden = [doomed.with_name(_DOOMED + name) for name in _names(kind, copy.name)]
                    left = () if os.path.lexists(copy) else parts_beside(kind, copy)
                    for part in (*[_hide(path) for path in left], *hidden):
                        _delete(part)
                    _delete(doomed)


def _names(kind: KeptKind, name: str) -> tuple[str, ...]:
    return names_beside(kind, name) if kind != "wal" else ()
