"""What borg prints: its archives, what one holds, its progress, its complaints. Nothing here runs anything."""

import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from engine.media.catalogue import Entry, Order, key_of
from engine.records.copies import MediaSnapshot, Problem
from engine.records.errors import DamagedCopy, RepriseError, Unreachable
from engine.site import MediaRepository
from engine.transfer.naming import shown

_FLUSH = 1000  # entries
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MODE = re.compile(r"[-dlhpcbsC?]([r-])([w-])([xsS-])([r-])([w-])([xsS-])([r-])([w-])([xtT-])\Z")
_RECORD = re.compile(rb"((?:[^\\]|\\(?!x00).)*)\\x00", re.DOTALL)


class _Archive(msgspec.Struct):
    name: str
    id: str
    start: str
    end: str | None = None


class _List(msgspec.Struct):
    archives: list[_Archive]


class _Item(msgspec.Struct):
    """A line of `borg list --json-lines`."""

    path: str
    type: str
    mode: str
    isomtime: str
    uid: int | None = None
    gid: int | None = None
    size: int = 0
    source: str = ""
    healthy: bool = True
    sha256: str = ""


class Said(msgspec.Struct):
    """A line of `--log-json`."""

    type: str = ""
    name: str = ""
    levelname: str = ""
    message: str = ""
    msgid: str | None = None
    current: int | None = None


def read_archives(data: bytes, repository: MediaRepository) -> tuple[list[MediaSnapshot], list[Problem]]:
    """`borg list --json` (of a borg that ran in UTC) as records. Raises DamagedCopy."""
    snapshots: list[MediaSnapshot] = []
    problems: list[Problem] = []
    try:
        for each in msgspec.json.decode(data, type=_List).archives:
            if not each.name.isprintable() or "/" in each.name or "::" in each.name:
                where = f"{repository.path}::{shown(each.name)}"
                problems.append(Problem(where, "its name cannot be shown, or not be told to borg", "borg rename"))
                continue
            if each.name.endswith((".checkpoint", ".recovery")) or re.search(r"\.checkpoint\.\d+\Z", each.name):
                continue  # of a backup that was broken off, or is just being made
            started = at(each.start)
            snapshots.append(
                MediaSnapshot(
                    each.name,
                    repository.path,
                    Path(repository.path, each.name),
                    started,
                    max(started, at(each.end) if each.end else started),
                    dated=True,
                )
            )
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise DamagedCopy(f"what borg says of {repository.path} cannot be read", cause=shown(str(error))) from None
    return sorted(snapshots, key=lambda each: (each.started_at, each.id)), problems


def at(text: str) -> datetime:
    """A time of borg's; without a zone it is UTC. Raises ValueError."""
    found = datetime.fromisoformat(text)
    try:
        return found.astimezone(UTC) if found.tzinfo is not None else found.replace(tzinfo=UTC)
    except OverflowError:
        raise ValueError(f"not a time: {text[:40]!r}") from None


class Sorted:
    """The items of an archive in a temporary file, to come out as entries below ``inside`` in a catalogue's order."""

    def __init__(self, inside: str) -> None:
        self._inside = os.fsencode(inside)
        self._there = not inside
        self._items = sqlite3.connect("")  # a temporary file of SQLite's own
        self._items.execute(
            "CREATE TABLE item (number INTEGER PRIMARY KEY, path BLOB, kind TEXT, sha256 TEXT, size INTEGER,"
            " mtime INTEGER, mode INTEGER, uid INTEGER, gid INTEGER, target BLOB, source BLOB, key BLOB)"
        )
        self.count = 0
        self.doubtful = False

    def __enter__(self) -> "Sorted":
        return self

    def __exit__(self, *_: object) -> None:
        self._items.close()

    def read(self, lines: Iterator[bytes]) -> None:
        """Lines of `borg list --json-lines`. Raises DamagedCopy."""
        decoder = msgspec.json.Decoder(_Item)
        rows: list[tuple[object, ...]] = []
        try:
            for line in lines:
                if not line.strip():
                    continue
                rows.append(self._row(decoder.decode(line)))
                if len(rows) >= _FLUSH:
                    self._keep(rows)
            self._keep(rows)
        except (msgspec.DecodeError, ValueError, RecursionError, OverflowError, sqlite3.Error) as error:
            raise DamagedCopy("what borg says of an archive cannot be read", cause=shown(str(error))) from None

    def _row(self, item: _Item) -> tuple[object, ...]:
        path = os.fsencode(item.path)
        self.doubtful = self.doubtful or "?" in item.path or (item.mode.startswith("h") and "?" in item.source)
        kind = {"-": "f", "d": "d", "l": "l"}.get(item.type, "")
        if not item.healthy:
            kind = ""  # pieces of it are lost: zeros stand there instead
        mtime = (at(item.isomtime) - _EPOCH) // datetime.resolution * 1000
        target, linked = os.fsencode(item.source), item.mode.startswith("h") or (kind == "f" and bool(item.source))
        self.count += 1
        digest = item.sha256 if re.fullmatch(r"[0-9a-f]{64}", item.sha256) else None
        return (
            self.count, path, kind, digest, item.size, mtime, bits(item.mode), item.uid or 0, item.gid or 0,
            target if kind == "l" else b"", target if kind == "f" and linked else None,
        )  # fmt: skip

    def _keep(self, rows: list[tuple[object, ...]]) -> None:
        self._items.executemany("INSERT INTO item VALUES (?,?,?,?,?,?,?,?,?,?,?,NULL)", rows)
        rows.clear()

    def name(self, names: Iterator[bytes], first: int) -> None:
        """The exact names of the items behind the ``first`` ones, in the order in which they were read. Raises
        DamagedCopy where they are others."""
        number = first
        for name in names:
            number += 1
            told = self._items.execute("SELECT path FROM item WHERE number = ?", (number,)).fetchone()
            if told is None or as_told(name) != told[0]:
                raise DamagedCopy("names that are not UTF-8 cannot be made out", cause="borg listed others before")
            if told[0] != name:
                self._items.execute("UPDATE item SET path = ? WHERE number = ?", (name, number))
        if number != self.count:
            raise DamagedCopy("names that are not UTF-8 cannot be made out", cause="borg listed more before")
        self.doubtful = False

    def begin_again(self, count: int) -> None:
        """Forget what was read behind the ``count`` first items, but for its hashes."""
        self._items.execute("CREATE TABLE IF NOT EXISTS known (number INTEGER PRIMARY KEY, path BLOB, sha256 TEXT)")
        self._items.execute(
            "INSERT OR REPLACE INTO known SELECT number, path, sha256 FROM item WHERE number > ?", (count,)
        )
        self._items.execute("DELETE FROM item WHERE number > ?", (count,))
        self.count = count

    def take_known_hashes(self) -> None:
        """What was known of the same items before."""
        self._items.execute(
            "UPDATE item SET sha256 = (SELECT sha256 FROM known WHERE known.number = item.number AND"
            " known.path = item.path) WHERE sha256 IS NULL"
        )

    def masters_outside(self) -> list[bytes]:
        """Files elsewhere in the archive whose content files below ``inside`` share."""
        self._items.execute("CREATE INDEX IF NOT EXISTS by_path ON item (path)")
        query = "SELECT DISTINCT source FROM item WHERE source IS NOT NULL AND source NOT IN (SELECT path FROM item)"
        return [source for (source,) in self._items.execute(query)]

    def entries(self, link: Callable[[bytes], bytes]) -> Iterator[Entry]:
        """Raises DamagedCopy."""
        above = self._inside + b"/" if self._inside else b""
        there = self._items.execute("SELECT kind FROM item WHERE path = ?", (self._inside,)).fetchone()
        some = self._items.execute("SELECT 1 FROM item WHERE substr(path, 1, ?) = ? LIMIT 1", (len(above), above))
        if there is not None and there[0] != "d":
            raise DamagedCopy(f"{shown(os.fsdecode(self._inside))} is no folder in this archive")
        if there is None and some.fetchone() is None:
            raise DamagedCopy(
                f"the archive does not hold {shown(os.fsdecode(self._inside))}",
                remedy='say where in its archives the media folder stands: inside = "…" in its [[media.repository]]',
            )
        self._items.create_function("key", 1, key_of, deterministic=True)
        query = (
            "SELECT i.path, i.kind, coalesce(m.sha256, i.sha256), coalesce(m.size, i.size), i.mtime, i.mode, i.uid,"
            " i.gid, i.target, i.source IS NOT NULL AND m.number IS NULL FROM item i"
            " LEFT JOIN item m ON m.path = i.source AND m.kind = 'f' AND m.source IS NULL"
            " WHERE substr(i.path, 1, ?) = ? ORDER BY key(i.path)"
        )
        before, order = b"", Order()
        for path, kind, digest, size, mtime, mode, uid, gid, target, lost in self._items.execute(
            query, (len(above), above)
        ):
            name = path[len(above) :]
            if name == b"." and kind == "d":
                continue  # the folder itself, where that is what was archived
            if kind == "" or lost or name == before:
                continue
            before = name
            if kind == "l":
                target = link(name) if b"?" in target else target
                size = len(target)
            digest, size = (digest if kind == "f" else None), (size if kind != "d" else 0)
            entry = Entry(kind, digest, size, mtime, mode, uid, gid, name, target)
            try:
                order.see(entry)
            except ValueError as error:
                raise DamagedCopy("the list of an archive is damaged", cause=str(error)) from None
            yield entry


def as_told(name: bytes) -> bytes:
    """A name as borg's JSON has it."""
    return os.fsencode("".join("?" if "\udc80" <= each <= "\udcff" else each for each in os.fsdecode(name)))


def read_names(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Names that each end with a zero byte, all of it written by Python's codec unicode_escape. Raises DamagedCopy."""
    pending = b""
    for block in blocks:
        pending += block
        end = 0
        for found in _RECORD.finditer(pending):
            if found.start() != end:
                break
            end = found.end()
            try:
                yield os.fsencode(found[1].decode("unicode_escape"))
            except UnicodeError:
                raise DamagedCopy("names that are not UTF-8 cannot be made out") from None
        pending = pending[end:]
        if len(pending) > 1 << 20:
            raise DamagedCopy("names that are not UTF-8 cannot be made out", cause="they have no end")
    if pending:
        raise DamagedCopy("names that are not UTF-8 cannot be made out", cause="the last one has no end")


def bits(mode: str) -> int:
    """``-rwsr-xr-t`` as a number. Raises ValueError."""
    found = _MODE.match(mode)
    if found is None:
        raise ValueError(f"not a mode: {mode[:20]!r}")
    value = 0
    for place, letter in enumerate(found.groups()):
        if letter not in "-ST":
            value |= 0o400 >> place
        if letter in "sStT":
            value |= {2: 0o4000, 5: 0o2000, 8: 0o1000}[place]
    return value


def read_said(line: bytes) -> Said | None:
    try:
        return msgspec.json.decode(line, type=Said)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None


def explained(path: str, code: int, said: list[str]) -> RepriseError:
    """borg's failure as an operator should hear it, by its message ids (manual, "Frontends")."""
    found = [(line, read_said(line.encode())) for line in said]
    messages = [each.message if each else line for line, each in found if each is None or each.levelname != "INFO"]
    messages = [each for each in messages if not each.startswith("Traceback ")]
    words = "\n".join(shown(each) for each in messages[-3:]) or f"exit code {code}, and not a word"
    ids = {each.msgid for _, each in found if each is not None}
    if ids & {"PassphraseWrong", "NoPassphraseFailure", "PasscommandFailure", "PasswordRetriesExceeded"}:
        remedy = "see password_command or password_file of this repository in the site file"
        return Unreachable(f"borg cannot open {path}: wrong password", cause=words, remedy=remedy)
    if ids & {"LockTimeout", "LockError", "LockErrorT", "LockFailed", "NotLocked"}:
        remedy = "wait for the borg that holds it; if none does: borg break-lock"
        return Unreachable(f"the borg repository {path} is locked", cause=words, remedy=remedy)
    if ids & {"Repository.DoesNotExist", "Repository.InvalidRepository", "ConnectionClosed"}:
        remedy = "see whether it is mounted or can be reached, and that its path is right in the site file"
        return Unreachable(f"there is no borg repository at {path}", cause=words, remedy=remedy)
    if "Archive.DoesNotExist" in ids:
        return Unreachable(f"the archive is no longer in {path}", cause=words, remedy="list them with: reprise catalog")
    remedy = "see what `borg check` says of it"
    if ids & {"IntegrityError", "Repository.ObjectNotFound"}:
        return DamagedCopy(f"{path} is damaged", cause=words, remedy=remedy)
    return RepriseError(f"borg failed on {path}", cause=words, remedy=remedy)
