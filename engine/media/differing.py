"""What differs between two snapshots, or between a snapshot and the live folder: two streams, merged.

Two snapshots are told apart by size, time, mode, owner and hash. Of the live folder no content is read: a file that was
changed with its size and time unchanged does not show against it (`reprise files check` reads it).
"""

import os
import stat
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from engine.media.catalogue import Entry, Kind
from engine.media.walking import walk

_KINDS: dict[int, Kind] = {stat.S_IFDIR: "d", stat.S_IFLNK: "l", stat.S_IFREG: "f"}

How = Literal["added", "removed", "changed"]


class Difference(NamedTuple):
    """One path that differs. ``what`` says in which of ``kind``, ``content``, ``size``, ``mtime``, ``mode``, ``owner``,
    ``target``, where it is on both sides."""

    how: How
    path: bytes
    before: Entry | None
    after: Entry | None
    what: tuple[str, ...] = ()


def differences(before: Iterable[Entry], after: Iterable[Entry], resolution: int = 1) -> Iterator[Difference]:
    """What must be added to, removed from or changed in ``before`` to make it ``after``, in a catalogue's order. Times
    that are less than ``resolution`` nanoseconds apart are the same."""
    lefts, rights = iter(before), iter(after)
    left, right = next(lefts, None), next(rights, None)
    while left is not None or right is not None:
        if right is None or (left is not None and left.key < right.key):
            assert left is not None
            yield Difference("removed", left.path, left, None)
            left = next(lefts, None)
        elif left is None or right.key < left.key:
            yield Difference("added", right.path, None, right)
            right = next(rights, None)
        else:
            if what := changes(left, right, resolution):
                yield Difference("changed", left.path, left, right, what)
            left, right = next(lefts, None), next(rights, None)


def changes(before: Entry, after: Entry, resolution: int = 1) -> tuple[str, ...]:
    """In what two entries of one path differ. A folder's time and size say only that something in it changed, which
    shows by itself; a hash counts where both sides know one."""
    if before.kind != after.kind:
        return ("kind",)
    what: list[str] = []
    if before.kind == "f":
        if None not in (before.sha256, after.sha256) and before.sha256 != after.sha256:
            what.append("content")
        if before.size != after.size:
            what.append("size")
        if abs(before.mtime_ns - after.mtime_ns) >= resolution:
            what.append("mtime")
    if before.kind == "l":
        if before.target != after.target:
            what.append("target")
    elif before.mode != after.mode:
        what.append("mode")
    if (before.uid, before.gid) != (after.uid, after.gid):
        what.append("owner")
    return tuple(what)


def live_entries(root: bytes) -> Iterator[Entry]:
    """The live folder's entries, without their hashes; what vanishes meanwhile is left out, and what is no file, folder
    or link. Raises OSError."""
    for path, found in walk(root):
        try:
            entry = _entry(path, found.path, found.stat(follow_symlinks=False))
        except FileNotFoundError:
            continue
        if entry is not None:
            yield entry


def live_entry(root: bytes, path: bytes) -> Entry | None:
    """What stands at this path in the live folder; None where nothing does, or no file, folder or link, or where a
    link leads there. Raises OSError."""
    parts = path.split(b"/")
    handle = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            below = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=handle)
            os.close(handle)
            handle = below
        status = os.stat(parts[-1], dir_fd=handle, follow_symlinks=False)
        target = os.readlink(parts[-1], dir_fd=handle) if stat.S_ISLNK(status.st_mode) else b""
    except (FileNotFoundError, NotADirectoryError):
        return None
    finally:
        os.close(handle)
    return _made(path, status, target)


def _entry(path: bytes, full: bytes, status: os.stat_result) -> Entry | None:
    return _made(path, status, os.readlink(full) if stat.S_ISLNK(status.st_mode) else b"")  # noqa: PTH115


def _made(path: bytes, status: os.stat_result, target: bytes) -> Entry | None:
    kind = _KINDS.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        return None
    mode, size = stat.S_IMODE(status.st_mode), status.st_size if kind == "f" else 0
    return Entry(kind, None, size, status.st_mtime_ns, mode, status.st_uid, status.st_gid, path, target)
