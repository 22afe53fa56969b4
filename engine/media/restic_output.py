"""What restic prints: its snapshots, what one holds, its progress, its complaints. Nothing here runs anything."""

import base64
import os
import re
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from engine.media.catalogue import Entry, Order
from engine.records.copies import MediaSnapshot
from engine.records.errors import DamagedCopy, RepriseError, Unreachable
from engine.site import MediaRepository
from engine.transfer.naming import shown

_TOLD = 3  # complaints that are told, of the first and of the last
_IGNORING = "ignoring error for "
_HARMLESS = re.compile(r"Fatal: There were \d+ errors|Summary: |using temporary cache|Is there a repository", re.ASCII)
_UNKNOWN = "\N{REPLACEMENT CHARACTER}"
_SETUID, _SETGID, _STICKY = 1 << 23, 1 << 22, 1 << 20  # Go's io/fs.FileMode
_ESCAPE = re.compile(r"\\(x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|.)", re.DOTALL)
_PLAIN_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"'}
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)\Z", re.ASCII)


class _Summary(msgspec.Struct):
    """Told from 0.17 on."""

    backup_start: str | None = None
    backup_end: str | None = None
    total_files_processed: int | None = None
    total_bytes_processed: int | None = None


class _Snapshot(msgspec.Struct):
    id: str
    time: str
    tree: str | None = None
    paths: list[str] | None = None
    summary: _Summary | None = None


class _Node(msgspec.Struct):
    """A line of `ls`; the first one is the snapshot, and has no path."""

    path: str | None = None
    type: str = ""
    uid: int = 0
    gid: int = 0
    size: int = 0
    mode: int = 0
    mtime: str = ""


class TreeNode(msgspec.Struct):
    name: str
    type: str = ""
    subtree: str | None = None
    linktarget: str = ""
    linktarget_raw: str | None = None  # base64 of one that is not UTF-8, from 0.16.3 on


class Tree(msgspec.Struct):
    nodes: list[TreeNode]


Nodes = Callable[[bytes], list[tuple[bytes, TreeNode]]]  # what stands in a folder, by exact name, in order


def read_snapshots(data: bytes, repository: MediaRepository, media_path: str) -> list[MediaSnapshot]:
    """`restic snapshots --json` as records. ``time`` is when a snapshot was begun; when it ended is in its summary,
    else the time of its file in a repository on this machine says it, else nobody does. Raises DamagedCopy."""
    try:
        found = msgspec.json.decode(data, type=list[_Snapshot] | None) or []
        records = [_record(each, repository, media_path) for each in found]
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise DamagedCopy(f"what restic says of {repository.path} cannot be read", cause=shown(str(error))) from None
    short = Counter(each.id for each in records)
    records = [replace(each, id=each.path.name) if short[each.id] > 1 else each for each in records]
    return sorted(records, key=lambda each: (each.started_at, each.id))


def _record(found: _Snapshot, repository: MediaRepository, media_path: str) -> MediaSnapshot:
    if not re.fullmatch(r"[0-9a-f]{64}", found.id):
        raise ValueError("an id that is none of restic's")
    summary = found.summary or _Summary()
    started = at(summary.backup_start or found.time)
    stopped = at(summary.backup_end) if summary.backup_end else _written_at(repository, found.id)
    lacking = repository.inside is None and not _covers(found.paths or [], media_path)
    return MediaSnapshot(
        found.id[:8],
        repository.path,
        Path(repository.path, found.id),
        started,
        max(started, stopped or started),
        size_bytes=summary.total_bytes_processed,
        files=summary.total_files_processed,
        usable=not lacking,
        reason=f"it does not hold {media_path}" if lacking else None,
        dated=True,
    )


def _covers(paths: Sequence[str], media_path: str) -> bool:
    wanted = os.path.normpath(media_path)
    return any(wanted == path or wanted.startswith(path.rstrip("/") + "/") for path in map(os.path.normpath, paths))


def _written_at(repository: MediaRepository, id: str) -> datetime | None:
    """When a snapshot's file was written, which restic does last; None where the repository is not on this machine."""
    try:
        return datetime.fromtimestamp(os.lstat(f"{repository.path}/snapshots/{id}").st_mtime, UTC)
    except (OSError, ValueError, OverflowError):
        return None


def at(text: str) -> datetime:
    """A time of restic's, with nanoseconds. Raises ValueError."""
    seconds, nanoseconds = _moment(text)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=nanoseconds // 1000)


def _moment(text: str) -> tuple[int, int]:
    found = _TIME.match(text)
    if found is None:
        raise ValueError(f"not a time: {text[:40]!r}")
    whole, fraction, zone = found.groups()
    try:
        seconds = int(datetime.fromisoformat(whole + ("+00:00" if zone == "Z" else zone)).timestamp())
    except OverflowError:
        raise ValueError(f"not a time: {text[:40]!r}") from None
    return seconds, int((fraction or "0").ljust(9, "0"))


def decode(data: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise DamagedCopy("what restic says of a snapshot cannot be read", cause=shown(str(error))) from None


def unquoted(name: str) -> bytes:
    """A name as a tree has it: quoted by Go's strconv.Quote."""

    def meant(found: re.Match[str]) -> str:
        what = found[1]
        if what[0] == "x" and len(what) == 3:
            return os.fsdecode(bytes([int(what[1:], 16)]))
        if what[0] in "uU" and len(what) > 1:
            return chr(int(what[1:], 16))
        return _PLAIN_ESCAPES.get(what, what)

    try:
        return os.fsencode(_ESCAPE.sub(meant, name))
    except (ValueError, OverflowError):
        raise DamagedCopy("a name in the snapshot cannot be read", cause=shown(name)) from None


class Complaints:
    """What restic complains of while it restores, and which files that costs: it leaves them behind with the right
    size, and holes where pieces could not be read."""

    def __init__(self) -> None:
        self.first: list[str] = []
        self.last: deque[str] = deque(maxlen=_TOLD)
        self._items: set[str] = set()
        self._unclear = False

    def hear(self, line: bytes) -> None:
        """A line of text (`ignoring error for PATH: …`, before 0.17), or one of JSON with an error."""
        try:
            said = msgspec.json.decode(line)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            text = line.decode("utf-8", "replace").strip()
            if not text or text.startswith("restoring <Snapshot"):
                return
            if text.startswith(_IGNORING):
                self._items.add(text.removeprefix(_IGNORING))
            elif not _HARMLESS.match(text):
                self._unclear = True
            self._keep(text)
            return
        if not isinstance(said, dict) or said.get("message_type") not in ("error", "exit_error"):
            return
        error, item = said.get("error"), said.get("item")
        message = error.get("message") if isinstance(error, dict) else error
        if isinstance(item, str) and item:
            self._items.add(item + ": ")
        elif said["message_type"] == "error":
            self._unclear = True
        self._keep(str(message or said.get("message") or "an error"))

    def _keep(self, text: str) -> None:
        if len(self.first) < _TOLD:
            self.first.append(shown(text))
        else:
            self.last.append(shown(text))

    def as_damage(self, failure: RepriseError) -> RepriseError:
        """The failure; DamagedCopy where nothing but single files was complained of."""
        if self._unclear or not self._items:
            return failure
        return DamagedCopy(failure.message, cause=failure.cause, remedy=failure.remedy)

    def about(self, path: bytes) -> bool:
        """Whether a file may be one of those. Where anything is unclear, each may."""
        text = _as_told(path) + ": "
        return self._unclear or text in self._items or any(each.startswith(text) for each in self._items)


def read_progress(line: bytes) -> tuple[int, int] | None:
    """Files and bytes done, from a line of `restore --json`."""
    try:
        said = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    if not isinstance(said, dict) or said.get("message_type") not in ("status", "summary"):
        return None
    files, bytes_ = said.get("files_restored", 0), said.get("bytes_restored", 0)
    return (files, bytes_) if isinstance(files, int) and isinstance(bytes_, int) else None


def read_listing(lines: Iterator[bytes], inside: str, nodes: Nodes) -> Iterator[Entry]:
    """The lines of `restic ls --json` as entries below the folder ``inside``. Raises DamagedCopy."""
    decoder = msgspec.json.Decoder(_Node)
    top = inside.rstrip("/")
    raw_top = os.fsencode(top).strip(b"/")
    exact = _Exact(nodes, raw_top)
    found = top == ""
    order = Order()
    for line in lines:
        try:
            node = decoder.decode(line)
            if node.path is None:
                continue
            if node.path == top and not found:
                if node.type != "dir":
                    raise DamagedCopy(f"{inside} is a {node.type} in this snapshot, not a folder")
                found = True
                continue
            if not node.path.startswith(top + "/") or not found:
                continue
            path = exact.path(node.path[len(top) + 1 :])
            entry = _entry(node, path, exact)
            if entry is not None:
                order.see(entry)
        except (msgspec.DecodeError, ValueError, RecursionError, OverflowError) as error:
            raise DamagedCopy("what restic says of a snapshot cannot be read", cause=shown(str(error))) from None
        if entry is not None:
            yield entry
    if not found:
        raise DamagedCopy(
            f"the snapshot does not hold {inside}",
            remedy='say where in its snapshots the media folder stands: inside = "/…" in its [[media.repository]]',
        )


def _entry(node: _Node, path: bytes, exact: "_Exact") -> Entry | None:
    kind = {"file": "f", "dir": "d", "symlink": "l"}.get(node.type)
    if kind is None:
        return None  # a pipe, a device: no user's file
    seconds, nanoseconds = _moment(node.mtime)
    mode = node.mode & 0o777
    mode |= (0o4000 if node.mode & _SETUID else 0) | (0o2000 if node.mode & _SETGID else 0)
    mode |= 0o1000 if node.mode & _STICKY else 0
    target = exact.target(path) if kind == "l" else b""
    size = node.size if kind == "f" else len(target)
    return Entry(kind, None, size, seconds * 10**9 + nanoseconds, mode, node.uid, node.gid, path, target)  # type: ignore[arg-type]


class _Exact:
    """Names and links of a listing as they are, where its JSON does not tell."""

    def __init__(self, nodes: Nodes, top: bytes) -> None:
        self._nodes, self._top = nodes, top
        self._above: list[tuple[str, bytes]] = []  # folders whose names had to be looked up, as told and as they are
        self._last: tuple[str, int] = ("", 0)  # a name as told, and how often it came by now

    def path(self, told: str) -> bytes:
        while self._above and not told.startswith(self._above[-1][0] + "/"):
            self._above.pop()
        as_told, exact = self._above[-1] if self._above else ("", b"")
        rest = told[len(as_told) :]
        if _UNKNOWN not in rest:
            return exact + os.fsencode(rest)
        above, _, name = rest.rpartition("/")
        folder = exact + os.fsencode(above)
        times = self._last[1] + 1 if self._last[0] == told else 0
        self._last = told, times
        names = [each for each, _ in self._nodes(self._full(folder)) if _as_told(each) == name]
        if times >= len(names):
            raise DamagedCopy(f"a name that is not UTF-8 cannot be made out: {shown(told)}")
        path = (folder + b"/" if folder else b"") + names[times]
        self._above.append((told, path))
        return path

    def target(self, path: bytes) -> bytes:
        """Of a link that is not UTF-8, restic before 0.16.3 did not keep more than is told."""
        folder, _, name = path.rpartition(b"/")
        node = next((node for each, node in self._nodes(self._full(folder)) if each == name), None)
        if node is None:
            raise DamagedCopy(f"the link {shown(os.fsdecode(path))} cannot be made out")
        return base64.b64decode(node.linktarget_raw) if node.linktarget_raw else os.fsencode(node.linktarget)

    def _full(self, folder: bytes) -> bytes:
        return b"/".join(part for part in (self._top, folder) if part)


def _as_told(name: bytes) -> str:
    """A name as Go's JSON has it: each byte that belongs to no character becomes U+FFFD."""
    return "".join(_UNKNOWN if "\udc80" <= each <= "\udcff" else each for each in os.fsdecode(name))


def explained(path: str, code: int, said: list[str]) -> RepriseError:
    """restic's failure as an operator should hear it. Exit codes from 0.17 on (manual, "Scripting"), before that its
    words."""
    errors = Complaints()
    for line in said:
        errors.hear(line.encode())
    words = "\n".join([*errors.first, *errors.last]) or f"exit code {code}, and not a word"
    if code == 12 or "wrong password" in words or "empty password" in words:
        remedy = "see password_command or password_file of this repository in the site file"
        return Unreachable(f"restic cannot open {path}: wrong password", cause=words, remedy=remedy)
    if code == 11 or "already locked" in words:
        remedy = "wait for the program that holds it; if none does: restic unlock"
        return Unreachable(f"the restic repository {path} is locked", cause=words, remedy=remedy)
    if code == 10 or "unable to open config" in words:
        remedy = "see whether it is mounted or can be reached, and that its path is right in the site file"
        return Unreachable(f"there is no restic repository at {path}", cause=words, remedy=remedy)
    if "no matching ID" in words:
        return Unreachable(
            f"the snapshot is no longer in {path}", cause=words, remedy="list them with: reprise catalog"
        )
    return RepriseError(f"restic failed on {path}", cause=words, remedy="see what `restic check` says of it")
