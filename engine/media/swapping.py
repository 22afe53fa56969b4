"""The live folder changed: what is wrong in it or came after the moment goes out, what was built comes in. All by
renames on one file system, each written down before it happens; nothing is deleted.

No link is followed, in no part of a path: a program that works in the live folder could have put one there.
"""

import os
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from engine.media.choices import Choices
from engine.media.opening import Opener
from engine.media.references import key_of, path_of
from engine.records.errors import RunFailed
from engine.transfer.durable import sync_file_system
from engine.transfer.naming import shown

_TOGETHER = 1000

_CREATE = "CREATE TABLE IF NOT EXISTS move (number INTEGER PRIMARY KEY, what TEXT, key BLOB, inode INTEGER)"
# What stands where something wanted must: the thing itself, or a file where a folder must be.
_GOING = """
SELECT key, inode FROM live WHERE verdict = 'after' OR (verdict = 'wrong' AND (
    EXISTS (SELECT 1 FROM wanted WHERE wanted.key = live.key AND needed)
    OR EXISTS (SELECT 1 FROM wanted WHERE wanted.key > live.key || x'00' AND wanted.key < live.key || x'01')))
ORDER BY key
"""
_COMING = """
SELECT key, kind FROM wanted WHERE needed
AND NOT EXISTS (SELECT 1 FROM live WHERE live.key = wanted.key AND verdict = 'right') ORDER BY key
"""

Say = Callable[[int], None]


def plan_moves(choices: Choices, building: bytes) -> None:
    """Write down what moves; once written down, it stands."""
    choices.ask(_CREATE)
    if choices.number("SELECT count(*) FROM move"):
        return
    for key, inode in list(choices.ask(_GOING)):
        choices.ask("INSERT INTO move (what, key, inode) VALUES ('out', ?, ?)", key, inode)
    for key, kind in list(choices.ask(_COMING)):
        if kind == "d":
            choices.ask("INSERT INTO move (what, key, inode) VALUES ('folder', ?, NULL)", key)
            continue
        with suppress(FileNotFoundError):
            inode = os.lstat(building + b"/" + path_of(key)).st_ino
            choices.ask("INSERT INTO move (what, key, inode) VALUES ('in', ?, ?)", key, inode)
    choices.commit()


class Swap:
    """Carries the moves out between ``live``, ``building`` and ``aside``, or takes them back."""

    def __init__(self, choices: Choices, live: bytes, building: bytes, aside: bytes, say: Say) -> None:
        self.choices, self.say = choices, say
        self._roots = (live, building, aside)

    def __enter__(self) -> "Swap":
        self._stack = ExitStack()
        for root in self._roots:
            with suppress(FileExistsError):
                os.mkdir(root, 0o700)  # noqa: PTH102
        self.live, self.building, self.aside = (self._stack.enter_context(Opener(root)) for root in self._roots)
        return self

    def __exit__(self, *problem: object) -> None:
        self._stack.close()

    def apply(self) -> None:
        """Move what has not moved yet. Raises RunFailed where something else is in the way."""
        for number, what, key, inode in list(self.choices.ask("SELECT * FROM move ORDER BY number")):
            path = path_of(key)
            if what == "out":
                self._rename(self.live, self.aside, path, inode)
            elif what == "in":
                self._come(path, inode)
            else:
                self._make_folders(self.live, path + b"/.", note=True)
            if not number & 0x3F:
                self.say(number)
        self._sync()

    def undo(self) -> None:
        """All back. What others have put in its place meanwhile is kept, in the folder that was built."""
        for _, what, key, inode in list(self.choices.ask("SELECT * FROM move ORDER BY number DESC")):
            path = path_of(key)
            if what == "in":
                self._rename(self.live, self.building, path, inode)
            elif what == "out":
                newer = _inode(self.live, path)
                if newer is not None and newer != inode and _inode(self.aside, path) == inode:
                    self._rename(self.live, self.building, path, newer)
                self._rename(self.aside, self.live, path, inode)
            elif what == "made":
                self._unmake(path)
        self._sync()

    def _come(self, path: bytes, inode: int) -> None:
        there = _inode(self.live, path)
        if there is not None and there != inode:
            # it came since the folder was looked at
            self.choices.ask("INSERT INTO move (what, key, inode) VALUES ('out', ?, ?)", key_of(path), there)
            self.choices.commit()
            self._rename(self.live, self.aside, path, there)
        self._rename(self.building, self.live, path, inode)

    def _rename(self, source: Opener, target: Opener, path: bytes, inode: int) -> None:
        """Rename what has this inode; done before, it is done."""
        if _inode(source, path) != inode:
            return
        self._make_folders(target, path, note=target is self.live)
        above, _, name = path.rpartition(b"/")
        if _inode(target, path) is not None:
            place = os.fsdecode(path)
            raise RunFailed(f"{shown(place)} is in the way", remedy="move it elsewhere, then try again")
        os.rename(name, name, src_dir_fd=source.enter(above), dst_dir_fd=target.enter(above))

    def _make_folders(self, target: Opener, path: bytes, note: bool) -> None:
        """The folders above a path; those of the live folder are noted, so that they can go again."""
        parts = path.split(b"/")[:-1]
        for count in range(1, len(parts) + 1):
            folder = b"/".join(parts[:count])
            if _inode(target, folder) is not None:
                continue
            above, _, name = folder.rpartition(b"/")
            if note:
                self.choices.ask("INSERT INTO move (what, key, inode) VALUES ('made', ?, NULL)", key_of(folder))
                self.choices.commit()
            os.mkdir(name, 0o700, dir_fd=target.enter(above))
            self._dress_folder(target, folder)

    def _dress_folder(self, target: Opener, folder: bytes) -> None:
        """Owner and mode as the snapshot has them, else as the live or built one."""
        known = self.choices.folder(folder)
        above, _, name = folder.rpartition(b"/")
        if known is not None:
            mode, uid, gid = known.entry.mode, known.entry.uid, known.entry.gid
        else:
            status = next(filter(None, (_status(each, folder) for each in (self.live, self.building))), None)
            if status is None:
                return
            mode, uid, gid = status.st_mode & 0o7777, status.st_uid, status.st_gid
        handle = target.enter(above)
        if os.geteuid() == 0:
            os.chown(name, uid, gid, dir_fd=handle, follow_symlinks=False)
        os.chmod(name, mode, dir_fd=handle)

    def _unmake(self, folder: bytes) -> None:
        above, _, name = folder.rpartition(b"/")
        with suppress(OSError):  # somebody has put something into it: it stays
            os.rmdir(name, dir_fd=self.live.enter(above))

    def _sync(self) -> None:
        sync_file_system(self.live.enter(b""))


def _status(tree: Opener, path: bytes) -> os.stat_result | None:
    above, _, name = path.rpartition(b"/")
    try:
        return os.stat(name, dir_fd=tree.enter(above), follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as problem:
        place = shown(os.fsdecode(path))
        raise RunFailed(f"{place} cannot be looked at", cause=problem.strerror, remedy="see what it is") from None


def _inode(tree: Opener, path: bytes) -> int | None:
    status = _status(tree, path)
    return status.st_ino if status is not None else None


def swap_whole(live: Path, building: Path, aside: Path | None) -> None:
    """The live folder becomes ``aside``, and ``building`` the live folder. Done before, it is done. Raises
    RunFailed."""
    if building.is_dir():
        if os.path.lexists(live):
            if aside is None or os.path.lexists(aside):
                raise RunFailed(f"{shown(live)} is in the way", remedy="move it elsewhere, then resume the run")
            status = live.stat()
            if os.geteuid() == 0:
                os.chown(building, status.st_uid, status.st_gid)
            building.chmod(status.st_mode & 0o7777)
            live.rename(aside)
        building.rename(live)
    elif not live.is_dir():
        raise RunFailed(f"neither {shown(building)} nor {shown(live)} is there", remedy="see where they went")
    _sync_folder(live.parent)


def swap_back(live: Path, building: Path, aside: Path | None) -> None:
    """The other way round. Raises RunFailed."""
    if not os.path.lexists(building) and os.path.lexists(live):  # it is what was built
        live.rename(building)
    if aside is not None and os.path.lexists(aside):
        if os.path.lexists(live):
            raise RunFailed(f"{shown(live)} is in the way", remedy="move it elsewhere, then roll back again")
        aside.rename(live)
    _sync_folder(live.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
