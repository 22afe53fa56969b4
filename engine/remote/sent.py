"""What this site has sent to a second place, remembered on this side: `expire` judges there what is remembered here and
nothing else. Whatever lies there besides is another's.

Each copy is a small file below the state folder, written before the copy is sent: what arrives is never unknown. What
the copy is (when it was taken, what it builds on) is added by `expire` while the copy stands in its own repository, for
the time when it stands there no more. Of archived WAL the names are remembered, as ranges.
"""

import hashlib
import re
from collections.abc import Iterable
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import Literal

import msgspec

from engine.records.coding import from_json, to_json
from engine.records.copies import BaseBackup, Dump, MediaSnapshot
from engine.records.copying import CopyKind
from engine.records.errors import RepriseError
from engine.transfer.durable import put_file

SentKind = Literal["base", "dump", "media"]
SentCopy = BaseBackup | Dump | MediaSnapshot

_TYPES: dict[SentKind, type[SentCopy]] = {"base": BaseBackup, "dump": Dump, "media": MediaSnapshot}
# An archived segment's name, in whatever folder (Barman's and pgBackRest's archives are nested), packed or not.
SEGMENT = re.compile(r"(?:[^\n]*/)?([0-9A-F]{16})([0-9A-F]{8})(?:-[0-9a-f]{40})?(?:\.gz|\.lz4|\.zst)?\Z")

Ranges = dict[str, list[tuple[int, int]]]  # by timeline and "log" (16 digits): first and last of the other 8


class _Note(msgspec.Struct):
    kind: SentKind
    name: str
    copy: msgspec.Raw = msgspec.Raw(b"null")


class Sent(msgspec.Struct, frozen=True):
    """A copy that was sent, or was about to be. ``copy``: what it is; None: not known yet."""

    kind: SentKind
    name: str
    copy: SentCopy | None = None


class SentWal(msgspec.Struct, frozen=True):
    """The archived segments that were sent."""

    ranges: Ranges

    def __contains__(self, name: str) -> bool:
        found = SEGMENT.match(name)
        return found is not None and any(
            first <= int(found[2], 16) <= last for first, last in self.ranges.get(found[1], ())
        )


class Memory:
    """What one site has sent to one second place (its address as the site file has it)."""

    def __init__(self, state: Path, site: str, second: str) -> None:
        digest = hashlib.sha256("\0".join((site, second.rstrip("/"))).encode("utf-8", "surrogateescape")).hexdigest()
        self._folder = state / "second" / digest[:16]

    def copies(self) -> dict[tuple[SentKind, str], Sent]:
        """By kind and name. What cannot be read of them is not known."""
        found: dict[tuple[SentKind, str], Sent] = {}
        for path in self._folder.glob("*.json"):
            with suppress(OSError, msgspec.DecodeError, ValueError):
                note = from_json(path.read_bytes(), _Note)
                found[note.kind, note.name] = Sent(note.kind, note.name)
                if bytes(note.copy) != b"null":
                    copy = from_json(bytes(note.copy), _TYPES[note.kind])
                    found[note.kind, note.name] = Sent(note.kind, note.name, copy)
        return found

    def expect(self, kind: CopyKind, name: str) -> None:
        """The copy is about to be sent; of kinds that no rule lets go nothing is remembered. Raises RepriseError."""
        if kind != "source" and kind != "image" and not self._path(kind, name).exists():
            self.keep(Sent(kind, name))

    def keep(self, sent: Sent) -> None:
        """Raises RepriseError."""
        copy = msgspec.Raw(to_json(sent.copy))
        self._write(self._path(sent.kind, sent.name), to_json(_Note(sent.kind, sent.name, copy)))

    def forget(self, kind: SentKind, name: str) -> None:
        """It is there no more."""
        self._path(kind, name).unlink(missing_ok=True)

    def wal(self) -> SentWal:
        with suppress(OSError, msgspec.DecodeError):
            return SentWal(msgspec.json.decode((self._folder / "wal").read_bytes(), type=Ranges))
        return SentWal({})

    def keep_wal(self, names: Iterable[str]) -> None:
        """The archived files with these names have been sent. Raises RepriseError."""
        known = self.wal().ranges
        ranges = {**known, **_ranges(names, known)}
        if ranges != known:
            self._write(self._folder / "wal", to_json(ranges))

    def _path(self, kind: SentKind, name: str) -> Path:
        digest = hashlib.sha256(f"{kind}\0{name}".encode("utf-8", "surrogateescape")).hexdigest()
        return self._folder / f"{digest[:32]}.json"

    def _write(self, path: Path, data: bytes) -> None:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            put_file(path, data)
        except OSError as error:
            raise RepriseError(
                f"what is sent cannot be remembered in {path.parent}", cause=error.strerror, remedy="make room there"
            ) from None


def _ranges(names: Iterable[str], known: Ranges) -> Ranges:
    """The names with what was known of their like, without a gap where there is none."""
    numbers: dict[str, set[int]] = {}
    for name in names:
        if found := SEGMENT.match(name):
            numbers.setdefault(found[1], set()).add(int(found[2], 16))
    merged: Ranges = {}
    for log, some in numbers.items():
        for first, last in known.get(log, ()):
            some.update(range(first, last + 1))
        runs = groupby(enumerate(sorted(some)), key=lambda pair: pair[1] - pair[0])
        merged[log] = [(run[0][1], run[-1][1]) for run in (list(each) for _, each in runs)]
    return merged
