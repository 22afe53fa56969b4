"""The live folder changed: what is wrong in it or came after the moment goes out, what was built comes in. All by
renames on one file system, each written down before it happens; nothing is deleted.

No link is followed, in no part of a path: a program that works in the live folder could have put one there.
"""

import itertools
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

from engine.media.catalogue import key_of, path_of
from engine.media.choices import Choices
from engine.media.opening import Opener
from engine.media.putting import storable
from engine.records.errors import RunFailed
from engine.transfer.durable import sync_file_system, sync_folder
from engine.transfer.naming import shown

_PAGE = 1000

# ``place``: its name in the folder of what goes out, where that is another than its own.
_CREATE = """
CREATE TABLE IF NOT EXISTS move (number INTEGER PRIMARY KEY, what TEXT, key BLOB, inode INTEGER, place BLOB)
"""
# What stands where something wanted must: the thing itself, or a file where a folder must be.
_GOING = """
INSERT INTO move (what, key, inode) SELECT 'out', key, inode FROM live
WHERE verdict = 'after' OR (verdict = 'wrong' AND (
    EXISTS (SELECT 1 FROM wanted WHERE wanted.key = live.key AND needed)
    OR EXISTS (SELECT 1 FROM wanted WHERE needed
        AND wanted.key > CAST(live.key || x'00' AS BLOB) AND wanted.key < CAST(live.key || x'01' AS BLOB))))
ORDER BY key
"""
_COMING = """
INSERT INTO move (what, key, inode) SELECT iif(kind = 'd', 'folder', 'in'), key, inode FROM wanted
WHERE needed AND (kind = 'd' OR inode IS NOT NULL)
AND NOT EXISTS (SELECT 1 FROM live WHERE live.key = wanted.key AND verdict = 'right') ORDER BY key
"""
_NAME = 230  # bytes of a name that is made longer; 255 are possible

Say = Callable[[int], None]


def plan_moves(choices: Choices) -> None:
    """Write down what moves; once written down, it stands."""
    choices.ask(_CREATE)
    if not choices.number("SELECT count(*) FROM move"):
        choices.ask(_GOING)
        choices.ask(_COMING)
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
        for _, _, key, _, _ in self._moves("what = 'made'", "number"):
            self._dress_folder(self.live, path_of(key))  # killed between the two, it is closed to all
        last = self.choices.number("SELECT max(number) FROM move")
        for number, what, key, inode, place in self._moves(f"number <= {last}", "number"):
            path = path_of(key)
            if what == "out":
                self._rename(self.live, self.aside, path, inode, place)
            elif what == "in":
                self._come(path, inode)
            elif what == "folder":
                self._make_folders(self.live, path + b"/.", note=True)
            if not number & 0x3F:
                self.say(number)
        self._sync()

    def undo(self) -> None:
        """All back. What others have put in its place meanwhile is kept, in the folder that was built; what came
        while things moved, and where something stood before, stays set aside."""
        for _, _, key, inode, _ in self._moves("what = 'in'", "number DESC"):
            self._rename(self.live, self.building, path_of(key), inode)
        for _, _, key, _, _ in self._moves("what = 'made'", "number DESC"):  # inner ones were made later
            self._unmake(path_of(key))
        for _, _, key, inode, _ in self._moves("what = 'out' AND place IS NULL", "number DESC"):
            path = path_of(key)
            newer = _inode(self.live, path)
            if newer is not None and newer != inode and _inode(self.aside, path) == inode:
                self._rename(self.live, self.building, path, newer, self._free(self.building, path))
            self._rename(self.aside, self.live, path, inode)
        self._sync()

    def may_come(self, path: bytes) -> bool:
        """Whether nothing stands at this path in the live folder, and nothing but folders above it."""
        parts = path.split(b"/")
        for count in range(1, len(parts)):
            above = _status(self.live, b"/".join(parts[:count]))
            if above is None:
                return True
            if not stat.S_ISDIR(above.st_mode):
                return False
        return _status(self.live, path) is None

    def make_folder(self, path: bytes, like: os.stat_result) -> None:
        """A folder in the live one, unless it is there; ``like`` has its owner and mode, where no snapshot does."""
        self._make_folders(self.live, path + b"/.", note=True, like=like)

    @property
    def building_root(self) -> bytes:
        return self._roots[1]

    def place_for(self, path: bytes) -> bytes:
        """Where a file that is to come in to this path is put first; what an attempt before has left there goes."""
        self._make_folders(self.building, path, note=False)
        place = self.building_root + b"/" + path
        with suppress(FileNotFoundError):
            os.unlink(place)  # noqa: PTH108
        return place

    def bring_in(self, path: bytes) -> None:
        """What was put there comes into the live folder; what stands at its path goes out. Both are written down
        before, so that ``undo`` takes them back."""
        inode = _inode(self.building, path)
        self.choices.ask("INSERT INTO move (what, key, inode) VALUES ('in', ?, ?)", key_of(path), inode)
        self.choices.commit()
        self._come(path, inode)

    def _moves(self, condition: str, order: str) -> Iterator[tuple[int, str, bytes, int | None, bytes | None]]:
        """Those of a condition of ours, page by page: what is written down meanwhile may or may not be seen."""
        beyond, last = ("number < ?", 1 << 62) if order.endswith("DESC") else ("number > ?", -1)
        query = (
            f"SELECT number, what, key, inode, place FROM move WHERE {condition} AND {beyond} ORDER BY {order} LIMIT ?"
        )
        while page := list(self.choices.ask(query, last, _PAGE)):
            last = page[-1][0]
            yield from page

    def _come(self, path: bytes, inode: int | None) -> None:
        there = _inode(self.live, path)
        if there is not None and there != inode:
            self._rename(self.live, self.aside, path, there, self._note_another(path, there))
        self._rename(self.building, self.live, path, inode)

    def _note_another(self, path: bytes, inode: int) -> bytes | None:
        """What came to this path since the folder was looked at goes out, too: where it goes."""
        query = "SELECT place FROM move WHERE what = 'out' AND key = ? AND inode = ?"
        for (noted,) in self.choices.ask(query, key_of(path), inode):
            return bytes(noted) if noted is not None else None
        place: bytes | None = self._free(self.aside, path)
        query = "SELECT EXISTS (SELECT 1 FROM move WHERE what = 'in' AND key = ? AND inode = ?)"
        if place is None and self.choices.number(query, key_of(path), inode):
            place = path  # what came in did not stand there before: no undo puts it back
        row = (key_of(path), inode, place)
        self.choices.ask("INSERT INTO move (what, key, inode, place) VALUES ('out', ?, ?, ?)", *row)
        self.choices.commit()
        return place

    def _free(self, tree: Opener, path: bytes) -> bytes | None:
        """A path beside this one at which nothing stands; None where this one is free."""
        if _inode(tree, path) is None:
            return None
        above, slash, name = path.rpartition(b"/")
        for number in itertools.count(1):
            place = above + slash + name[:_NAME] + f".came-later-{number}".encode()
            if _inode(tree, place) is None:
                break
        return place

    def _rename(
        self, source: Opener, target: Opener, path: bytes, inode: int | None, place: bytes | None = None
    ) -> None:
        """Rename what has this inode, to ``place`` where that is another; done before, it is done."""
        if inode is None or _inode(source, path) != inode:
            return
        place = place or path
        self._make_folders(target, place, note=target is self.live)
        above, _, name = path.rpartition(b"/")
        above_place, _, new_name = place.rpartition(b"/")
        if _inode(target, place) is not None:
            raise RunFailed(f"{shown(os.fsdecode(place))} is in the way", remedy="move it elsewhere, then try again")
        os.rename(name, new_name, src_dir_fd=source.enter(above), dst_dir_fd=target.enter(above_place))

    def _make_folders(self, target: Opener, path: bytes, note: bool, like: os.stat_result | None = None) -> None:
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
            self._dress_folder(target, folder, like)

    def _dress_folder(self, target: Opener, folder: bytes, like: os.stat_result | None = None) -> None:
        """Owner and mode as the snapshot has them, else as ``like``, the live or the built one."""
        present = _status(target, folder)
        if present is None or not stat.S_ISDIR(present.st_mode):
            return
        known = self.choices.folder(folder)
        if known is not None:
            mode, uid, gid = known.entry.mode, known.entry.uid, known.entry.gid
        else:
            present_ones = (_status(each, folder) for each in (self.live, self.building))
            status = like or next(filter(None, present_ones), None)
            if status is None:
                return
            mode, uid, gid = status.st_mode & 0o7777, status.st_uid, status.st_gid
        handle = target.enter(folder)
        if os.geteuid() == 0:
            os.fchown(handle, uid, gid)
        os.fchmod(handle, mode)
        target.enter(b"")  # a folder that may move is not kept open under its path

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


def written_since(choices: Choices, live: Path) -> Iterator[bytes]:
    """Files that the two folders shared by a hard link and that somebody has written into since they were looked at:
    the folder that stood before has them as they are now."""
    query = (
        "SELECT key, size, mtime_ns, inode FROM live WHERE kind = 'f' AND verdict IN ('right', 'orphan') "
        "AND key > ? ORDER BY key LIMIT ?"
    )
    last = b""
    while page := list(choices.ask(query, last, _PAGE)):
        last = page[-1][0]
        for key, size, mtime, inode in page:
            with suppress(OSError):
                status = os.lstat(bytes(live) + b"/" + path_of(key))
                if status.st_ino == inode and (status.st_size, storable(status.st_mtime_ns)) != (size, mtime):
                    yield path_of(key)


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
    sync_folder(live.parent)


def swap_back(live: Path, building: Path, aside: Path | None) -> None:
    """The other way round. Raises RunFailed."""
    if not os.path.lexists(building) and os.path.lexists(live):  # it is what was built
        live.rename(building)
    if aside is not None and os.path.lexists(aside):
        if os.path.lexists(live):
            raise RunFailed(f"{shown(live)} is in the way", remedy="move it elsewhere, then roll back again")
        aside.rename(live)
    sync_folder(live.parent)
